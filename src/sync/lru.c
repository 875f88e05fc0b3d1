/*
 * Shards, each a hash table with chains and a list from newest to oldest.
 *
 * Invariants, under a shard's lock: an entry is in the table while `listed` and
 * has then one reference of the table's; it is in the list when it is listed,
 * READY and without pins. The totals bytes and entries count what is listed and
 * READY. No lock is held while another is taken, and none when build, drop or a
 * wake-up runs.
 */
#include "sync/lru.h"

#include "base/error.h"
#include "base/hash.h"
#include "base/os/os_thread.h"
#include "sync/wait.h"

enum { BUILDING, READY, FAILED, GIVEN_UP };
enum { FIRST_BUCKETS = 16 };

struct lmn_lru_entry {
    lmn_atomic(uint32_t) refs;
    lmn_atomic(uint32_t) state;
    lmn_lru *cache;
    lmn_lru_entry *next;          /* in the bucket, then among the dead */
    lmn_lru_entry *newer, *older; /* in the list */
    uint64_t hash;
    void *value;
    size_t bytes, n_key;
    lamina_error *why;    /* of FAILED; NULL when there was no memory for it */
    lamina_status status; /* of FAILED */
    uintptr_t builder;    /* lmn_thread_key */
    uint32_t n_pins, n_waiting;
    bool listed;
    uint8_t key[];
};

struct lmn_lru_shard {
    _Alignas(LMN_APART) lmn_mutex lock;
    lmn_lru_entry **bucket; /* NULL until the first entry */
    size_t n_buckets, n_listed;
    lmn_lru_entry *newest, *oldest;
    lmn_lru_stats stats; /* the counters */
};

static lmn_lru_shard *shard_of(const lmn_lru *c, uint64_t hash)
{
    return &c->shard[(hash >> 48) & (c->opts.n_shards - 1)];
}

lamina_status lmn_lru_init(lmn_lru *c, const lmn_lru_opts *o)
{
    memset(c, 0, sizeof *c);
    const uint32_t n = o->n_shards;
    if (n == 0 || n > LMN_LRU_MAX_SHARDS || (n & (n - 1))) return LAMINA_E_INVALID;
    c->opts = *o;
    c->alloc = *o->alloc;
    c->opts.alloc = &c->alloc;
    c->seed = lmn_hash_seed(c);
    lmn_atomic_init(&c->bytes, 0);
    lmn_atomic_init(&c->entries, 0);
    c->shard = lmn_alloc(&c->alloc, n * sizeof *c->shard, LMN_APART, "lru shards");
    if (!c->shard) return LAMINA_E_NOMEM;
    memset(c->shard, 0, n * sizeof *c->shard);
    for (uint32_t i = 0; i < n; i++)
        lmn_mutex_init_as(&c->shard[i].lock, LMN_RANK_LRU, "lru", o->hook);
    return LAMINA_OK;
}

static size_t entry_bytes(size_t n_key)
{
    return sizeof(lmn_lru_entry) + n_key;
}

static lmn_lru_entry *entry_new(lmn_lru *c, lmn_span key, uint64_t hash)
{
    lmn_lru_entry *e =
        lmn_alloc(&c->alloc, entry_bytes(key.n), _Alignof(lmn_lru_entry), "lru entry");
    if (!e) return NULL;
    memset(e, 0, sizeof *e);
    lmn_atomic_init(&e->refs, 2); /* the table's and the builder's */
    lmn_atomic_init(&e->state, BUILDING);
    e->cache = c;
    e->hash = hash;
    e->n_key = key.n;
    e->builder = lmn_thread_key();
    if (key.n) memcpy(e->key, key.p, key.n);
    return e;
}

static void entry_free(lmn_lru_entry *e)
{
    const lamina_allocator *a = &e->cache->alloc;
    lmn_free(a, e->why, sizeof *e->why, _Alignof(lamina_error), "lru error");
    lmn_free(a, e, entry_bytes(e->n_key), _Alignof(lmn_lru_entry), "lru entry");
}

void lmn_lru_let_go(lmn_lru_entry *e)
{
    if (lmn_atomic_sub(&e->refs, 1, acq_rel) != 1) return;
    const lmn_lru_opts *o = &e->cache->opts;
    if (lmn_atomic_load(&e->state, relaxed) == READY && o->drop)
        o->drop(o->ctx, e->value, e->bytes);
    entry_free(e);
}

/* The table's references of what was taken out, once the lock is let go. */
static void bury(lmn_lru_entry *dead)
{
    while (dead) {
        lmn_lru_entry *next = dead->next;
        lmn_lru_let_go(dead);
        dead = next;
    }
}

