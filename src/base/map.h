/*
 * Hash map from byte strings to 64-bit words: open addressing, insert and look-up only. Keys are
 * borrowed: they must outlive the map. Hashes are keyed by the map's own address and a per-map
 * salt, so that a file cannot be crafted against them blindly.
 */
#ifndef LMN_BASE_MAP_H
#define LMN_BASE_MAP_H

#include "base/alloc.h"

typedef struct lmn_map_slot {
    const void *key; /* NULL = free */
    size_t n;
    uint64_t hash, value;
} lmn_map_slot;

typedef struct lmn_map {
    const lamina_allocator *alloc;
    lmn_map_slot *slots;
    size_t n, cap; /* cap is 0 or a power of two */
    uint64_t seed;
} lmn_map;

void lmn_map_init(lmn_map *m, const lamina_allocator *alloc);
void lmn_map_finish(lmn_map *m); /* a zeroed one is fine */
/* Insert or overwrite; false only on exhaustion. Key NULL with n 0 is legal (the empty key). */
bool lmn_map_set(lmn_map *m, const void *key, size_t n, uint64_t value);
bool lmn_map_get(const lmn_map *m, const void *key, size_t n, uint64_t *value);

#endif
