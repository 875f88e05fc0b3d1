/*
 * What a profiled session writes down: one span a step and run, in a bounded ring, and sums a step.
 *
 * A frame notes the ticks of its steps in its own memory while it runs; the run's caller moves them
 * into the ring under the session's lock, once, when the run is over. One clock reading serves as
 * the end of a step and the start of the next, so a step's span includes the runtime's own work for
 * it. Where reading the clock would still cost more than LMN_PROFILE_SHARE of a run, which takes a
 * run of a few microseconds, only some of the runs are noted. Shapes are kept apart, in rows that
 * many spans share: a row is made when a step first meets these shapes. Rows and ring are bounded;
 * what does not fit is counted as dropped.
 */
#ifndef LMN_RUNTIME_PROFILE_H
#define LMN_RUNTIME_PROFILE_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/os/os_ticks.h"
#include "lamina/tensor.h"

#define LMN_PROFILE_RING (1u << 16)
#define LMN_PROFILE_ROW_BYTES ((size_t)8 << 20)
#define LMN_PROFILE_MAX_THREADS 256
#define LMN_PROFILE_SHARE 0.01

struct lmn_step;
struct lmn_frame;
struct lamina_session;

/* A step with given shapes; the shapes as words: per port dtype << 32 | rank + 1, then the dims. */
typedef struct lmn_row {
    const struct lmn_step *step; /* NULL: a span of the runtime itself */
    const char *name;            /* then its name */
    struct lmn_row *next;        /* other shapes of the same step */
    double flops, bytes;
    uint32_t n_words, n_in, n_out;
    int64_t words[];
} lmn_row;

/* Ticks of one step in the run of a frame, and the row it had last. */
typedef struct lmn_step_span {
    uint64_t start, end;
    lmn_row *row;
    bool watch; /* shapes may change from run to run: look again every time */
} lmn_step_span;

typedef struct lmn_event {
    const lmn_row *row;
    uint64_t start, ticks;
    uint32_t run, thread;
} lmn_event;

typedef struct lmn_profile {
    lmn_ticks clock;
    lmn_atomic(uint32_t) n_skip; /* runs to come that are not noted */
    uint64_t read_ticks;         /* what one noted step costs */
    uint64_t n_steps;            /* noted in the run at hand, subgraphs included */
    uint64_t run_ticks;
    uint64_t n_events;  /* ever put in: the ring holds the last LMN_PROFILE_RING */
    uint64_t n_dropped; /* spans that found no room for their shapes */
    lmn_event *ring;
    lmn_arena rows;
    lmn_row *row_run, *row_plan;
    uintptr_t thread[LMN_PROFILE_MAX_THREADS]; /* keys of the callers, in order of appearance */
    uint32_t n_threads;
} lmn_profile;

lamina_status lmn_profile_create(const lamina_allocator *a, lmn_profile **out);
void lmn_profile_destroy(const lamina_allocator *a, lmn_profile *p);
/* A run begins, under no lock: its tick, or 0 if it is not to be noted. */
static inline uint64_t lmn_profile_begin(const lmn_profile *p)
{
    const bool skip = lmn_atomic_load(&p->n_skip, relaxed) != 0;
    return skip ? 0 : lmn_ticks_now(&p->clock);
}
/* Under the session's lock: a run ends that began at `start`; how many of the next are noted? */
void lmn_profile_end(lmn_profile *p, uint64_t start, uint32_t run);
/* Under the session's lock: a span of the runtime itself. */
void lmn_profile_span(lmn_profile *p, const lmn_row *row, uint64_t start, uint64_t end,
                      uint32_t run);
/* Under the session's lock: the first n_done steps of a frame that ran. */
void lmn_profile_commit(lmn_profile *p, struct lmn_frame *f, size_t n_done, uint32_t run);
/* Step i of f is done, its inputs still there: find or make the row of its shapes. Takes the lock
   when the shapes are not those of last time. */
void lmn_profile_shapes(struct lamina_session *s, struct lmn_frame *f, size_t i,
                        const lamina_tensor *const *io);
/* Which steps of a new frame have shapes that the plan does not fix. */
void lmn_profile_watch(struct lmn_frame *f);

#endif
