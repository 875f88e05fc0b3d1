/*
 * The portable gemm row in f32, and its epilogue; see gemm_ref_tmpl.h.
 */
#include "kernels/gemm/epi_ref.h"
#include "kernels/gemm/gemm.h"

lmn_gemm_block_fn lmn_gemm_f32_block_ref, lmn_gemm_f32_small_nn_ref, lmn_gemm_f32_small_nt_ref;
lmn_gemm_pack_fn lmn_gemm_f32_pack_nn_ref, lmn_gemm_f32_pack_nt_ref;
lmn_epi_fn lmn_gemm_f32_epi_ref;
lmn_gemm_tiny_fn lmn_gemm_f32_tiny_ref;

void lmn_gemm_f32_epi_ref(const lmn_epi *epi, const lmn_epi_block *b)
{
    for (int32_t o = 0; o < epi->n_ops; o++) {
        for (int64_t i = 0; i < b->m; i++) {
            float *r = b->c + i * b->ldc;
            for (int64_t j = 0; j < b->n; j++) r[j] = (float)epi_ref_at(&epi->op[o], b, i, j, r[j]);
        }
    }
}

static void end_block(const lmn_gemm_block *t)
{
    const lmn_epi_block e = {t->c, t->ldc, t->row, t->col, t->m, t->n, t->item};
    lmn_gemm_f32_epi_ref(t->epi, &e);
}

#define GEMM_T(name) lmn_gemm_##name
#define GEMM_F(name) lmn_gemm_f32_##name##_ref
#define GEMM_REAL float
#define GEMM_WIDE double
#include "kernels/gemm/gemm_ref_tmpl.h"

void lmn_gemm_f32_tiny_ref(const lmn_gemm_tiny *t)
{
    const lmn_gemm_block b = {.a = t->a,
                              .b = t->b,
                              .c = t->c,
                              .lda = t->lda,
                              .ldb = t->ldb,
                              .b_panel = REF_NR,
                              .ldc = t->ldc,
                              .m = t->m,
                              .n = t->n,
                              .k = t->k,
                              .beta = t->beta};
    lmn_gemm_f32_block_ref(&b);
}