static lmn_lru_entry **place_of(lmn_lru_shard *s, lmn_span key, uint64_t hash)
{
    lmn_lru_entry **at = &s->bucket[hash & (s->n_buckets - 1)];
    for (; *at; at = &(*at)->next)
        if ((*at)->hash == hash && (*at)->n_key == key.n &&
            (key.n == 0 || memcmp((*at)->key, key.p, key.n) == 0))
            break;
    return at;
}

static lmn_lru_entry *lookup(lmn_lru_shard *s, lmn_span key, uint64_t hash)
{
    return s->n_buckets ? *place_of(s, key, hash) : NULL;
}

/* Room for one more; only the very first table is needed, a fuller one is
 * merely slower. */
static bool grow(lmn_lru *c, lmn_lru_shard *s)
{
    if (s->n_listed < s->n_buckets) return true;
    const size_t n = s->n_buckets ? 2 * s->n_buckets : FIRST_BUCKETS;
    lmn_lru_entry **bucket = lmn_calloc(&c->alloc, n, sizeof(lmn_lru_entry *), "lru table");
    if (!bucket) return s->n_buckets > 0;
    for (size_t i = 0; i < s->n_buckets; i++) {
        for (lmn_lru_entry *e = s->bucket[i], *next; e; e = next) {
            next = e->next;
            e->next = bucket[e->hash & (n - 1)];
            bucket[e->hash & (n - 1)] = e;
        }
    }
    lmn_cfree(&c->alloc, s->bucket, s->n_buckets, sizeof(lmn_lru_entry *), "lru table");
    s->bucket = bucket;
    s->n_buckets = n;
    return true;
}

