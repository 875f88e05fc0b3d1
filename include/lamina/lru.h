/*
 * lamina/lru.h - a cache that threads share, from byte strings to values of the caller's. Who asks
 * for what is not there builds it, once: whoever asks meanwhile waits for that build. Part of
 * liblamina-sync, which needs nothing else of Lamina.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_LRU_H
#define LAMINA_LRU_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Longest key, in bytes. */
#define LAMINA_LRU_MAX_KEY 1048576

/* A cache. */
typedef struct lamina_lru lamina_lru;
/* A value that somebody holds: it lives until its last holder lets go, evicted or not. */
typedef struct lamina_lru_entry lamina_lru_entry;

/* Options of lamina_lru_create(). Set `size`, leave the rest zero: the defaults. */
typedef struct lamina_lru_opts {
    size_t size;                       /* sizeof(lamina_lru_opts) */
    const lamina_allocator *allocator; /* copied; NULL = the C library's */
    uint64_t max_bytes;                /* of values, as builders count them; 0 = no bound */
    uint64_t max_entries;              /* 0 = no bound */
    uint32_t n_shards;                 /* locks; a power of two up to 64; the least recently used
                                          goes first within a shard; 0 = 1: in exact order */
    uint32_t reserved;                 /* must be 0 */
    /* Nobody uses the value any more: release it. Called by whoever lets go last, under no lock;
       may be NULL. */
    void (*drop)(void *ctx, void *value, size_t bytes);
    void *ctx; /* borrowed, passed to drop */
} lamina_lru_opts;

/*
 * Makes the value of a key that is not there: sets *value and its size in *bytes, and returns
 * LAMINA_OK, or fails, with a sentence in err when that is not NULL. May ask the cache for other
 * keys. E_CANCELLED and E_TIMEOUT concern this asker alone (the next who waits builds); any other
 * failure is told to all who wait.
 */
typedef lamina_status (*lamina_lru_build)(void *ctx, const void *key, size_t key_bytes,
                                          void **value, size_t *bytes, lamina_error *err);

/**
 * Make an empty cache.
 *
 * @param opts  borrowed until return; NULL = defaults.
 * @param out   on success owned, released by lamina_lru_destroy(). On failure untouched.
 * @return LAMINA_OK; E_INVALID (out is NULL, n_shards, an unknown option); E_NOMEM.
 *
 * Units:    bytes, entries.
 * Threads:  any; the cache may then be used by all. A lock for each shard, held for no build.
 * Memory:   the values within the bounds, and beyond them what is pinned or held.
 * Source:   docs/rooms/sync.md "lmn_lru".   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_lru_create(const lamina_lru_opts *opts,
                                                            lamina_lru **out);

/**
 * Release a cache and its values; NULL does nothing. Nobody holds an entry.
 *
 * Threads: no other call on it may be running.   Memory: frees all.   Since: 0.1
 */
LAMINA_API void lamina_lru_destroy(lamina_lru *cache);

/**
 * The entry of a key, built if need be.
 *
 * @param key          borrowed until return; key_bytes long, any bytes.
 * @param build        called at most once, in this thread; ctx is passed to it.
 * @param deadline_ns  CLOCK_MONOTONIC instant until which to wait for another's build; 0 = none.
 * @param out          on success owned, released by lamina_lru_release(). On failure untouched.
 * @param err          borrowed; NULL allowed.
 * @return LAMINA_OK; what the build failed with; E_TIMEOUT; E_STATE (the build asks for its own
 *         key); E_LIMIT (key too long); E_NOMEM; E_INVALID.
 *
 * Units:    bytes, nanoseconds.
 * Threads:  any.   Memory: an entry.   Blocking: for another's build of the same key.
 * Source:   docs/rooms/sync.md "lmn_lru".   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_lru_get(lamina_lru *cache, const void *key,
                                                         size_t key_bytes, lamina_lru_build build,
                                                         void *ctx, uint64_t deadline_ns,
                                                         lamina_lru_entry **out, lamina_error *err);

/**
 * The entry of a key if it is there and built.
 *
 * @return owned, released by lamina_lru_release(); NULL when it is not there.
 *
 * Units: bytes.   Threads: any.   Memory: none.   Blocking: a shard's lock.   Since: 0.1
 */
LAMINA_API lamina_lru_entry *lamina_lru_find(lamina_lru *cache, const void *key, size_t key_bytes);

/**
 * Put a value, in place of what was there.
 *
 * @param value  on success the cache's, until its drop; else still the caller's.
 * @param bytes  it counts.
 * @return LAMINA_OK; E_LIMIT (key too long); E_NOMEM; E_INVALID.
 *
 * Units: bytes.   Threads: any.   Memory: an entry.   Blocking: for a build of the same key.
 * Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_lru_put(lamina_lru *cache, const void *key,
                                                         size_t key_bytes, void *value,
                                                         size_t bytes);

/** The value of an entry. @return lent until the entry is let go. Threads: any. Since: 0.1 */
LAMINA_API void *lamina_lru_value(const lamina_lru_entry *entry);

/** Let go of an entry; NULL does nothing. Threads: any. Since: 0.1 */
LAMINA_API void lamina_lru_release(lamina_lru_entry *entry);

/** Keep an entry that is held from being evicted, until unpinned as often. Threads: any. Since: 0.1
 */
LAMINA_API void lamina_lru_pin(lamina_lru_entry *entry);

/** Take one pin of an entry that is held back. Threads: any. Since: 0.1 */
LAMINA_API void lamina_lru_unpin(lamina_lru_entry *entry);

/**
 * Take a key out: the next who asks builds anew. A build under way goes to those who asked for it
 * and is not kept.
 *
 * @return true; false: it was not there.
 *
 * Units: bytes.   Threads: any.   Memory: releases.   Blocking: a shard's lock.   Since: 0.1
 */
LAMINA_API bool lamina_lru_remove(lamina_lru *cache, const void *key, size_t key_bytes);

/** Take every key out, pinned ones too; as lamina_lru_remove(). Threads: any. Since: 0.1 */
LAMINA_API void lamina_lru_clear(lamina_lru *cache);

/* Counts at one moment. An ask is a hit, a miss (it built) or joined (it waited for a build). */
typedef struct lamina_lru_stats {
    size_t size;                     /* set by the caller */
    uint64_t hits, misses, joined;   /* asks */
    uint64_t failed;                 /* builds that failed */
    uint64_t evicted;                /* entries that made room */
    uint64_t bytes, entries, pinned; /* there now */
} lamina_lru_stats;

/**
 * Counts of a cache.
 *
 * @param out  filled; out->size must be sizeof(lamina_lru_stats).
 * @return LAMINA_OK; E_INVALID.
 *
 * Units: bytes, entries.   Threads: any.   Blocking: the shards' locks, one by one.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_lru_describe(lamina_lru *cache,
                                                              lamina_lru_stats *out);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_LRU_H */
