/*
 * lmn_workpool in bench_sync: tasks spawned by a thread that entered, fork and join, and a
 * reduction of floats.
 */
#include "sync_bench.h"

#include "base/alloc.h"
#include "sync/workpool.h"

#include <stdlib.h>
#include <string.h>

static void *make(uint32_t threads)
{
    lmn_workpool *p = NULL;
    const lmn_pool_opts opts = {.width = threads};
    if (lmn_workpool_create(&lmn_libc_allocator, &opts, &p) != LAMINA_OK) abort();
    return p;
}

static void destroy(void *p)
{
    lmn_workpool_destroy(p);
}

static lmn_worker *enter(void *p)
{
    lmn_worker *w = NULL;
    if (lmn_workpool_enter(p, &w) != LAMINA_OK) abort();
    return w;
}

static void count(lmn_worker *w, void *payload)
{
    uint8_t *place;
    (void)w;
    memcpy(&place, payload, sizeof place);
    ++*place;
}

static void empty(void *p, uint8_t *done, uint64_t n)
{
    lmn_worker *w = enter(p);
    lmn_group g;
    lmn_group_init(&g, w);
    for (uint64_t i = 0; i < n; i++) {
        uint8_t *place = done + i;
        lmn_spawn(w, &g, count, NULL, &place, sizeof place);
    }
    if (lmn_group_wait(&g) != LAMINA_OK) abort();
    lmn_workpool_leave(w);
}

typedef struct call {
    uint64_t *out;
    uint32_t n;
} call;

static uint64_t fib_in(lmn_worker *w, uint32_t n);

static void fib_task(lmn_worker *w, void *payload)
{
    call c;
    memcpy(&c, payload, sizeof c);
    *c.out = fib_in(w, c.n);
}

static uint64_t fib_in(lmn_worker *w, uint32_t n)
{
    if (n < 2) return n;
    uint64_t a = 0;
    lmn_group g;
    const call c = {&a, n - 1};
    lmn_group_init(&g, w);
    lmn_spawn(w, &g, fib_task, NULL, &c, sizeof c);
    const uint64_t b = fib_in(w, n - 2);
    if (lmn_group_wait(&g) != LAMINA_OK) abort();
    return a + b;
}

static uint64_t fib(void *p, uint32_t n)
{
    lmn_worker *w = enter(p);
    const uint64_t value = fib_in(w, n);
    lmn_workpool_leave(w);
    return value;
}

static void sum_piece(void *arg, int64_t begin, int64_t end, void *partial)
{
    const float *x = arg;
    float sum = 0;
    for (int64_t i = begin; i < end; i++) sum += x[i];
    memcpy(partial, &sum, sizeof sum);
}

static void sum_two(void *arg, void *into, const void *partial)
{
    float a, b;
    (void)arg;
    memcpy(&a, into, sizeof a);
    memcpy(&b, partial, sizeof b);
    a += b;
    memcpy(into, &a, sizeof a);
}

static uint32_t sum(void *p, const float *x, uint64_t n)
{
    float total = 0;
    uint32_t bits;
    const lmn_reduction r = {.n = (int64_t)n,
                             .bytes = sizeof total,
                             .map = sum_piece,
                             .combine = sum_two,
                             .arg = (void *)(uintptr_t)x};
    if (lmn_workpool_reduce(p, &r, &total) != LAMINA_OK) abort();
    memcpy(&bits, &total, sizeof bits);
    return bits;
}

const sync_pool_kind sync_pool_ours[] = {{.name = "lmn_workpool",
                                          .ours = true,
                                          .make = make,
                                          .destroy = destroy,
                                          .empty = empty,
                                          .fib = fib,
                                          .sum = sum},
                                         {.name = NULL}};
