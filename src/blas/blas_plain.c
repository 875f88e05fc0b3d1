/*
 * The product when memory is out: one sum in f64 an element, in place, by plain loops.
 */
#include "blas/blas_int.h"

static double element(const void *x, lamina_dtype type, int64_t i)
{
    if (type == LAMINA_F64) return ((const double *)x)[i];
    if (type == LAMINA_F32) return (double)((const float *)x)[i];
    const uint32_t bits = (uint32_t)((const uint16_t *)x)[i] << 16;
    float f;
    __builtin_memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static double dot(const blas_product *p, int64_t item, int64_t i, int64_t j)
{
    const bool ta = p->trans_a != BLAS_NO_TRANS, tb = p->trans_b != BLAS_NO_TRANS;
    const int64_t a0 = item * p->stride_a + (ta ? i : i * p->lda), as = ta ? p->lda : 1;
    const int64_t b0 = item * p->stride_b + (tb ? j * p->ldb : j), bs = tb ? 1 : p->ldb;
    double sum = 0;
    for (int64_t q = 0; q < p->k; q++)
        sum += element(p->a, p->ab_type, a0 + q * as) * element(p->b, p->ab_type, b0 + q * bs);
    return sum;
}

void lmn_blas_plain(const blas_product *p)
{
    for (int64_t row = 0; row < p->n_batch * p->m; row++) {
        const int64_t item = row / p->m, i = row % p->m;
        for (int64_t j = 0; j < p->n; j++) {
            const int64_t at = item * p->stride_c + i * p->ldc + j;
            const double c = p->beta == 0 ? 0 : p->beta * element(p->c, p->c_type, at);
            const double v = p->alpha == 0 ? c : p->alpha * dot(p, item, i, j) + c;
            if (p->c_type == LAMINA_F64)
                ((double *)p->c)[at] = v;
            else
                ((float *)p->c)[at] = (float)v;
        }
    }
}
