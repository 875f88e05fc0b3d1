/*
 * A checksum of many bytes at the speed of memory: eight chains of 64-bit words, so that the
 * multiplier is busy in every cycle. The same on every machine of this byte order; finds damage,
 * not intent. A changed word changes its chain for certain.
 */
#ifndef LMN_BASE_CHECKSUM_H
#define LMN_BASE_CHECKSUM_H

#include "base/types.h"

#include <string.h>

#define LMN_SUM_STEP(h, w) ((h) = ((h) ^ (w)) * 0x9e3779b97f4a7c15u, (h) = (h) << 31 | (h) >> 33)

static inline uint64_t lmn_checksum(const void *bytes, uint64_t n)
{
    const uint8_t *p = bytes;
    uint64_t h[8], w[8], sum = n * 0xa0761d6478bd642fu;
    for (uint64_t i = 0; i < 8; i++) h[i] = 0xe7037ed1a0b428dbu + i;
    uint64_t left = n;
    for (; left >= 64; p += 64, left -= 64) {
        memcpy(w, p, 64);
        LMN_SUM_STEP(h[0], w[0]), LMN_SUM_STEP(h[1], w[1]);
        LMN_SUM_STEP(h[2], w[2]), LMN_SUM_STEP(h[3], w[3]);
        LMN_SUM_STEP(h[4], w[4]), LMN_SUM_STEP(h[5], w[5]);
        LMN_SUM_STEP(h[6], w[6]), LMN_SUM_STEP(h[7], w[7]);
    }
    memset(w, 0, sizeof w);
    if (left) memcpy(w, p, (size_t)left);
    for (int i = 0; i < 8; i++) LMN_SUM_STEP(h[i], w[i]), LMN_SUM_STEP(sum, h[i]);
    return sum ^ sum >> 29;
}

#endif
