/*
 * The portable hgemm rows: the contract of hgemm.h in the plainest form, sums in f64. One body for
 * both types; operands are widened to f32 (elem 4). Not fast on purpose.
 */
#include "kernels/hgemm/hgemm.h"
#include "kernels/hgemm/hgemm_half.h"

enum { REF_NR = 16 };

typedef float from_fn(uint16_t h);
typedef uint16_t to_fn(float f);

static void block(const lmn_hgemm_block *t)
{
    const float *a = t->a;
    for (int64_t i = 0; i < t->m; i++) {
        for (int64_t j = 0; j < t->n; j++) {
            const float *b = (const float *)t->b + j / REF_NR * t->b_panel + j % REF_NR;
            float *c = t->c + i * t->ldc + j;
            double sum = t->beta ? *c : 0;
            for (int64_t k = 0; k < t->k; k++) sum += (double)a[i * t->lda + k] * b[k * REF_NR];
            *c = (float)sum;
        }
    }
}

/* B[k][j] is b[k * sk + j * sj]. */
static void small(const lmn_hgemm_small *t, int64_t sk, int64_t sj, from_fn *from)
{
    const float *a = t->a;
    for (int64_t i = 0; i < t->m; i++) {
        for (int64_t j = 0; j < t->n; j++) {
            double sum = 0;
            for (int64_t k = 0; k < t->k; k++)
                sum += (double)a[i * t->lda + k] * from(hgemm_load16(t->b + k * sk + j * sj));
            t->c[i * t->ldc + j] = (float)sum;
        }
    }
}

static void pack(const lmn_hgemm_pack *p, int64_t sk, int64_t sj, from_fn *from)
{
    const uint16_t *b = p->src;
    for (int64_t j = 0; j < lmn_round_up_i64(p->n, REF_NR); j++) {
        float *dst = (float *)p->dst + j / REF_NR * p->panel + j % REF_NR;
        for (int64_t k = 0; k < p->k; k++)
            dst[k * REF_NR] = j < p->n ? from(hgemm_load16(b + k * sk + j * sj)) : 0.0f;
    }
}

static void rows(const lmn_hgemm_rows *r, from_fn *from)
{
    for (int64_t i = 0; i < r->m; i++) {
        const uint16_t *src = (const uint16_t *)r->src + i * r->ld;
        float *dst = (float *)r->dst + i * r->ld_dst;
        for (int64_t k = 0; k < r->padded; k++) dst[k] = k < r->k ? from(hgemm_load16(src + k)) : 0;
    }
}

static void narrow(uint16_t *dst, int64_t ld_dst, const float *src, int64_t ld, int64_t m,
                   int64_t n, to_fn *to)
{
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) dst[i * ld_dst + j] = to(src[i * ld + j]);
}

#define DEFINE(dt)                                                                                \
    lmn_hgemm_block_fn lmn_hgemm_##dt##_block_ref;                                                \
    lmn_hgemm_small_fn lmn_hgemm_##dt##_small_nn_ref, lmn_hgemm_##dt##_small_nt_ref;              \
    lmn_hgemm_pack_fn lmn_hgemm_##dt##_pack_nn_ref, lmn_hgemm_##dt##_pack_nt_ref;                 \
    lmn_hgemm_rows_fn lmn_hgemm_##dt##_rows_ref, lmn_hgemm_##dt##_widen_ref;                      \
    lmn_hgemm_narrow_fn lmn_hgemm_##dt##_narrow_ref;                                              \
    void lmn_hgemm_##dt##_block_ref(const lmn_hgemm_block *t)                                     \
    {                                                                                             \
        block(t);                                                                                 \
    }                                                                                             \
    void lmn_hgemm_##dt##_small_nn_ref(const lmn_hgemm_small *t)                                  \
    {                                                                                             \
        small(t, t->ldb, 1, hgemm_from_##dt);                                                     \
    }                                                                                             \
    void lmn_hgemm_##dt##_small_nt_ref(const lmn_hgemm_small *t)                                  \
    {                                                                                             \
        small(t, 1, t->ldb, hgemm_from_##dt);                                                     \
    }                                                                                             \
    void lmn_hgemm_##dt##_pack_nn_ref(const lmn_hgemm_pack *p)                                    \
    {                                                                                             \
        pack(p, p->ld, 1, hgemm_from_##dt);                                                       \
    }                                                                                             \
    void lmn_hgemm_##dt##_pack_nt_ref(const lmn_hgemm_pack *p)                                    \
    {                                                                                             \
        pack(p, 1, p->ld, hgemm_from_##dt);                                                       \
    }                                                                                             \
    void lmn_hgemm_##dt##_rows_ref(const lmn_hgemm_rows *r)                                       \
    {                                                                                             \
        rows(r, hgemm_from_##dt);                                                                 \
    }                                                                                             \
    void lmn_hgemm_##dt##_widen_ref(const lmn_hgemm_rows *r)                                      \
    {                                                                                             \
        rows(r, hgemm_from_##dt);                                                                 \
    }                                                                                             \
    void lmn_hgemm_##dt##_narrow_ref(uint16_t *dst, int64_t ld_dst, const float *src, int64_t ld, \
                                     int64_t m, int64_t n)                                        \
    {                                                                                             \
        narrow(dst, ld_dst, src, ld, m, n, hgemm_to_##dt);                                        \
    }

DEFINE(bf16)
DEFINE(f16)
