/*
 * The tables of hgemm rows, made from hgemm_variants.h: declarations first, then the rows of each
 * type.
 */
#include "kernels/hgemm/hgemm.h"

#define X(dt, var, isa, prio, mr, nr, group, elem, strip, small_m, small_nt_m, nt_room, line_m, \
          heads, f32, epi, code, nt)                                                            \
    lmn_hgemm_block_fn lmn_hgemm_##dt##_block_##code;                                           \
    lmn_hgemm_lines_fn lmn_hgemm_##dt##_lines_##code;                                           \
    lmn_hgemm_small_fn lmn_hgemm_##dt##_small_nn_##code, lmn_hgemm_##dt##_small_nt_##nt;        \
    lmn_hgemm_pack_fn lmn_hgemm_##dt##_pack_nn_##code, lmn_hgemm_##dt##_pack_nt_##code,         \
        lmn_hgemm_##dt##_pack_nn_f32_##code, lmn_hgemm_##dt##_pack_nt_f32_##code;               \
    lmn_hgemm_rows_fn lmn_hgemm_##dt##_rows_##code, lmn_hgemm_##dt##_rows_f32_##code,           \
        lmn_hgemm_##dt##_widen_##code;                                                          \
    lmn_hgemm_narrow_fn lmn_hgemm_##dt##_narrow_##code;                                         \
    lmn_epi_fn lmn_gemm_f32_epi_##epi;
#include "kernels/hgemm/hgemm_variants.h"
#undef X

/* Which variants read windows where they lie. */
#define LINES_ref(fn) NULL
#define LINES_avx2(fn) NULL
#define LINES_avx512(fn) NULL
#define LINES_avx512bf16(fn) fn
#define LINES_amx(fn) fn
#define LINES_neon(fn) NULL
#define NO_F32(fn) NULL
#define HAS_F32(fn) fn
#define ROW(dt, var, isa, prio, mr, nr, group, elem, strip, small_m, small_nt_m, nt_room, line_m, \
            heads, f32, epi, code, nt)                                                            \
    {LMN_KROW(hgemm, dt, var, isa, prio),                                                         \
     mr,                                                                                          \
     nr,                                                                                          \
     group,                                                                                       \
     elem,                                                                                        \
     strip,                                                                                       \
     small_m,                                                                                     \
     small_nt_m,                                                                                  \
     nt_room,                                                                                     \
     line_m,                                                                                      \
     heads,                                                                                       \
     (group) > 2,                                                                                 \
     (group) > 2,                                                                                 \
     lmn_hgemm_##dt##_block_##code,                                                               \
     LINES_##code(lmn_hgemm_##dt##_lines_##code),                                                 \
     lmn_hgemm_##dt##_small_nn_##code,                                                            \
     lmn_hgemm_##dt##_small_nt_##nt,                                                              \
     lmn_hgemm_##dt##_pack_nn_##code,                                                             \
     lmn_hgemm_##dt##_pack_nt_##code,                                                             \
     lmn_hgemm_##dt##_rows_##code,                                                                \
     f32(lmn_hgemm_##dt##_pack_nn_f32_##code),                                                    \
     f32(lmn_hgemm_##dt##_pack_nt_f32_##code),                                                    \
     f32(lmn_hgemm_##dt##_rows_f32_##code),                                                       \
     lmn_hgemm_##dt##_widen_##code,                                                               \
     lmn_hgemm_##dt##_narrow_##code,                                                              \
     lmn_gemm_f32_epi_##epi},

#define ROWS_bf16(...) ROW(__VA_ARGS__)
#define ROWS_f16(...)
#define X(dt, ...) ROWS_##dt(dt, __VA_ARGS__)
const lmn_hgemm_row lmn_hgemm_bf16_rows[] = {
#include "kernels/hgemm/hgemm_variants.h"
};
#undef ROWS_bf16
#undef ROWS_f16
#define ROWS_bf16(...)
#define ROWS_f16(...) ROW(__VA_ARGS__)
const lmn_hgemm_row lmn_hgemm_f16_rows[] = {
#include "kernels/hgemm/hgemm_variants.h"
};
#undef X

const int32_t lmn_hgemm_bf16_n_rows = (int32_t)LMN_COUNT(lmn_hgemm_bf16_rows);
const int32_t lmn_hgemm_f16_n_rows = (int32_t)LMN_COUNT(lmn_hgemm_f16_rows);
