/*
 * nbdot row for AVX-512 VNNI: four rows of weights against up to eight packed rows, four groups at
 * a time. A 128-bit lane is a group; the partial sums of the four rows are folded so that dword r
 * of a lane is row r, and one conversion and one fma serve 512 products.
 */
#include "kernels/nbits/nbdot_tmpl.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))
#define EACH_M(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

lmn_nbdot_pack_fn lmn_nbdot_i8_pack_avx512vnni;
lmn_nbdot_run_fn lmn_nbdot_i8_run_avx512vnni;

void lmn_nbdot_i8_pack_avx512vnni(uint8_t *dst, const float *x, int64_t k, int32_t bits)
{
    nbdot_pack(dst, x, k, bits);
}

/* How blocks of 32 << shift columns spread over the lanes of a chunk. */
typedef struct spread {
    int32_t scale_at[16]; /* of lane g, row r in four rows of four: r * 4 + (g >> shift) */
    int32_t zp_word[16], zp_move[16]; /* of lane g, row r: dword and bits in it */
    int32_t shift;
    int64_t blocks; /* of a whole chunk: 1, 2 or 4 */
} spread;

static spread spread_of(const lmn_nbdot_weights *w)
{
    const int32_t shift = w->shift;
    spread s = {.shift = shift, .blocks = shift >= 2 ? 1 : 4 >> shift};
    for (int32_t i = 0; i < 16; i++) {
        const int32_t g = (i >> 2) >> shift, r = i & 3;
        s.scale_at[i] = r * 4 + g, s.zp_word[i] = r, s.zp_move[i] = g * w->bits;
    }
    return s;
}

ALWAYS __m512 scales_of(const nbdot_strip *t, const spread *s, int64_t block, int64_t n)
{
    const __mmask8 some = (__mmask8)((1u << n) - 1);
    const float *p = t->scale + block;
    const int64_t step = t->scale_step;
    const __m128 r0 = _mm_maskz_loadu_ps(some, p), r1 = _mm_maskz_loadu_ps(some, p + step);
    const __m128 r2 = _mm_maskz_loadu_ps(some, p + 2 * step);
    const __m128 r3 = _mm_maskz_loadu_ps(some, p + 3 * step);
    const __m256 lo = _mm256_insertf128_ps(_mm256_castps128_ps256(r0), r1, 1);
    const __m256 hi = _mm256_insertf128_ps(_mm256_castps128_ps256(r2), r3, 1);
    const __m512 all = _mm512_insertf32x8(_mm512_castps256_ps512(lo), hi, 1);
    return _mm512_permutexvar_ps(_mm512_loadu_si512(s->scale_at), all);
}

/* The packed zero points of n blocks from `block` on, the first in the lowest bits. */
static inline int32_t zps_at(const uint8_t *zp, int bits, int64_t block, int64_t n)
{
    uint32_t v = 0;
    const int64_t first = block * bits / 8, end = ((block + n) * bits + 7) / 8;
    for (int64_t i = first; i < end; i++) v |= (uint32_t)zp[i] << (8 * (i - first));
    return (int32_t)(v >> (block * bits % 8));
}

/* Zero points are spread out for many chunks at once, outside the loop over k. */
enum { ZP_CHUNKS = 32 };

static __attribute__((noinline)) void zero_points(const lmn_nbdot_block *b, const nbdot_strip *t,
                                                  const spread *s, int64_t g, int32_t *dst)
{
    const __m512i word = _mm512_loadu_si512(s->zp_word), move = _mm512_loadu_si512(s->zp_move);
    const int bits = b->w.bits;
    const __m512i mask = _mm512_set1_epi32((1 << bits) - 1);
    const uint8_t *p = t->zp;
    const int64_t step = t->zp_step, end = lmn_min_i64(b->groups, g + 4 * ZP_CHUNKS);
    for (; g < end; g += 4, dst += 16) {
        const int64_t block = g >> s->shift;
        const int64_t n = ((lmn_min_i64(4, end - g) - 1) >> s->shift) + 1;
        const __m128i four = _mm_setr_epi32(
            zps_at(p, bits, block, n), zps_at(p + step, bits, block, n),
            zps_at(p + 2 * step, bits, block, n), zps_at(p + 3 * step, bits, block, n));
        const __m512i all = _mm512_permutexvar_epi32(word, _mm512_castsi128_si512(four));
        _mm512_storeu_si512(dst, _mm512_and_si512(_mm512_srlv_epi32(all, move), mask));
    }
}

