/*
 * The portable gemm row: the contract of gemm.h in the plainest form, sums in f64. It is what runs
 * on a CPU without vector units and what a reader should look at first. Not fast on purpose.
 */
#include "kernels/gemm/epi_ref.h"
#include "kernels/gemm/gemm.h"

enum { REF_NR = 16 };

lmn_gemm_block_fn lmn_gemm_f32_block_ref, lmn_gemm_f32_small_nn_ref, lmn_gemm_f32_small_nt_ref;
lmn_gemm_pack_fn lmn_gemm_f32_pack_nn_ref, lmn_gemm_f32_pack_nt_ref;
lmn_epi_fn lmn_gemm_f32_epi_ref;

/* B[k][j] is b[k * sk + (j / nr) * panel + (j % nr) * sj] of each term. */
typedef struct layout {
    int64_t nr, panel, sk, sj;
} layout;

static double dot(const float *a, const float *b, int64_t sk, int64_t n_k)
{
    double sum = 0;
    for (int64_t k = 0; k < n_k; k++) sum += (double)a[k] * b[k * sk];
    return sum;
}

static double all_terms(const lmn_gemm_block *t, const layout *l, int64_t i, int64_t j)
{
    const int64_t b_at = j / l->nr * l->panel + j % l->nr * l->sj;
    const lmn_gemm_terms *s = t->terms;
    if (!s) return dot(t->a + i * t->lda, t->b + b_at, l->sk, t->k);
    double sum = 0;
    for (int64_t q = 0; q < s->n; q++) {
        const float *a = s->a_list ? s->a_list[q] : s->a + (s->a_off ? s->a_off[q] : q * s->a_step);
        const float *b = s->b_list ? s->b_list[q] : s->b + (s->b_off ? s->b_off[q] : q * s->b_step);
        sum += dot(a + i * t->lda, b + b_at, l->sk, t->k);
    }
    return sum;
}

static void multiply(const lmn_gemm_block *t, layout l)
{
    const int64_t step = t->c_step ? t->c_step : 1;
    for (int64_t i = 0; i < t->m; i++) {
        for (int64_t j = 0; j < t->n; j++) {
            float *c = t->c + i * t->ldc + j * step;
            *c = (float)((t->beta ? *c : 0) + all_terms(t, &l, i, j));
        }
    }
}

void lmn_gemm_f32_block_ref(const lmn_gemm_block *t)
{
    if (t->b_from)
        lmn_gemm_f32_pack_nn_ref((float *)(uintptr_t)t->b, t->b_from, t->b_from_ld, t->k, t->n);
    multiply(t, (layout){REF_NR, t->b_panel, t->ldb, 1});
    lmn_epi_block e = {t->c, t->ldc, t->row, t->col, t->m, t->n, t->item};
    if (t->epi) lmn_gemm_f32_epi_ref(t->epi, &e);
}
void lmn_gemm_f32_small_nn_ref(const lmn_gemm_block *t)
{
    multiply(t, (layout){1, 1, t->ldb, 1});
}
void lmn_gemm_f32_small_nt_ref(const lmn_gemm_block *t)
{
    multiply(t, (layout){1, t->ldb, 1, 1});
}

static void pack(float *packed, const float *b, int64_t sk, int64_t sj, int64_t k, int64_t n)
{
    for (int64_t j = 0; j < (n + REF_NR - 1) / REF_NR * REF_NR; j++) {
        float *panel = packed + j / REF_NR * REF_NR * k + j % REF_NR;
        for (int64_t p = 0; p < k; p++) panel[p * REF_NR] = j < n ? b[p * sk + j * sj] : 0.0f;
    }
}
void lmn_gemm_f32_pack_nn_ref(float *restrict packed, const float *restrict b, int64_t ldb,
                              int64_t k, int64_t n)
{
    pack(packed, b, ldb, 1, k, n);
}
void lmn_gemm_f32_pack_nt_ref(float *restrict packed, const float *restrict b, int64_t ldb,
                              int64_t k, int64_t n)
{
    pack(packed, b, 1, ldb, k, n);
}

void lmn_gemm_f32_epi_ref(const lmn_epi *epi, const lmn_epi_block *b)
{
    for (int32_t o = 0; o < epi->n_ops; o++) {
        for (int64_t i = 0; i < b->m; i++) {
            float *r = b->c + i * b->ldc;
            for (int64_t j = 0; j < b->n; j++) r[j] = (float)epi_ref_at(&epi->op[o], b, i, j, r[j]);
        }
    }
}
