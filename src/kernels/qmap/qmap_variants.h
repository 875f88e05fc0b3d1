/*
 * Rows of the qmap family: X(dtype, variant, ISA, prio). The functions of a row are
 * lmn_qmap_<dtype>_{quantize,dequantize,pair,clip,max,requantize}_<variant>. An X list.
 */
X(i8, ref, REF, 0)
#if defined(__x86_64__)
X(i8, avx2, AVX2, 10)
X(i8, avx512, AVX512, 20)
#elif defined(__aarch64__)
X(i8, neon, NEON, 10)
#endif
