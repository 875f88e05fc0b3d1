/*
 * Rows of the nbits family: X(dtype, variant, ISA, prio, mul_m). The functions of a row are
 * lmn_nbits_<dtype>_{expand4,expand8,mul}_<variant>. An X list.
 */
X(f32, ref, REF, 0, 1)
#if defined(__x86_64__)
X(f32, avx2, AVX2, 10, 2)
X(f32, avx512, AVX512, 20, 8)
#elif defined(__aarch64__)
X(f32, neon, NEON, 10, 2)
#endif
