/*
 * lmn_workpool: threads that work for whoever has work: tasks that fork and join (work stealing),
 * tasks from outside, parallel loops and reductions.
 *
 * A task is moved in and then exactly one of its run or its drop is called. Spawning from inside is
 * a store into the worker's own deque; other threads become workers for a while (enter, leave) or
 * submit. A group counts tasks; its owner waits for it and works meanwhile, on any task. Loops go
 * another way (sync/offer.h): the caller works itself and waits for no helper that has not begun.
 *
 * Order: none between tasks (a deque is LIFO for its owner, FIFO for thieves). Progress: no lock
 * but for starting threads; spawn, submit and steal are lock-free; a wait ends when the group's
 * tasks end, whoever runs them. Memory: see lmn_deque, for each worker; threads and threads that
 * entered at once: 512. Who: see each function. Closing: lmn_workpool_destroy drops what is left.
 * Threads start when first needed; a refused thread means less help, never a failure of a loop or
 * a group. After fork the child has no threads but its own: loops and groups still end there,
 * done by the caller alone (unless a helper or thief was busy with them), and destroy is fine.
 */
#ifndef LMN_SYNC_WORKPOOL_H
#define LMN_SYNC_WORKPOOL_H

#include "sync/deque.h"
#include "sync/offer.h"
#include "sync/parking.h"

#include "base/fpenv.h"
#include "base/os/os_mutex.h"
#include "base/os/os_thread.h"
#include "base/topo.h"

#ifdef LMN_MC
#define LMN_TASK_PAYLOAD 8
#else
#define LMN_TASK_PAYLOAD 48
#endif

typedef struct lmn_workpool lmn_workpool;
typedef struct lmn_worker lmn_worker;
typedef struct lmn_group lmn_group;

/* Runs in worker w. The payload is the task's own copy, aligned to 16, and ends with the call. */
typedef void lmn_task_fn(lmn_worker *w, void *payload);
/* Instead of running: release what the payload owns. */
typedef void lmn_drop_fn(void *payload);

/* One cache line, move-only: who takes it over leaves fn NULL behind. */
typedef struct lmn_task {
    lmn_task_fn *fn;
    lmn_drop_fn *drop; /* NULL: nothing to release */
    _Alignas(16) uint8_t payload[LMN_TASK_PAYLOAD];
} lmn_task;
_Static_assert(sizeof(lmn_task) == 16 + (LMN_TASK_PAYLOAD + 15) / 16 * 16, "a task is one line");

/* For tracing; each may be NULL. In the worker's thread; `w` tells workers apart. A helper's part
 * in a loop is a task as well. */
typedef struct lmn_pool_hooks {
    void (*task_begin)(void *ctx, lmn_worker *w);
    void (*task_end)(void *ctx, lmn_worker *w);
    void (*park)(void *ctx, lmn_worker *w); /* about to sleep */
    void (*unpark)(void *ctx, lmn_worker *w);
    /* The caller of a loop has found no more chunks, and helpers may still have some: both or
     * neither; what the first gives goes to the second when all are done. */
    uint64_t (*join)(void *ctx);
    void (*joined)(void *ctx, uint64_t began);
    void *ctx;
} lmn_pool_hooks;

typedef struct lmn_pool_opts {
    uint32_t width;       /* most that work on one loop, its caller among them; 0: what affinity
                             and the quota of the container allow (base/topo.h) */
    uint64_t spin_ns;     /* look for work this long before sleeping; 0: 40 us, none when there
                             are fewer CPUs than workers */
    uint64_t stay_ns;     /* so long, where it spins at all, while loops are expected; 0: 500 us */
    lmn_pool_hooks hooks; /* copied */
    const lmn_topo *topo; /* just read; NULL: read here */
    const char *root;     /* for reading it, as in lmn_topo_read; NULL: ""; outlives the pool */
    /* Who makes threads; NULL: lmn_thread_start. */
    lamina_status (*start)(lmn_thread *t, void *(*fn)(void *), void *arg);
} lmn_pool_opts;

typedef struct lmn_pool_stats {
    uint32_t width, n_threads, n_guests, n_asleep; /* guests: records of threads that entered */
} lmn_pool_stats;

/* NULL opts: the defaults. Starts no thread. E_NOMEM. The allocator is copied. */
lamina_status lmn_workpool_create(const lamina_allocator *a, const lmn_pool_opts *opts,
                                  lmn_workpool **out);
