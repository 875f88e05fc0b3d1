/*
 * Rows of the nbdot family: X(dtype, variant, ISA, prio). The functions of a row are
 * lmn_nbdot_<dtype>_{pack,run}_<variant>. An X list.
 */
X(i8, ref, REF, 0)
#if defined(__x86_64__)
X(i8, avx2, AVX2, 10)
X(i8, avx512vnni, AVX512VNNI, 30)
#endif
