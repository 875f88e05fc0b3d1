/*
 * Rows of the gemm family: X(dtype, variant, ISA, prio, MR, NR). The functions of a row are
 * lmn_gemm_<dtype>_{block,small_nn,small_nt,pack_nn,pack_nt,epi}_<variant>. An X list.
 */
X(f32, ref, REF, 0, 4, 16)
#if defined(__x86_64__)
X(f32, avx2, AVX2, 10, 6, 16)
X(f32, avx512, AVX512, 20, 8, 48)
#elif defined(__aarch64__)
X(f32, neon, NEON, 10, 6, 16)
#endif
