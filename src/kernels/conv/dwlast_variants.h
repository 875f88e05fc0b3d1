/*
 * Rows of the dwlast family: X(dtype, variant, ISA, prio, rest). The function of a row is
 * lmn_dwlast_<dtype>_<variant>; max, planes and mean are those of the variant `rest`. An X list.
 */
X(bf16, ref, REF, 0, ref)
#if defined(__x86_64__)
X(bf16, avx512bf16, AVX512BF16, 20, avx512bf16)
X(bf16, amx, AMX, 30, avx512bf16)
#endif
