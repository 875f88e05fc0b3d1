/*
 * Hash of a byte string, keyed: who picks the bytes cannot know the seed, so that no file is
 * crafted against a table. For tables in memory only: values differ from run to run.
 */
#ifndef LMN_BASE_HASH_H
#define LMN_BASE_HASH_H

#include "base/types.h"

#include <string.h>

static inline uint64_t lmn_hash_mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 w = (unsigned __int128)a * b;
    return (uint64_t)w ^ (uint64_t)(w >> 64);
}

/* A seed for the table at this address. */
static inline uint64_t lmn_hash_seed(const void *table)
{
    return lmn_hash_mix((uint64_t)(uintptr_t)table ^ 0x9e3779b97f4a7c15u,
                        (uint64_t)(uintptr_t)&table | 1);
}

/* In the manner of wyhash: 8 bytes a step, folded 64x64 multiply. */
static inline uint64_t lmn_hash_bytes(uint64_t seed, const void *key, size_t n)
{
    const uint8_t *p = key;
    uint64_t h = seed ^ (uint64_t)n;
    for (; n >= 8; p += 8, n -= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = lmn_hash_mix(h ^ w ^ 0xa0761d6478bd642fu, h + 0xe7037ed1a0b428dbu);
    }
    uint64_t w = 0;
    if (n) memcpy(&w, p, n);
    h = lmn_hash_mix(h ^ w ^ 0x8ebc6af09c88c6e3u, h + 0x589965cc75374cc3u);
    return h ^ h >> 29;
}

#endif
