/*
 * nbdot row for AVX-512 VNNI: a row of weights against up to eight packed rows, sixteen groups at a
 * time; group 4 r + g is dword r of 128-bit lane g, so that one conversion and one fma serve 512
 * products. For one row of a the partial sums of four groups a register are folded; for more the
 * weights are transposed first, and eight rows share that.
 */
#include "kernels/nbits/nbdot_tmpl.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))
#define EACH_M(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

lmn_nbdot_pack_fn lmn_nbdot_i8_pack_avx512vnni;
lmn_nbdot_run_fn lmn_nbdot_i8_run_avx512vnni, lmn_nbdot_i8_run_wide_avx512vnni;

void lmn_nbdot_i8_pack_avx512vnni(uint8_t *dst, const float *x, int64_t k, int32_t bits, bool more)
{
    nbdot_pack(dst, x, k, bits, more);
}

/* How blocks of 32 << shift columns spread over the dwords of a chunk. */
typedef struct spread {
    __m512i scale_at;         /* of group 4 r + g: the block, from the chunk's first */
    __m512i zp_word, zp_move; /* dword of its zero point, and bits in it */
    int64_t blocks;           /* of a whole chunk: 1 to 16 */
} spread;

ALWAYS spread spread_of(const lmn_nbdot_weights *w, const int bits)
{
    const int32_t shift = w->shift < 4 ? w->shift : 4;
    const __m512i group = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i block = _mm512_srl_epi32(group, _mm_cvtsi32_si128(shift));
    const __m512i bit = _mm512_slli_epi32(block, bits == 8 ? 3 : 2);
    return (spread){.scale_at = block,
                    .zp_word = _mm512_srli_epi32(bit, 5),
                    .zp_move = _mm512_and_si512(bit, _mm512_set1_epi32(31)),
                    .blocks = LMN_NBDOT_GROUPS >> shift};
}

/* Of n blocks from `block` on, plain: 16: the scales, then the zero points. */
ALWAYS __m512 scales_of(const float *scale, const spread *s, int64_t block, int64_t n,
                        const bool plain)
{
    const __mmask16 some = (__mmask16)((1u << n) - 1);
    const __m512 v =
        plain ? _mm512_loadu_ps(scale + block) : _mm512_maskz_loadu_ps(some, scale + block);
    return _mm512_permutexvar_ps(s->scale_at, v);
}
ALWAYS __m512i zero_points(const uint8_t *zp, const spread *s, int64_t block, int64_t n,
                           const int bits)
{
    const int64_t from = block * bits / 8, end = ((block + n) * bits + 7) / 8;
    const __m128i v = _mm_maskz_loadu_epi8((__mmask16)((1u << (end - from)) - 1), zp + from);
    const __m512i all = _mm512_permutexvar_epi32(s->zp_word, _mm512_castsi128_si512(v));
    const __m512i more = _mm512_set1_epi32((int32_t)(block * bits % 8));
    const __m512i move = _mm512_add_epi32(s->zp_move, more);
    return _mm512_and_si512(_mm512_srlv_epi32(all, move), _mm512_set1_epi32((1 << bits) - 1));
}

/* Four groups of a row, fewer are followed by zeros: packed halves of 4 bits; halves of 8 bits. */
ALWAYS __m512i packed4(const uint8_t *q, int64_t groups)
{
    if (groups >= 4) return _mm512_loadu_si512(q);
    if (groups <= 0) return _mm512_setzero_si512();
    return _mm512_maskz_loadu_epi8(((__mmask64)1 << 16 * groups) - 1, q);
}
ALWAYS void halves8(const uint8_t *q, int64_t groups, __m512i *first, __m512i *second)
{
    const __mmask8 lo = groups >= 2 ? 0xff : groups == 1 ? 0x0f : 0;
    const __mmask8 hi = groups >= 4 ? 0xff : groups == 3 ? 0x0f : 0;
    const __m512i a = _mm512_maskz_loadu_epi64(lo, q), b = _mm512_maskz_loadu_epi64(hi, q + 64);
    *first = _mm512_shuffle_i64x2(a, b, 0x88);
    *second = _mm512_shuffle_i64x2(a, b, 0xdd);
}
/* Halves of bytes, the high ones where they lie, 16 times too large, or shifted. */
ALWAYS void split4(__m512i v, __m512i *first, __m512i *second, const bool shifted)
{
    const __m512i low = _mm512_set1_epi8(15);
    __asm__("" : "+v"(v)); /* one load, not one for either half */
    *first = _mm512_and_si512(v, low);
    *second = shifted ? _mm512_and_si512(_mm512_srli_epi16(v, 4), low)
                      : _mm512_and_si512(v, _mm512_set1_epi8(-16));
}

