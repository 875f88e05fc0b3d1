/*
 * Packed weights: op(B) as panels of the kernel's width, each k long, one behind the other, so that
 * any block of rows and columns of B is where the block kernel wants it. A B narrower than a panel,
 * or so small that the plan of a plain one reads it in place, lies as a plain one does. The order
 * of sums is that of the kernel's chain over k.
 */
#include "gemmapi/gemmapi_int.h"

#include "base/os/os_memory.h"

#include <string.h>

/* A plain B without gaps, for the plan of plain ones. */
static void pack_in_place(float *to, const float *b, int64_t ldb, const lamina_gemm_packed *w,
                          bool trans)
{
    const size_t row = (size_t)w->n * sizeof *to;
    for (int64_t k = 0; row && k < w->k; k++, to += w->n) {
        if (!trans) memcpy(to, b + k * ldb, row);
        for (int64_t j = 0; trans && j < w->n; j++) to[j] = b[j * ldb + k];
    }
}

lamina_status lmn_gemmapi_packed_create(lamina_gemm *g, lamina_dtype dtype, int64_t n, int64_t k,
                                        size_t bytes, lamina_gemm_packed **out)
{
    lamina_gemm_packed *w = lmn_calloc(&g->alloc, 1, sizeof *w, "packed weights");
    if (!w) return LAMINA_E_NOMEM;
    *w = (lamina_gemm_packed){.g = g, .n = n, .k = k, .dtype = dtype, .bytes = bytes};
    w->panels =
        lmn_alloc(&g->alloc, bytes, lmn_huge_align(bytes, LMN_TENSOR_ALIGN), "packed weights");
    if (bytes && !w->panels) {
        lamina_gemm_packed_destroy(w);
        return LAMINA_E_NOMEM;
    }
    lmn_advise_huge(w->panels, bytes);
    *out = w;
    return LAMINA_OK;
}

lamina_status lamina_gemm_pack(lamina_gemm *g, const lamina_gemm_shape *shape, const void *b,
                               int64_t ldb, lamina_gemm_packed **out)
{
    LMN_CHECK(g && shape && out, LAMINA_E_INVALID);
    LMN_TRY(lmn_gemmapi_shape_check(shape));
    LMN_CHECK(shape->n_batch == 1, LAMINA_E_INVALID);
    const int64_t n = shape->n, k = shape->k;
    const bool trans = shape->flags & LAMINA_GEMM_TRANS_B;
    const matrix x = {b, trans ? n : k, trans ? k : n, ldb, 0, sizeof(float)};
    LMN_TRY(lmn_gemmapi_matrix_check(&x, 1));
    LMN_CHECK(shape->dtype == LAMINA_F32, LAMINA_E_UNSUPPORTED);
    const lmn_gemm_row *row = g->kset.gemm_f32;
    size_t elems, bytes;
    const bool in_place = n < row->nr || (k <= LMN_GEMM_IN_PLACE && n <= LMN_GEMM_IN_PLACE &&
                                          n * k * (int64_t)sizeof(float) <= LMN_GEMM_IN_PLACE);
    LMN_CHECK(
        lmn_mul_size((size_t)(in_place ? n : lmn_round_up_i64(n, row->nr)), (size_t)k, &elems) &&
            lmn_mul_size(elems, sizeof(float), &bytes),
        LAMINA_E_NOMEM);
    lamina_gemm_packed *w;
    LMN_TRY(lmn_gemmapi_packed_create(g, LAMINA_F32, n, k, bytes, &w));
    w->in_place = in_place;
    if (in_place)
        pack_in_place(w->panels, b, ldb, w, trans);
    else if (bytes)
        (trans ? row->pack_nt : row->pack_nn)(w->panels, b, ldb, k, n);
    *out = w;
    return LAMINA_OK;
}

void lamina_gemm_packed_destroy(lamina_gemm_packed *w)
{
    if (!w) return;
    const lamina_allocator a = w->g->alloc;
    lmn_free(&a, w->panels, w->bytes, lmn_huge_align(w->bytes, LMN_TENSOR_ALIGN), "packed weights");
    lmn_cfree(&a, w, 1, sizeof *w, "packed weights");
}
