/*
 * nbdot row for AVX2: a row of weights against one or two packed rows, four times two groups at a
 * time (see the AVX-512 row). vpmaddubsw cannot saturate: 15 * 127 * 8 and 128 * 127 * 2 fit 16
 * bits; weights of 8 bits are split into the low seven bits and the highest.
 */
#include "kernels/nbits/nbdot_tmpl.h"

#include <immintrin.h>

#define ALWAYS static inline __attribute__((always_inline))

lmn_nbdot_pack_fn lmn_nbdot_i8_pack_avx2;
lmn_nbdot_run_fn lmn_nbdot_i8_run_avx2;

void lmn_nbdot_i8_pack_avx2(uint8_t *dst, const float *x, int64_t k, int32_t bits, bool more)
{
    nbdot_pack(dst, x, k, bits, more);
}

ALWAYS __m256i load(const void *p)
{
    return _mm256_loadu_si256(p);
}
ALWAYS __m128i load16(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* Two groups of a row, fewer are followed by zeros: packed halves of 4 bits; halves of 8 bits. */
ALWAYS __m256i packed4(const uint8_t *q, int64_t groups)
{
    if (groups >= 2) return load(q);
    return groups <= 0 ? _mm256_setzero_si256() : _mm256_set_m128i(_mm_setzero_si128(), load16(q));
}
ALWAYS void halves8(const uint8_t *q, int64_t groups, __m256i *first, __m256i *second)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i a = groups >= 1 ? load(q) : zero, b = groups >= 2 ? load(q + 32) : zero;
    __asm__ volatile("" : "+x"(a), "+x"(b)); /* lines in their order */
    *first = _mm256_permute2x128_si256(a, b, 0x20);
    *second = _mm256_permute2x128_si256(a, b, 0x31);
}
ALWAYS void split4(__m256i v, __m256i *first, __m256i *second)
{
    const __m256i low = _mm256_set1_epi8(15);
    *first = _mm256_and_si256(v, low);
    *second = _mm256_and_si256(_mm256_srli_epi16(v, 4), low);
}

/* Sums of twos, of both halves of 4 bits; of fours. */
ALWAYS __m256i twos(__m256i f, __m256i s, __m256i x, __m256i y)
{
    return _mm256_add_epi16(_mm256_maddubs_epi16(f, x), _mm256_maddubs_epi16(s, y));
}
ALWAYS __m256i products(__m256i f, __m256i s, __m256i x, __m256i y, int bits)
{
    const __m256i one = _mm256_set1_epi16(1);
    if (bits == 4) return _mm256_madd_epi16(twos(f, s, x, y), one);
    const __m256i low = _mm256_set1_epi8(127);
    __m256i v = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_and_si256(f, low), x), one);
#define MORE(q, r) v = _mm256_add_epi32(v, _mm256_madd_epi16(_mm256_maddubs_epi16(q, r), one));
    MORE(_mm256_andnot_si256(low, f), x)
    MORE(_mm256_and_si256(s, low), y)
    MORE(_mm256_andnot_si256(low, s), y)
#undef MORE
    return v;
}

/* Dword r of every lane of register i from dword i of register r. */
ALWAYS void transposed(__m256i *p0, __m256i *p1, __m256i *p2, __m256i *p3)
{
    const __m256i a = _mm256_unpacklo_epi32(*p0, *p1), b = _mm256_unpacklo_epi32(*p2, *p3);
    const __m256i c = _mm256_unpackhi_epi32(*p0, *p1), d = _mm256_unpackhi_epi32(*p2, *p3);
    *p0 = _mm256_unpacklo_epi64(a, b), *p1 = _mm256_unpackhi_epi64(a, b);
    *p2 = _mm256_unpacklo_epi64(c, d), *p3 = _mm256_unpackhi_epi64(c, d);
}

/* Of two registers the quads of every lane so that either holds one of each (see the AVX-512 row).
 */
