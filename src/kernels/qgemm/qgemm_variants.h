/*
 * Rows of the qgemm family: X(dtype, variant, ISA, prio, mr, nr, group, a_bytes, b_bytes, any_k,
 * stream, dot, dot_room, pack_bt, lines, signs). The functions of a row are
 * lmn_qgemm_<dtype>_{block,pack_a,pack_b,taps,gather,windows}_<variant>. An X list.
 */
X(i8, ref, REF, 0, 4, 16, 4, 1, 1, false, NULL, NULL, 0, NULL, NULL, false)
#if defined(__x86_64__)
X(i8, avx2, AVX2, 10, 6, 16, 2, 2, 2, false, NULL, NULL, 0, NULL, NULL, false)
X(i8, avx512vnni, AVX512VNNI, 30, 8, 48, 4, 1, 1, true, lmn_qgemm_i8_stream_avx512vnni,
  lmn_qgemm_i8_dot_avx512vnni, 0, lmn_qgemm_i8_pack_bt_avx512vnni, NULL, false)
X(i8, amx, AMX, 40, 32, 32, 64, 1, 1, false, lmn_qgemm_i8_stream_avx512vnni, lmn_qgemm_i8_dot_amx,
  32, lmn_qgemm_i8_pack_bt_amx, lmn_qgemm_i8_lines_amx, true)
#elif defined(__aarch64__)
X(i8, neondot, NEONDOT, 20, 4, 16, 4, 1, 1, false, NULL, NULL, 0, NULL, NULL, false)
#endif