/* Of two registers the quads of every lane so that either holds one of each: their sums are beside
   each other, without folding. */
ALWAYS void crossed(__m512i *p0, __m512i *p1)
{
    __asm__("" : "+v"(*p0), "+v"(*p1)); /* one load of each */
    const __m512i even = _mm512_mask_mov_epi64(*p0, 0xaa, *p1);
    *p1 = _mm512_castpd_si512(
        _mm512_shuffle_pd(_mm512_castsi512_pd(*p0), _mm512_castsi512_pd(*p1), 0x55));
    *p0 = even;
}

/* Two by two, the sums of both in halves of every lane. */
ALWAYS __m512i folded2(__m512i a, __m512i b)
{
    const __m512i mixed = _mm512_mask_mov_epi64(a, 0xaa, b);
    const __m512i other = _mm512_castpd_si512(
        _mm512_shuffle_pd(_mm512_castsi512_pd(a), _mm512_castsi512_pd(b), 0x55));
    return _mm512_add_epi32(mixed, other);
}
/* In dword r of every lane the sum of the four of d_r in that lane. */
ALWAYS __m512i folded(__m512i d0, __m512i d1, __m512i d2, __m512i d3)
{
    /* of d0 in dwords 0, 1, of d2 in 2, 3; then both pairs side by side */
    const __m512i a = folded2(d0, d2), b = folded2(d1, d3);
    const __m512i even = _mm512_mask_shuffle_epi32(a, 0xaaaa, b, _MM_PERM_CCAA);
    const __m512i odd = _mm512_mask_shuffle_epi32(b, 0x5555, a, _MM_PERM_DDBB);
    return _mm512_add_epi32(even, odd);
}

/* Dword r of every lane of register i from dword i of register r. */
ALWAYS void transposed(__m512i *p0, __m512i *p1, __m512i *p2, __m512i *p3)
{
    const __m512i a = _mm512_unpacklo_epi32(*p0, *p1), b = _mm512_unpacklo_epi32(*p2, *p3);
    const __m512i c = _mm512_unpackhi_epi32(*p0, *p1), d = _mm512_unpackhi_epi32(*p2, *p3);
    *p0 = _mm512_unpacklo_epi64(a, b), *p1 = _mm512_unpackhi_epi64(a, b);
    *p2 = _mm512_unpacklo_epi64(c, d), *p3 = _mm512_unpackhi_epi64(c, d);
}

/* What a chunk needs of the weights. */
typedef struct weights {
    __m512i f0, f1, f2, f3, s0, s1, s2, s3, zp; /* zp: where there are some, or else of all */
    __m512 scale;
} weights;

/* A row of weights, from its first column. */
typedef struct row {
    const uint8_t *q, *zp;
    const float *scale;
} row;

ALWAYS row row_at(const lmn_nbdot_weights *of, int64_t j)
{
    return (row){.q = of->q + j * of->row_bytes,
                 .zp = of->zp ? of->zp + j * of->zp_bytes : NULL,
                 .scale = of->scale + j * of->n_blocks};
}

/* The chunk of groups [g, g + n), n up to 16; plain: of 16 with a scale each, for one row. */
ALWAYS weights weights_at(const row *t, const lmn_nbdot_weights *of, const spread *s, int64_t g,
                          int64_t n, const int bits, const bool more, const bool plain)
{
    weights w;
    const uint8_t *q = t->q + g * 4 * bits;
    const int64_t block = g >> of->shift;
    const int64_t blocks = n >= LMN_NBDOT_GROUPS ? s->blocks : ((n - 1) >> of->shift) + 1;
    if (bits == 4) {
        __m512i v0 = packed4(q, n), v1 = packed4(q + 64, n - 4);
        __m512i v2 = packed4(q + 128, n - 8), v3 = packed4(q + 192, n - 12);
        if (more)
            transposed(&v0, &v1, &v2, &v3);
        else
            crossed(&v0, &v1), crossed(&v2, &v3);
        split4(v0, &w.f0, &w.s0, more), split4(v1, &w.f1, &w.s1, more);
        split4(v2, &w.f2, &w.s2, more), split4(v3, &w.f3, &w.s3, more);
    } else {
        halves8(q, n, &w.f0, &w.s0), halves8(q + 128, n - 4, &w.f1, &w.s1);
        halves8(q + 256, n - 8, &w.f2, &w.s2), halves8(q + 384, n - 12, &w.f3, &w.s3);
        if (more) transposed(&w.f0, &w.f1, &w.f2, &w.f3), transposed(&w.s0, &w.s1, &w.s2, &w.s3);
    }
    w.scale = scales_of(t->scale, s, block, blocks, plain);
    w.zp = t->zp ? zero_points(t->zp, s, block, blocks, bits) : _mm512_set1_epi32(1 << (bits - 1));
    return w;
}

