/*
 * The public memory tools (lamina/arena.h) over base/alloc.h, base/objpool.h and sync/magpool.h.
 *
 * Who calls a pool for many threads without a cache borrows the one at a seat. Giving never fails:
 * without seat or memory the object goes astray (lmn_magpool_stray) and is collected from there.
 */
#include "lamina/arena.h"

#include "base/engine.h"
#include "base/objpool.h"
#include "base/os/os_thread.h"
#include "sync/magpool.h"
#include "sync/seats.h"

#define MOST_BYTES ((uint64_t)1 << 32)

struct lamina_arena {
    lmn_arena arena;
    lamina_allocator alloc;
};

struct lamina_objpool {
    lmn_objpool pool;
    lamina_allocator alloc;
};

struct lamina_magpool {
    lmn_magpool pool;
    lmn_seats seats;
};

static const lamina_allocator *allocator_of(const lamina_allocator *a)
{
    if (!a) return &lmn_libc_allocator;
    return a->abi == LAMINA_ALLOCATOR_ABI && a->alloc && a->free ? a : NULL;
}

lamina_status lamina_arena_create(const lamina_arena_opts *opts, lamina_arena **out)
{
    lamina_arena_opts o;
    LMN_CHECK(out, LAMINA_E_INVALID);
    LMN_TRY(lmn_opts_read(&o, sizeof o, opts));
    const lamina_allocator *a = allocator_of(o.allocator);
    LMN_CHECK(a, LAMINA_E_INVALID);
    lamina_arena *arena = lmn_alloc(a, sizeof *arena, 16, "arena");
    if (!arena) return LAMINA_E_NOMEM;
    arena->alloc = *a;
    lmn_arena_init(&arena->arena, &arena->alloc, o.max_bytes);
    *out = arena;
    return LAMINA_OK;
}

void lamina_arena_destroy(lamina_arena *arena)
{
    if (!arena) return;
    lmn_arena_finish(&arena->arena);
    const lamina_allocator a = arena->alloc;
    lmn_free(&a, arena, sizeof *arena, 16, "arena");
}

void *lamina_arena_alloc(lamina_arena *arena, size_t bytes, size_t align)
{
    if (LMN_UNLIKELY(!align || align & (align - 1) || align > 64)) return NULL;
    return lmn_arena_bump(&arena->arena, bytes, align);
}

lamina_arena_mark lamina_arena_mark_here(const lamina_arena *arena)
{
    const lmn_arena_mark m = lmn_arena_mark_here(&arena->arena);
    return (lamina_arena_mark){m.head, m.cur};
}

void lamina_arena_rewind(lamina_arena *arena, lamina_arena_mark mark)
{
    lmn_arena_rewind(&arena->arena, (lmn_arena_mark){mark.block, mark.at});
}

size_t lamina_arena_bytes(const lamina_arena *arena)
{
    return arena->arena.taken_bytes;
}

/* Options that both kinds of pool can take; *a is where their memory comes from. */
static lamina_status read_opts(const lamina_objpool_opts *opts, lamina_objpool_opts *o,
                               const lamina_allocator **a)
{
    LMN_TRY(lmn_opts_read(o, sizeof *o, opts));
    *a = allocator_of(o->allocator);
    LMN_CHECK(*a && o->object_bytes && o->object_bytes <= MOST_BYTES, LAMINA_E_INVALID);
    if (!o->max_objects) o->max_objects = UINT64_MAX;
    return LAMINA_OK;
}

lamina_status lamina_objpool_create(const lamina_objpool_opts *opts, lamina_objpool **out)
{
    lamina_objpool_opts o;
    const lamina_allocator *a;
    LMN_CHECK(out, LAMINA_E_INVALID);
    LMN_TRY(read_opts(opts, &o, &a));
    lamina_objpool *p = lmn_alloc(a, sizeof *p, 16, "objpool");
    if (!p) return LAMINA_E_NOMEM;
    p->alloc = *a;
    lmn_objpool_init(&p->pool, &p->alloc, o.object_bytes, (size_t)o.max_objects);
    *out = p;
    return LAMINA_OK;
}

void lamina_objpool_destroy(lamina_objpool *pool)
{
    if (!pool) return;
    lmn_objpool_finish(&pool->pool);
    const lamina_allocator a = pool->alloc;
    lmn_free(&a, pool, sizeof *pool, 16, "objpool");
}

