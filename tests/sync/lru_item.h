/*
 * Test helper: what the tests of the shared cache put into it: items that know their key and
 * whether they were dropped, and who makes and counts them.
 */
#ifndef LMN_TESTS_SYNC_LRU_ITEM_H
#define LMN_TESTS_SYNC_LRU_ITEM_H

#include "t.h"

#include "sync/lru.h"

/* What a value is: its key, once. */
typedef struct item {
    uint32_t key;
    atomic_int alive;
} item;

typedef struct maker {
    t_env *env;
    size_t bytes;
    lamina_status fail; /* what the next build comes to */
    atomic_int n_built, n_failed, n_dropped;
} maker;

static inline lmn_span key_of(const uint32_t *k)
{
    return (lmn_span){(const uint8_t *)k, sizeof *k};
}

static inline lamina_status make(void *ctx, lmn_span key, void **value, size_t *bytes,
                                 lamina_error *err)
{
    maker *m = ctx;
    atomic_fetch_add(&m->n_built, 1);
    if (m->fail != LAMINA_OK) {
        atomic_fetch_add(&m->n_failed, 1);
        snprintf(err->msg, sizeof err->msg, "nothing to build with");
        return m->fail;
    }
    item *i = malloc(sizeof *i);
    memcpy(&i->key, key.p, sizeof i->key);
    atomic_init(&i->alive, 1);
    *value = i;
    *bytes = m->bytes;
    return LAMINA_OK;
}

static inline void drop(void *ctx, void *value, size_t bytes)
{
    maker *m = ctx;
    item *i = value;
    (void)bytes;
    if (atomic_exchange(&i->alive, 0) != 1) t_fail(__FILE__, __LINE__, "dropped twice");
    atomic_fetch_add(&m->n_dropped, 1);
    free(i);
}

static inline lamina_status init(lmn_lru *c, maker *m, size_t max_bytes, size_t max_entries,
                                 uint32_t shards)
{
    return lmn_lru_init(
        c, &(lmn_lru_opts){&m->env->alloc, max_bytes, max_entries, shards, drop, m, NULL});
}

static inline lamina_status get(lmn_lru *c, maker *m, uint32_t key, lmn_lru_entry **out)
{
    return lmn_lru_get(c, key_of(&key), &(lmn_lru_ask){make, m, 0}, out, NULL);
}

static inline bool value_is(const lmn_lru_entry *e, uint32_t key)
{
    const item *i = lmn_lru_value(e);
    return i->key == key && i->alive == 1;
}

#endif
