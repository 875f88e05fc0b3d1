/*
 * What the nbdot rows share. Packing a row in plain C, which compilers turn into vectors of the
 * file's ISA: a maximum, a rounding and a sum over 32 numbers, each exact or one f32 operation, so
 * the bits do not depend on the vectors. And strips of four rows of weights.
 */
#ifndef LMN_KERNELS_NBDOT_TMPL_H
#define LMN_KERNELS_NBDOT_TMPL_H

#include "kernels/nbits/nbdot.h"

#include <string.h>

/* 32 numbers to 32 integers in order; the scale is returned. */
static inline float nbdot_round(int8_t r[LMN_NBDOT_GROUP], const float x[LMN_NBDOT_GROUP])
{
    uint32_t bits[LMN_NBDOT_GROUP], most = 0;
    float top;
    memcpy(bits, x, sizeof bits);
    for (int i = 0; i < LMN_NBDOT_GROUP; i++) {
        const uint32_t b = bits[i] & 0x7fffffffu;
        most = most > b ? most : b;
    }
    memcpy(&top, &most, sizeof top);
    const bool small = most < 0x0d800000u /* 2^-100 */, odd = most >= 0x7f800000u;
    if (small || odd) {
        memset(r, 0, LMN_NBDOT_GROUP);
        return odd ? __builtin_nanf("") : 0.0f;
    }
    const float up = 127.0f / top;
    for (int i = 0; i < LMN_NBDOT_GROUP; i++) r[i] = (int8_t)__builtin_rintf(x[i] * up);
    return top / 127.0f;
}

static inline void nbdot_put(uint8_t *chunk, int64_t lane, const int8_t *r, float s, int32_t bits)
{
    int32_t sum = 0;
    for (int i = 0; i < LMN_NBDOT_GROUP; i++) sum += r[i];
    int8_t *first = (int8_t *)chunk + lane * 16, *second = first + 64;
    if (bits == 4) {
        uint16_t pair[16]; /* little-endian, as everything x86 or arm64 */
        memcpy(pair, r, sizeof pair);
        for (int i = 0; i < 16; i++) first[i] = (int8_t)(pair[i] & 255);
        for (int i = 0; i < 16; i++) second[i] = (int8_t)(pair[i] >> 8);
    } else {
        memcpy(first, r, 16);
        memcpy(second, r + 16, 16);
    }
    const int32_t sums[4] = {-sum, -sum, -sum, -sum};
    const float scales[4] = {s, s, s, s};
    memcpy(chunk + 128 + lane * 16, scales, sizeof scales);
    memcpy(chunk + 192 + lane * 16, sums, sizeof sums);
}

static inline void nbdot_pack(uint8_t *dst, const float *x, int64_t k, int32_t bits)
{
    const int64_t groups = lmn_nbdot_groups(k);
    for (int64_t g = 0; g < (groups + 3) / 4 * 4; g++) {
        float some[LMN_NBDOT_GROUP] = {0};
        const int64_t n = lmn_min_i64(LMN_NBDOT_GROUP, k - g * LMN_NBDOT_GROUP);
        const float *from = x + g * LMN_NBDOT_GROUP;
        if (n < LMN_NBDOT_GROUP) {
            if (n > 0) memcpy(some, from, (size_t)n * sizeof *some);
            from = some;
        }
        int8_t r[LMN_NBDOT_GROUP];
        const float s = nbdot_round(r, from);
        nbdot_put(dst + g / 4 * LMN_NBDOT_CHUNK, g % 4, r, s, bits);
    }
}

/* Four rows of weights, or one four times over: of n rows the last n % 4 go one by one. Pointers to
   the first, and the distance from row to row. */
enum { NBDOT_ROWS = 4 };
typedef struct nbdot_strip {
    const uint8_t *q, *zp; /* zp NULL = none */
    const float *scale;
    int64_t q_step, zp_step, scale_step;
    int64_t rows, j;
} nbdot_strip;

static inline nbdot_strip nbdot_strip_at(const lmn_nbdot_block *b, int64_t j)
{
    const lmn_nbdot_weights *w = &b->w;
    const bool four = b->n - j >= NBDOT_ROWS;
    nbdot_strip t = {.rows = four ? NBDOT_ROWS : 1, .j = j};
    t.q = w->q + j * w->row_bytes, t.scale = w->scale + j * w->n_blocks;
    if (w->zp) t.zp = w->zp + j * w->zp_bytes;
    if (four) t.q_step = w->row_bytes, t.zp_step = w->zp_bytes, t.scale_step = w->n_blocks;
    return t;
}

#endif