ALWAYS void crossed(__m256i *p0, __m256i *p1)
{
    const __m256i even = _mm256_blend_epi32(*p0, *p1, 0xcc);
    *p1 = _mm256_castpd_si256(
        _mm256_shuffle_pd(_mm256_castsi256_pd(*p0), _mm256_castsi256_pd(*p1), 5));
    *p0 = even;
}

ALWAYS __m256i folded(__m256i d0, __m256i d1, __m256i d2, __m256i d3)
{
    const __m256i a =
        _mm256_add_epi32(_mm256_unpacklo_epi32(d0, d1), _mm256_unpackhi_epi32(d0, d1));
    const __m256i b =
        _mm256_add_epi32(_mm256_unpacklo_epi32(d2, d3), _mm256_unpackhi_epi32(d2, d3));
    return _mm256_add_epi32(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
}

/* How blocks of 32 << shift columns spread over the halves of a chunk. */
typedef struct spread {
    int32_t scale_at[16]; /* of group 4 r + g, as in a packed chunk: the block, from the first */
    int64_t blocks;       /* of a whole chunk: 1 to 16 */
} spread;

static spread spread_of(const lmn_nbdot_weights *w)
{
    static const int32_t group[] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
    const int32_t shift = w->shift < 4 ? w->shift : 4;
    spread s = {.blocks = LMN_NBDOT_GROUPS >> shift};
    for (int32_t i = 0; i < LMN_NBDOT_GROUPS; i++) s.scale_at[i] = group[i] >> shift;
    return s;
}

/* Scales of the chunk whose first block is at p. Places hold lanes 0, 1 or, half = 1, 2, 3. */
ALWAYS __m256 scales_of(const float *p, const spread *s, int half, int64_t n)
{
    const __m256i at = load(s->scale_at + 8 * half),
                  ids = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i lo = _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n), ids);
    const __m256 v = _mm256_permutevar8x32_ps(_mm256_maskload_ps(p, lo), at);
    if (n <= 8) return v;
    const __m256i hi = _mm256_cmpgt_epi32(_mm256_set1_epi32((int32_t)n - 8), ids);
    const __m256 w = _mm256_permutevar8x32_ps(_mm256_maskload_ps(p + 8, hi), at);
    return _mm256_blendv_ps(v, w, _mm256_castsi256_ps(_mm256_slli_epi32(at, 28)));
}

/* The zero points of n blocks from `block` on, one a group and in the order of packed chunks. */
ALWAYS void zero_points(int32_t zps[16], const uint8_t *zp, const spread *s, int64_t block,
                        int64_t n, int bits)
{
    int32_t some[LMN_NBDOT_GROUPS] = {0};
    for (int64_t i = 0; i < n; i++) some[i] = lmn_nbdot_zp_at(zp, bits, block + i);
    for (int i = 0; i < LMN_NBDOT_GROUPS; i++) zps[i] = some[s->scale_at[i]];
}

/* What half a chunk needs of the weights. */
typedef struct weights {
    __m256i f0, f1, f2, f3, s0, s1, s2, s3, zp;
    __m256 scale;
} weights;

ALWAYS void weights_at(const uint8_t *q, int64_t n, int bits, bool more, weights *w)
{
    if (bits == 4) {
        __m256i v0 = packed4(q, n), v1 = packed4(q + 64, n - 4);
        __m256i v2 = packed4(q + 128, n - 8), v3 = packed4(q + 192, n - 12);
        if (more)
            transposed(&v0, &v1, &v2, &v3);
        else
            crossed(&v0, &v1), crossed(&v2, &v3);
        split4(v0, &w->f0, &w->s0), split4(v1, &w->f1, &w->s1);
        split4(v2, &w->f2, &w->s2), split4(v3, &w->f3, &w->s3);
        return;
    }
    halves8(q, n, &w->f0, &w->s0), halves8(q + 128, n - 4, &w->f1, &w->s1);
    halves8(q + 256, n - 8, &w->f2, &w->s2), halves8(q + 384, n - 12, &w->f3, &w->s3);
    if (!more) return;
    transposed(&w->f0, &w->f1, &w->f2, &w->f3);
    transposed(&w->s0, &w->s1, &w->s2, &w->s3);
}

