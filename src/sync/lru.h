/*
 * lmn_lru: a cache from byte strings to values that many threads share. Who
 * asks for what is not there builds it, once: whoever asks meanwhile waits for
 * that build. An entry is counted: evicted, removed or cleared, it lives until
 * its last user lets go.
 *
 * Order: least recently used goes first, within a shard; with one shard,
 * exactly. Progress: blocking; a lock a shard, held for no callback and for no
 * build. Memory: values of max_bytes (as their builders count them) and
 * max_entries, and beyond that what is pinned or still in use. Who: any thread.
 * Closing: lmn_lru_finish, when nobody is inside and every entry was let go.
 *
 * Fork: the child may go on when no other thread was inside. What another
 * thread was building is never finished there: give a deadline, or clear and
 * build anew.
 */
#ifndef LMN_SYNC_LRU_H
#define LMN_SYNC_LRU_H

#include "base/alloc.h"
#include "base/os/os_mutex.h"

enum { LMN_LRU_MAX_SHARDS = 64, LMN_LRU_MAX_KEY = 1 << 20 };

typedef struct lmn_lru_shard lmn_lru_shard;
typedef struct lmn_lru_entry lmn_lru_entry;

typedef struct lmn_lru_opts {
    const lamina_allocator *alloc; /* copied; may be called under a shard's lock */
    size_t max_bytes, max_entries; /* 0 keeps nothing, SIZE_MAX everything */
    uint32_t n_shards;             /* a power of two; 1 for an exact order */
    void (*drop)(void *ctx, void *value, size_t bytes); /* nobody uses the value any more */
    void *ctx;                                          /* of drop */
    const lmn_mutex_hook *hook; /* of the shards' locks, "lru"; may be NULL */
} lmn_lru_opts;

typedef struct lmn_lru {
    lmn_lru_opts opts;
    lamina_allocator alloc;
    lmn_lru_shard *shard;
    uint64_t seed;
    _Alignas(LMN_APART) lmn_atomic(size_t) bytes; /* of what is kept */
    lmn_atomic(size_t) entries;
} lmn_lru;

/* Counts at one moment. An ask is a hit, a miss (it built) or joined (it waited
 * for a build). */
typedef struct lmn_lru_stats {
    uint64_t n_hits, n_misses, n_joined, n_failed, n_evicted;
    size_t bytes, entries, pinned;
} lmn_lru_stats;

/* How to build what is not there. `build` may ask for other keys; E_CANCELLED
 * and E_TIMEOUT concern this asker alone (the next who waits builds), any other
 * failure is told to all who wait. */
typedef struct lmn_lru_ask {
    lamina_status (*build)(void *ctx, lmn_span key, void **value, size_t *bytes, lamina_error *err);
    void *ctx;
    uint64_t deadline_ns; /* of waiting for another's build, lmn_now_ns; 0 = none */
} lmn_lru_ask;

/* E_INVALID: the shards; E_NOMEM. */
lamina_status lmn_lru_init(lmn_lru *c, const lmn_lru_opts *o);
/* A zeroed one is fine. */
void lmn_lru_finish(lmn_lru *c);

/* The entry of this key, built if need be; the caller lets go of it. What the
 * build failed with; E_TIMEOUT: the deadline; E_STATE: the build asks for its
 * own key; E_LIMIT: a key too long; E_NOMEM. */
lamina_status lmn_lru_get(lmn_lru *c, lmn_span key, const lmn_lru_ask *ask, lmn_lru_entry **out,
                          lamina_error *err);
/* The same if it is there and built, or NULL. */
lmn_lru_entry *lmn_lru_find(lmn_lru *c, lmn_span key);
void *lmn_lru_value(const lmn_lru_entry *e);
void lmn_lru_let_go(lmn_lru_entry *e);

/* While pinned (counted) an entry is not evicted; remove and clear take it all
 * the same. The caller holds the entry. */
void lmn_lru_pin(lmn_lru_entry *e);
void lmn_lru_unpin(lmn_lru_entry *e);

/* Out of the cache: the next who asks builds anew; a build that is under way
 * goes to those who asked for it and is not kept. False: was not there. */
bool lmn_lru_remove(lmn_lru *c, lmn_span key);
void lmn_lru_clear(lmn_lru *c);

void lmn_lru_get_stats(lmn_lru *c, lmn_lru_stats *out);

#endif
