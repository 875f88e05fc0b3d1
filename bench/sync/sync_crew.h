/*
 * Subjects of bench_sync and what they share: a crew of pinned threads that start together, samples
 * by contender and round.
 */
#ifndef SYNC_CREW_H
#define SYNC_CREW_H

#include "sync_probe.h"

typedef struct sync_options {
    uint32_t rounds;
    uint64_t items;   /* 0: what the subject thinks fit */
    double seconds;   /* of a subject that has a length */
    const char *only; /* part of a contender's name, NULL for all */
} sync_options;

/* True when nothing was lost, doubled or out of order. */
bool sync_spsc(const sync_options *o);
bool sync_trips_run(const sync_options *o);
bool sync_mpmc(const sync_options *o);
bool sync_stall(const sync_options *o);
bool sync_alloc(const sync_options *o);
bool sync_locks(const sync_options *o);
bool sync_pool(const sync_options *o);
bool sync_soak(const sync_options *o);

/* One thread of a crew. */
typedef struct sync_member {
    void (*work)(struct sync_member *m);
    const sync_queue_kind *kind;
    void *queue, *back;
    uint32_t id;
    sync_run *run;
    sync_tally tally;
    sync_trips *trips;
    uint64_t end_ns; /* when it was done */
} sync_member;

/* Run all members at once, thread k on the k-th processor round robin; seconds from the start to
 * the end of the last. */
double sync_crew_run(sync_member *members, uint32_t n);
/* In the middle of a crew's run: call `meanwhile` in the calling thread. */
double sync_crew_run_with(sync_member *members, uint32_t n, void (*meanwhile)(void *), void *ctx);
/* The thread that runs a member, valid inside `meanwhile`. */
uint64_t sync_crew_thread(uint32_t member);

/* The members of a run of many; `tally` of each consumer afterwards. */
uint32_t sync_crew_fill(sync_member *members, const sync_queue_kind *k, void *q, sync_run *r);
/* Items lost or doubled, and those out of order. */
uint64_t sync_crew_errors(const sync_member *members, uint32_t n, const sync_run *r);

/* The contenders of two tables that `only` lets pass; how many. */
uint32_t sync_pick(const sync_queue_kind *a, const sync_queue_kind *b, const char *only,
                   const sync_queue_kind *out[32]);
/* One row of the result: name, class and what the caller appends until sync_row_end. */
void sync_row_begin(const sync_queue_kind *k, const char *config);
void sync_row_name(const char *name, bool ours, const char *config);
void sync_row_samples(const char *key, const double *samples, uint32_t n);
void sync_row_end(uint64_t errors);

#endif
