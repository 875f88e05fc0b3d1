/*
 * The subject "locks": our mutex beside that of the C library, and our shared cache beside the
 * usual one (a mutex, a hash table, a list) and oneTBB's. A counter under the lock by one, two and
 * eight threads; keys that are all there by one and four threads, and twice as many keys as there
 * is room for. One thread alone is timed by its CPU time.
 */
#include "sync_locks.h"

#include "sync_crew.h"

#include "base/os/os_mutex.h"
#include "sync/lru.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 16, MOST_ROUNDS = 101 };

typedef struct way {
    const char *config;
    bool cache;
    uint32_t threads;
    uint64_t keys, part; /* of the items */
} way;

static const way WAYS[] = {{"counter, 1 thread", false, 1, 0, 1},
                           {"counter, 2 threads", false, 2, 0, 1},
                           {"counter, 8 threads", false, 8, 0, 1},
                           {"hits, 1 thread", true, 1, SYNC_CACHE_ENTRIES / 2, 4},
                           {"hits, 4 threads", true, 4, SYNC_CACHE_ENTRIES / 2, 4},
                           {"half misses, 1 thread", true, 1, 2 * SYNC_CACHE_ENTRIES, 8}};

static uint64_t thread_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void *need(void *p)
{
    if (p) return p;
    (void)fputs("bench_sync: out of memory\n", stderr);
    exit(3);
}

static void *futex_make(void)
{
    lmn_mutex *m = need(malloc(sizeof *m));
    lmn_mutex_init(m);
    return m;
}

static uint64_t futex_lock(void *x, uint64_t n, uint64_t *count)
{
    lmn_mutex *m = x;
    for (; n; n--) {
        lmn_mutex_lock(m);
        (*(volatile uint64_t *)count)++;
        lmn_mutex_unlock(m);
    }
    return 0;
}

static void *libc_make(void)
{
    pthread_mutex_t *m = need(malloc(sizeof *m));
    (void)pthread_mutex_init(m, NULL);
    return m;
}

static uint64_t libc_lock(void *x, uint64_t n, uint64_t *count)
{
    pthread_mutex_t *m = x;
    for (; n; n--) {
        (void)pthread_mutex_lock(m);
        (*(volatile uint64_t *)count)++;
        (void)pthread_mutex_unlock(m);
    }
    return 0;
}

/* The value of a key is the key, one larger so that it is not NULL. */
static lamina_status build(void *ctx, lmn_span key, void **value, size_t *bytes, lamina_error *err)
{
    uint64_t k;
    (void)ctx, (void)err;
    memcpy(&k, key.p, sizeof k);
    *value = (void *)(uintptr_t)(k + 1);
    *bytes = 1;
    return LAMINA_OK;
}

static void *cache_make(uint32_t shards)
{
    lmn_lru *c = need(aligned_alloc(LMN_APART, sizeof *c));
    const lmn_lru_opts o = {
        &lmn_libc_allocator, SIZE_MAX, SYNC_CACHE_ENTRIES, shards, NULL, NULL, NULL};
    return need(lmn_lru_init(c, &o) == LAMINA_OK ? c : NULL);
}

static void *cache_make_1(void)
{
    return cache_make(1);
}

static void *cache_make_16(void)
{
    return cache_make(16);
}

static void cache_destroy(void *x)
{
    lmn_lru_finish(x);
    free(x);
}

static uint64_t cache_ask(void *x, uint64_t n, uint64_t keys, uint64_t seed)
{
    const lmn_lru_ask ask = {build, NULL, 0};
    uint64_t wrong = 0;
    for (; n; n--) {
        const uint64_t k = sync_random(&seed) % keys;
        const lmn_span key = {(const uint8_t *)&k, sizeof k};
        lmn_lru_entry *e;
        if (lmn_lru_get(x, key, &ask, &e, NULL) != LAMINA_OK) {
            wrong++;
            continue;
        }
        wrong += lmn_lru_value(e) != (void *)(uintptr_t)(k + 1);
        lmn_lru_let_go(e);
    }
    return wrong;
}

