/*
 * The table of nbits rows, made from nbits_variants.h, and the reference row.
 */
#include "kernels/nbits/nbits.h"

#define X(dt, var, isa, prio) \
    lmn_nbits_expand_fn lmn_nbits_##dt##_expand4_##var, lmn_nbits_##dt##_expand8_##var;
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

const lmn_nbits_row lmn_nbits_f32_rows[] = {
#define X(dt, var, isa, prio)                                             \
    {LMN_KROW(nbits, dt, var, isa, prio), lmn_nbits_##dt##_expand4_##var, \
     lmn_nbits_##dt##_expand8_##var},
#include "kernels/nbits/nbits_variants.h"
#undef X
};
const int32_t lmn_nbits_f32_n_rows = (int32_t)LMN_COUNT(lmn_nbits_f32_rows);