/* Half a chunk of a packed row: what zero points take off, exact, since zp fits the low 16 bits and
   the sums of r do; and the chains. */
ALWAYS __m256i taken_off(const weights *w, const uint8_t *p)
{
    return _mm256_madd_epi16(w->zp, load(p + NBDOT_SUMS));
}
ALWAYS __m256 chained(const weights *w, const uint8_t *p, __m256i v, __m256 acc)
{
    const __m256 s =
        _mm256_mul_ps(w->scale, _mm256_loadu_ps((const float *)(const void *)(p + NBDOT_S)));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_add_epi32(v, taken_off(w, p))), s, acc);
}
#define DOT(i, x, y) products(w->f##i, w->s##i, load(p + 64 * (x)), load(p + 64 * (y)), bits)
#define TWOS(i, x, y) twos(w->f##i, w->s##i, load(p + 64 * (x)), load(p + 64 * (y)))
ALWAYS __m256 chunk_of_one(const weights *w, const uint8_t *p, __m256 acc, int bits)
{
    if (bits == 4) { /* of 16 products, which fit words: 15 * 127 * 16 */
        const __m256i one = _mm256_set1_epi16(1);
        const __m256i d0 = _mm256_madd_epi16(_mm256_add_epi16(TWOS(0, 0, 1), TWOS(1, 2, 3)), one);
        const __m256i d1 = _mm256_madd_epi16(_mm256_add_epi16(TWOS(2, 4, 5), TWOS(3, 6, 7)), one);
        return chained(w, p, _mm256_madd_epi16(_mm256_packs_epi32(d0, d1), one), acc);
    }
    const __m256i v = folded(DOT(0, 0, 1), DOT(1, 2, 3), DOT(2, 4, 5), DOT(3, 6, 7));
    return chained(w, p, v, acc);
}
ALWAYS __m256 chunk(const weights *w, const uint8_t *p, __m256 acc, int bits)
{
    const __m256i a = _mm256_add_epi32(DOT(0, 0, 4), DOT(1, 1, 5));
    const __m256i b = _mm256_add_epi32(DOT(2, 2, 6), DOT(3, 3, 7));
    return chained(w, p, _mm256_add_epi32(a, b), acc);
}
#undef DOT
#undef TWOS

/* A row of weights by one or two packed rows, a_step apart: their chains, by halves. zps: middle
   zero points, or what is to hold those there are. */
typedef struct product {
    const lmn_nbdot_weights *of;
    const spread *s;
    int32_t *zps;
    int64_t j, a_step;
    __m256 c00, c01, c10, c11;
} product;

/* A chunk of groups [g, g + n), n up to 16; m, bits, more and an n of 16 are constants. */
ALWAYS void chunk_at(product *c, const uint8_t *a, int64_t g, const int64_t n, const int m,
                     const int bits, const bool more)
{
    const lmn_nbdot_weights *of = c->of;
    const uint8_t *q = of->q + c->j * of->row_bytes + g * 4 * bits, *next = a + c->a_step;
    const int64_t block = g >> of->shift, blocks = ((n - 1) >> of->shift) + 1;
    const float *scale = of->scale + c->j * of->n_blocks + block;
    weights w;
    if (of->zp) zero_points(c->zps, of->zp + c->j * of->zp_bytes, c->s, block, blocks, bits);
    w.scale = scales_of(scale, c->s, 0, blocks), w.zp = load(c->zps);
    weights_at(q, n, bits, more, &w);
    c->c00 = (more ? chunk : chunk_of_one)(&w, a, c->c00, bits);
    if (m > 1) c->c10 = (more ? chunk : chunk_of_one)(&w, next, c->c10, bits);
    w.scale = scales_of(scale, c->s, 1, blocks), w.zp = load(c->zps + 8);
    weights_at(q + 8 * bits, n - 2, bits, more, &w);
    c->c01 = (more ? chunk : chunk_of_one)(&w, a + 32, c->c01, bits);
    if (m > 1) c->c11 = (more ? chunk : chunk_of_one)(&w, next + 32, c->c11, bits);
}

