/*
 * Rows of the cell family: X(dtype, variant, ISA, prio). The function of a row is
 * lmn_cell_<dtype>_<variant>. An X list.
 */
X(f32, ref, REF, 0)
#if defined(__x86_64__)
X(f32, avx2, AVX2, 10)
X(f32, avx512, AVX512, 20)
#elif defined(__aarch64__)
X(f32, neon, NEON, 10)
#endif
