/*
 * The portable gemm row: the contract of gemm.h in the plainest form, sums in GEMM_WIDE. It is what
 * runs on a CPU without vector units and what a reader should look at first. Not fast on purpose.
 * Included by gemm_ref.c and dgemm_ref.c with GEMM_T, GEMM_F, GEMM_REAL and end_block defined.
 */
#ifndef LMN_KERNELS_GEMM_REF_TMPL_H
#define LMN_KERNELS_GEMM_REF_TMPL_H

enum { REF_NR = 16 };

/* B[k][j] is b[k * sk + (j / nr) * panel + (j % nr) * sj] of each term. */
typedef struct layout {
    int64_t nr, panel, sk, sj;
} layout;

static GEMM_WIDE dot(const GEMM_REAL *a, const GEMM_REAL *b, int64_t sk, int64_t n_k)
{
    GEMM_WIDE sum = 0;
    for (int64_t k = 0; k < n_k; k++) sum += (GEMM_WIDE)a[k] * b[k * sk];
    return sum;
}

static GEMM_WIDE all_terms(const GEMM_T(block) * t, const layout *l, int64_t i, int64_t j)
{
    const int64_t b_at = j / l->nr * l->panel + j % l->nr * l->sj;
    const GEMM_T(terms) *s = t->terms;
    if (!s) return dot(t->a + i * t->lda, t->b + b_at, l->sk, t->k);
    GEMM_WIDE sum = 0;
    for (int64_t q = 0; q < s->n; q++) {
        const GEMM_REAL *a =
            s->a_list ? s->a_list[q] : s->a + (s->a_off ? s->a_off[q] : q * s->a_step);
        const GEMM_REAL *b =
            s->b_list ? s->b_list[q] : s->b + (s->b_off ? s->b_off[q] : q * s->b_step);
        sum += dot(a + i * t->lda, b + b_at, l->sk, t->k);
    }
    return sum;
}

static void multiply(const GEMM_T(block) * t, layout l)
{
    const int64_t step = t->c_step ? t->c_step : 1;
    for (int64_t i = 0; i < t->m; i++) {
        for (int64_t j = 0; j < t->n; j++) {
            GEMM_REAL *c = t->c + i * t->ldc + j * step;
            *c = (GEMM_REAL)((t->beta ? *c : 0) + all_terms(t, &l, i, j));
        }
    }
}

void GEMM_F(block)(const GEMM_T(block) * t)
{
    if (t->b_from)
        GEMM_F(pack_nn)((GEMM_REAL *)(uintptr_t)t->b, t->b_from, t->b_from_ld, t->k, t->n);
    multiply(t, (layout){REF_NR, t->b_panel, t->ldb, 1});
    if (t->epi) end_block(t);
}
void GEMM_F(small_nn)(const GEMM_T(block) * t)
{
    multiply(t, (layout){1, 1, t->ldb, 1});
}
void GEMM_F(small_nt)(const GEMM_T(block) * t)
{
    multiply(t, (layout){1, t->ldb, 1, 1});
}

static void pack(GEMM_REAL *packed, const GEMM_REAL *b, int64_t sk, int64_t sj, int64_t k,
                 int64_t n)
{
    for (int64_t j = 0; j < (n + REF_NR - 1) / REF_NR * REF_NR; j++) {
        GEMM_REAL *panel = packed + j / REF_NR * REF_NR * k + j % REF_NR;
        for (int64_t p = 0; p < k; p++) panel[p * REF_NR] = j < n ? b[p * sk + j * sj] : 0;
    }
}
void GEMM_F(pack_nn)(GEMM_REAL *restrict packed, const GEMM_REAL *restrict b, int64_t ldb,
                     int64_t k, int64_t n)
{
    pack(packed, b, ldb, 1, k, n);
}
void GEMM_F(pack_nt)(GEMM_REAL *restrict packed, const GEMM_REAL *restrict b, int64_t ldb,
                     int64_t k, int64_t n)
{
    pack(packed, b, 1, ldb, k, n);
}

#endif