ALWAYS void tile(const lmn_nbdot_weights *of, const nbdot_part *p, const int m, const int bits,
                 const bool more)
{
    const spread s = spread_of(of);
    const int64_t end = p->g + p->groups;
    int32_t zps[LMN_NBDOT_GROUPS];
    for (int i = 0; i < LMN_NBDOT_GROUPS; i++) zps[i] = 1 << (bits - 1);
    for (int64_t j = p->j; j < p->j + p->rows; j++) {
        float *acc = p->acc[(j - p->j) * m], *acc1 = p->acc[(j - p->j) * m + m - 1];
        const __m256 zero = _mm256_setzero_ps();
        product c = {of, &s, zps, j, p->a_step, zero, zero, zero, zero};
        if (p->g > 0) {
            c.c00 = _mm256_loadu_ps(acc), c.c01 = _mm256_loadu_ps(acc + 8);
            c.c10 = _mm256_loadu_ps(acc1), c.c11 = _mm256_loadu_ps(acc1 + 8);
        }
        const uint8_t *a = p->a;
        int64_t g = p->g;
        for (; end - g >= LMN_NBDOT_GROUPS; g += LMN_NBDOT_GROUPS, a += LMN_NBDOT_CHUNK)
            chunk_at(&c, a, g, LMN_NBDOT_GROUPS, m, bits, more);
        if (g < end) chunk_at(&c, a, g, end - g, m, bits, more);
        _mm256_storeu_ps(acc, c.c00), _mm256_storeu_ps(acc + 8, c.c01);
        if (m > 1) _mm256_storeu_ps(acc1, c.c10), _mm256_storeu_ps(acc1 + 8, c.c11);
    }
}

#define INSTANCES(bits)                         \
    NBDOT_INSTANCE(one, bits, 1, bits, false)   \
    NBDOT_INSTANCE(tile_1, bits, 1, bits, true) \
    NBDOT_INSTANCE(tile_2, bits, 2, bits, true)
INSTANCES(4)
INSTANCES(8)

ALWAYS __m256 folded_ps(__m256 d0, __m256 d1, __m256 d2, __m256 d3)
{
    const __m256 a = _mm256_add_ps(_mm256_unpacklo_ps(d0, d1), _mm256_unpackhi_ps(d0, d1));
    const __m256 b = _mm256_add_ps(_mm256_unpacklo_ps(d2, d3), _mm256_unpackhi_ps(d2, d3));
    return _mm256_add_ps(_mm256_shuffle_ps(a, b, 0x44), _mm256_shuffle_ps(a, b, 0xee));
}

ALWAYS void sums(float to[4], const float (*acc)[LMN_NBDOT_GROUPS], int64_t step)
{
#define AT(i, half) _mm256_loadu_ps(acc[(i)*step] + 8 * (half))
    const __m256 lo = folded_ps(AT(0, 0), AT(1, 0), AT(2, 0), AT(3, 0));
    const __m256 hi = folded_ps(AT(0, 1), AT(1, 1), AT(2, 1), AT(3, 1));
#undef AT
    const __m256 two = _mm256_add_ps(lo, hi);
    _mm_storeu_ps(to, _mm_add_ps(_mm256_castps256_ps128(two), _mm256_extractf128_ps(two, 1)));
}

void lmn_nbdot_i8_run_avx2(const lmn_nbdot_block *b)
{
    static const nbdot_tiles four = {one_4, {tile_1_4, tile_2_4}, sums, false};
    static const nbdot_tiles eight = {one_8, {tile_1_8, tile_2_8}, sums, false};
    if (b->w.bits == 8)
        nbdot_run(b, &eight);
    else
        nbdot_run(b, &four);
}
