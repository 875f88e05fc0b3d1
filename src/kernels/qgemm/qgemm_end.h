/*
 * The end of a sum in plain C: what qgemm.h writes as V and C. The reference row is made of it, and
 * so are the requantising tails of other families.
 */
#ifndef LMN_KERNELS_QGEMM_END_H
#define LMN_KERNELS_QGEMM_END_H

#include <math.h>

#include "kernels/qgemm/qgemm.h"

static inline int32_t lmn_qgemm_value(const lmn_qgemm_end *e, int64_t i, int64_t j, int32_t sum)
{
    uint32_t v = (uint32_t)sum + (uint32_t)e->row_add[i] + (uint32_t)e->col_add[j];
    if (e->col_zp) v -= (uint32_t)e->row_sum[i] * (uint32_t)e->col_zp[j];
    if (e->row_zp) v -= (uint32_t)e->row_zp[i] * (uint32_t)e->col_sum[j];
    return (int32_t)v;
}

/* Clamped before it is rounded, which gives the same integer and cannot overflow. */
static inline int32_t lmn_quantised(float x, int32_t zp, int32_t lo, int32_t hi)
{
    const float least = (float)(lo - zp), most = (float)(hi - zp);
    if (isnan(x)) x = 0.0f;
    x = x < least ? least : x > most ? most : x;
    return (int32_t)rintf(x) + zp;
}

static inline int32_t lmn_requant(int32_t v, float mul, int32_t zp, int32_t lo, int32_t hi)
{
    return lmn_quantised((float)v * mul, zp, lo, hi);
}

static inline void lmn_qgemm_store(const lmn_qgemm_end *e, int64_t i, int64_t j, int32_t sum)
{
    const int32_t v = lmn_qgemm_value(e, i, j, sum);
    const int64_t at = i * e->ldc + j;
    if (e->out == LMN_QGEMM_I32) {
        ((int32_t *)e->c)[at] = v;
        return;
    }
    float x = (float)v * (e->col_mul ? e->col_mul[j] : e->row_mul[i]);
    if (e->out == LMN_QGEMM_F32 && e->col_bias) x += e->col_bias[j];
    if (e->plus) x += e->plus[i * e->ld_plus + j];
    if (e->out == LMN_QGEMM_F32)
        ((float *)e->c)[at] = x;
    else
        ((uint8_t *)e->c)[at] = (uint8_t)lmn_quantised(x / e->div, e->zp, e->lo, e->hi);
}

#endif