/* Both halves of four groups of a row, as u8; fewer than four are followed by zeros. */
ALWAYS void halves(const uint8_t *q, int64_t groups, const int bits, __m512i *first,
                   __m512i *second)
{
    const __m512i low = _mm512_set1_epi8(15);
    const __mmask64 in = groups >= 4 ? ~(__mmask64)0 : ((__mmask64)1 << 16 * groups) - 1;
    if (bits == 4) {
        const __m512i v = groups >= 4 ? _mm512_loadu_si512(q) : _mm512_maskz_loadu_epi8(in, q);
        *first = _mm512_and_si512(v, low);
        *second = _mm512_and_si512(_mm512_srli_epi16(v, 4), low);
        return;
    }
    const __mmask8 lo = groups >= 2 ? 0xff : 0x0f;
    const __mmask8 hi = groups >= 4 ? 0xff : groups == 3 ? 0x0f : 0;
    const __m512i a = _mm512_maskz_loadu_epi64(lo, q), b = _mm512_maskz_loadu_epi64(hi, q + 64);
    *first = _mm512_shuffle_i64x2(a, b, 0x88);
    *second = _mm512_shuffle_i64x2(a, b, 0xdd);
}

/* Dword r of every lane: the sum of the four of d_r in that lane. */
ALWAYS __m512i folded(__m512i d0, __m512i d1, __m512i d2, __m512i d3)
{
    const __m512i a =
        _mm512_add_epi32(_mm512_unpacklo_epi32(d0, d1), _mm512_unpackhi_epi32(d0, d1));
    const __m512i b =
        _mm512_add_epi32(_mm512_unpacklo_epi32(d2, d3), _mm512_unpackhi_epi32(d2, d3));
    return _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
}

/* What a chunk needs of the weights. */
typedef struct weights {
    __m512i f0, f1, f2, f3, s0, s1, s2, s3, zp;
    __m512 scale;
} weights;

ALWAYS void weights_at(const nbdot_strip *t, const spread *s, int64_t g, int64_t groups,
                       const int bits, weights *w)
{
    const uint8_t *q = t->q + g * 4 * bits;
    const int64_t step = t->q_step, block = g >> s->shift;
    const int64_t n = groups >= 4 ? s->blocks : ((groups - 1) >> s->shift) + 1;
    w->scale = scales_of(t, s, block, n);
    if (groups < 4) w->scale = _mm512_maskz_mov_ps((__mmask16)((1u << 4 * groups) - 1), w->scale);
    halves(q, groups, bits, &w->f0, &w->s0);
    halves(q + step, groups, bits, &w->f1, &w->s1);
    halves(q + 2 * step, groups, bits, &w->f2, &w->s2);
    halves(q + 3 * step, groups, bits, &w->f3, &w->s3);
}

/* The same place of the next strip: rows are too short for the hardware to find its stride in
   time. Where there is no next strip the address is of nothing, which a prefetch minds not. */
ALWAYS void fetch_next(const nbdot_strip *t, const spread *s, int64_t g, const int bits)
{
    const uintptr_t q = (uintptr_t)t->q + (uintptr_t)(NBDOT_ROWS * t->q_step + g * 4 * bits);
    const uintptr_t scale =
        (uintptr_t)t->scale + (uintptr_t)(NBDOT_ROWS * t->scale_step + (g >> s->shift)) * 4;
    const uintptr_t q_step = (uintptr_t)t->q_step, s_step = (uintptr_t)t->scale_step * 4;
#define FETCH(r)                                                                   \
    _mm_prefetch((const char *)(q + r * q_step), _MM_HINT_T0);                     \
    if (bits == 8) _mm_prefetch((const char *)(q + r * q_step + 64), _MM_HINT_T0); \
    _mm_prefetch((const char *)(scale + r * s_step), _MM_HINT_T0);
    FETCH(0) FETCH(1) FETCH(2) FETCH(3)
#undef FETCH
}

/* A chunk of a packed row: zp fits the low 16 bits of a dword and the sums of r do, so vpdpwssd
   makes one exact product of them. */
