/*
 * Rows of the dgemm family: as gemm_variants.h. An X list.
 */
X(f64, ref, REF, 0, 4, 16, false, false, false, false, 256, 3, 32, 65536, 0, ref)
#if defined(__x86_64__)
X(f64, avx2, AVX2, 10, 6, 8, true, false, false, false, 256, 3, 32, 65536, 0, avx2)
X(f64, avx512, AVX512, 20, 8, 24, true, true, false, false, 256, 3, 32, 65536, 0, avx512)
X(f64, avx512wide, AVXVNNI, 25, 8, 24, true, true, true, false, 256, 3, 32, 65536, 0, avx512)
X(f64, avx512near, AMX, 30, 8, 24, false, true, false, false, 256, 3, 32, 65536, 0, avx512)
#elif defined(__aarch64__)
X(f64, neon, NEON, 10, 6, 8, true, false, false, false, 256, 3, 32, 65536, 0, neon)
#endif
