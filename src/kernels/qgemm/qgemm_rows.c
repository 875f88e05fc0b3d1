/*
 * The table of qgemm rows, made from qgemm_variants.h.
 */
#include "kernels/qgemm/qgemm.h"

lmn_qgemm_stream_fn lmn_qgemm_i8_stream_avx512vnni, lmn_qgemm_i8_dot_avx512vnni,
    lmn_qgemm_i8_dot_wide_avx512vnni, lmn_qgemm_i8_dot_amx;
lmn_qgemm_lines_fn lmn_qgemm_i8_lines_amx;
lmn_qgemm_pack_fn lmn_qgemm_i8_pack_bt_avx512vnni, lmn_qgemm_i8_pack_bt_amx;

#define X(dt, var, isa, prio, mr, nr, group, ab, bb, any_k, stream, dot, dot_room, pack_bt, lines, \
          signs, bt_bytes, code)                                                                   \
    lmn_qgemm_block_fn lmn_qgemm_##dt##_block_##code;                                              \
    lmn_qgemm_taps_fn lmn_qgemm_##dt##_taps_##code;                                                \
    lmn_qgemm_gather_fn lmn_qgemm_##dt##_gather_##code;                                            \
    lmn_qgemm_windows_fn lmn_qgemm_##dt##_windows_##code;                                          \
    lmn_qgemm_pack_fn lmn_qgemm_##dt##_pack_a_##code, lmn_qgemm_##dt##_pack_b_##code;
#include "kernels/qgemm/qgemm_variants.h"
#undef X

const lmn_qgemm_row lmn_qgemm_i8_rows[] = {
#define X(dt, var, isa, prio, mr, nr, group, ab, bb, any_k, stream, dot, dot_room, pack_bt, lines, \
          signs, bt_bytes, code)                                                                   \
    {LMN_KROW(qgemm, dt, var, isa, prio),                                                          \
     mr,                                                                                           \
     nr,                                                                                           \
     group,                                                                                        \
     ab,                                                                                           \
     bb,                                                                                           \
     lmn_qgemm_##dt##_block_##code,                                                                \
     lmn_qgemm_##dt##_pack_a_##code,                                                               \
     lmn_qgemm_##dt##_pack_b_##code,                                                               \
     lmn_qgemm_##dt##_taps_##code,                                                                 \
     lmn_qgemm_##dt##_gather_##code,                                                               \
     lmn_qgemm_##dt##_windows_##code,                                                              \
     stream,                                                                                       \
     any_k,                                                                                        \
     dot,                                                                                          \
     dot_room,                                                                                     \
     pack_bt,                                                                                      \
     lines,                                                                                        \
     signs,                                                                                        \
     bt_bytes},
#include "kernels/qgemm/qgemm_variants.h"
#undef X
};
const int32_t lmn_qgemm_i8_n_rows = (int32_t)LMN_COUNT(lmn_qgemm_i8_rows);
