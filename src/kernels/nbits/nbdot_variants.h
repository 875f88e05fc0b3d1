/*
 * Rows of the nbdot family: X(dtype, variant, ISA, prio, m, packs, runs). The functions of a row
 * are lmn_{nbdot,nbpanel}_<dtype>_pack_<packs> and lmn_{nbdot,nbpanel}_<dtype>_run_<runs>; tiles of
 * panels have up to m rows of A. An X list.
 */
X(i8, ref, REF, 0, 4, ref, ref)
#if defined(__x86_64__)
X(i8, avx2, AVX2, 10, 4, avx2, avx2)
X(i8, avx512vnni, AVX512VNNI, 30, 4, avx512vnni, avx512vnni)
X(i8, avx512wide, AVXVNNI, 35, 4, avx512vnni, wide_avx512vnni)
X(i8, amx, AMX, 40, 8, amx, amx)
#elif defined(__aarch64__)
X(i8, neondot, NEONDOT, 20, 4, neondot, neondot)
#endif
