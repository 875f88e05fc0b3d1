/*
 * lmn_epochs: safe memory reclamation by epochs, for what is read all the time
 * and changed now and then (a table of operators, of models). A reader enters
 * and leaves; whoever unlinks an object hands it to `retire`, and it is freed
 * when every reader that was inside then has left.
 *
 * Against hazard pointers (smr.h): entering costs two stores however much is
 * read inside, but one reader that stalls inside holds back EVERYTHING that is
 * retired from then on: there is no bound. Hence the watchdog, which names that
 * thread.
 *
 * Progress: enter, leave and retire wait-free but for the scan. Memory: a
 * record a thread that was ever in the domain at once, and what waits. Who: a
 * thread joins once, uses its record alone and quits; it may enter again
 * inside. Reclaim functions run in the retiring thread, under no lock, and may
 * retire again. In the child of a fork, readers of other threads stay inside
 * for ever: nothing is freed there any more.
 */
#ifndef LMN_SYNC_EPOCH_H
#define LMN_SYNC_EPOCH_H

#include "sync/asym.h"

/* Part of every object that is retired. */
typedef struct lmn_epoch_object {
    struct lmn_epoch_object *next;
    void (*reclaim)(struct lmn_epoch_object *self, void *ctx);
    void *ctx;
    uint64_t tag; /* the clock when it was retired */
} lmn_epoch_object;

/* Who keeps objects from being freed. */
typedef struct lmn_epoch_stall {
    uint32_t thread;    /* lmn_thread_id of the reader that entered first of those
                           inside; 0: none */
    uint64_t inside_ns; /* for how long at least: since it was first looked at */
    uint64_t n_waiting; /* objects */
} lmn_epoch_stall;

/* Told once for each stay inside that is longer than stall_ns while objects
 * wait. Called by the thread that looked, which may be any that retires. */
typedef struct lmn_epoch_hook {
    void *ctx;
    uint64_t stall_ns;
    void (*stalled)(void *ctx, const lmn_epoch_stall *s);
} lmn_epoch_hook;

typedef struct lmn_epochs lmn_epochs;

/* A thread in a domain. */
typedef struct lmn_epoch {
    _Alignas(LMN_APART) lmn_atomic(uint64_t) inside; /* 0, or the clock at entering */
    lmn_atomic(uint64_t) n_stays;                    /* tells one stay from the next */
    lmn_asym asym;
    uint32_t depth; /* of the owner alone */
    lmn_epochs *domain;
    _Alignas(LMN_APART) lmn_atomic(uint32_t) taken;
    lmn_atomic(uint32_t) thread;
    struct lmn_epoch *next;         /* set before the record is seen */
    lmn_epoch_object *first, *last; /* of the owner alone, oldest first */
    size_t n_retired, next_scan;
    uint64_t seen_stay, seen_ns; /* of who looks */
    bool told;
} lmn_epoch;

struct lmn_epochs {
    lamina_allocator alloc;
    const lmn_epoch_hook *hook; /* borrowed, may be NULL */
    lmn_asym asym;
    _Alignas(LMN_APART) lmn_atomic(uint64_t) clock; /* 1 and the objects ever retired */
    _Alignas(LMN_APART) lmn_atomic(void *) records; /* lmn_epoch, newest first */
    lmn_atomic(void *) orphans;                     /* lmn_epoch_object of threads that quit */
    lmn_atomic(uint64_t) n_freed;
    lmn_atomic(uint32_t) looking; /* one looks at a time */
};

/* Counts at one moment. */
typedef struct lmn_epoch_stats {
    uint32_t n_threads, n_inside;
    uint64_t n_retired, n_freed;
    lmn_epoch_stall stall; /* the reader that holds objects back, as
                              lmn_epoch_look found it */
} lmn_epoch_stats;

void lmn_epochs_init(lmn_epochs *d, const lamina_allocator *a, lmn_asym asym,
                     const lmn_epoch_hook *hook);
/* Frees everything; no thread is in the domain. */
void lmn_epochs_finish(lmn_epochs *d);
/* A record for the calling thread; NULL when memory is out. */
lmn_epoch *lmn_epoch_join(lmn_epochs *d);
/* The thread, outside, uses its record no more: what it retired is freed or
 * left to the others. */
void lmn_epoch_quit(lmn_epoch *r);

/* What is reached from here on stays until leave. */
static inline void lmn_epoch_enter(lmn_epoch *r)
{
    if (r->depth++ > 0) return;
    const uint64_t now = lmn_atomic_load(&r->domain->clock, acquire);
    lmn_atomic_store(&r->n_stays, lmn_atomic_load(&r->n_stays, relaxed) + 1, relaxed);
    lmn_atomic_store(&r->inside, now, release); /* ends the stay before, too */
    lmn_asym_light(r->asym);
}

static inline void lmn_epoch_leave(lmn_epoch *r)
{
    lmn_assert(r->depth > 0);
    if (--r->depth == 0) lmn_atomic_store(&r->inside, 0, release);
}

/* Nobody can reach the object any more: reclaim(o, ctx) when all who may have
 * it have left. */
void lmn_epoch_retire(lmn_epoch *r, lmn_epoch_object *o,
                      void (*reclaim)(lmn_epoch_object *, void *), void *ctx);
/* Free what can be freed now; with a hook, look who holds back the rest. */
void lmn_epoch_scan(lmn_epoch *r);

/* The watchdog: the reader inside for longest, as of now_ns (lmn_now_ns; two
 * looks with increasing times tell how long). Any thread; false: another is
 * looking. */
bool lmn_epoch_look(lmn_epochs *d, uint64_t now_ns, lmn_epoch_stall *out);
void lmn_epoch_get_stats(lmn_epochs *d, uint64_t now_ns, lmn_epoch_stats *out);

#endif
