/*
 * Rows of the dwlast family: X(dtype, variant, ISA, prio). The function of a row is
 * lmn_dwlast_<dtype>_<variant>. An X list.
 */
X(bf16, ref, REF, 0)
#if defined(__x86_64__)
X(bf16, avx512bf16, AVX512BF16, 20)
#endif
