/*
 * The table of nbits rows, made from nbits_variants.h, and the reference row.
 */
#include "kernels/nbits/nbits.h"

#include <math.h>

#define X(dt, var, isa, prio, mul_m)                                                    \
    lmn_nbits_expand_fn lmn_nbits_##dt##_expand4_##var, lmn_nbits_##dt##_expand8_##var; \
    lmn_nbits_mul_fn lmn_nbits_##dt##_mul_##var;
#include "kernels/nbits/nbits_variants.h"
#undef X

void lmn_nbits_f32_expand4_ref(float *dst, const uint8_t *q, int64_t n, int64_t block,
                               const float *scale, const float *zp)
{
    lmn_nbits_tail4(dst, q, 0, n, block, scale, zp);
}
void lmn_nbits_f32_expand8_ref(float *dst, const uint8_t *q, int64_t n, int64_t block,
                               const float *scale, const float *zp)
{
    lmn_nbits_tail8(dst, q, 0, n, block, scale, zp);
}

static float dot_ref(const lmn_nbits_block *b, const float *a, int64_t j)
{
    const lmn_nbdot_weights *w = &b->w;
    float c[16] = {0};
    for (int64_t g = 0; g < b->groups; g++) {
        const uint8_t *q = w->q + j * w->row_bytes + g * 4 * w->bits;
        const float scale = w->scale[j * w->n_blocks + (g >> w->shift)];
        const float zp = lmn_nbits_zp_at(b, j, g >> w->shift);
        for (int64_t half = 0; half < 2; half++)
            for (int64_t l = 0; l < 16; l++) {
                const int v = w->bits == 4 ? (q[l] >> (4 * half)) & 15 : q[16 * half + l];
                const float weight = ((float)v - zp) * scale;
                c[l] = fmaf(weight, a[g * 32 + half * 16 + l], c[l]);
            }
    }
    for (int64_t n = 8; n > 0; n /= 2)
        for (int64_t l = 0; l < n; l++) c[l] += c[l + n];
    return c[0];
}

void lmn_nbits_f32_mul_ref(const lmn_nbits_block *b)
{
    for (int64_t i = 0; i < b->m; i++)
        for (int64_t j = 0; j < b->n; j++) {
            const float y = dot_ref(b, b->a + i * b->a_step, j);
            b->y[i * b->ldy + j] = b->bias ? y + b->bias[j] : y;
        }
}

const lmn_nbits_row lmn_nbits_f32_rows[] = {
#define X(dt, var, isa, prio, mul_m)                                      \
    {LMN_KROW(nbits, dt, var, isa, prio), lmn_nbits_##dt##_expand4_##var, \
     lmn_nbits_##dt##_expand8_##var, lmn_nbits_##dt##_mul_##var, mul_m},
#include "kernels/nbits/nbits_variants.h"
#undef X
};
const int32_t lmn_nbits_f32_n_rows = (int32_t)LMN_COUNT(lmn_nbits_f32_rows);
