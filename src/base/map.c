/*
 * Open addressing with linear probing, at most half full.
 */
#include "base/map.h"

#include "base/hash.h"

void lmn_map_init(lmn_map *m, const lamina_allocator *alloc)
{
    *m = (lmn_map){.alloc = alloc};
    m->seed = lmn_hash_seed(m);
}

void lmn_map_finish(lmn_map *m)
{
    if (m->slots) lmn_cfree(m->alloc, m->slots, m->cap, sizeof *m->slots, "map");
    m->slots = NULL;
    m->n = m->cap = 0;
}

static lmn_map_slot *probe(lmn_map_slot *slots, size_t cap, uint64_t hash, const void *key,
                           size_t n)
{
    for (size_t i = (size_t)hash & (cap - 1);; i = (i + 1) & (cap - 1)) {
        lmn_map_slot *s = &slots[i];
        if (!s->key) return s;
        if (s->hash == hash && s->n == n && (n == 0 || memcmp(s->key, key, n) == 0)) return s;
    }
}

static bool grow(lmn_map *m)
{
    size_t cap = m->cap ? m->cap * 2 : 16;
    lmn_map_slot *slots = lmn_calloc(m->alloc, cap, sizeof *slots, "map");
    if (!slots) return false;
    for (size_t i = 0; i < m->cap; i++) {
        const lmn_map_slot *s = &m->slots[i];
        if (s->key) *probe(slots, cap, s->hash, s->key, s->n) = *s;
    }
    if (m->slots) lmn_cfree(m->alloc, m->slots, m->cap, sizeof *slots, "map");
    m->slots = slots;
    m->cap = cap;
    return true;
}

bool lmn_map_set(lmn_map *m, const void *key, size_t n, uint64_t value)
{
    if (m->n * 2 >= m->cap && !grow(m)) return false;
    if (!key) key = "";
    uint64_t hash = lmn_hash_bytes(m->seed, key, n);
    lmn_map_slot *s = probe(m->slots, m->cap, hash, key, n);
    if (!s->key) m->n++;
    *s = (lmn_map_slot){key, n, hash, value};
    return true;
}

bool lmn_map_get(const lmn_map *m, const void *key, size_t n, uint64_t *value)
{
    if (!m->cap) return false;
    if (!key) key = "";
    const lmn_map_slot *s = probe(m->slots, m->cap, lmn_hash_bytes(m->seed, key, n), key, n);
    if (!s->key) return false;
    *value = s->value;
    return true;
}
