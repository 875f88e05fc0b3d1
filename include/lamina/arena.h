/*
 * lamina/arena.h - memory by purpose: an arena (allocate, release all at once or back to a mark), a
 * pool of objects of one size for one thread, and one for many threads. Part of liblamina-sync,
 * which needs nothing else of Lamina.
 *
 * Under AddressSanitizer, when the library is built with it, what is not given out is poisoned: a
 * write behind an object or after its release is reported where it happens.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_ARENA_H
#define LAMINA_ARENA_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An arena. Not for two threads at once. */
typedef struct lamina_arena lamina_arena;

/* Options of lamina_arena_create(). Set `size`, leave the rest zero: the defaults. */
typedef struct lamina_arena_opts {
    size_t size;                       /* sizeof(lamina_arena_opts) */
    const lamina_allocator *allocator; /* copied; NULL = the C library's */
    size_t max_bytes;                  /* that it ever takes; 0 = no bound */
} lamina_arena_opts;

/* A place in the life of an arena; filled by lamina_arena_mark_here(), opaque. */
typedef struct lamina_arena_mark {
    void *block; /* the block in use then */
    void *at;    /* what it had given out */
} lamina_arena_mark;

/**
 * Make an empty arena.
 *
 * @param opts  borrowed until return; NULL = defaults.
 * @param out   on success owned, released by lamina_arena_destroy(). On failure untouched.
 * @return LAMINA_OK; E_INVALID (out is NULL, an unknown option is set); E_NOMEM.
 *
 * Units:    bytes.
 * Threads:  any; one at a time uses it.
 * Memory:   blocks of 16 KiB, then 128 KiB, then 4 MiB, the last ones in huge pages where the
 *           kernel gives them on request.
 * Source:   docs/rooms/base.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_arena_create(const lamina_arena_opts *opts,
                                                              lamina_arena **out);

/** Release an arena and all that came from it; NULL does nothing. Threads: one. Since: 0.1 */
LAMINA_API void lamina_arena_destroy(lamina_arena *arena);

/**
 * Memory as it comes (not zeroed), valid until the arena is destroyed or rewound.
 *
 * @param bytes  any; 0 gives a pointer that may not be followed.
 * @param align  a power of two, at most 64; up to 16 it costs nothing.
 * @return lent; NULL when memory or the bound is exhausted, or align is impossible.
 *
 * Units: bytes.   Threads: one at a time.   Memory: a block at times.   Since: 0.1
 */
LAMINA_API void *lamina_arena_alloc(lamina_arena *arena, size_t bytes, size_t align);

/**
 * Note where the arena stands.
 *
 * @return a mark, valid until the arena is destroyed or rewound to an earlier one.
 *
 * Threads: one at a time.   Memory: none.   Since: 0.1
 */
LAMINA_API lamina_arena_mark lamina_arena_mark_here(const lamina_arena *arena);

/**
 * Take back all that was given out since the mark. The largest block that falls free is kept for
 * the next need, the others go back to the allocator.
 *
 * @param mark  of this arena, valid.
 *
 * Threads: one at a time.   Memory: releases.   Since: 0.1
 */
LAMINA_API void lamina_arena_rewind(lamina_arena *arena, lamina_arena_mark mark);

/** Bytes that an arena holds of its allocator. Threads: one at a time. Since: 0.1 */
LAMINA_API size_t lamina_arena_bytes(const lamina_arena *arena);

/* A pool of objects of one size. Not for two threads at once. */
typedef struct lamina_objpool lamina_objpool;

/* Options of lamina_objpool_create() and lamina_magpool_create(). Set `size` and `object_bytes`,
   leave the rest zero: the defaults. */
typedef struct lamina_objpool_opts {
    size_t size;                       /* sizeof(lamina_objpool_opts) */
    const lamina_allocator *allocator; /* copied; NULL = the C library's */
    size_t object_bytes;               /* 1 to 2^32 */
    uint64_t max_objects;              /* there are at most, live or free; 0 = no bound */
} lamina_objpool_opts;

/**
 * Make a pool for one thread. What is given back last is taken first, while it is in the cache.
 *
 * @param opts  borrowed until return.
 * @param out   on success owned, released by lamina_objpool_destroy(). On failure untouched.
 * @return LAMINA_OK; E_INVALID (NULL, object_bytes out of range, an unknown option); E_NOMEM.
 *
 * Units:    bytes, objects.
 * Threads:  any; one at a time uses it.
 * Memory:   blocks of objects, as many again as there are up to 256 KiB; released at the end.
 * Source:   docs/rooms/base.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_objpool_create(const lamina_objpool_opts *opts,
                                                                lamina_objpool **out);

/** Release a pool and all its objects, live ones too; NULL does nothing. Threads: one. Since: 0.1
 */
