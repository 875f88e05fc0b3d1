/*
 * Rows of the qgemm family: X(dtype, variant, ISA, prio, mr, nr, group, a_bytes, b_bytes, any_k,
 * stream, dot, dot_room, pack_bt, lines, signs, bt_bytes, code). The functions of a row are
 * lmn_qgemm_<dtype>_{block,pack_a,pack_b,taps,gather,windows}_<code>. An X list.
 *
 * avx512wide is for CPUs that multiply whole vectors of 512 bits twice a cycle (Zen 5): packing
 * weighs double, so that a transposed B is packed in smaller blocks (bt_bytes) that stay nearer.
 */
X(i8, ref, REF, 0, 4, 16, 4, 1, 1, false, NULL, NULL, 0, NULL, NULL, false, 393216, ref)
#if defined(__x86_64__)
X(i8, avx2, AVX2, 10, 6, 16, 2, 2, 2, false, NULL, NULL, 0, NULL, NULL, false, 393216, avx2)
X(i8, avx512vnni, AVX512VNNI, 30, 8, 48, 4, 1, 1, true, lmn_qgemm_i8_stream_avx512vnni,
  lmn_qgemm_i8_dot_avx512vnni, 0, lmn_qgemm_i8_pack_bt_avx512vnni, NULL, false, 393216, avx512vnni)
X(i8, avx512wide, AVXVNNI, 35, 8, 48, 4, 1, 1, true, lmn_qgemm_i8_stream_avx512vnni,
  lmn_qgemm_i8_dot_wide_avx512vnni, 0, lmn_qgemm_i8_pack_bt_avx512vnni, NULL, false, 147456,
  avx512vnni)
X(i8, amx, AMX, 40, 32, 32, 64, 1, 1, false, lmn_qgemm_i8_stream_avx512vnni, lmn_qgemm_i8_dot_amx,
  32, lmn_qgemm_i8_pack_bt_amx, lmn_qgemm_i8_lines_amx, true, 393216, amx)
#elif defined(__aarch64__)
X(i8, neondot, NEONDOT, 20, 4, 16, 4, 1, 1, false, NULL, NULL, 0, NULL, NULL, false, 393216,
  neondot)
#endif
