/*
 * Open addressing with linear probing, at most half full.
 */
#include "base/map.h"

#include <string.h>

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 w = (unsigned __int128)a * b;
    return (uint64_t)w ^ (uint64_t)(w >> 64);
}

/* In the manner of wyhash: 8 bytes a step, folded 64x64 multiply. */
static uint64_t hash_of(uint64_t seed, const void *key, size_t n)
{
    const uint8_t *p = key;
    uint64_t h = seed ^ (uint64_t)n;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = mix(h ^ w ^ 0xa0761d6478bd642fu, h + 0xe7037ed1a0b428dbu);
    }
    uint64_t w = 0;
    if (n) memcpy(&w, p, n);
    h = mix(h ^ w ^ 0x8ebc6af09c88c6e3u, h + 0x589965cc75374cc3u);
    return h ^ h >> 29;
}

void lmn_map_init(lmn_map *m, const lamina_allocator *alloc)
{
    *m = (lmn_map){.alloc = alloc};
    m->seed = mix((uint64_t)(uintptr_t)m ^ 0x9e3779b97f4a7c15u, (uint64_t)(uintptr_t)&m | 1);
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
    uint64_t hash = hash_of(m->seed, key, n);
    lmn_map_slot *s = probe(m->slots, m->cap, hash, key, n);
    if (!s->key) m->n++;
    *s = (lmn_map_slot){key, n, hash, value};
    return true;
}

bool lmn_map_get(const lmn_map *m, const void *key, size_t n, uint64_t *value)
{
    if (!m->cap) return false;
    if (!key) key = "";
    const lmn_map_slot *s = probe(m->slots, m->cap, hash_of(m->seed, key, n), key, n);
    if (!s->key) return false;
    *value = s->value;
    return true;
}