/* Nobody is inside or waits; running tasks end, those that were not begun are dropped. NULL: fine.
 */
void lmn_workpool_destroy(lmn_workpool *p);
uint32_t lmn_workpool_width(const lmn_workpool *p);
void lmn_workpool_stats(lmn_workpool *p, lmn_pool_stats *out);

/* The calling thread becomes a worker (with the floating-point environment of fpenv.h) until it
 * leaves; tasks it spawned may outlive that, its groups not. E_NOMEM; E_LIMIT: too many at once. */
lamina_status lmn_workpool_enter(lmn_workpool *p, lmn_worker **out);
void lmn_workpool_leave(lmn_worker *w);

/* From any thread: hand a task over. E_NOMEM, E_LIMIT, E_AGAIN (no thread can be had): it was not
 * taken. g: counts it, or NULL. */
lamina_status lmn_workpool_submit(lmn_workpool *p, lmn_group *g, lmn_task *task);

/*
 * Groups. The owner is the worker that made it, and it alone waits for it, before the group's
 * memory goes. Tasks are added by the owner, or by tasks of the group before they end.
 */
struct lmn_group {
    lmn_worker *owner;
    int64_t mine;               /* of the owner: spawned by it and not run by it */
    lmn_atomic(int64_t) others; /* spawned by others minus run by others */
    lmn_atomic(uint32_t) cancelled;
};

static inline void lmn_group_init(lmn_group *g, lmn_worker *owner)
{
    g->owner = owner;
    g->mine = 0;
    lmn_atomic_init(&g->others, 0);
    lmn_atomic_init(&g->cancelled, 0);
}
/* Anybody, while the group lives: tasks that have not begun are dropped. */
static inline void lmn_group_cancel(lmn_group *g)
{
    lmn_atomic_store(&g->cancelled, 1, relaxed);
}
/* For tasks that take long. */
static inline bool lmn_group_cancelled(lmn_group *g)
{
    return lmn_atomic_load(&g->cancelled, relaxed) != 0;
}

/* In worker w: add a task of the group (NULL: of none) with a copy of `bytes` <= 48 of payload.
 * Cannot fail: when memory is out the task runs at once. */
static inline void lmn_spawn(lmn_worker *w, lmn_group *g, lmn_task_fn *fn, lmn_drop_fn *drop,
                             const void *payload, size_t bytes);
/* The owner: run tasks until all of the group are done; their effects are visible. E_CANCELLED:
 * the group was cancelled. The group is empty and may be used again (cancelled stays). */
static inline lamina_status lmn_group_wait(lmn_group *g);

/* Run fn for chunks 0 .. n_chunks-1 from any thread, the caller included, in the floating-point
 * environment of fpenv.h; returns when all that were begun are done. */
void lmn_workpool_for(lmn_workpool *p, const lmn_loop *loop);

/* Loops follow each other until the call with -1 that belongs to one with +1: workers stay awake
 * longer between them. */
void lmn_workpool_expect(lmn_workpool *p, int32_t by);

/*
 * A reduction over items 0 .. n-1 in pieces of `grain` (0: 4096; more when there were too many
 * pieces): map makes a partial of `bytes` <= 64 KiB, zeroed before, from items [begin, end);
 * combine folds the partials into *out, which the caller has set, in ascending order. The pieces
 * depend on n and grain alone, so the bits of the result do not depend on the number of threads.
 */
typedef struct lmn_reduction {
    int64_t n, grain;
    size_t bytes;
    void (*map)(void *arg, int64_t begin, int64_t end, void *partial);
    void (*combine)(void *arg, void *into, const void *partial);
    void *arg;
    int32_t width; /* as in a loop */
} lmn_reduction;
/* E_INVALID, E_NOMEM. */
lamina_status lmn_workpool_reduce(lmn_workpool *p, const lmn_reduction *r, void *out);

/* The rest is for the inline parts. */

