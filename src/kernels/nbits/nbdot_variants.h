/*
 * Rows of the nbdot family: X(dtype, variant, ISA, prio, m). The functions of a row are
 * lmn_nbdot_<dtype>_{pack,run}_<variant> and lmn_nbpanel_<dtype>_{pack,run}_<variant>, whose tiles
 * have up to m rows of A. An X list.
 */
X(i8, ref, REF, 0, 4)
#if defined(__x86_64__)
X(i8, avx2, AVX2, 10, 4)
X(i8, avx512vnni, AVX512VNNI, 30, 4)
X(i8, amx, AMX, 40, 8)
#elif defined(__aarch64__)
X(i8, neondot, NEONDOT, 20, 4)
#endif
