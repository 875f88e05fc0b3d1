/*
 * Rows of the dwconv family: X(dtype, variant, ISA, prio, code). The function of a row is
 * lmn_dwconv_<dtype>_<code>. An X list.
 *
 * Small planes two a vector are 1.1 times as fast at stride 2 on Zen 4, but 0.85 at stride 1, on
 * Emerald Rapids 1.6 and 1.4, on Zen 5 1.4 at stride 1; there fewer instructions and loads pay, of
 * larger planes too.
 */
X(f32, ref, REF, 0, ref)
#if defined(__x86_64__)
X(f32, avx2, AVX2, 10, avx2)
X(f32, avx512, AVX512, 20, avx512)
X(f32, avx512wide, AVXVNNI, 25, wide_avx512)
#elif defined(__aarch64__)
X(f32, neon, NEON, 10, neon)
#endif
