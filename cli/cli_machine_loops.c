/*
 * Loops that keep one part of a core busy: multiply-adds in registers, loads, stores, both.
 *
 * Target attributes instead of file flags: the file is called on any CPU, a function only where the
 * CPU has its instructions. Chains are spelled out with literal indices so that they stay in
 * registers; what goes through OPAQUE is unknown to the compiler, which therefore neither merges
 * chains nor drops them.
 */
#include "cli_machine.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define ANY "x"
#elif defined(__aarch64__)
#include <arm_neon.h>
#define ANY "w"
#endif

#define STEPS 12000
#define CHAINS 12
#define OPAQUE(v) __asm__ volatile("" : "+" ANY(v))
#define EACH_CHAIN(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define START(i) \
    a[i] = x;    \
    OPAQUE(a[i]);
#define END(i) OPAQUE(a[i]);

/* CHAINS * STEPS times a = STEP: an expression of a[i], x and y. */
#define BURST(name, attributes, vec, zero, STEP) \
    attributes static void name(void)            \
    {                                            \
        vec a[CHAINS], x = zero, y = zero;       \
        OPAQUE(x);                               \
        OPAQUE(y);                               \
        EACH_CHAIN(START)                        \
        for (int s = 0; s < STEPS; s++) {        \
            EACH_CHAIN(STEP)                     \
        }                                        \
        EACH_CHAIN(END)                          \
    }
#define OPS(lanes) (2.0 * STEPS * CHAINS * (lanes))

typedef float f32x4 __attribute__((vector_size(16)));
typedef double f64x2 __attribute__((vector_size(16)));

#if defined(__x86_64__)
#define TARGET(features) __attribute__((target(features)))
#define MUL_ADD(i) a[i] = a[i] * x + y;
#define FMA_PS8(i) a[i] = _mm256_fmadd_ps(a[i], x, y);
#define FMA_PD4(i) a[i] = _mm256_fmadd_pd(a[i], x, y);
#define FMA_PS16(i) a[i] = _mm512_fmadd_ps(a[i], x, y);
#define FMA_PD8(i) a[i] = _mm512_fmadd_pd(a[i], x, y);
#define DOT_U8(i) a[i] = _mm512_dpbusd_epi32(a[i], x, y);
#define DOT_BF16(i) a[i] = _mm512_dpbf16_ps(a[i], (__m512bh)x, (__m512bh)y);
BURST(f32_sse, , f32x4, {0}, MUL_ADD)
BURST(f64_sse, , f64x2, {0}, MUL_ADD)
BURST(f32_avx2, TARGET("avx2,fma"), __m256, _mm256_setzero_ps(), FMA_PS8)
BURST(f64_avx2, TARGET("avx2,fma"), __m256d, _mm256_setzero_pd(), FMA_PD4)
#undef ANY
#define ANY "v"
BURST(f32_avx512, TARGET("avx512f"), __m512, _mm512_setzero_ps(), FMA_PS16)
BURST(f64_avx512, TARGET("avx512f"), __m512d, _mm512_setzero_pd(), FMA_PD8)
BURST(i8_vnni, TARGET("avx512f,avx512vnni"), __m512i, _mm512_setzero_si512(), DOT_U8)
BURST(bf16_avx512, TARGET("avx512f,avx512bf16"), __m512, _mm512_setzero_ps(), DOT_BF16)
#undef ANY
#define ANY "x"

