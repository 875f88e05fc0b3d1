/*
 * The subject about memory: objects of 64 bytes from the C library and from lamina/arena.h, in
 * three patterns that must not be mixed up: batches, one at a time (last in, first out), and given
 * back by another thread. Another malloc is measured by preloading it: LD_PRELOAD=libmimalloc.so.2.
 */
#include "sys_bench.h"

#include "lamina/arena.h"

#include <math.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BYTES 64u
#define BATCH 256u
#define BATCHES 64u
#define HANDED (BATCH * 128u) /* objects that go to the other thread in a sample */

typedef struct memory {
    lamina_arena *arena;
    lamina_objpool *pool;
    lamina_magpool *shared;
    lamina_magcache *cache;
    void *object[BATCH];
    /* batches on their way to the other thread: one at a time */
    _Alignas(SYS_APART) atomic_uint turn; /* even: to be filled */
    _Alignas(SYS_APART) void *handed[BATCH];
    int how;
    bool failed;
} memory;

enum { MALLOC, ARENA, POOL, MAGPOOL };

static void *take(memory *m, int how)
{
    switch (how) {
    case MALLOC: return malloc(BYTES);
    case ARENA: return lamina_arena_alloc(m->arena, BYTES, 16);
    case POOL: return lamina_objpool_take(m->pool);
    default: return lamina_magpool_take_by(m->cache);
    }
}

static void give(memory *m, int how, void *p)
{
    switch (how) {
    case MALLOC: free(p); break;
    case ARENA: break; /* by rewinding */
    case POOL: lamina_objpool_give(m->pool, p); break;
    default: lamina_magpool_give_by(m->cache, p);
    }
}

/* Take 256, write into each, give them all back; inlined with `how` constant. */
__attribute__((always_inline)) static inline uint64_t batches(memory *m, int how)
{
    uint64_t failed = 0;
    for (uint32_t b = 0; b < BATCHES; b++) {
        const lamina_arena_mark mark = lamina_arena_mark_here(m->arena);
        for (uint32_t i = 0; i < BATCH; i++) {
            m->object[i] = take(m, how);
            if (m->object[i])
                *(volatile uint32_t *)m->object[i] = i;
            else
                failed++;
        }
        for (uint32_t i = 0; i < BATCH; i++) give(m, how, m->object[i]);
        if (how == ARENA) lamina_arena_rewind(m->arena, mark);
    }
    return failed;
}

__attribute__((always_inline)) static inline uint64_t singles(memory *m, int how)
{
    uint64_t failed = 0;
    for (uint32_t i = 0; i < BATCHES * BATCH; i++) {
        uint32_t *p = take(m, how);
        if (p)
            *(volatile uint32_t *)p = i;
        else
            failed++;
        give(m, how, p);
    }
    return failed;
}

static uint64_t in_batches(void *state, int how)
{
    return how == MALLOC  ? batches(state, MALLOC)
           : how == ARENA ? batches(state, ARENA)
           : how == POOL  ? batches(state, POOL)
                          : batches(state, MAGPOOL);
}

static uint64_t in_singles(void *state, int how)
{
    return how == MALLOC ? singles(state, MALLOC)
           : how == POOL ? singles(state, POOL)
                         : singles(state, MAGPOOL);
}

static double sample_batches(void *state, int how)
{
    return sys_loop_ns(in_batches, state, how, BATCHES * BATCH);
}

static double sample_singles(void *state, int how)
{
    return sys_loop_ns(in_singles, state, how, BATCHES * BATCH);
}

/* ---- given back by another thread -------------------------------------------------------------
 */

static void await(memory *m, unsigned turn)
{
    for (unsigned spins = 1; atomic_load_explicit(&m->turn, memory_order_acquire) != turn; spins++)
        if (spins % 256 == 0) (void)sched_yield();
}

/* Side 0 takes and hands over, side 1 gives back. Time is what a side works, without the waits. */
static double hand(void *ctx, int side)
{
    memory *m = ctx;
    lamina_magcache *cache = NULL;
    double ns = 0;
    if (m->how == MAGPOOL && lamina_magpool_join(m->shared, &cache) != LAMINA_OK) m->failed = true;
    for (unsigned b = 0; b < HANDED / BATCH; b++) {
        await(m, 2 * b + (unsigned)side);
        const double from = sys_now_ns();
        for (uint32_t i = 0; i < BATCH; i++) {
            if (side == 0) {
                void *p = cache ? lamina_magpool_take_by(cache) : malloc(BYTES);
                if (p) *(volatile uint32_t *)p = i;
                m->handed[i] = p;
            } else if (cache) {
                lamina_magpool_give_by(cache, m->handed[i]);
            } else {
                free(m->handed[i]);
            }
        }
        ns += sys_now_ns() - from;
        atomic_store_explicit(&m->turn, 2 * b + (unsigned)side + 1, memory_order_release);
    }
    lamina_magpool_leave(cache);
    return ns;
}

static double sample_handed(void *state, int how)
{
    memory *m = state;
    sys_part parts[2] = {{hand, m, -1, 0}, {hand, m, -1, 0}};
    m->how = how;
    m->failed = false;
    atomic_store(&m->turn, 0);
    if (!sys_together(parts, 2) || m->failed) return NAN;
    return (parts[0].ns + parts[1].ns) / HANDED;
}

void sys_allocators_end(void *state)
{
    memory *m = state;
    lamina_magpool_leave(m->cache);
    lamina_magpool_destroy(m->shared);
    lamina_objpool_destroy(m->pool);
    lamina_arena_destroy(m->arena);
    free(m);
}

bool sys_allocators(sys_run *r, void **state)
{
    static const char NONE[] = "no thread or no memory to be had";
    memory *m = aligned_alloc(SYS_APART, sizeof *m);
    if (!m) return (void)cli_fail("out of memory"), false;
    memset(m, 0, sizeof *m);
    *state = m;
    const lamina_objpool_opts opts = {.size = sizeof opts, .object_bytes = BYTES};
    if (lamina_arena_create(NULL, &m->arena) != LAMINA_OK ||
        lamina_objpool_create(&opts, &m->pool) != LAMINA_OK ||
        lamina_magpool_create(&opts, &m->shared) != LAMINA_OK ||
        lamina_magpool_join(m->shared, &m->cache) != LAMINA_OK) {
        sys_allocators_end(m);
        return (void)cli_fail("out of memory"), false;
    }
    sys_add(r, sample_batches, MALLOC, NONE, "batches of 256, malloc and free");
    sys_add(r, sample_batches, ARENA, NONE, "batches of 256, arena and rewind");
    sys_add(r, sample_batches, POOL, NONE, "batches of 256, object pool");
    sys_add(r, sample_batches, MAGPOOL, NONE, "batches of 256, pool for threads");
    sys_add(r, sample_singles, MALLOC, NONE, "one at a time, malloc and free");
    sys_add(r, sample_singles, POOL, NONE, "one at a time, object pool");
    sys_add(r, sample_singles, MAGPOOL, NONE, "one at a time, pool for threads");
    sys_add(r, sample_handed, MALLOC, NONE, "freed by another thread, malloc");
    sys_add(r, sample_handed, MAGPOOL, NONE, "freed by another thread, pool");
    return true;
}