ALWAYS __m512 chunk(const weights *w, const uint8_t *p, __m512 acc)
{
    const __m512i x = _mm512_loadu_si512(p), y = _mm512_loadu_si512(p + 64);
    const __m512i zero = _mm512_setzero_si512();
    const __m512i d0 = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, w->f0, x), w->s0, y);
    const __m512i d1 = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, w->f1, x), w->s1, y);
    const __m512i d2 = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, w->f2, x), w->s2, y);
    const __m512i d3 = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(zero, w->f3, x), w->s3, y);
    const __m512i v =
        _mm512_dpwssd_epi32(folded(d0, d1, d2, d3), w->zp, _mm512_loadu_si512(p + 192));
    const __m512 both =
        _mm512_mul_ps(w->scale, _mm512_loadu_ps((const float *)(const void *)(p + 128)));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), both, acc);
}

/* (c0 + c2) + (c1 + c3) of the lanes, and the bias, to the rows of the strip. */
ALWAYS void store(const lmn_nbdot_block *b, const nbdot_strip *t, int64_t i, __m512 acc)
{
    const __mmask8 rows = (__mmask8)((1u << t->rows) - 1);
    const __m256 two = _mm256_add_ps(_mm512_castps512_ps256(acc), _mm512_extractf32x8_ps(acc, 1));
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1));
    if (b->bias) y = _mm_add_ps(y, _mm_maskz_loadu_ps(rows, b->bias + t->j));
    _mm_mask_storeu_ps(b->y + i * b->ldy + t->j, rows, y);
}

/* Rows i0 .. i0 + m - 1 against a strip; m and bits are constants of every instance. */
ALWAYS void tile(const lmn_nbdot_block *b, const nbdot_strip *t, const spread *s, int64_t i0,
                 const int m, const int bits)
{
    const uint8_t *a = b->a + i0 * b->a_step;
    const int64_t step = b->a_step, groups = b->groups;
    int32_t zps[16 * ZP_CHUNKS];
    const int64_t zp_step = t->zp ? 16 : 0;
    _mm512_storeu_si512(zps, _mm512_set1_epi32(1 << (bits - 1)));
    weights w;
    int64_t g = 0;
#define START(i) __m512 c##i = _mm512_setzero_ps();
    EACH_M(START)
#undef START
#define STEP(i) \
    if (m > i) c##i = chunk(&w, a + i * step, c##i);
    while (g < groups) {
        const int64_t end = lmn_min_i64(groups, g + 4 * ZP_CHUNKS);
        const int32_t *zp = zps;
        if (t->zp) zero_points(b, t, s, g, zps);
        for (; g + 4 <= end; g += 4, a += LMN_NBDOT_CHUNK, zp += zp_step) {
            w.zp = _mm512_loadu_si512(zp);
            if (i0 == 0 && (bits == 4 || m > 1)) fetch_next(t, s, g, bits);
            weights_at(t, s, g, 4, bits, &w);
            EACH_M(STEP)
        }
        if (g == end) continue;
        w.zp = _mm512_loadu_si512(zp);
        weights_at(t, s, g, end - g, bits, &w);
        EACH_M(STEP)
        g = end;
    }
#undef STEP
#define END(i) \
    if (m > i) store(b, t, i0 + i, c##i);
    EACH_M(END)
#undef END
}

#define INSTANCE(m, bits)                                                           \
    static __attribute__((noinline)) void tile_##m##_##bits(                        \
        const lmn_nbdot_block *b, const nbdot_strip *t, const spread *s, int64_t i) \
    {                                                                               \
        tile(b, t, s, i, m, bits);                                                  \
    }
#define INSTANCES(bits) INSTANCE(1, bits) INSTANCE(2, bits) INSTANCE(4, bits) INSTANCE(8, bits)
INSTANCES(4)
INSTANCES(8)

typedef void tile_fn(const lmn_nbdot_block *b, const nbdot_strip *t, const spread *s, int64_t i);

void lmn_nbdot_i8_run_avx512vnni(const lmn_nbdot_block *b)
{
    static tile_fn *const tiles[2][4] = {{tile_1_4, tile_2_4, tile_4_4, tile_8_4},
                                         {tile_1_8, tile_2_8, tile_4_8, tile_8_8}};
    const spread s = spread_of(&b->w);
    for (int64_t j = 0; j < b->n;) {
        const nbdot_strip t = nbdot_strip_at(b, j);
        j += t.rows;
        int64_t i = 0;
        for (int step = 3; step >= 0; step--)
            for (; i + (1 << step) <= b->m; i += (int64_t)1 << step)
                tiles[b->w.bits == 8][step](b, &t, &s, i);
    }
}
