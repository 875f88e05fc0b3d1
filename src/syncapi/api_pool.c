/*
 * The public pool (lamina/pool.h) over sync/workpool.h. A pool and a group of one are those of
 * the other under another name; a worker is the very same type, for functions take it.
 */
#include "lamina/pool.h"

#include "base/engine.h"
#include "sync/workpool.h"

#define MOST_WIDTH 4096u

_Static_assert(LAMINA_TASK_PAYLOAD == LMN_TASK_PAYLOAD, "a task is a line");
_Static_assert(sizeof(lamina_group) >= sizeof(lmn_group), "a group holds an lmn_group");
_Static_assert(_Alignof(lamina_group) >= _Alignof(lmn_group), "and is aligned like one");

static lmn_workpool *pool_of(const lamina_pool *p)
{
    return (lmn_workpool *)(uintptr_t)p;
}

static lmn_group *group_of(lamina_group *g)
{
    return (lmn_group *)(void *)g;
}

lamina_status lamina_pool_create(const lamina_pool_opts *opts, lamina_pool **out)
{
    lamina_pool_opts o;
    LMN_CHECK(out, LAMINA_E_INVALID);
    LMN_TRY(lmn_opts_read(&o, sizeof o, opts));
    const lamina_allocator *a = o.allocator ? o.allocator : &lmn_libc_allocator;
    LMN_CHECK(a->abi == LAMINA_ALLOCATOR_ABI && a->alloc && a->free, LAMINA_E_INVALID);
    LMN_CHECK(o.reserved == 0 && o.width <= MOST_WIDTH, LAMINA_E_INVALID);
    const lmn_pool_opts in = {.width = o.width, .spin_ns = o.spin_ns};
    lmn_workpool *p = NULL;
    LMN_TRY(lmn_workpool_create(a, &in, &p));
    *out = (lamina_pool *)(void *)p;
    return LAMINA_OK;
}

void lamina_pool_destroy(lamina_pool *pool)
{
    lmn_workpool_destroy(pool_of(pool));
}

uint32_t lamina_pool_width(const lamina_pool *pool)
{
    return lmn_workpool_width(pool_of(pool));
}

static bool is_task(lamina_task_fn fn, const void *payload, size_t bytes)
{
    return fn && bytes <= LAMINA_TASK_PAYLOAD && (payload || !bytes);
}

lamina_status lamina_pool_submit(lamina_pool *pool, lamina_task_fn fn, lamina_drop_fn drop,
                                 const void *payload, size_t bytes)
{
    LMN_CHECK(pool && is_task(fn, payload, bytes), LAMINA_E_INVALID);
    lmn_task t = {.fn = fn, .drop = drop};
    if (bytes) __builtin_memcpy(t.payload, payload, bytes);
    return lmn_workpool_submit(pool_of(pool), NULL, &t);
}

lamina_status lamina_pool_enter(lamina_pool *pool, lamina_worker **out)
{
    LMN_CHECK(pool && out, LAMINA_E_INVALID);
    return lmn_workpool_enter(pool_of(pool), out);
}

void lamina_pool_leave(lamina_worker *worker)
{
    lmn_workpool_leave(worker);
}

void lamina_group_init(lamina_group *group, lamina_worker *owner)
{
    lmn_group_init(group_of(group), owner);
}

lamina_status lamina_spawn(lamina_worker *worker, lamina_group *group, lamina_task_fn fn,
                           lamina_drop_fn drop, const void *payload, size_t bytes)
{
    LMN_CHECK(worker && is_task(fn, payload, bytes), LAMINA_E_INVALID);
    lmn_spawn(worker, group_of(group), fn, drop, payload, bytes);
    return LAMINA_OK;
}

lamina_status lamina_group_wait(lamina_group *group)
{
    return lmn_group_wait(group_of(group));
}

void lamina_group_cancel(lamina_group *group)
{
    lmn_group_cancel(group_of(group));
}

bool lamina_group_cancelled(lamina_group *group)
{
    return lmn_group_cancelled(group_of(group));
}

void lamina_pool_for(lamina_pool *pool, int64_t n_chunks,
                     void (*fn)(void *arg, int64_t chunk, int32_t who), void *arg)
{
    if (!pool || !fn || n_chunks <= 0) return;
    lmn_workpool_for(pool_of(pool), &(lmn_loop){.n_chunks = n_chunks, .fn = fn, .arg = arg});
}

lamina_status lamina_pool_reduce(lamina_pool *pool, const lamina_reduction *r, void *out)
{
    lamina_reduction o;
    LMN_CHECK(pool && r && out, LAMINA_E_INVALID);
    LMN_TRY(lmn_opts_read(&o, sizeof o, r));
    LMN_CHECK(o.n >= 0 && o.grain >= 0 && o.map && o.combine && o.partial, LAMINA_E_INVALID);
    const lmn_reduction in = {.n = o.n,
                              .grain = o.grain,
                              .bytes = o.partial,
                              .map = o.map,
                              .combine = o.combine,
                              .arg = o.arg};
    return lmn_workpool_reduce(pool_of(pool), &in, out);
}