/* The same chunk a few rows of weights on: parts of rows come too irregularly to be foreseen.
   Behind the last row the address is of nothing, which a prefetch minds not. near: products are so
   fast that lines are to be in L1, from further on, and, of rows in one part, pages to be known. */
enum { FETCH_ROWS = 4, NEAR_ROWS = 12, PAGE = 4096, TOUCHED = 4 * PAGE };
ALWAYS void touch(uintptr_t at, const uintptr_t step)
{
    if ((at & (PAGE - 1)) < step) _mm_prefetch((const char *)(at + TOUCHED), _MM_HINT_T1);
}
ALWAYS void fetch_next(const row *t, const lmn_nbdot_weights *of, int64_t g, const int bits,
                       const bool near, const bool whole)
{
    const int64_t rows = near ? NEAR_ROWS : FETCH_ROWS;
    const uintptr_t q = (uintptr_t)t->q + (uintptr_t)(rows * of->row_bytes + g * 4 * bits);
    const uintptr_t scale =
        (uintptr_t)t->scale + (uintptr_t)(rows * of->n_blocks + (g >> of->shift)) * sizeof(float);
    if (near) {
        for (int i = 0; i < bits; i++)
            _mm_prefetch((const char *)(q + 64u * (unsigned)i), _MM_HINT_T0);
        _mm_prefetch((const char *)scale, _MM_HINT_T0);
        if (whole) touch(q, 64u * (unsigned)bits), touch(scale, 64);
    } else {
        for (int i = 0; i < bits; i++)
            _mm_prefetch((const char *)(q + 64u * (unsigned)i), _MM_HINT_T1);
        _mm_prefetch((const char *)scale, _MM_HINT_T1);
    }
}

/* Chunks of a packed row: what zero points take off, an exact product, since zp fits the low 16
   bits of a dword and the sums of r do; and the chains. */
ALWAYS __m512i taken_off(const weights *w, const uint8_t *p)
{
    return _mm512_madd_epi16(w->zp, _mm512_loadu_si512(p + NBDOT_SUMS));
}
ALWAYS __m512 chained(const weights *w, const uint8_t *p, __m512i v, __m512 acc)
{
    const __m512 s = _mm512_loadu_ps((const float *)(const void *)(p + NBDOT_S));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(v), _mm512_mul_ps(w->scale, s), acc);
}
ALWAYS __m512i dot(__m512i v, __m512i q, const uint8_t *p)
{
    return _mm512_dpbusd_epi32(v, q, _mm512_loadu_si512(p));
}
ALWAYS __m512 chunk(const weights *w, const uint8_t *p, __m512 acc)
{
    __m512i v = taken_off(w, p);
    v = dot(dot(v, w->f0, p), w->f1, p + 64);
    v = dot(dot(v, w->f2, p + 128), w->f3, p + 192);
    v = dot(dot(v, w->s0, p + 256), w->s1, p + 320);
    v = dot(dot(v, w->s2, p + 384), w->s3, p + 448);
    return chained(w, p, v, acc);
}