/* Eight tiles of 16 rows of 64 bytes. */
static void tiles(void)
{
    struct {
        uint8_t palette, start, zero[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } c = {.palette = 1};
    for (int t = 0; t < 8; t++) c.bytes[t] = 64, c.rows[t] = 16;
    __asm__ volatile("ldtilecfg %0" : : "m"(c));
}
#define TILE_STEPS 1500
#define TILE_OPS(macs) (2.0 * TILE_STEPS * 4 * 256 * (macs))
/* Assembled by name: the intrinsics are macros over it, or of a compiler's own. */
#define TILE_BURST(name, op)                                                                      \
    static void name(void)                                                                        \
    {                                                                                             \
        tiles();                                                                                  \
        for (int s = 0; s < TILE_STEPS; s++)                                                      \
            __asm__ volatile(op " %%tmm5, %%tmm4, %%tmm0\n\t" op " %%tmm5, %%tmm4, %%tmm1\n\t" op \
                                " %%tmm5, %%tmm4, %%tmm2\n\t" op " %%tmm5, %%tmm4, %%tmm3" ::     \
                                    : "memory");                                                  \
        __asm__ volatile("tilerelease");                                                          \
    }
TILE_BURST(i8_amx, "tdpbusd")
TILE_BURST(bf16_amx, "tdpbf16ps")

const cli_burst cli_bursts[] = {{CLI_F32, "", OPS(4), f32_sse},
                                {CLI_F32, "avx2", OPS(8), f32_avx2},
                                {CLI_F32, "avx512", OPS(16), f32_avx512},
                                {CLI_F64, "", OPS(2), f64_sse},
                                {CLI_F64, "avx2", OPS(4), f64_avx2},
                                {CLI_F64, "avx512", OPS(8), f64_avx512},
                                {CLI_BF16, "avx512bf16", OPS(32), bf16_avx512},
                                {CLI_BF16, "amx", TILE_OPS(32), bf16_amx},
                                {CLI_I8, "avx512vnni", OPS(64), i8_vnni},
                                {CLI_I8, "amx", TILE_OPS(64), i8_amx},
                                {0, NULL, 0, NULL}};
#elif defined(__aarch64__)
#define FMA_PS4(i) a[i] = vfmaq_f32(a[i], x, y);
#define FMA_PD2(i) a[i] = vfmaq_f64(a[i], x, y);
#define DOT_S8(i) __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(a[i]) : "w"(x), "w"(y));
BURST(f32_neon, , float32x4_t, vdupq_n_f32(0), FMA_PS4)
BURST(f64_neon, , float64x2_t, vdupq_n_f64(0), FMA_PD2)
BURST(i8_neon, __attribute__((target("arch=armv8.2-a+dotprod"))), int32x4_t, vdupq_n_s32(0), DOT_S8)

const cli_burst cli_bursts[] = {{CLI_F32, "neon", OPS(4), f32_neon},
                                {CLI_F64, "neon", OPS(2), f64_neon},
                                {CLI_I8, "neondot", OPS(16), i8_neon},
                                {0, NULL, 0, NULL}};
#else
#define ANY "m"
#define MUL_ADD(i) a[i] = a[i] * x + y;
BURST(f32_plain, , f32x4, {0}, MUL_ADD)
BURST(f64_plain, , f64x2, {0}, MUL_ADD)

const cli_burst cli_bursts[] = {
    {CLI_F32, "", OPS(4), f32_plain}, {CLI_F64, "", OPS(2), f64_plain}, {0, NULL, 0, NULL}};
#endif

/* Eight vectors a step; n is a multiple of 512. */
#define EACH_OF_8(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)
#define LOAD(i)           \
    {                     \
        vec v = p[k + i]; \
        OPAQUE(v);        \
    }
#define STORE(i) p[k + i] = v;
#define COPY(i) q[k + i] = p[k + i];
#define STREAM(name, attributes, width)                                  \
    attributes static void name##_read(char *at, size_t n, int passes)   \
    {                                                                    \
        typedef char vec __attribute__((vector_size(width), may_alias)); \
        const vec *p = (const vec *)at;                                  \
        for (int r = 0; r < passes; r++)                                 \
            for (size_t k = 0; k < n / width; k += 8) {                  \
                EACH_OF_8(LOAD)                                          \
            }                                                            \
    }                                                                    \
    attributes static void name##_write(char *at, size_t n, int passes)  \
    {                                                                    \
        typedef char vec __attribute__((vector_size(width), may_alias)); \
        vec *p = (vec *)at, v = {0};                                     \
        for (int r = 0; r < passes; r++) {                               \
            OPAQUE(v);                                                   \
            for (size_t k = 0; k < n / width; k += 8) {                  \
                EACH_OF_8(STORE)                                         \
                __asm__ volatile("" : : : "memory");                     \
            }                                                            \
        }                                                                \
    }                                                                    \
    attributes static void name##_copy(char *at, size_t n, int passes)   \
    {                                                                    \
        typedef char vec __attribute__((vector_size(width), may_alias)); \
        const vec *p = (const vec *)at;                                  \
        vec *q = (vec *)(at + n / 2);                                    \
        for (int r = 0; r < passes; r++)                                 \
            for (size_t k = 0; k < n / 2 / width; k += 8) {              \
                EACH_OF_8(COPY)                                          \
                __asm__ volatile("" : : : "memory");                     \
            }                                                            \
    }

#if defined(__x86_64__)
STREAM(ymm, TARGET("avx2"), 32)
#undef ANY
#define ANY "v"
STREAM(zmm, TARGET("avx512f"), 64)
#undef ANY
#define ANY "x"
#endif
STREAM(plain, , 16)

const cli_stream cli_streams[] = {
#if defined(__x86_64__)
    {"avx512", zmm_read, zmm_write, zmm_copy},
    {"avx2", ymm_read, ymm_write, ymm_copy},
#endif
    {"", plain_read, plain_write, plain_copy}};
