/*
 * The product behind all names: arguments checked in the order of the reference, column-major
 * turned into row-major (C' = op(B)' op(A)'), empty ones left at once as the reference does.
 */
#include "blas/blas_int.h"

static bool is_trans(int32_t trans)
{
    return trans >= BLAS_NO_TRANS && trans <= BLAS_CONJ_TRANS;
}

/* Number of the first wrong argument as CBLAS counts, 0 = none. With batches a stride follows each
   ld, and the count is the last. */
static int wrong_argument(const blas_product *p)
{
    const bool row = p->order == BLAS_ROW_MAJOR, batch = p->batch;
    const bool ta = p->trans_a != BLAS_NO_TRANS, tb = p->trans_b != BLAS_NO_TRANS;
    if (!row && p->order != BLAS_COL_MAJOR) return 1;
    if (!is_trans(p->trans_a)) return 2;
    if (!is_trans(p->trans_b)) return 3;
    if (p->m < 0) return 4;
    if (p->n < 0) return 5;
    if (p->k < 0) return 6;
    if (p->lda < lmn_max_i64(1, ta == row ? p->m : p->k)) return 9;
    if (p->stride_a < 0) return 10;
    if (p->ldb < lmn_max_i64(1, tb == row ? p->k : p->n)) return batch ? 12 : 11;
    if (p->stride_b < 0) return 13;
    if (p->ldc < lmn_max_i64(1, row ? p->n : p->m)) return batch ? 16 : 14;
    if (p->n_batch < 0) return 18;
    return p->n_batch > 1 && p->stride_c <= 0 ? 17 : 0;
}

static blas_product as_rows(const blas_product *p)
{
    blas_product r = *p;
    if (p->order == BLAS_ROW_MAJOR) return r;
    r.order = BLAS_ROW_MAJOR;
    r.m = p->n, r.n = p->m;
    r.a = p->b, r.b = p->a, r.lda = p->ldb, r.ldb = p->lda;
    r.stride_a = p->stride_b, r.stride_b = p->stride_a;
    r.trans_a = p->trans_b, r.trans_b = p->trans_a;
    return r;
}

static lamina_status compute(const blas_product *r)
{
    lamina_gemm *g = lmn_blas_gemm();
    if (!g) return LAMINA_E_NOMEM;
    const uint32_t flags = (r->trans_a != BLAS_NO_TRANS ? LAMINA_GEMM_TRANS_A : 0) |
                           (r->trans_b != BLAS_NO_TRANS ? LAMINA_GEMM_TRANS_B : 0);
    const lamina_gemm_shape s = {sizeof s, r->ab_type, flags, r->m, r->n, r->k, r->n_batch};
    const lamina_gemm_args a = {.size = sizeof a,
                                .a = r->a,
                                .b = r->b,
                                .c = r->c,
                                .lda = r->lda,
                                .ldb = r->ldb,
                                .ldc = r->ldc,
                                .a_batch = r->stride_a,
                                .b_batch = r->stride_b,
                                .c_batch = r->stride_c,
                                .alpha = r->alpha,
                                .beta = r->beta};
    return lamina_gemm_once(g, &s, &a);
}

void lmn_blas_product(const blas_product *p)
{
    const int wrong = wrong_argument(p);
    if (LMN_UNLIKELY(wrong)) {
        lmn_blas_complain(p->name, wrong - p->fortran);
        return;
    }
    if (p->m == 0 || p->n == 0 || p->n_batch == 0) return;
    if ((p->k == 0 || p->alpha == 0) && p->beta == 1) return;
    const blas_product r = as_rows(p);
    if (LMN_UNLIKELY(compute(&r) != LAMINA_OK)) lmn_blas_plain(&r);
}
