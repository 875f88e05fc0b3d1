/*
 * The magazines under the model checker, with one object to a magazine, so that nearly every call
 * goes to the depot: no object has two owners, who takes one sees what the last owner wrote, none
 * is lost, also when there is no memory for another magazine or another object.
 */
#include "sync/magpool.h"

#include <string.h>

typedef struct object {
    void *link; /* of the pool, while the object is free */
    uint32_t live, note;
} object;

static lmn_magpool pool;
static lmn_magcache *mine[3];
static int allocations; /* left */

static void *alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)align, (void)tag;
    void *p = allocations-- > 0 ? stmc_malloc(bytes) : NULL;
    if (p) memset(p, 0, bytes); /* a new object is not live */
    return p;
}

static void release(void *ctx, void *p, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)bytes, (void)align, (void)tag;
    stmc_free(p);
}

static void begin_empty(void)
{
    const lamina_allocator a = {.alloc = alloc, .free = release};
    allocations = 100;
    lmn_magpool_init(&pool, &a, sizeof(object), 100);
}

static object *take(lmn_magcache *c)
{
    object *o = lmn_mag_take(c);
    if (!o) return NULL;
    stmc_check(stmc_read(o->live) == 0);
    stmc_write(o->live, 1);
    return o;
}

static void give(lmn_magcache *c, object *o)
{
    if (!o) return;
    stmc_write(o->live, 0);
    lmn_mag_give(c, o);
}

/* n objects lie in the depot, their caches are gone; the caches of three are there. */
static void begin_with(int n)
{
    object *o[6];
    begin_empty();
    lmn_magcache *c = lmn_mag_join(&pool);
    for (int i = 0; i < n; i++) {
        o[i] = lmn_mag_take(c);
        stmc_write(o[i]->live, 0);
    }
    for (int i = 0; i < n; i++) lmn_mag_give(c, o[i]);
    lmn_mag_leave(c);
    for (int i = 0; i < 3; i++) mine[i] = lmn_mag_join(&pool);
}

static void begin_one(void)
{
    begin_with(1);
    pool.max = 1;
}

static void begin_three(void)
{
    begin_with(3);
    pool.max = 3;
}

/* Four objects live, every magazine in a cache, and no memory from here on. */
static object *held[4];

static void begin_poor(void)
{
    begin_with(0);
    for (int i = 0; i < 4; i++) held[i] = take(mine[0]);
    allocations = 0;
}

static void give_all(void)
{
    for (int i = 0; i < 4; i++) give(mine[0], held[i]);
}

static void take_one(void)
{
    give(mine[1], take(mine[1]));
}

static void take_give(void)
{
    lmn_magcache *c = mine[stmc_self()];
    object *a = take(c);
    give(c, a);
    lmn_mag_leave(c);
}

static void take_two(void)
{
    lmn_magcache *c = mine[stmc_self()];
    object *a = take(c), *b = take(c);
    give(c, a);
    give(c, b);
    lmn_mag_leave(c);
}

/* The classic trap: out, out, the first one back while another is in the middle of a pop. */
static void shuffle(void)
{
    lmn_magcache *c = mine[stmc_self()];
    object *a = take(c), *b = take(c), *d = take(c);
    give(c, d);
    give(c, a);
    give(c, b);
    lmn_mag_leave(c);
}

static void join_take(void)
{
    lmn_magcache *c = lmn_mag_join(&pool);
    stmc_check(c != NULL);
    give(c, take(c));
    lmn_mag_leave(c);
}

/* Every object that was made is free and can be had. */
static void end(void)
{
    allocations = 100;
    lmn_magcache *c = lmn_mag_join(&pool);
    const uint64_t made = lmn_atomic_load(&pool.n_made, relaxed);
    pool.max = made;
    for (uint64_t i = 0; i < made; i++) stmc_check(take(c) != NULL);
    stmc_check(take(c) == NULL);
    lmn_mag_leave(c);
    lmn_magpool_finish(&pool);
}

static void end_third(void)
{
    lmn_mag_leave(mine[2]);
    end();
}

static void end_poor(void)
{
    allocations = 100;
    for (int i = 0; i < 3; i++) lmn_mag_leave(mine[i]);
    end();
}

STMC_MAIN({"two takers, one object", begin_one, {take_give, take_give}, end_third},
          {"one on the way, one back", begin_three, {take_give, shuffle}, end_third},
          {"two pairs", begin_three, {take_two, take_two}, end_third},
          {"strays", begin_poor, {give_all, take_one}, end_poor},
          {"joining", begin_empty, {join_take, join_take}, end})