void *lamina_objpool_take(lamina_objpool *pool)
{
    return lmn_objpool_take(&pool->pool);
}

void lamina_objpool_give(lamina_objpool *pool, void *object)
{
    if (object) lmn_objpool_give(&pool->pool, object);
}

size_t lamina_objpool_take_n(lamina_objpool *pool, void **objects, size_t n)
{
    size_t i = 0;
    while (i < n && (objects[i] = lmn_objpool_take(&pool->pool)) != NULL) i++;
    return i;
}

void lamina_objpool_give_n(lamina_objpool *pool, void *const *objects, size_t n)
{
    for (size_t i = 0; i < n; i++) lmn_objpool_give(&pool->pool, objects[i]);
}

lamina_status lamina_magpool_create(const lamina_objpool_opts *opts, lamina_magpool **out)
{
    lamina_objpool_opts o;
    const lamina_allocator *a;
    LMN_CHECK(out, LAMINA_E_INVALID);
    LMN_TRY(read_opts(opts, &o, &a));
    lamina_magpool *p = lmn_alloc(a, sizeof *p, LMN_APART, "magpool");
    if (!p) return LAMINA_E_NOMEM;
    lmn_magpool_init(&p->pool, a, o.object_bytes, o.max_objects);
    lmn_seats_init(&p->seats);
    *out = p;
    return LAMINA_OK;
}

void lamina_magpool_destroy(lamina_magpool *pool)
{
    if (!pool) return;
    for (uint32_t i = 0; i < LMN_SEATS; i++)
        if (pool->seats.seat[i].record) lmn_mag_leave(pool->seats.seat[i].record);
    const lamina_allocator a = pool->pool.alloc;
    lmn_magpool_finish(&pool->pool);
    lmn_free(&a, pool, sizeof *pool, LMN_APART, "magpool");
}

/* The cache of a seat that was taken, made if need be; NULL: no memory. */
static lmn_magcache *cache_at(lamina_magpool *pool, lmn_seat *seat)
{
    if (LMN_UNLIKELY(!seat->record)) seat->record = lmn_mag_join(&pool->pool);
    return seat->record;
}

void *lamina_magpool_take(lamina_magpool *pool)
{
    lmn_seat *seat = lmn_seat_take(&pool->seats, lmn_thread_key());
    lmn_magcache *c = seat ? cache_at(pool, seat) : lmn_mag_join(&pool->pool);
    void *object = c ? lmn_mag_take(c) : NULL;
    if (LMN_LIKELY(seat != NULL))
        lmn_seat_give(seat);
    else if (c)
        lmn_mag_leave(c);
    return object;
}

void lamina_magpool_give(lamina_magpool *pool, void *object)
{
    if (!object) return;
    lmn_seat *seat = lmn_seat_take(&pool->seats, lmn_thread_key());
    lmn_magcache *c = seat ? cache_at(pool, seat) : NULL;
    if (LMN_LIKELY(c != NULL))
        lmn_mag_give(c, object);
    else
        lmn_magpool_stray(&pool->pool, object);
    if (seat) lmn_seat_give(seat);
}

static lmn_magcache *inner(lamina_magcache *cache)
{
    return (lmn_magcache *)(void *)cache;
}

lamina_status lamina_magpool_join(lamina_magpool *pool, lamina_magcache **out)
{
    LMN_CHECK(pool && out, LAMINA_E_INVALID);
    lmn_magcache *c = lmn_mag_join(&pool->pool);
    if (!c) return LAMINA_E_NOMEM;
    *out = (lamina_magcache *)(void *)c;
    return LAMINA_OK;
}

void lamina_magpool_leave(lamina_magcache *cache)
{
    if (cache) lmn_mag_leave(inner(cache));
}

void *lamina_magpool_take_by(lamina_magcache *cache)
{
    return lmn_mag_take(inner(cache));
}

void lamina_magpool_give_by(lamina_magcache *cache, void *object)
{
    if (object) lmn_mag_give(inner(cache), object);
}

uint64_t lamina_magpool_objects(const lamina_magpool *pool)
{
    return lmn_atomic_load(&pool->pool.n_made, relaxed);
}
