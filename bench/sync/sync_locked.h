/*
 * For scale in bench_sync: a ring under a mutex, as one spins on it and as one sleeps on it.
 */
#ifndef SYNC_LOCKED_H
#define SYNC_LOCKED_H

#include "sync_bench.h"

#include "base/alloc.h"
#include "base/atomic.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Zeroed and aligned to LMN_APART, for free(). */
static inline void *sync_zero(size_t bytes)
{
    void *p = aligned_alloc(LMN_APART, lmn_align_up(bytes, LMN_APART));
    if (!p) abort();
    memset(p, 0, bytes);
    return p;
}

typedef struct locked {
    pthread_mutex_t lock;
    pthread_cond_t filled, freed;
    uint64_t tail, head, ring;
    uint64_t slot[];
} locked;

static inline void *locked_make(uint32_t ring)
{
    locked *q = sync_zero(sizeof *q + ring * sizeof q->slot[0]);
    q->ring = ring;
    (void)pthread_mutex_init(&q->lock, NULL);
    (void)pthread_cond_init(&q->filled, NULL);
    (void)pthread_cond_init(&q->freed, NULL);
    return q;
}

static inline void locked_destroy(void *queue)
{
    locked *q = queue;
    (void)pthread_mutex_destroy(&q->lock);
    (void)pthread_cond_destroy(&q->filled);
    (void)pthread_cond_destroy(&q->freed);
    free(q);
}

/* The spinning mutex ring: take the lock, look, give it back, try again. */
static inline bool locked_push(locked *q, uint64_t item)
{
    (void)pthread_mutex_lock(&q->lock);
    const bool room = q->tail - q->head < q->ring;
    if (room) q->slot[q->tail++ & (q->ring - 1)] = item;
    (void)pthread_mutex_unlock(&q->lock);
    return room;
}

static inline bool locked_pop(locked *q, uint64_t *item)
{
    (void)pthread_mutex_lock(&q->lock);
    const bool any = q->tail != q->head;
    if (any) *item = q->slot[q->head++ & (q->ring - 1)];
    (void)pthread_mutex_unlock(&q->lock);
    return any;
}

/* The one with condition variables: asleep until there is something to do. */
static inline bool asleep_push(locked *q, uint64_t item)
{
    (void)pthread_mutex_lock(&q->lock);
    while (q->tail - q->head == q->ring) (void)pthread_cond_wait(&q->freed, &q->lock);
    q->slot[q->tail++ & (q->ring - 1)] = item;
    (void)pthread_mutex_unlock(&q->lock);
    (void)pthread_cond_signal(&q->filled);
    return true;
}

static inline bool asleep_pop(locked *q, uint64_t *item)
{
    (void)pthread_mutex_lock(&q->lock);
    while (q->tail == q->head) (void)pthread_cond_wait(&q->filled, &q->lock);
    *item = q->slot[q->head++ & (q->ring - 1)];
    (void)pthread_mutex_unlock(&q->lock);
    (void)pthread_cond_signal(&q->freed);
    return true;
}

#endif