static void list_out(lmn_lru_shard *s, lmn_lru_entry *e)
{
    *(e->newer ? &e->newer->older : &s->newest) = e->older;
    *(e->older ? &e->older->newer : &s->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void list_in(lmn_lru_shard *s, lmn_lru_entry *e)
{
    e->older = s->newest;
    *(s->newest ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
}

static bool is_ready(const lmn_lru_entry *e)
{
    return lmn_atomic_load(&e->state, relaxed) == READY; /* under the lock */
}

/* Out of table and list, onto the dead. */
static void unlist(lmn_lru_shard *s, lmn_lru_entry *e, lmn_lru_entry **dead)
{
    lmn_lru *c = e->cache;
    *place_of(s, (lmn_span){e->key, e->n_key}, e->hash) = e->next;
    s->n_listed--;
    e->listed = false;
    if (is_ready(e)) {
        if (e->n_pins == 0) list_out(s, e);
        (void)lmn_atomic_sub(&c->bytes, e->bytes, relaxed);
        (void)lmn_atomic_sub(&c->entries, 1, relaxed);
    }
    e->next = *dead;
    *dead = e;
}

static bool over(const lmn_lru *c)
{
    return lmn_atomic_load(&c->bytes, relaxed) > c->opts.max_bytes ||
           lmn_atomic_load(&c->entries, relaxed) > c->opts.max_entries;
}

static void trim_shard(lmn_lru *c, lmn_lru_shard *s, const lmn_lru_entry *keep)
{
    lmn_lru_entry *dead = NULL;
    lmn_mutex_lock(&s->lock);
    while (over(c)) {
        lmn_lru_entry *e = s->oldest && s->oldest == keep ? keep->newer : s->oldest;
        if (!e) break;
        unlist(s, e, &dead);
        s->stats.n_evicted++;
    }
    lmn_mutex_unlock(&s->lock);
    bury(dead);
}

/* Evict until the bounds hold again: from the shard that grew, then from the
 * others; what has just come, last. */
static void trim(lmn_lru *c, lmn_lru_shard *from, const lmn_lru_entry *keep)
{
    const uint32_t n = c->opts.n_shards, first = (uint32_t)(from - c->shard);
    for (uint32_t i = 0; i < n && over(c); i++)
        trim_shard(c, &c->shard[(first + i) & (n - 1)], keep);
    if (keep && over(c)) trim_shard(c, from, NULL);
}

/* What the build came to, for all who wait. */
static void settle(lmn_lru_entry *e, lamina_status st, lmn_lru_entry **dead)
{
    lmn_lru *c = e->cache;
    lmn_lru_shard *s = shard_of(c, e->hash);
    uint32_t state = READY;
    if (st != LAMINA_OK)
        state = st == LAMINA_E_CANCELLED || st == LAMINA_E_TIMEOUT ? GIVEN_UP : FAILED;
    lmn_mutex_lock(&s->lock);
    e->status = st;
    if (state != READY) s->stats.n_failed++;
    if (e->listed && (state != READY || e->bytes > c->opts.max_bytes || c->opts.max_entries == 0))
        unlist(s, e, dead);
    lmn_atomic_store(&e->state, state, release);
    if (e->listed) {
        list_in(s, e);
        (void)lmn_atomic_add(&c->bytes, e->bytes, relaxed);
        (void)lmn_atomic_add(&c->entries, 1, relaxed);
    }
    const bool waited_for = e->n_waiting > 0;
    lmn_mutex_unlock(&s->lock);
    if (waited_for) lmn_word_wake(&e->state, INT32_MAX);
}

static lamina_status build(lmn_lru_entry *e, const lmn_lru_ask *ask, lmn_lru_entry **out,
                           lamina_error *err)
{
    lmn_lru *c = e->cache;
    lmn_lru_entry *dead = NULL;
    lamina_error why = {.msg = ""};
    lmn_plain_write(&e->value, sizeof e->value);
    const lamina_status st =
        ask->build(ask->ctx, (lmn_span){e->key, e->n_key}, &e->value, &e->bytes, &why);
    if (st != LAMINA_OK) {
        if (err) *err = why;
        e->why = lmn_alloc(&c->alloc, sizeof why, _Alignof(lamina_error), "lru error");
        if (e->why) *e->why = why;
    }
    settle(e, st, &dead);
    bury(dead);
    if (st != LAMINA_OK) {
        lmn_lru_let_go(e);
        return st;
    }
    trim(c, shard_of(c, e->hash), e);
    *out = e;
    return LAMINA_OK;
}

/* Another builds it. *out stays NULL when that was given up: ask again. */
static lamina_status join(lmn_lru_entry *e, uint64_t deadline_ns, lmn_lru_entry **out,
                          lamina_error *err)
{
    lamina_status st = LAMINA_OK;
    uint32_t state;
    bool in_time = true;
    while ((state = lmn_atomic_load(&e->state, acquire)) == BUILDING && in_time)
        in_time = lmn_word_wait(&e->state, BUILDING, deadline_ns);
    if (state == READY) {
        *out = e;
        return LAMINA_OK;
    }
    if (state == BUILDING)
        st = lmn_fail(err, LAMINA_E_TIMEOUT, "deadline expired while another built the entry");
    if (state == FAILED) {
        st = e->status;
        if (e->why && err) *err = *e->why;
        if (!e->why) (void)lmn_fail(err, st, "the build by another failed");
    }
    lmn_lru_let_go(e);
    return st;
}

/* Under the lock: what is to be done about this entry. */
typedef enum found { HIT, JOIN, BUILD, OWN } found;
static found meet(lmn_lru_shard *s, lmn_lru_entry *e)
{
    if (!is_ready(e)) {
        if (e->builder == lmn_thread_key()) return OWN;
        e->n_waiting++;
        s->stats.n_joined++;
    } else {
        s->stats.n_hits++;
        if (e->n_pins == 0 && s->newest != e) {
            list_out(s, e);
            list_in(s, e);
        }
    }
    (void)lmn_atomic_add(&e->refs, 1, relaxed);
    return is_ready(e) ? HIT : JOIN;
}

/* The entry that is there, or `fresh` listed as the one to be built; E_AGAIN:
 * make a fresh one. */
static lamina_status enter(lmn_lru *c, lmn_lru_entry **at, lmn_span key, uint64_t hash, found *how)
{
    lmn_lru_shard *s = shard_of(c, hash);
    lamina_status st = LAMINA_OK;
    lmn_mutex_lock(&s->lock);
    lmn_lru_entry *e = lookup(s, key, hash);
    if (e) {
        *how = meet(s, e);
        *at = e;
    } else if (!*at) {
        st = LAMINA_E_AGAIN;
    } else if (!grow(c, s)) {
        st = LAMINA_E_NOMEM;
    } else {
        e = *at;
        lmn_lru_entry **bucket = &s->bucket[hash & (s->n_buckets - 1)];
        e->next = *bucket;
        *bucket = e;
        e->listed = true;
        s->n_listed++;
        s->stats.n_misses++;
        *how = BUILD;
    }
    lmn_mutex_unlock(&s->lock);
    return st;
}

static lamina_status get_once(lmn_lru *c, lmn_span key, const lmn_lru_ask *ask, lmn_lru_entry **out,
                              lamina_error *err)
{
    const uint64_t hash = lmn_hash_bytes(c->seed, key.p, key.n);
    found how = HIT;
    lmn_lru_entry *e = NULL, *fresh = NULL;
    lamina_status st = enter(c, &e, key, hash, &how);
    if (st == LAMINA_E_AGAIN) {
        st = LAMINA_E_NOMEM;
        if ((e = fresh = entry_new(c, key, hash)) != NULL) st = enter(c, &e, key, hash, &how);
        if (fresh && (st != LAMINA_OK || e != fresh)) entry_free(fresh);
    }
    if (st != LAMINA_OK) return lmn_fail(err, st, "out of memory for an entry of the cache");
    if (how == OWN)
        return lmn_fail(err, LAMINA_E_STATE, "a build asks for the entry that it builds");
    if (how == BUILD) return build(e, ask, out, err);
    if (how == JOIN) return join(e, ask->deadline_ns, out, err);
    *out = e;
    return LAMINA_OK;
}

lamina_status lmn_lru_get(lmn_lru *c, lmn_span key, const lmn_lru_ask *ask, lmn_lru_entry **out,
                          lamina_error *err)
{
    lamina_status st;
    *out = NULL;
    if (key.n > LMN_LRU_MAX_KEY)
        return lmn_fail(err, LAMINA_E_LIMIT, "a key of %zu bytes, at most %d", key.n,
                        LMN_LRU_MAX_KEY);
    do st = get_once(c, key, ask, out, err);
    while (st == LAMINA_OK && !*out);
    return st;
}

lmn_lru_entry *lmn_lru_find(lmn_lru *c, lmn_span key)
{
    const uint64_t hash = lmn_hash_bytes(c->seed, key.p, key.n);
    lmn_lru_shard *s = shard_of(c, hash);
    lmn_mutex_lock(&s->lock);
    lmn_lru_entry *e = lookup(s, key, hash);
    if (e && is_ready(e))
        (void)meet(s, e);
    else
        e = NULL;
    lmn_mutex_unlock(&s->lock);
    return e;
}

void *lmn_lru_value(const lmn_lru_entry *e)
{
    lmn_plain_read(&e->value, sizeof e->value);
    return e->value;
}

void lmn_lru_pin(lmn_lru_entry *e)
{
    lmn_lru_shard *s = shard_of(e->cache, e->hash);
    lmn_mutex_lock(&s->lock);
    if (e->n_pins++ == 0 && e->listed) list_out(s, e);
    s->stats.pinned += e->n_pins == 1;
    lmn_mutex_unlock(&s->lock);
}

void lmn_lru_unpin(lmn_lru_entry *e)
{
    lmn_lru_shard *s = shard_of(e->cache, e->hash);
    lmn_mutex_lock(&s->lock);
    lmn_assert(e->n_pins > 0);
    if (--e->n_pins == 0 && e->listed) list_in(s, e);
    s->stats.pinned -= e->n_pins == 0;
    lmn_mutex_unlock(&s->lock);
    trim(e->cache, s, NULL);
}

bool lmn_lru_remove(lmn_lru *c, lmn_span key)
{
    const uint64_t hash = lmn_hash_bytes(c->seed, key.p, key.n);
    lmn_lru_shard *s = shard_of(c, hash);
    lmn_lru_entry *dead = NULL;
    lmn_mutex_lock(&s->lock);
    lmn_lru_entry *e = lookup(s, key, hash);
    if (e) unlist(s, e, &dead);
    lmn_mutex_unlock(&s->lock);
    bury(dead);
    return e != NULL;
}

void lmn_lru_clear(lmn_lru *c)
{
    for (uint32_t i = 0; i < c->opts.n_shards; i++) {
        lmn_lru_shard *s = &c->shard[i];
        lmn_lru_entry *dead = NULL;
        lmn_mutex_lock(&s->lock);
        for (size_t b = 0; b < s->n_buckets; b++)
            while (s->bucket[b]) unlist(s, s->bucket[b], &dead);
        lmn_mutex_unlock(&s->lock);
        bury(dead);
    }
}

void lmn_lru_finish(lmn_lru *c)
{
    if (!c->shard) return;
    lmn_lru_clear(c);
    for (uint32_t i = 0; i < c->opts.n_shards; i++) {
        lmn_lru_shard *s = &c->shard[i];
        if (s->bucket)
            lmn_cfree(&c->alloc, s->bucket, s->n_buckets, sizeof(lmn_lru_entry *), "lru table");
        lmn_mutex_finish(&s->lock);
    }
    lmn_free(&c->alloc, c->shard, c->opts.n_shards * sizeof *c->shard, LMN_APART, "lru shards");
    c->shard = NULL;
}

void lmn_lru_get_stats(lmn_lru *c, lmn_lru_stats *out)
{
    *out = (lmn_lru_stats){.bytes = lmn_atomic_load(&c->bytes, relaxed),
                           .entries = lmn_atomic_load(&c->entries, relaxed)};
    for (uint32_t i = 0; i < c->opts.n_shards; i++) {
        lmn_lru_shard *s = &c->shard[i];
        lmn_mutex_lock(&s->lock);
        out->n_hits += s->stats.n_hits;
        out->n_misses += s->stats.n_misses;
        out->n_joined += s->stats.n_joined;
        out->n_failed += s->stats.n_failed;
        out->n_evicted += s->stats.n_evicted;
        out->pinned += s->stats.pinned;
        lmn_mutex_unlock(&s->lock);
    }
}
