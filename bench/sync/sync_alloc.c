/*
 * The subject "alloc": objects of 64 bytes from our memory tools and from general allocators, all
 * in one process. jemalloc and mimalloc are opened by dlopen and called through pointers, as is the
 * C library's malloc, so that nobody replaces anybody; ours run inline, and once more as calls of
 * the public faces. One owner: batches of 256, one at a time, a random live set. Many: what one
 * thread takes another gives back, by a ring between two and by slots among four. One thread alone
 * is timed by its CPU time.
 */
#include "sync_crew.h"

#include "lamina/arena.h"

#include "base/alloc.h"
#include "base/objpool.h"
#include "sync/magpool.h"
#include "sync/spsc.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#define OBJECT 64u
#define BATCH 256u
#define LIVE 1024u
#define SLOTS 256u
#define MOST_ROUNDS 101
#define CREW 4u

/* A general allocator as it was found. */
typedef struct library {
    void *(*take)(size_t bytes);
    void (*give)(void *p);
} library;

/* What a thread works with, and what all share. */
typedef struct shared {
    library lib;
    lmn_magpool *pool;
    lamina_magpool *face;
    lmn_spsc in, out;
    lmn_atomic(void *) slot[SLOTS];
    uint64_t n;
    lmn_atomic(uint64_t) wrong;
} shared;

typedef struct contender {
    const char *name, *order;
    bool ours;
    int kind;
    library lib;
} contender;

enum {
    KIND_LIBRARY,
    KIND_ARENA,
    KIND_POOL,
    KIND_CACHE,
    KIND_ARENA_CALL,
    KIND_POOL_CALL,
    KIND_SEATS
};
enum { WAY_BATCH, WAY_LIFO, WAY_CHURN, WAY_RING, WAY_SLOTS, N_WAYS };
static const char *const WAYS[N_WAYS] = {"batch of 256", "one at a time", "random of 1024",
                                         "ring 1:1", "slots, 4 threads"};

static uint64_t thread_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t next_random(uint64_t *x)
{
    *x = *x * 6364136223846793005u + 1442695040888963407u;
    return *x >> 33;
}

static inline void touched(void *p)
{
    __asm__ volatile("" ::"r"(p) : "memory");
}

