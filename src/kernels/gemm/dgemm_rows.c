/*
 * The table of dgemm rows, made from dgemm_variants.h: declarations first, then the rows.
 */
#include "kernels/gemm/dgemm.h"

#define X(dt, var, isa, prio, mr, nr, follows, lays, wide, copies, far_k, stream_m, direct_m, \
          direct_b, lines_m, code)                                                            \
    lmn_dgemm_block_fn lmn_dgemm_##dt##_block_##code, lmn_dgemm_##dt##_small_nn_##code,       \
        lmn_dgemm_##dt##_small_nt_##code;                                                     \
    lmn_dgemm_pack_fn lmn_dgemm_##dt##_pack_nn_##code, lmn_dgemm_##dt##_pack_nt_##code;
#include "kernels/gemm/dgemm_variants.h"
#undef X

const lmn_dgemm_row lmn_dgemm_f64_rows[] = {
#define X(dt, var, isa, prio, mr, nr, follows, lays, wide, copies, far_k, stream_m, direct_m, \
          direct_b, lines_m, code)                                                            \
    {LMN_KROW(dgemm, dt, var, isa, prio),                                                     \
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
     lmn_dgemm_##dt##_block_##code,                                                           \
     lmn_dgemm_##dt##_small_nn_##code,                                                        \
     lmn_dgemm_##dt##_small_nt_##code,                                                        \
     lmn_dgemm_##dt##_pack_nn_##code,                                                         \
     lmn_dgemm_##dt##_pack_nt_##code,                                                         \
     NULL,                                                                                    \
     NULL},
#include "kernels/gemm/dgemm_variants.h"
#undef X
};
const int32_t lmn_dgemm_f64_n_rows = (int32_t)LMN_COUNT(lmn_dgemm_f64_rows);
