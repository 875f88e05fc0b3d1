/*
 * What callers hand over (lamina/gemm.h): every extent, distance and pointer is looked at before
 * anything is computed, so that no sum of them overflows.
 */
#include "gemmapi/gemmapi_int.h"

_Static_assert((int)LAMINA_GEMM_LEAKYRELU == (int)LMN_EPI_LEAKYRELU,
               "operations keep their number");
_Static_assert((int)LAMINA_GEMM_LEAKYRELU == (int)LMN_EPI_KIND_COUNT - 1, "there is no other");
_Static_assert((int)LAMINA_GEMM_FULL == (int)LMN_EPI_FULL, "operands lie alike");
_Static_assert((int)LAMINA_GEMM_TRANS_A == (int)LMN_GEMM_TRANS_A, "flags are the same");
_Static_assert((int)LAMINA_GEMM_TRANS_B == (int)LMN_GEMM_TRANS_B, "flags are the same");
_Static_assert((int)LAMINA_GEMM_TRANS_A == (int)LMN_HGEMM_TRANS_A, "flags are the same");
_Static_assert((int)LAMINA_GEMM_TRANS_B == (int)LMN_HGEMM_TRANS_B, "flags are the same");

lamina_status lmn_gemmapi_extents_check(uint32_t flags, int64_t m, int64_t n, int64_t k,
                                        int64_t n_batch)
{
    LMN_CHECK(flags < 4 && (m | n | k | n_batch) >= 0, LAMINA_E_INVALID);
    return (m | n | k | n_batch) < EXTENT_END ? LAMINA_OK : LAMINA_E_RANGE;
}

lamina_status lmn_gemmapi_shape_check(const lamina_gemm_shape *s)
{
    LMN_CHECK(s->size == sizeof *s, LAMINA_E_INVALID);
    LMN_TRY(lmn_gemmapi_extents_check(s->flags, s->m, s->n, s->k, s->n_batch));
    LMN_CHECK(s->dtype == LAMINA_F32 || s->dtype == LAMINA_BF16 || s->dtype == LAMINA_F64,
              LAMINA_E_UNSUPPORTED);
    return LAMINA_OK;
}

lamina_status lmn_gemmapi_matrix_check(const matrix *x, int64_t n_batch)
{
    if (x->rows == 0 || x->cols == 0) return LAMINA_OK;
    LMN_CHECK(x->p && ((uintptr_t)x->p & (x->bytes - 1)) == 0, LAMINA_E_INVALID);
    LMN_CHECK(x->ld >= x->cols && x->batch >= 0, LAMINA_E_INVALID);
    if (LMN_LIKELY((x->ld | x->batch) < LMN_GEMMAPI_ELEMS_END >> 31)) return LAMINA_OK;
    int64_t rows, items, all;
    const bool fits =
        lmn_mul_i64(x->rows - 1, x->ld, &rows) && lmn_mul_i64(n_batch - 1, x->batch, &items) &&
        !__builtin_add_overflow(rows, items, &all) && all < LMN_GEMMAPI_ELEMS_END - x->cols;
    return fits ? LAMINA_OK : LAMINA_E_RANGE;
}

static lamina_status check_op(const lamina_gemm_shape *s, const lamina_gemm_op *op)
{
    LMN_CHECK(op->kind < LMN_EPI_KIND_COUNT && op->bcast <= LMN_EPI_FULL, LAMINA_E_INVALID);
    LMN_CHECK(!(op->reserved[0] | op->reserved[1] | op->reserved[2]), LAMINA_E_INVALID);
    if (op->kind > LMN_EPI_MUL || op->bcast == LMN_EPI_SCALAR) return LAMINA_OK;
    const bool full = op->bcast == LMN_EPI_FULL;
    const int64_t cols = op->bcast == LMN_EPI_ROW ? s->m : s->n;
    const matrix x = {op->x, full ? s->m : 1, cols, full ? op->ld : cols, op->batch, 4};
    return lmn_gemmapi_matrix_check(&x, s->n_batch);
}

lamina_status lmn_gemmapi_args_check(const lamina_gemm_shape *s, const lamina_gemm_args *a)
{
    const size_t c_bytes = s->dtype == LAMINA_F64 ? 8 : 4;
    const size_t bytes = s->dtype == LAMINA_BF16 ? 2 : c_bytes;
    const bool ta = s->flags & LAMINA_GEMM_TRANS_A, tb = s->flags & LAMINA_GEMM_TRANS_B;
    LMN_CHECK(a->size == sizeof *a && a->reserved == 0, LAMINA_E_INVALID);
    LMN_CHECK(a->n_ops >= 0 && a->n_ops <= LAMINA_GEMM_OPS_MAX, LAMINA_E_INVALID);
    LMN_CHECK(a->n_ops == 0 || a->ops, LAMINA_E_INVALID);
    LMN_CHECK(a->n_ops == 0 || s->dtype != LAMINA_F64, LAMINA_E_UNSUPPORTED);
    if (s->m == 0 || s->n == 0 || s->n_batch == 0) return LAMINA_OK;
    const matrix c = {a->c, s->m, s->n, a->ldc, a->c_batch, c_bytes};
    LMN_TRY(lmn_gemmapi_matrix_check(&c, s->n_batch));
    LMN_CHECK(s->n_batch == 1 || a->c_batch > 0, LAMINA_E_INVALID);
    for (int32_t i = 0; i < a->n_ops; i++) LMN_TRY(check_op(s, &a->ops[i]));
    if (a->alpha == 0) return LAMINA_OK;
    const matrix x = {a->a, ta ? s->k : s->m, ta ? s->m : s->k, a->lda, a->a_batch, bytes};
    LMN_TRY(lmn_gemmapi_matrix_check(&x, s->n_batch));
    if (a->packed) {
        LMN_CHECK(!ta && s->dtype == LAMINA_F32, LAMINA_E_UNSUPPORTED);
        LMN_CHECK(a->packed->dtype == LAMINA_F32, LAMINA_E_INVALID);
        return a->packed->n == s->n && a->packed->k == s->k ? LAMINA_OK : LAMINA_E_SHAPE;
    }
    const matrix y = {a->b, tb ? s->n : s->k, tb ? s->k : s->n, a->ldb, a->b_batch, bytes};
    return lmn_gemmapi_matrix_check(&y, s->n_batch);
}
