/*
 * The table of gemm rows, made from gemm_variants.h: declarations first, then the rows.
 */
#include "kernels/gemm/gemm.h"

#define X(dt, var, isa, prio, mr, nr, follows, lays, wide, copies, far_k, stream_m, direct_m, \
          direct_b, lines_m, code)                                                            \
    lmn_gemm_block_fn lmn_gemm_##dt##_block_##code, lmn_gemm_##dt##_small_nn_##code,          \
        lmn_gemm_##dt##_small_nt_##code;                                                      \
    lmn_gemm_pack_fn lmn_gemm_##dt##_pack_nn_##code, lmn_gemm_##dt##_pack_nt_##code;          \
    lmn_epi_fn lmn_gemm_##dt##_epi_##code;                                                    \
    lmn_gemm_tiny_fn lmn_gemm_##dt##_tiny_##code;
#include "kernels/gemm/gemm_variants.h"
#undef X

const lmn_gemm_row lmn_gemm_f32_rows[] = {
#define X(dt, var, isa, prio, mr, nr, follows, lays, wide, copies, far_k, stream_m, direct_m, \
          direct_b, lines_m, code)                                                            \
    {LMN_KROW(gemm, dt, var, isa, prio),                                                      \
     mr,                                                                                      \
     nr,                                                                                      \
     follows,                                                                                 \
     lays,                                                                                    \
     wide,                                                                                    \
     copies,                                                                                  \
     far_k,                                                                                   \
     stream_m,                                                                                \
     direct_m,                                                                                \
     direct_b,                                                                                \
     lines_m,                                                                                 \
     lmn_gemm_##dt##_block_##code,                                                            \
     lmn_gemm_##dt##_small_nn_##code,                                                         \
     lmn_gemm_##dt##_small_nt_##code,                                                         \
     lmn_gemm_##dt##_pack_nn_##code,                                                          \
     lmn_gemm_##dt##_pack_nt_##code,                                                          \
     lmn_gemm_##dt##_epi_##code,                                                              \
     lmn_gemm_##dt##_tiny_##code},
#include "kernels/gemm/gemm_variants.h"
#undef X
};
const int32_t lmn_gemm_f32_n_rows = (int32_t)LMN_COUNT(lmn_gemm_f32_rows);
