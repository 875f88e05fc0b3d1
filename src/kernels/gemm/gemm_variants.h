/*
 * Rows of the gemm family: X(dtype, variant, ISA, prio, MR, NR, follows, lays, wide, copies,
 * far_k, stream_m, direct_m, direct_b, lines_m, code). The functions of a row are
 * lmn_gemm_<dtype>_{block,small_nn,small_nt,pack_nn,pack_nt,epi}_<code>. An X list.
 *
 * On CPUs with AMX, and no other feature says so, panels from memory come faster by fetches than by
 * the hardware alone (4 x 4096 x 4096 1.37, where Zen 4 has 0.7). Nor does their L3 give fast what
 * L2 lost: of a B that few rows of A read in place blocks of 32 rows and all
 * columns are 1.1 to 2.1 times as fast as 512 by 768, on Zen 4 0.8 to 1.03. For 33 to 96 rows of A
 * reading B in place instead of packing it is 1.0 to 1.09 on Zen 4 and 0.78 to 0.94 there; by 64
 * and 128 of them packed lines are 1.02 and 1.06 of packed pixels on Zen 4, 0.76 to 0.81 there.
 * More rows read a B of up to direct_b bytes in place: 1.01 to 1.1 on Zen 4 and 1.01 to 1.04 with
 * AMX, but by AVX2 0.98 to 1.02.
 *
 * avx512wide is for CPUs that multiply whole vectors of 512 bits twice a cycle (Zen 5) and read
 * memory at 54 GB/s by four runs without fetches, at 43 by eight with them.
 */
X(f32, ref, REF, 0, 4, 16, false, false, false, false, 512, 3, 32, 65536, 128, ref)
#if defined(__x86_64__)
X(f32, avx2, AVX2, 10, 6, 16, true, false, false, false, 512, 3, 32, 65536, 128, avx2)
X(f32, avx512, AVX512, 20, 8, 48, true, true, false, false, 512, 3, 96, 1048576, 128, avx512)
X(f32, avx512wide, AVXVNNI, 25, 8, 48, true, true, true, false, 512, 4, 96, 1048576, 128, avx512)
X(f32, avx512near, AMX, 30, 8, 48, false, true, false, true, 32, 3, 32, 524288, 32, avx512)
#elif defined(__aarch64__)
X(f32, neon, NEON, 10, 6, 16, true, false, false, false, 512, 3, 32, 65536, 128, neon)
#endif