static const sync_lock_kind OURS[] = {
    {.name = "lmn_mutex",
     .progress = "blocking",
     .ours = true,
     .make = futex_make,
     .destroy = free,
     .lock = futex_lock},
    {.name = "pthread_mutex",
     .progress = "blocking",
     .make = libc_make,
     .destroy = free,
     .lock = libc_lock},
    {.name = "lmn_lru, 1 shard",
     .progress = "blocking",
     .ours = true,
     .cache = true,
     .make = cache_make_1,
     .destroy = cache_destroy,
     .ask = cache_ask},
    {.name = "lmn_lru, 16 shards",
     .progress = "blocking",
     .ours = true,
     .cache = true,
     .make = cache_make_16,
     .destroy = cache_destroy,
     .ask = cache_ask},
    {.name = NULL},
};

typedef struct job {
    const sync_lock_kind *kind;
    const way *way;
    void *x;
    uint64_t n;
    _Alignas(128) uint64_t count; /* under the lock */
} job;

static uint64_t do_part(job *j, uint32_t id)
{
    if (!j->kind->cache) return j->kind->lock(j->x, j->n, &j->count);
    return j->kind->ask(j->x, j->n, j->way->keys, 77u + id);
}

static void work(sync_member *m)
{
    m->tally.wrong = do_part(m->queue, m->id);
}

/* Nanoseconds an operation, all threads together. */
static double one_run(const sync_lock_kind *k, const way *w, uint64_t n, uint64_t *errors)
{
    sync_member m[8] = {0};
    job j = {.kind = k, .way = w, .x = k->make(), .n = n / w->part / w->threads};
    double ns;
    if (k->cache)
        *errors += k->ask(j.x, 4 * SYNC_CACHE_ENTRIES, w->keys, 1); /* what can be is there */
    if (w->threads == 1) {
        const uint64_t from = thread_ns();
        *errors += do_part(&j, 0);
        ns = (double)(thread_ns() - from);
    } else {
        for (uint32_t i = 0; i < w->threads; i++)
            m[i] = (sync_member){.work = work, .queue = &j, .id = i};
        ns = 1e9 * sync_crew_run(m, w->threads);
        for (uint32_t i = 0; i < w->threads; i++) *errors += m[i].tally.wrong;
    }
    if (!k->cache) *errors += j.count != j.n * w->threads;
    k->destroy(j.x);
    return ns / (double)(j.n * w->threads);
}

static uint32_t contenders(const sync_options *o, const sync_lock_kind *out[MOST])
{
    const sync_lock_kind *const table[] = {OURS, sync_locks_others};
    uint32_t n = 0;
    for (size_t t = 0; t < 2; t++)
        for (const sync_lock_kind *k = table[t]; k->name && n < MOST; k++)
            if (!o->only || strstr(k->name, o->only)) out[n++] = k;
    return n;
}

bool sync_locks(const sync_options *o)
{
    static double sample[MOST][MOST_ROUNDS];
    const sync_lock_kind *k[MOST];
    const uint32_t n = contenders(o, k);
    const uint32_t rounds = o->rounds < 1 ? 1 : o->rounds > MOST_ROUNDS ? MOST_ROUNDS : o->rounds;
    const uint64_t items = o->items ? o->items : 4000000;
    bool ok = true;
    for (size_t w = 0; w < sizeof WAYS / sizeof *WAYS; w++) {
        uint64_t errors[MOST] = {0};
        for (uint32_t round = 0; round < rounds; round++)
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t c = (i + round) % n;
                if (k[c]->cache == WAYS[w].cache)
                    sample[c][round] = one_run(k[c], &WAYS[w], items, &errors[c]);
            }
        for (uint32_t c = 0; c < n; c++) {
            if (k[c]->cache != WAYS[w].cache) continue;
            const sync_queue_kind row = {.name = k[c]->name,
                                         .order = k[c]->cache ? "least recent" : "none",
                                         .progress = k[c]->progress,
                                         .ours = k[c]->ours};
            sync_row_begin(&row, WAYS[w].config);
            sync_row_samples("ns", sample[c], rounds);
            sync_row_end(errors[c]);
            ok = ok && errors[c] == 0;
        }
    }
    return ok;
}
