/*
 * The pool's own record, shared by its files. Immutable after create but for what is atomic and the
 * threads, which change under `starting`.
 */
#ifndef LMN_SYNC_WORKPOOL_INT_H
#define LMN_SYNC_WORKPOOL_INT_H

#include "sync/workpool.h"

#ifdef LMN_MC
#define LMN_POOL_OFFERS 1
#else
#define LMN_POOL_OFFERS 8 /* loops that helpers may join at once; further ones run alone */
#endif

struct lmn_workpool {
    lmn_parking lot; /* of workers: every one is registered here */
    lmn_offer offer[LMN_POOL_OFFERS];
    lamina_allocator alloc;
    lmn_pool_hooks hooks;
    lamina_status (*start)(lmn_thread *t, void *(*fn)(void *), void *arg);
    const char *root; /* for lmn_topo_read */
    bool hooked;
    bool own_width; /* from the topology: looked at again now and then */
    uint64_t spin_ns, stay_ns;
    uint32_t process; /* which made it: after fork the threads are not there */
    uint32_t most;    /* width is never above */
    lmn_atomic(uint32_t) width;
    lmn_atomic(uint64_t) look_again_ns; /* at the topology */
    lmn_atomic(uint32_t) quit;
    lmn_atomic(uint32_t) n_threads;
    lmn_atomic(int32_t) expected; /* callers with more loops to come */
    uint32_t n_room;              /* most threads */
    lmn_thread *thread;           /* n_room, `started` of them are there */
    lmn_worker *worker;           /* n_room, one a thread */
    lmn_mutex starting;           /* guards the rest */
    uint32_t started;
    uint64_t retry_ns;   /* a thread was refused: not before */
    uint32_t registered; /* workers in the lot: all started, and at most one more */
};

/* The worker at place i of the lot, or NULL. */
static inline lmn_worker *lmn_pool_worker(lmn_workpool *p, uint32_t i)
{
    return lmn_atomic_load(&p->lot.sleeper[i], acquire);
}
static inline uint32_t lmn_pool_workers(lmn_workpool *p)
{
    return lmn_atomic_load(&p->lot.n, relaxed);
}

/* Threads up to `need`, as far as the system gives them; how many there are. */
uint32_t lmn_pool_start(lmn_workpool *p, uint32_t need);
/* For a thread that has nothing to do. */
void lmn_pool_look_again(lmn_workpool *p);
/* A worker's life between enter and leave, for the time of a task handed over: E_NOMEM, E_LIMIT. */
lamina_status lmn_guest_take(lmn_workpool *p, lmn_worker **out);
/* Find work and do it until the group is done (NULL: until the pool ends). */
void lmn_worker_work(lmn_worker *w, lmn_group *g);

#endif
