/*
 * lamina/pool.h - threads that work for whoever has work: tasks that fork and join by work
 * stealing, tasks from outside, parallel loops and reductions whose results do not depend on the
 * number of threads. Part of liblamina-sync, which needs nothing else of Lamina.
 *
 * Tasks and loop bodies run with round-to-nearest and denormals, whatever the caller has set.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_POOL_H
#define LAMINA_POOL_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of a task's payload at most. */
#define LAMINA_TASK_PAYLOAD 48

/* A pool of threads. */
typedef struct lamina_pool lamina_pool;
/* A thread that works in a pool: one of its own, or one that entered. */
typedef struct lmn_worker lamina_worker;

/* The body of a task. The payload is the task's own copy, aligned to 16, and ends with the call. */
typedef void (*lamina_task_fn)(lamina_worker *worker, void *payload);
/* Instead of running: release what the payload owns. */
typedef void (*lamina_drop_fn)(void *payload);

/*
 * A group of tasks that one worker made and waits for, in memory of the caller (a local will do).
 * Set up by lamina_group_init(), needs no release; must not move, nor go, before the wait is over.
 */
typedef struct lamina_group {
    uint64_t opaque[4];
} lamina_group;

/* Options of lamina_pool_create(). Set `size`, leave the rest zero: the defaults. */
typedef struct lamina_pool_opts {
    size_t size;                       /* sizeof(lamina_pool_opts) */
    const lamina_allocator *allocator; /* copied; NULL = the C library's */
    uint32_t width;                    /* most that work on one loop, its caller among them; 0 =
                                          what affinity and the quota of the container allow */
    uint32_t reserved;                 /* must be 0 */
    uint64_t spin_ns;                  /* look for work this long before sleeping; 0 = 40 us, none
                                          with fewer CPUs than workers */
} lamina_pool_opts;

/**
 * Make a pool. Threads start when they are first needed; one that the system refuses means less
 * help, not a failure.
 *
 * @param opts  borrowed until return; NULL = defaults.
 * @param out   on success owned, released by lamina_pool_destroy(). On failure untouched.
 * @return LAMINA_OK; E_INVALID (out is NULL, an unknown option is set); E_NOMEM.
 *
 * Units:    nanoseconds, threads.
 * Threads:  any; the pool may then be used by all.
 * Memory:   a deque for each worker.   Blocking: reads the limits of the container.
 * Source:   docs/rooms/sync.md "lmn_workpool".   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_pool_create(const lamina_pool_opts *opts,
                                                             lamina_pool **out);

/**
 * Release a pool. Running tasks end, those that were not begun are dropped; NULL does nothing.
 *
 * Threads: no other call on it may be running.   Blocking: joins its threads.   Since: 0.1
 */
LAMINA_API void lamina_pool_destroy(lamina_pool *pool);

/** How many work on one loop at most, the caller among them. Threads: any. Since: 0.1 */
LAMINA_API uint32_t lamina_pool_width(const lamina_pool *pool);

/**
 * Hand a task over, from any thread; nobody waits for it but who is told by the task itself.
 *
 * @param fn       called once, in some worker; or else
 * @param drop     called once, when the pool ends first; NULL = nothing to release.
 * @param payload  bytes of it are copied, at most LAMINA_TASK_PAYLOAD; NULL for none.
 * @return LAMINA_OK; E_NOMEM, E_LIMIT, E_AGAIN (no thread can be had): it was not taken; E_INVALID.
 *
 * Units: bytes.   Threads: any.   Memory: of a deque, at times.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_pool_submit(lamina_pool *pool, lamina_task_fn fn,
                                                             lamina_drop_fn drop,
                                                             const void *payload, size_t bytes);

/**
 * Become a worker of the pool until lamina_pool_leave(), in order to spawn and to wait.
 *
 * @param out  on success owned, released by lamina_pool_leave(). On failure untouched.
 * @return LAMINA_OK; E_NOMEM; E_LIMIT (too many at once); E_INVALID.
 *
 * Threads: the calling one alone uses the worker.   Memory: a deque, used again.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_pool_enter(lamina_pool *pool, lamina_worker **out);

/** Be a worker no more; groups were waited for, other tasks go on. The same thread. Since: 0.1 */
LAMINA_API void lamina_pool_leave(lamina_worker *worker);