/* m, bits and near are constants of every instance. */
ALWAYS void tile(const lmn_nbdot_weights *of, const nbdot_part *p, const int m, const int bits,
                 const bool near)
{
    const bool whole = p->groups * 4 * bits == of->row_bytes;
    const spread s = spread_of(of, bits);
    const int64_t step = p->a_step, end = p->g + p->groups;
    for (int64_t r = 0; r < p->rows; r++) {
        const int64_t j = p->j + r;
        const row t = row_at(of, j);
        float(*acc)[LMN_NBDOT_GROUPS] = p->acc + r * m;
        const uint8_t *a = p->a;
        int64_t g = p->g;
#define START(i) __m512 c##i = m > i && g > 0 ? _mm512_loadu_ps(acc[i]) : _mm512_setzero_ps();
        EACH_M(START)
#undef START
#define STEP(i) \
    if (m > i) c##i = chunk(&w, a + i * step, c##i);
        for (; g + LMN_NBDOT_GROUPS <= end; g += LMN_NBDOT_GROUPS, a += LMN_NBDOT_CHUNK) {
            if (m > 1) fetch_next(&t, of, g, bits, near, whole);
            const weights w = weights_at(&t, of, &s, g, LMN_NBDOT_GROUPS, bits, true, false);
            EACH_M(STEP)
        }
        if (g < end) {
            const weights w = weights_at(&t, of, &s, g, end - g, bits, true, false);
            EACH_M(STEP)
        }
#undef STEP
#define END(i) \
    if (m > i) _mm512_storeu_ps(acc[i], c##i);
        EACH_M(END)
#undef END
    }
}

#define INSTANCES(bits)                          \
    NBDOT_INSTANCE(tile_1, bits, 1, bits, false) \
    NBDOT_INSTANCE(tile_2, bits, 2, bits, false) \
    NBDOT_INSTANCE(tile_4, bits, 4, bits, false) \
    NBDOT_INSTANCE(tile_8, bits, 8, bits, false)
INSTANCES(4)
INSTANCES(8)
NBDOT_INSTANCE(near_2, 4, 2, 4, true)
NBDOT_INSTANCE(near_4, 4, 4, 4, true)
NBDOT_INSTANCE(near_8, 4, 8, 4, true)
NBDOT_INSTANCE(near_8, 8, 8, 8, true)
#undef INSTANCES

/* ---- one row of a ------------------------------------------------------------------------------
 */

/* A chunk of the packed row, for up to four rows of weights. */
typedef struct line {
    __m512i r0, r1, r2, r3, r4, r5, r6, r7, sums;
    __m512i middle; /* what a middle zero point takes off */
    __m512 s;
} line;

ALWAYS line line_at(const uint8_t *p, const int bits)
{
#define AT(i) _mm512_loadu_si512(p + 64 * (i))
    const __m512i middle = _mm512_madd_epi16(_mm512_set1_epi32(1 << (bits - 1)), AT(9));
    line x = {AT(0),
              AT(1),
              AT(2),
              AT(3),
              AT(4),
              AT(5),
              AT(6),
              AT(7),
              AT(9),
              middle,
              _mm512_castsi512_ps(AT(8))};
#undef AT
    /* loaded once for all rows: loads are what there is least of */
    __asm__("" : "+v"(x.r0), "+v"(x.r1), "+v"(x.r2), "+v"(x.r3));
    __asm__("" : "+v"(x.r4), "+v"(x.r5), "+v"(x.r6), "+v"(x.r7));
    return x;
}

ALWAYS __m512 chunk_of_one(const weights *w, const line *x, __m512 acc, const int bits,
                           const bool zps)
{
    const __m512i off = zps ? _mm512_madd_epi16(w->zp, x->sums) : x->middle;
#define DOT(v, f, p, s, q) _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(v, f, p), s, q)
    const __m512i zero = _mm512_setzero_si512();
    __m512i sum;
    if (bits == 4) { /* of 16 products, which fit words: 15 * 127 * 16 */
        const __m512i h0 = _mm512_srai_epi32(DOT(zero, w->s0, x->r1, w->s1, x->r3), 4);
        const __m512i h1 = _mm512_srai_epi32(DOT(zero, w->s2, x->r5, w->s3, x->r7), 4);
        const __m512i d0 = DOT(h0, w->f0, x->r0, w->f1, x->r2);
        const __m512i d1 = DOT(h1, w->f2, x->r4, w->f3, x->r6);
        sum = _mm512_dpwssd_epi32(off, _mm512_packs_epi32(d0, d1), _mm512_set1_epi16(1));
    } else {
        const __m512i d0 = DOT(zero, w->f0, x->r0, w->s0, x->r1);
        const __m512i d1 = DOT(zero, w->f1, x->r2, w->s1, x->r3);
        const __m512i d2 = DOT(zero, w->f2, x->r4, w->s2, x->r5);
        const __m512i d3 = DOT(zero, w->f3, x->r6, w->s3, x->r7);
        sum = _mm512_add_epi32(off, folded(d0, d1, d2, d3));
    }
#undef DOT
    const __m512 v = _mm512_cvtepi32_ps(sum);
    return _mm512_fmadd_ps(v, _mm512_mul_ps(w->scale, x->s), acc);
}

/* Rows r .. r + rows - 1 of the part, one or four. This, bits, whether there are zero points and
   whether every group has a scale are constants. Nothing is fetched ahead: four streams are
   foreseen.  */
#define EACH_LINE(X, ...) X(0, __VA_ARGS__) X(1, __VA_ARGS__) X(2, __VA_ARGS__) X(3, __VA_ARGS__)
ALWAYS void lines(const lmn_nbdot_weights *of, const spread *s, const nbdot_part *p, int64_t r,
                  const int rows, const int bits, const bool zps, const bool plain)
{
    const int64_t end = p->g + p->groups;
    float(*acc)[LMN_NBDOT_GROUPS] = p->acc + r;
#define START(i, _)                                                    \
    const row t##i = row_at(of, nbdot_row(p, r + (rows > i ? i : 0))); \
    __m512 c##i = rows > i && p->g > 0 ? _mm512_loadu_ps(acc[i]) : _mm512_setzero_ps();
    EACH_LINE(START, 0)
#undef START
#define CHUNK(i, plain)                                                       \
    if (rows > i) {                                                           \
        const weights w = weights_at(&t##i, of, s, g, n, bits, false, plain); \
        c##i = chunk_of_one(&w, &x, c##i, bits, zps);                         \
    }
    const uint8_t *a = p->a;
    int64_t g = p->g;
    for (; g + LMN_NBDOT_GROUPS <= end; g += LMN_NBDOT_GROUPS, a += LMN_NBDOT_CHUNK) {
        const line x = line_at(a, bits);
        const int64_t n = LMN_NBDOT_GROUPS;
        EACH_LINE(CHUNK, plain)
    }
    if (g < end) {
        const line x = line_at(a, bits);
        const int64_t n = end - g;
        EACH_LINE(CHUNK, false)
    }
#undef CHUNK
#define END(i, _) \
    if (rows > i) _mm512_storeu_ps(acc[i], c##i);
    EACH_LINE(END, 0)
#undef END
}

ALWAYS void one(const lmn_nbdot_weights *of, const nbdot_part *p, const int bits)
{
    const spread s = spread_of(of, bits);
    int64_t r = 0;
    const bool zps = of->zp != NULL, plain = !zps && of->shift == 0;
    for (; plain && r + 4 <= p->rows; r += 4) lines(of, &s, p, r, 4, bits, false, true);
    for (; !zps && r + 4 <= p->rows; r += 4) lines(of, &s, p, r, 4, bits, false, false);
    for (; r + 4 <= p->rows; r += 4) lines(of, &s, p, r, 4, bits, true, false);
    for (; r < p->rows; r++) lines(of, &s, p, r, 1, bits, zps, false);
}
static __attribute__((noinline)) void one_4(const lmn_nbdot_weights *of, const nbdot_part *p)
{
    one(of, p, 4);
}
static __attribute__((noinline)) void one_8(const lmn_nbdot_weights *of, const nbdot_part *p)
{
    one(of, p, 8);
}

ALWAYS void sums(float to[4], const float (*acc)[LMN_NBDOT_GROUPS], int64_t step)
{
    const __m512 d0 = _mm512_loadu_ps(acc[0]), d1 = _mm512_loadu_ps(acc[step]);
    const __m512 d2 = _mm512_loadu_ps(acc[2 * step]), d3 = _mm512_loadu_ps(acc[3 * step]);
    const __m512 a = _mm512_add_ps(_mm512_unpacklo_ps(d0, d1), _mm512_unpackhi_ps(d0, d1));
    const __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(d2, d3), _mm512_unpackhi_ps(d2, d3));
    const __m512 u = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
    const __m256 two = _mm256_add_ps(_mm512_castps512_ps256(u), _mm512_extractf32x8_ps(u, 1));
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1)));
}

void lmn_nbdot_i8_run_avx512vnni(const lmn_nbdot_block *b)
{
    static const nbdot_tiles four = {one_4, {tile_1_4, tile_2_4, tile_4_4, tile_8_4}, sums, true};
    static const nbdot_tiles eight = {one_8, {tile_1_8, tile_2_8, tile_4_8, tile_8_8}, sums, true};
    if (b->w.bits == 8)
        nbdot_run(b, &eight);
    else
        nbdot_run(b, &four);
}

void lmn_nbdot_i8_run_wide_avx512vnni(const lmn_nbdot_block *b)
{
    static const nbdot_tiles four = {one_4, {tile_1_4, near_2_4, near_4_4, near_8_4}, sums, true};
    static const nbdot_tiles eight = {one_8, {tile_1_8, tile_2_8, tile_4_8, near_8_8}, sums, true};
    if (b->w.bits == 8)
        nbdot_run(b, &eight);
    else
        nbdot_run(b, &four);
}
