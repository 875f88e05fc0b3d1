/*
 * Rows of the hgemm family: X(dtype, variant, ISA, prio, MR, NR, group, elem, strip, small_m,
 * small_nt_m, nt_room, line_m, HEADS, F32, EPI, CODE, NT). The functions of a row are
 * lmn_hgemm_<dtype>_<what>_<CODE>, and small_nt_<NT>; F32 is HAS_F32 or NO_F32; EPI is the gemm.f32
 * row whose epilogue it uses. An X list.
 *
 * On CPUs whose products are twice as fast (Zen 5), few rows by transposed B wait for caches and
 * memory: see hgemm_dots_tmpl.h.
 */
X(bf16, ref, REF, 0, 4, 16, 1, 4, 16, 32, 32, 0, 0, false, NO_F32, ref, ref, ref)
X(f16, ref, REF, 0, 4, 16, 1, 4, 16, 32, 32, 0, 0, false, NO_F32, ref, ref, ref)
#if defined(__x86_64__)
X(bf16, avx2, AVX2, 10, 6, 16, 1, 4, 48, 32, 32, 0, 0, false, NO_F32, avx2, avx2, avx2)
X(f16, avx2, AVX2, 10, 6, 16, 1, 4, 48, 32, 32, 0, 0, false, NO_F32, avx2, avx2, avx2)
X(bf16, avx512, AVX512, 20, 8, 48, 1, 4, 48, 32, 32, 0, 0, false, NO_F32, avx512, avx512, avx512)
X(f16, avx512, AVX512, 20, 8, 48, 1, 4, 48, 32, 32, 0, 0, false, NO_F32, avx512, avx512, avx512)
X(bf16, avx512bf16, AVX512BF16, 30, 8, 48, 2, 2, 64, 32, 32, 0, 1, true, HAS_F32, avx512,
  avx512bf16, avx512bf16)
X(bf16, avx512wide, AVXVNNI, 35, 8, 48, 2, 2, 64, 32, 32, 2, 4, true, HAS_F32, avx512, avx512bf16,
  wide_avx512bf16)
X(bf16, amx, AMX, 40, 32, 32, 32, 2, 256, 4, 256, 2, 0, true, HAS_F32, avx512, amx, amx)
#elif defined(__aarch64__)
X(bf16, neon, NEON, 10, 6, 16, 1, 4, 48, 32, 32, 0, 0, false, NO_F32, neon, neon, neon)
X(f16, neon, NEON, 10, 6, 16, 1, 4, 48, 32, 32, 0, 0, false, NO_F32, neon, neon, neon)
#endif