struct lmn_worker {
    lmn_sleeper sleeper; /* first: the parking lot is the list of all workers */
    lmn_deque deque;
    _Alignas(LMN_APART) lmn_workpool *pool;
    lmn_parking *lot;
    bool hooked;                 /* the pool has hooks */
    bool guest;                  /* a record for threads that enter or submit */
    uint32_t seed;               /* where the next search for work begins */
    uint64_t stole_at, stole_ns; /* the last steal: when, how long it took (0: got nothing) */
    uint64_t rest_ns;            /* no steals for so long, because the last ones did not pay */
    lmn_fpenv fpenv;             /* of the thread that entered */
    lmn_atomic(uint32_t) taken;  /* a guest's: somebody is this worker */
};

/* Words of a deque item: fn, drop, payload, group. */
enum { LMN_TASK_GROUP = 2 + LMN_TASK_PAYLOAD / 8 };
_Static_assert(LMN_TASK_GROUP + 1 == LMN_DEQUE_WORDS, "a task and its group");

void lmn_task_run_hooked(lmn_worker *w, lmn_deque_item *t);
void lmn_task_drop(lmn_deque_item *t);
void lmn_group_done_elsewhere(lmn_group *g);
lamina_status lmn_group_wait_slowly(lmn_group *g);

/* The owner: all tasks are done, and their effects visible. */
static inline bool lmn_group_ended(lmn_group *g)
{
    return g->mine + lmn_atomic_load(&g->others, acquire) == 0;
}

/* Count a task that w adds to g. */
static inline void lmn_group_add(lmn_group *g, const lmn_worker *w)
{
    if (LMN_LIKELY(g->owner == w))
        g->mine++;
    else
        (void)lmn_atomic_add(&g->others, 1, relaxed);
}

/* w has the task and nobody else: run it or drop it. */
static inline void lmn_task_run(lmn_worker *w, lmn_deque_item *t)
{
    lmn_group *g = (lmn_group *)(uintptr_t)t->word[LMN_TASK_GROUP];
    lmn_assert(t->word[0] != 0);
    if (LMN_UNLIKELY(g && lmn_group_cancelled(g)))
        lmn_task_drop(t);
    else if (LMN_UNLIKELY(w->hooked))
        lmn_task_run_hooked(w, t);
    else
        ((lmn_task_fn *)(uintptr_t)t->word[0])(w, &t->word[2]);
#if LMN_ASSERT_LEVEL >= 1
    t->word[0] = 0; /* run or dropped: not again */
#endif
    if (!g) return;
    if (LMN_LIKELY(g->owner == w))
        g->mine--;
    else
        lmn_group_done_elsewhere(g);
}

static inline void lmn_spawn(lmn_worker *w, lmn_group *g, lmn_task_fn *fn, lmn_drop_fn *drop,
                             const void *payload, size_t bytes)
{
    lmn_assert(fn && bytes <= LMN_TASK_PAYLOAD);
    uint64_t part[LMN_TASK_PAYLOAD / 8];
    const size_t n = (bytes + 7) / 8;
    if (n) part[n - 1] = 0;
    if (n) __builtin_memcpy(part, payload, bytes);
    if (g) lmn_group_add(g, w);
    lmn_atomic(uint64_t) *word = lmn_deque_reserve(&w->deque);
    if (LMN_UNLIKELY(!word)) {
        lmn_deque_item t;
        t.word[0] = (uintptr_t)fn;
        t.word[1] = (uintptr_t)drop;
        for (size_t i = 0; i < n; i++) t.word[2 + i] = part[i];
        t.word[LMN_TASK_GROUP] = (uintptr_t)g;
        lmn_task_run(w, &t);
        return;
    }
    lmn_atomic_store(&word[0], (uintptr_t)fn, relaxed);
    lmn_atomic_store(&word[1], (uintptr_t)drop, relaxed);
    for (size_t i = 0; i < n; i++) lmn_atomic_store(&word[2 + i], part[i], relaxed);
    lmn_atomic_store(&word[LMN_TASK_GROUP], (uintptr_t)g, relaxed);
    lmn_deque_push(&w->deque);
    lmn_park_notify(w->lot, 1);
}

static inline lamina_status lmn_group_wait(lmn_group *g)
{
    lmn_worker *w = g->owner;
    lmn_deque_item t;
    while (g->mine > 0 && lmn_deque_take(&w->deque, &t)) lmn_task_run(w, &t);
    if (LMN_UNLIKELY(!lmn_group_ended(g))) return lmn_group_wait_slowly(g);
    return LMN_UNLIKELY(lmn_group_cancelled(g)) ? LAMINA_E_CANCELLED : LAMINA_OK;
}

#endif
