/*
 * Rows of the dgemm family: X(dtype, variant, ISA, prio, MR, NR), as gemm_variants.h. An X list.
 */
X(f64, ref, REF, 0, 4, 16)
#if defined(__x86_64__)
X(f64, avx2, AVX2, 10, 6, 8)
X(f64, avx512, AVX512, 20, 8, 24)
#endif