/* The three ways of one owner around TAKE (an expression) and GIVE(o); each does n pairs. */
#define ONE_OWNER(name, C, TAKE, GIVE)                                                          \
    static void name##_batch(C *c, uint64_t n)                                                  \
    {                                                                                           \
        void *o[BATCH];                                                                         \
        for (; n; n -= BATCH) {                                                                 \
            for (uint32_t i = 0; i < BATCH; i++) *(uint64_t *)(o[i] = (TAKE)) = i;              \
            touched(o);                                                                         \
            for (uint32_t i = 0; i < BATCH; i++) GIVE(o[i]);                                    \
        }                                                                                       \
    }                                                                                           \
    static void name##_lifo(C *c, uint64_t n)                                                   \
    {                                                                                           \
        for (; n; n--) {                                                                        \
            uint64_t *o = (TAKE);                                                               \
            *o = n;                                                                             \
            touched(o);                                                                         \
            GIVE(o);                                                                            \
        }                                                                                       \
    }                                                                                           \
    static void name##_churn(C *c, uint64_t n)                                                  \
    {                                                                                           \
        void *o[LIVE];                                                                          \
        uint64_t x = 1;                                                                         \
        for (uint32_t i = 0; i < LIVE; i++) o[i] = (TAKE);                                      \
        for (; n; n--) {                                                                        \
            void **one = &o[next_random(&x) % LIVE];                                            \
            GIVE(*one);                                                                         \
            *(uint64_t *)(*one = (TAKE)) = n;                                                   \
        }                                                                                       \
        for (uint32_t i = 0; i < LIVE; i++) GIVE(o[i]);                                         \
    }                                                                                           \
    static void name##_one(void *c, int way, uint64_t n)                                        \
    {                                                                                           \
        (way == WAY_BATCH ? name##_batch : way == WAY_LIFO ? name##_lifo : name##_churn)(c, n); \
    }

/* Both ways of many; BEGIN and END frame a thread. */
#define MANY_OWNERS(name, BEGIN, TAKE, GIVE, END)                                           \
    static void name##_sender(sync_member *m)                                               \
    {                                                                                       \
        shared *s = m->queue;                                                               \
        BEGIN;                                                                              \
        for (uint64_t i = 1; i <= s->n; i++) {                                              \
            uint64_t *o = (TAKE);                                                           \
            unsigned spins = 0;                                                             \
            *o = i;                                                                         \
            while (!lmn_spsc_push_sized(&s->in, &o, sizeof o)) sync_wait(&spins);           \
        }                                                                                   \
        END;                                                                                \
    }                                                                                       \
    static void name##_receiver(sync_member *m)                                             \
    {                                                                                       \
        shared *s = m->queue;                                                               \
        uint64_t wrong = 0;                                                                 \
        BEGIN;                                                                              \
        for (uint64_t i = 1; i <= s->n; i++) {                                              \
            uint64_t *o = NULL;                                                             \
            unsigned spins = 0;                                                             \
            while (!lmn_spsc_pop_sized(&s->out, &o, sizeof o)) sync_wait(&spins);           \
            wrong += *o != i;                                                               \
            GIVE(o);                                                                        \
        }                                                                                   \
        END;                                                                                \
        (void)lmn_atomic_add(&s->wrong, wrong, relaxed);                                    \
    }                                                                                       \
    static void name##_slots(sync_member *m)                                                \
    {                                                                                       \
        shared *s = m->queue;                                                               \
        uint64_t x = m->id + 1, wrong = 0;                                                  \
        BEGIN;                                                                              \
        for (uint64_t i = 0; i < s->n; i++) {                                               \
            uint64_t *o = (TAKE);                                                           \
            o[0] = i;                                                                       \
            o[1] = ~i;                                                                      \
            uint64_t *other =                                                               \
                lmn_atomic_exchange(&s->slot[next_random(&x) % SLOTS], (void *)o, acq_rel); \
            if (!other) continue;                                                           \
            wrong += other[0] != ~other[1];                                                 \
            GIVE(other);                                                                    \
        }                                                                                   \
        for (uint32_t i = 0; m->id == 0 && i < SLOTS; i++) {                                \
            void *other = lmn_atomic_exchange(&s->slot[i], NULL, acquire);                  \
            if (other) GIVE(other);                                                         \
        }                                                                                   \
        END;                                                                                \
        (void)lmn_atomic_add(&s->wrong, wrong, relaxed);                                    \
    }                                                                                       \
    static void name##_many(sync_member *m, int way)                                        \
    {                                                                                       \
        m[0].work = way == WAY_RING ? name##_sender : name##_slots;                         \
        m[1].work = way == WAY_RING ? name##_receiver : name##_slots;                       \
        m[2].work = m[3].work = name##_slots;                                               \
    }

#define GIVE_LIB(o) c->give(o)
#define GIVE_POOL(o) lmn_objpool_give(c, o)
#define GIVE_CACHE(o) lmn_mag_give(c, o)
#define GIVE_POOL_CALL(o) lamina_objpool_give(c, o)
#define GIVE_SEATS(o) lamina_magpool_give(c, o)

ONE_OWNER(library, library, c->take(OBJECT), GIVE_LIB)
ONE_OWNER(pool, lmn_objpool, lmn_objpool_take(c), GIVE_POOL)
ONE_OWNER(cache, lmn_magcache, lmn_mag_take(c), GIVE_CACHE)
ONE_OWNER(pool_call, lamina_objpool, lamina_objpool_take(c), GIVE_POOL_CALL)
ONE_OWNER(seats, lamina_magpool, lamina_magpool_take(c), GIVE_SEATS)
MANY_OWNERS(library, const library *c = &s->lib, c->take(OBJECT), GIVE_LIB, (void)c)
MANY_OWNERS(cache, lmn_magcache *c = lmn_mag_join(s->pool), lmn_mag_take(c), GIVE_CACHE,
            lmn_mag_leave(c))
MANY_OWNERS(seats, lamina_magpool *c = s->face, lamina_magpool_take(c), GIVE_SEATS, (void)c)

/* The arena's batch: no table of pointers, for nothing is given back one by one. */
static void arena_batch(lmn_arena *a, uint64_t n)
{
    for (; n; n -= BATCH) {
        const lmn_arena_mark mark = lmn_arena_mark_here(a);
        for (uint32_t i = 0; i < BATCH; i++) *(uint64_t *)lmn_arena_bump(a, OBJECT, 16) = i;
        touched(a);
        lmn_arena_rewind(a, mark);
    }
}

static void arena_batch_call(lamina_arena *a, uint64_t n)
{
    for (; n; n -= BATCH) {
        const lamina_arena_mark mark = lamina_arena_mark_here(a);
        for (uint32_t i = 0; i < BATCH; i++) *(uint64_t *)lamina_arena_alloc(a, OBJECT, 16) = i;
        touched(a);
        lamina_arena_rewind(a, mark);
    }
}

static void need(bool ok)
{
    if (ok) return;
    (void)fputs("bench_sync: out of memory\n", stderr);
    exit(3);
}

/* One owner: nanoseconds of CPU time a pair; negative: not made for it. The first pass is for what
 * has to be fetched once. */
static double one_owner(const contender *k, int way, uint64_t n)
{
    const lamina_objpool_opts po = {sizeof po, NULL, OBJECT, 0};
    uint64_t from = 0;
    const bool arena = k->kind == KIND_ARENA || k->kind == KIND_ARENA_CALL;
    if (arena && way != WAY_BATCH) return -1;
#define TWICE(call)                         \
    for (uint64_t m = BATCH * 16;; m = n) { \
        from = thread_ns();                 \
        call;                               \
        if (m == n) break;                  \
    }                                       \
    from = thread_ns() - from
    if (k->kind == KIND_LIBRARY) {
        library lib = k->lib;
        TWICE(library_one(&lib, way, m));
    } else if (k->kind == KIND_ARENA) {
        lmn_arena a;
        lmn_arena_init(&a, &lmn_libc_allocator, 0);
        const lmn_arena_mark mark = lmn_arena_mark_here(&a);
        (void)lmn_arena_bump(&a, BATCH * OBJECT * 2, 16); /* a batch fits into a block */
        lmn_arena_rewind(&a, mark);
        TWICE(arena_batch(&a, m));
        lmn_arena_finish(&a);
    } else if (k->kind == KIND_POOL) {
        lmn_objpool p;
        lmn_objpool_init(&p, &lmn_libc_allocator, OBJECT, SIZE_MAX);
        TWICE(pool_one(&p, way, m));
        lmn_objpool_finish(&p);
    } else if (k->kind == KIND_CACHE) {
        lmn_magpool p;
        lmn_magpool_init(&p, &lmn_libc_allocator, OBJECT, UINT64_MAX);
        lmn_magcache *c = lmn_mag_join(&p);
        need(c);
        TWICE(cache_one(c, way, m));
        lmn_mag_leave(c);
        lmn_magpool_finish(&p);
    } else if (k->kind == KIND_ARENA_CALL) {
        lamina_arena *a = NULL;
        need(lamina_arena_create(NULL, &a) == LAMINA_OK);
        TWICE(arena_batch_call(a, m));
        lamina_arena_destroy(a);
    } else if (k->kind == KIND_POOL_CALL) {
        lamina_objpool *p = NULL;
        need(lamina_objpool_create(&po, &p) == LAMINA_OK);
        TWICE(pool_call_one(p, way, m));
        lamina_objpool_destroy(p);
    } else {
        lamina_magpool *p = NULL;
        need(lamina_magpool_create(&po, &p) == LAMINA_OK);
        TWICE(seats_one(p, way, m));
        lamina_magpool_destroy(p);
    }
#undef TWICE
    return (double)from / (double)n;
}

/* Many: nanoseconds of the clock an object. */
static double many_owners(const contender *k, int way, uint64_t n, uint64_t *errors)
{
    static _Alignas(LMN_APART) uint8_t ring[4096 * sizeof(void *) + 4 * LMN_APART];
    static shared s;
    const lamina_objpool_opts po = {sizeof po, NULL, OBJECT, 0};
    const uint32_t crew = way == WAY_RING ? 2 : CREW;
    sync_member m[CREW] = {0};
    lmn_magpool pool;
    if (k->kind != KIND_LIBRARY && k->kind != KIND_CACHE && k->kind != KIND_SEATS) return -1;
    s.lib = k->lib;
    s.pool = &pool;
    s.n = way == WAY_RING ? n : n / CREW;
    lmn_atomic_store(&s.wrong, 0, relaxed);
    need(lmn_spsc_init(ring, sizeof ring, sizeof(void *), 4096) == LAMINA_OK &&
         lmn_spsc_producer(ring, sizeof ring, &s.in) == LAMINA_OK &&
         lmn_spsc_consumer(ring, sizeof ring, &s.out) == LAMINA_OK);
    lmn_magpool_init(&pool, &lmn_libc_allocator, OBJECT, UINT64_MAX);
    need(lamina_magpool_create(&po, &s.face) == LAMINA_OK);
    for (uint32_t i = 0; i < crew; i++) m[i] = (sync_member){.queue = &s, .id = i};
    (k->kind == KIND_LIBRARY ? library_many
     : k->kind == KIND_CACHE ? cache_many
                             : seats_many)(m, way);
    const double seconds = sync_crew_run(m, crew);
    for (uint32_t i = 0; i < SLOTS; i++) { /* what was put after the first member looked */
        void *o = lmn_atomic_exchange(&s.slot[i], NULL, relaxed);
        if (o && k->kind == KIND_LIBRARY) k->lib.give(o);
    }
    *errors += lmn_atomic_load(&s.wrong, relaxed);
    lamina_magpool_destroy(s.face);
    lmn_magpool_finish(&pool);
    return 1e9 * seconds / (double)(s.n * (way == WAY_RING ? 1 : CREW));
}

/* A general allocator, if it is here. The handle stays open. */
static bool found(contender *k, const char *file, const char *take, const char *give)
{
    void *lib = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    void *t = lib ? dlsym(lib, take) : NULL, *g = lib ? dlsym(lib, give) : NULL;
    memcpy(&k->lib.take, &t, sizeof t);
    memcpy(&k->lib.give, &g, sizeof g);
    if (!t || !g) (void)fprintf(stderr, "bench_sync: %s is left out: %s\n", k->name, dlerror());
    return t && g;
}

static uint32_t contenders(const sync_options *o, contender out[16])
{
    static const contender OURS[] = {
        {.name = "lmn_arena", .order = "one thread", .ours = true, .kind = KIND_ARENA},
        {.name = "lmn_objpool", .order = "one thread", .ours = true, .kind = KIND_POOL},
        {.name = "lmn_magpool, cache", .order = "any thread", .ours = true, .kind = KIND_CACHE},
        {.name = "lamina_arena, calls",
         .order = "one thread",
         .ours = true,
         .kind = KIND_ARENA_CALL},
        {.name = "lamina_objpool, calls",
         .order = "one thread",
         .ours = true,
         .kind = KIND_POOL_CALL},
        {.name = "lamina_magpool, seats", .order = "any thread", .ours = true, .kind = KIND_SEATS}};
    static const struct peer {
        const char *name, *file, *take, *give;
    } PEERS[] = {{"glibc", "libc.so.6", "malloc", "free"},
                 {"jemalloc", "libjemalloc.so.2", "malloc", "free"},
                 {"mimalloc", "libmimalloc.so.2", "mi_malloc", "mi_free"}};
    uint32_t n = 0;
    for (size_t i = 0; i < LMN_COUNT(OURS); i++)
        if (!o->only || strstr(OURS[i].name, o->only)) out[n++] = OURS[i];
    for (size_t i = 0; i < LMN_COUNT(PEERS); i++) {
        out[n] = (contender){.name = PEERS[i].name, .order = "any thread"};
        if (o->only && !strstr(PEERS[i].name, o->only)) continue;
        n += found(&out[n], PEERS[i].file, PEERS[i].take, PEERS[i].give);
    }
    return n;
}

bool sync_alloc(const sync_options *o)
{
    static double sample[16][MOST_ROUNDS];
    contender k[16];
    const uint32_t n = contenders(o, k);
    const uint32_t rounds = o->rounds < 1 ? 1 : o->rounds > MOST_ROUNDS ? MOST_ROUNDS : o->rounds;
    const uint64_t items = ((o->items ? o->items : 1000000) / BATCH + 1) * BATCH;
    bool ok = true;
    for (int way = 0; way < N_WAYS; way++) {
        uint64_t errors[16] = {0};
        for (uint32_t round = 0; round < rounds; round++)
            for (uint32_t i = 0; i < n; i++) {
                const uint32_t c = (i + round) % n;
                sample[c][round] = way < WAY_RING ? one_owner(&k[c], way, items)
                                                  : many_owners(&k[c], way, items, &errors[c]);
            }
        for (uint32_t c = 0; c < n; c++) {
            if (sample[c][0] < 0) continue;
            const sync_queue_kind row = {.name = k[c].name,
                                         .order = k[c].order,
                                         .progress = k[c].ours ? "lock-free" : "",
                                         .ours = k[c].ours};
            sync_row_begin(&row, WAYS[way]);
            sync_row_samples("ns", sample[c], rounds);
            sync_row_end(errors[c]);
            ok = ok && errors[c] == 0;
        }
    }
    return ok;
}