/**
 * Set up an empty group.
 *
 * @param group  filled.
 * @param owner  borrowed; the worker that calls this, and will wait.
 *
 * Threads: the owner's.   Memory: none.   Since: 0.1
 */
LAMINA_API void lamina_group_init(lamina_group *group, lamina_worker *owner);

/**
 * Add a task to a group. Cannot fail: when memory is out it runs at once.
 *
 * @param worker   the one that calls this: the group's owner, or of a task of the group.
 * @param group    NULL = of none.
 * @param fn       called once; or else
 * @param drop     called once, when the group is cancelled or the pool ends; NULL allowed.
 * @param payload  bytes of it are copied, at most LAMINA_TASK_PAYLOAD; NULL for none.
 * @return LAMINA_OK; E_INVALID (fn is NULL, a payload too long): it was not taken.
 *
 * Units: bytes.   Threads: the worker's.   Memory: of its deque, at times.   Since: 0.1
 */
LAMINA_API lamina_status lamina_spawn(lamina_worker *worker, lamina_group *group, lamina_task_fn fn,
                                      lamina_drop_fn drop, const void *payload, size_t bytes);

/**
 * Work until all tasks of a group are done; what they wrote is visible then. The group is empty and
 * may be used again.
 *
 * @return LAMINA_OK; E_CANCELLED (the group was cancelled).
 *
 * Threads: the owner's.   Memory: none.   Blocking: for the group's tasks; meanwhile runs tasks,
 * also of others.   Since: 0.1
 */
LAMINA_API lamina_status lamina_group_wait(lamina_group *group);

/** Drop the tasks of a group that have not begun, from here on. Threads: any. Since: 0.1 */
LAMINA_API void lamina_group_cancel(lamina_group *group);

/** Was the group cancelled? For tasks that take long. Threads: any. Since: 0.1 */
LAMINA_API bool lamina_group_cancelled(lamina_group *group);

/**
 * Run fn for chunks 0 .. n_chunks-1. The caller works itself and waits for no helper that has not
 * begun; the loop ends when all chunks are done, whoever else is busy.
 *
 * @param fn  arg, the chunk, and who runs it: 0 to the width less one, no two at once.
 *
 * Units:    chunks; cut them by the problem alone, and the result does not depend on the threads.
 * Threads:  any, also inside a task or a loop.   Memory: none.   Blocking: for the chunks begun.
 * Since: 0.1
 */
LAMINA_API void lamina_pool_for(lamina_pool *pool, int64_t n_chunks,
                                void (*fn)(void *arg, int64_t chunk, int32_t who), void *arg);

/* A reduction over the items 0 .. n-1. */
typedef struct lamina_reduction {
    size_t size;    /* sizeof(lamina_reduction) */
    int64_t n;      /* items */
    int64_t grain;  /* items of a piece; 0 = 4096 */
    size_t partial; /* bytes of a partial result, at most 65536 */
    /* Make a partial, zeroed before, from the items begin .. end-1. Any thread. */
    void (*map)(void *arg, int64_t begin, int64_t end, void *partial);
    /* Fold a partial into another: in ascending order, in the calling thread. */
    void (*combine)(void *arg, void *into, const void *partial);
    void *arg; /* borrowed, passed to both */
} lamina_reduction;

/**
 * Reduce. The pieces depend on n and grain alone, and are folded in order: the bits of the result
 * are the same for any number of threads.
 *
 * @param r    borrowed until return.
 * @param out  set by the caller to what the fold begins with.
 * @return LAMINA_OK; E_INVALID; E_NOMEM (out is untouched).
 *
 * Units: items, bytes.   Threads: any.   Memory: a partial for each piece.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_pool_reduce(lamina_pool *pool,
                                                             const lamina_reduction *r, void *out);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_POOL_H */
