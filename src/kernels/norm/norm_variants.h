/*
 * Rows of the norm family: X(dtype, variant, ISA, prio). The functions of a row are
 * lmn_norm_<dtype>_{softmax,softmax_down,log_softmax,layer,rms,planes,folds,folds_down}_<variant>.
 * An X list.
 */
X(f32, ref, REF, 0)
#if defined(__x86_64__)
X(f32, avx2, AVX2, 10)
X(f32, avx512, AVX512, 20)
#elif defined(__aarch64__)
X(f32, neon, NEON, 10)
#endif
