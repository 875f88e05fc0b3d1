/*
 * Rows of the attention family: X(dtype, variant, ISA, prio). The functions of a row are
 * lmn_attention_<dtype>_{soften,weigh,merge,finish}_<variant>. An X list.
 */
X(f32, ref, REF, 0)
#if defined(__x86_64__)
X(f32, avx2, AVX2, 10)
X(f32, avx512, AVX512, 20)
X(f32, avx512bf16, AVX512BF16, 30)
#elif defined(__aarch64__)
X(f32, neon, NEON, 10)
#endif
