/*
 * lmn_magpool: objects of one size for many threads (Bonwick and Adams 2001). Each thread has a
 * cache of two magazines, arrays of pointers to free objects; take and give work on those alone and
 * need no atomics. When both are used up, or full, one is exchanged for a full one, or an empty
 * one, of the depot. What one thread takes and another gives so comes back LMN_MAG_OBJECTS at a
 * time, for three atomic operations.
 *
 * Order: none. Progress: lock-free but for the allocator, which is asked once in LMN_MAG_OBJECTS
 * objects. Memory: never more objects than were live at once and lmn_magpool_slack of the caches
 * beside (and strays, when there was no memory for a magazine); magazines of 512 bytes, two for
 * each cache and one for each LMN_MAG_OBJECTS objects. All is released at finish, nothing before.
 * Who: any thread with a cache of its own (lmn_mag_join); any object may be given to any cache.
 * Giving never fails.
 *
 * The depot is two stacks of magazines by index. Their tops hold a tag of 40 bits that every pop
 * moves: a thread that stops in the middle of a pop is fooled only when 2^40 pops, and the same
 * magazine on top, meet it on waking.
 */
#ifndef LMN_SYNC_MAGPOOL_H
#define LMN_SYNC_MAGPOOL_H

#include "base/alloc.h"
#include "base/atomic.h"

#ifdef LMN_MC
#define LMN_MAG_OBJECTS 1u
#define LMN_MAG_FIRST 2u /* magazines of the first chunk */
#else
#define LMN_MAG_OBJECTS 62u
#define LMN_MAG_FIRST 8u
#endif
#define LMN_MAG_CHUNKS 20 /* each twice as long as the one before */

typedef struct lmn_magazine {
    lmn_atomic(uint32_t) next; /* in a stack: what lies below; 0 = nothing */
    uint32_t id;               /* from 1 */
    size_t n;                  /* objects in it */
    void *object[LMN_MAG_OBJECTS];
} lmn_magazine;

typedef struct lmn_magpool {
    lamina_allocator alloc;
    size_t elem_bytes, max;
    _Alignas(LMN_APART) lmn_atomic(uint64_t) full; /* magazines with objects: tag, id of the top */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) empty;
    _Alignas(LMN_APART) lmn_atomic(void *) strays; /* objects for which there was no magazine */
    lmn_atomic(void *) slabs;
    lmn_atomic(uint64_t) n_made; /* objects */
    lmn_atomic(uint32_t) n_magazines;
    lmn_atomic(void *) chunk[LMN_MAG_CHUNKS]; /* of magazines */
} lmn_magpool;

/* A thread's part. */
typedef struct lmn_magcache {
    _Alignas(LMN_APART) lmn_magazine *loaded;
    lmn_magazine *spare;
    lmn_magpool *pool;
} lmn_magcache;

/* `max` bounds the objects there are, live or free; elem_bytes <= SIZE_MAX / 256. */
void lmn_magpool_init(lmn_magpool *p, const lamina_allocator *a, size_t elem_bytes, uint64_t max);
/* Frees everything, also what is live. Every cache has left. */
void lmn_magpool_finish(lmn_magpool *p);
/* A cache for the calling thread; NULL when memory is out. */
lmn_magcache *lmn_mag_join(lmn_magpool *p);
/* Its objects go to the others. */
void lmn_mag_leave(lmn_magcache *c);
/* Back without a cache, by who cannot have one; collected when a cache finds no full magazine. */
void lmn_magpool_stray(lmn_magpool *p, void *object);
/* The ways of take and give by the depot. */
void *lmn_mag_take_slow(lmn_magcache *c);
void lmn_mag_give_slow(lmn_magcache *c, void *object);

/* Objects beside those live that so many caches keep at most: two magazines, and one on its way. */
static inline uint64_t lmn_magpool_slack(uint32_t n_caches)
{
    return (uint64_t)3 * LMN_MAG_OBJECTS * n_caches;
}

/* An object as it comes, aligned 16 (64 when its size is a multiple of 64). NULL: memory is out, or
 * `max` are live or in the caches of others. */
static inline void *lmn_mag_take(lmn_magcache *c)
{
    lmn_magazine *m = c->loaded;
    if (LMN_UNLIKELY(m->n == 0)) return lmn_mag_take_slow(c);
    void *object = m->object[--m->n];
    lmn_unpoison(object, c->pool->elem_bytes);
    return object;
}

/* Back, by any thread; not NULL. */
static inline void lmn_mag_give(lmn_magcache *c, void *object)
{
    lmn_magazine *m = c->loaded;
    if (LMN_UNLIKELY(m->n == LMN_MAG_OBJECTS)) {
        lmn_mag_give_slow(c, object);
        return;
    }
    lmn_poison(object, c->pool->elem_bytes);
    m->object[m->n++] = object;
}

#endif
