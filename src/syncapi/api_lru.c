/*
 * The public cache (lamina/lru.h) over sync/lru.h. An entry of one is an entry of the other.
 */
#include "lamina/lru.h"

#include "base/engine.h"
#include "sync/lru.h"

_Static_assert(LAMINA_LRU_MAX_KEY == LMN_LRU_MAX_KEY, "one bound");

struct lamina_lru {
    lmn_lru lru;
    lamina_allocator alloc;
};

lamina_status lamina_lru_create(const lamina_lru_opts *opts, lamina_lru **out)
{
    lamina_lru_opts o;
    LMN_CHECK(out, LAMINA_E_INVALID);
    LMN_TRY(lmn_opts_read(&o, sizeof o, opts));
    const lamina_allocator *a = o.allocator ? o.allocator : &lmn_libc_allocator;
    LMN_CHECK(a->abi == LAMINA_ALLOCATOR_ABI && a->alloc && a->free, LAMINA_E_INVALID);
    LMN_CHECK(o.reserved == 0 && o.max_bytes <= SIZE_MAX && o.max_entries <= SIZE_MAX,
              LAMINA_E_INVALID);
    lamina_lru *c = lmn_alloc(a, sizeof *c, LMN_APART, "cache");
    if (!c) return LAMINA_E_NOMEM;
    c->alloc = *a;
    const lmn_lru_opts in = {.alloc = &c->alloc,
                             .max_bytes = o.max_bytes ? (size_t)o.max_bytes : SIZE_MAX,
                             .max_entries = o.max_entries ? (size_t)o.max_entries : SIZE_MAX,
                             .n_shards = o.n_shards ? o.n_shards : 1,
                             .drop = o.drop,
                             .ctx = o.ctx};
    const lamina_status st = lmn_lru_init(&c->lru, &in);
    if (st != LAMINA_OK) {
        lmn_free(a, c, sizeof *c, LMN_APART, "cache");
        return st;
    }
    *out = c;
    return LAMINA_OK;
}

void lamina_lru_destroy(lamina_lru *cache)
{
    if (!cache) return;
    lmn_lru_finish(&cache->lru);
    const lamina_allocator a = cache->alloc;
    lmn_free(&a, cache, sizeof *cache, LMN_APART, "cache");
}

/* A key that can be in a cache. */
static bool is_key(const void *key, size_t n)
{
    return n == 0 || (key && n <= LAMINA_LRU_MAX_KEY);
}

static lmn_span span_of(const void *key, size_t n)
{
    return (lmn_span){key, n};
}

typedef struct asker {
    lamina_lru_build build;
    void *ctx;
} asker;

static lamina_status build(void *ctx, lmn_span key, void **value, size_t *bytes, lamina_error *err)
{
    const asker *a = ctx;
    return a->build(a->ctx, key.p, key.n, value, bytes, err);
}

lamina_status lamina_lru_get(lamina_lru *cache, const void *key, size_t key_bytes,
                             lamina_lru_build builder, void *ctx, uint64_t deadline_ns,
                             lamina_lru_entry **out, lamina_error *err)
{
    LMN_CHECK(cache && (key || !key_bytes) && builder && out, LAMINA_E_INVALID);
    asker a = {builder, ctx};
    const lmn_lru_ask ask = {build, &a, deadline_ns};
    lmn_lru_entry *e = NULL;
    LMN_TRY(lmn_lru_get(&cache->lru, span_of(key, key_bytes), &ask, &e, err));
    *out = (lamina_lru_entry *)e;
    return LAMINA_OK;
}

lamina_lru_entry *lamina_lru_find(lamina_lru *cache, const void *key, size_t key_bytes)
{
    if (!cache || !is_key(key, key_bytes)) return NULL;
    return (lamina_lru_entry *)lmn_lru_find(&cache->lru, span_of(key, key_bytes));
}

typedef struct given {
    void *value;
    size_t bytes;
    bool taken;
} given;

static lamina_status hand_over(void *ctx, lmn_span key, void **value, size_t *bytes,
                               lamina_error *err)
{
    given *g = ctx;
    (void)key, (void)err;
    *value = g->value;
    *bytes = g->bytes;
    g->taken = true;
    return LAMINA_OK;
}

lamina_status lamina_lru_put(lamina_lru *cache, const void *key, size_t key_bytes, void *value,
                             size_t bytes)
{
    LMN_CHECK(cache && (key || !key_bytes), LAMINA_E_INVALID);
    LMN_CHECK(is_key(key, key_bytes), LAMINA_E_LIMIT);
    const lmn_span k = span_of(key, key_bytes);
    given g = {value, bytes, false};
    const lmn_lru_ask ask = {hand_over, &g, 0};
    while (!g.taken) { /* another's build of this key is not ours: out with it, and again */
        lmn_lru_entry *e = NULL;
        (void)lmn_lru_remove(&cache->lru, k);
        const lamina_status st = lmn_lru_get(&cache->lru, k, &ask, &e, NULL);
        if (st == LAMINA_OK)
            lmn_lru_let_go(e);
        else if (st == LAMINA_E_NOMEM || st == LAMINA_E_LIMIT || st == LAMINA_E_STATE)
            return st;
    }
    return LAMINA_OK;
}

static lmn_lru_entry *inner(lamina_lru_entry *e)
{
    return (lmn_lru_entry *)e;
}

void *lamina_lru_value(const lamina_lru_entry *entry)
{
    return lmn_lru_value((const lmn_lru_entry *)entry);
}

void lamina_lru_release(lamina_lru_entry *entry)
{
    if (entry) lmn_lru_let_go(inner(entry));
}

void lamina_lru_pin(lamina_lru_entry *entry)
{
    lmn_lru_pin(inner(entry));
}

void lamina_lru_unpin(lamina_lru_entry *entry)
{
    lmn_lru_unpin(inner(entry));
}

bool lamina_lru_remove(lamina_lru *cache, const void *key, size_t key_bytes)
{
    return cache && is_key(key, key_bytes) && lmn_lru_remove(&cache->lru, span_of(key, key_bytes));
}

void lamina_lru_clear(lamina_lru *cache)
{
    if (cache) lmn_lru_clear(&cache->lru);
}

lamina_status lamina_lru_describe(lamina_lru *cache, lamina_lru_stats *out)
{
    LMN_CHECK(cache && out && out->size == sizeof *out, LAMINA_E_INVALID);
    lmn_lru_stats s;
    lmn_lru_get_stats(&cache->lru, &s);
    *out = (lamina_lru_stats){.size = sizeof *out,
                              .hits = s.n_hits,
                              .misses = s.n_misses,
                              .joined = s.n_joined,
                              .failed = s.n_failed,
                              .evicted = s.n_evicted,
                              .bytes = s.bytes,
                              .entries = s.entries,
                              .pinned = s.pinned};
    return LAMINA_OK;
}