LAMINA_API void lamina_objpool_destroy(lamina_objpool *pool);

/**
 * An object as it comes (not zeroed).
 *
 * @return lent until it is given back; aligned to 16, and to 64 when object_bytes is a multiple of
 *         64. NULL when memory or the bound is exhausted.
 *
 * Threads: one at a time.   Memory: a block at times.   Since: 0.1
 */
LAMINA_API void *lamina_objpool_take(lamina_objpool *pool);

/** Give an object of this pool back; NULL does nothing. Threads: one at a time. Since: 0.1 */
LAMINA_API void lamina_objpool_give(lamina_objpool *pool, void *object);

/**
 * Take n objects by one call.
 *
 * @param objects  n places; the first ones are filled.
 * @return how many; less than n when memory or the bound is exhausted.
 *
 * Units: objects.   Threads: one at a time.   Memory: blocks at times.   Since: 0.1
 */
LAMINA_API size_t lamina_objpool_take_n(lamina_objpool *pool, void **objects, size_t n);

/** Give n objects of this pool back, none NULL. Threads: one at a time. Since: 0.1 */
LAMINA_API void lamina_objpool_give_n(lamina_objpool *pool, void *const *objects, size_t n);

/* A pool of objects of one size for many threads. */
typedef struct lamina_magpool lamina_magpool;
/* A thread's own cache in such a pool: saves the search for one in each call. */
typedef struct lamina_magcache lamina_magcache;

/**
 * Make a pool for many threads. Each thread works on a cache of two magazines of 62 objects; they
 * are exchanged whole, lock-free, so that what one thread takes and another gives comes back 62
 * objects at a time.
 *
 * @param opts  borrowed until return.
 * @param out   on success owned, released by lamina_magpool_destroy(). On failure untouched.
 * @return as lamina_objpool_create().
 *
 * Units:    bytes, objects.
 * Threads:  any; the pool may then be used by all.
 * Memory:   never more objects than were live at once and 186 for each cache beside; released at
 *           the end, not before.
 * Source:   docs/rooms/sync.md "lmn_magpool".   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_magpool_create(const lamina_objpool_opts *opts,
                                                                lamina_magpool **out);

/**
 * Release a pool and all its objects, live ones too; NULL does nothing. Every cache has left.
 *
 * Threads: no other call on it may be running.   Since: 0.1
 */
LAMINA_API void lamina_magpool_destroy(lamina_magpool *pool);

/**
 * An object as it comes (not zeroed).
 *
 * @return lent until any thread gives it back; aligned as by lamina_objpool_take(). NULL when
 *         memory is out, or max_objects are live or in the caches of others.
 *
 * Threads: any.   Memory: 62 objects at times.   Blocking: none.   Since: 0.1
 */
LAMINA_API void *lamina_magpool_take(lamina_magpool *pool);

/** Give an object of this pool back; NULL does nothing; never fails. Threads: any. Since: 0.1 */
LAMINA_API void lamina_magpool_give(lamina_magpool *pool, void *object);

/**
 * Make a cache for a thread that uses the pool much: the calls by cache below need no atomics but
 * once in 62 calls.
 *
 * @param out  on success owned, released by lamina_magpool_leave(). On failure untouched.
 * @return LAMINA_OK; E_NOMEM; E_INVALID.
 *
 * Threads: any; the cache is then used by one at a time.   Memory: 1.2 KB.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_magpool_join(lamina_magpool *pool,
                                                              lamina_magcache **out);

/** Release a cache, before the pool; its objects go to the others; NULL does nothing. Since: 0.1 */
LAMINA_API void lamina_magpool_leave(lamina_magcache *cache);

/** lamina_magpool_take() by cache. Threads: one at a time for a cache. Since: 0.1 */
LAMINA_API void *lamina_magpool_take_by(lamina_magcache *cache);

/** lamina_magpool_give() by cache. Threads: one at a time for a cache. Since: 0.1 */
LAMINA_API void lamina_magpool_give_by(lamina_magcache *cache, void *object);

/** Objects that a pool has made, live or free. Threads: any. Since: 0.1 */
LAMINA_API uint64_t lamina_magpool_objects(const lamina_magpool *pool);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_ARENA_H */
