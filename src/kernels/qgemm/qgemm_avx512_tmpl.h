/*
 * What the AVX-512 rows of qgemm share: the end of sixteen sums, and packing in fours of k with
 * vpdpbusd for the sums. `pad` is what packed k is a multiple of, `nr` the columns of a panel, at
 * most 48; both are constants of every row.
 */
#ifndef LMN_KERNELS_QGEMM_AVX512_TMPL_H
#define LMN_KERNELS_QGEMM_AVX512_TMPL_H

#include "kernels/qgemm/qgemm.h"
#include "kernels/simd/simd_avx512.h"

#include <string.h>

enum { LANES = 16, FOUR = 4 };

#define ALWAYS static inline __attribute__((always_inline, unused))

ALWAYS __m512i four(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

ALWAYS __mmask16 lanes(int64_t n)
{
    return n >= LANES ? (__mmask16)0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

ALWAYS __mmask64 bytes(int64_t n)
{
    return n >= 64 ? ~(__mmask64)0 : n <= 0 ? 0 : ((__mmask64)1 << n) - 1;
}

/* Bytes from lo to hi around zp; NaN counts as 0. */
typedef struct clamp {
    __m512 lo, hi, nan; /* before zp is added */
    __m512i zp;
} clamp;

ALWAYS clamp clamp_to(int32_t zp, int32_t lo, int32_t hi)
{
    const float least = (float)(lo - zp), most = (float)(hi - zp);
    const float zero = least > 0 ? least : most < 0 ? most : 0;
    return (clamp){_mm512_set1_ps(least), _mm512_set1_ps(most), _mm512_set1_ps(zero),
                   _mm512_set1_epi32(zp)};
}
ALWAYS clamp clamp_of(const lmn_qgemm_end *e)
{
    return clamp_to(e->zp, e->lo, e->hi);
}

ALWAYS __m512i quantised(__m512 x, const clamp *to)
{
    x = _mm512_mask_max_ps(to->nan, _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), x, to->lo);
    return _mm512_add_epi32(_mm512_cvtps_epi32(_mm512_min_ps(x, to->hi)), to->zp);
}

/* V and C of qgemm.h for a vector of sums. */
ALWAYS void finish(const lmn_qgemm_end *e, int64_t i, int64_t j, __m512i v, __mmask16 m)
{
    v = _mm512_add_epi32(v, _mm512_loadu_si512(e->col_add + j));
    v = _mm512_add_epi32(v, _mm512_set1_epi32(e->row_add[i]));
    if (e->col_zp)
        v = _mm512_sub_epi32(v, _mm512_mullo_epi32(_mm512_loadu_si512(e->col_zp + j),
                                                   _mm512_set1_epi32(e->row_sum[i])));
    if (e->row_zp)
        v = _mm512_sub_epi32(v, _mm512_mullo_epi32(_mm512_loadu_si512(e->col_sum + j),
                                                   _mm512_set1_epi32(e->row_zp[i])));
    const int64_t at = i * e->ldc + j;
    if (e->out == LMN_QGEMM_I32) {
        _mm512_mask_storeu_epi32((int32_t *)e->c + at, m, v);
        return;
    }
    const __m512 mul = e->col_mul ? _mm512_loadu_ps(e->col_mul + j) : _mm512_set1_ps(e->row_mul[i]);
    __m512 x = _mm512_mul_ps(_mm512_cvtepi32_ps(v), mul);
    if (e->out == LMN_QGEMM_F32 && e->col_bias)
        x = _mm512_add_ps(x, _mm512_loadu_ps(e->col_bias + j));
    if (e->plus) x = _mm512_add_ps(x, _mm512_maskz_loadu_ps(m, e->plus + i * e->ld_plus + j));
    if (e->out == LMN_QGEMM_F32) {
        _mm512_mask_storeu_ps((float *)e->c + at, m, x);
        return;
    }
    if (e->div != 1.0f) x = _mm512_div_ps(x, _mm512_set1_ps(e->div));
    const clamp to = clamp_of(e);
    _mm_mask_storeu_epi8((uint8_t *)e->c + at, m, _mm512_cvtepi32_epi8(quantised(x, &to)));
}

/* What becomes of the sums of a block. BARE_INTS: rows add nothing. */
typedef enum leaving { KEEP, ANY_END, INTS, BYTES, FLOATS, SMALL_BYTES, BARE_INTS } leaving;

/* Then no sum times a factor is NaN. */
static inline bool all_finite(const float *x, int64_t n)
{
    __mmask16 odd = 0;
    for (int64_t j = 0; j < n; j += LANES)
        odd |= _mm512_fpclass_ps_mask(_mm512_maskz_loadu_ps(lanes(n - j), x + j), 0x99);
    return !odd;
}

static inline bool rows_add_nothing(const lmn_qgemm_block *t)
{
    __mmask16 odd = 0;
    for (int64_t i = 0; i < t->m; i += LANES) {
        const __m512i add = _mm512_maskz_loadu_epi32(lanes(t->m - i), t->end.row_add + i);
        odd |= _mm512_test_epi32_mask(add, add);
    }
    return !odd;
}

/* Bytes of the whole range of their type by factors of columns below 1, to which rows add nothing:
   no product is beyond 32 bits, and packing bounds it. */
static inline bool gives_small_bytes(const lmn_qgemm_block *t)
{
    const lmn_qgemm_end *e = &t->end;
    const __m512 most = _mm512_set1_ps(0.99f);
    if (!e->col_mul || e->hi - e->lo != 255) return false;
    __mmask16 odd = 0;
    for (int64_t j = 0; j < t->n; j += LANES)
        odd |= _mm512_cmp_ps_mask(
            _mm512_abs_ps(_mm512_maskz_loadu_ps(lanes(t->n - j), e->col_mul + j)), most,
            _CMP_NLT_UQ);
    return !odd && rows_add_nothing(t);
}

static inline leaving leaving_of(const lmn_qgemm_block *t)
{
    const lmn_qgemm_end *e = &t->end;
    if (t->part && !t->last) return KEEP;
    if (e->col_zp || e->row_zp) return ANY_END;
    if (e->out == LMN_QGEMM_I32) return INTS;
    if (e->plus) return ANY_END;
    if (e->out == LMN_QGEMM_F32) return FLOATS;
    const bool finite = e->col_mul ? all_finite(e->col_mul, t->n) : all_finite(e->row_mul, t->m);
    return finite && e->div == 1.0f ? BYTES : ANY_END;
}

/* Sums in memory, of rows from i and columns from j on of a block. */
typedef struct tile_sums {
    const int32_t *at;
    int64_t ld, i, j, rows, n;
} tile_sums;

ALWAYS void any_end(const lmn_qgemm_end *e, const tile_sums *s)
{
    for (int64_t i = 0; i < s->rows; i++)
        for (int64_t j = 0; j < s->n; j += LANES)
            finish(e, s->i + i, s->j + j, _mm512_loadu_si512(s->at + i * s->ld + j),
                   lanes(s->n - j));
}

/* The ends INTS, BYTES and FLOATS; add_cols: is col_add still to be added? A constant. */
ALWAYS void ints_end(const lmn_qgemm_end *e, const tile_sums *s)
{
    for (int64_t j = 0; j < s->n; j += LANES) {
        const __m512i add = _mm512_loadu_si512(e->col_add + s->j + j);
        int32_t *c = (int32_t *)e->c + s->i * e->ldc + s->j + j;
        for (int64_t i = 0; i < s->rows; i++, c += e->ldc) {
            const __m512i v = _mm512_add_epi32(_mm512_loadu_si512(s->at + i * s->ld + j), add);
            _mm512_mask_storeu_epi32(c, lanes(s->n - j),
                                     _mm512_add_epi32(v, _mm512_set1_epi32(e->row_add[s->i + i])));
        }
    }
}

/* A product with the factor of a column, or with that of a row. */
ALWAYS __m512 scaled(const lmn_qgemm_end *e, const tile_sums *s, int64_t i, int64_t j, __m512i add)
{
    __m512i v = _mm512_add_epi32(_mm512_loadu_si512(s->at + i * s->ld + j), add);
    v = _mm512_add_epi32(v, _mm512_set1_epi32(e->row_add[s->i + i]));
    return _mm512_mul_ps(_mm512_cvtepi32_ps(v), e->col_mul ? _mm512_loadu_ps(e->col_mul + s->j + j)
                                                           : _mm512_set1_ps(e->row_mul[s->i + i]));
}

/* Bytes of numbers that are not NaN, by packing with saturation: u8 is shifted to s8 and back. */
typedef struct packer {
    __m512 most;
    __m512i zp, least, turn, order;
} packer;

ALWAYS packer packer_of(const lmn_qgemm_end *e)
{
    const int32_t shift = e->hi > 127 ? 128 : 0;
    return (packer){_mm512_set1_ps((float)(e->hi - e->zp)),
                    _mm512_set1_epi16((short)(e->zp - shift)),
                    _mm512_set1_epi8((char)(e->lo - shift)), _mm512_set1_epi8((char)shift),
                    _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15)};
}

ALWAYS __m512i packed_bytes(const packer *p, __m512 x0, __m512 x1, __m512 x2)
{
    const __m512i v0 = _mm512_cvtps_epi32(_mm512_min_ps(x0, p->most));
    const __m512i v1 = _mm512_cvtps_epi32(_mm512_min_ps(x1, p->most));
    const __m512i v2 = _mm512_cvtps_epi32(_mm512_min_ps(x2, p->most));
    const __m512i lo = _mm512_adds_epi16(_mm512_packs_epi32(v0, v1), p->zp);
    const __m512i hi = _mm512_adds_epi16(_mm512_packs_epi32(v2, v2), p->zp);
    const __m512i y = _mm512_max_epi8(_mm512_packs_epi16(lo, hi), p->least);
    return _mm512_permutexvar_epi32(p->order, _mm512_xor_si512(y, p->turn));
}

/* The same of small products, where the range of the bytes is that of their type. */
ALWAYS __m512i small_bytes(const packer *p, __m512i zp, __m512 x0, __m512 x1, __m512 x2,
                           const bool u8)
{
    const __m512i v0 = _mm512_cvtps_epi32(x0), v1 = _mm512_cvtps_epi32(x1);
    const __m512i v2 = _mm512_cvtps_epi32(x2);
    const __m512i lo = _mm512_adds_epi16(_mm512_packs_epi32(v0, v1), zp);
    const __m512i hi = _mm512_adds_epi16(_mm512_packs_epi32(v2, v2), zp);
    const __m512i y = u8 ? _mm512_packus_epi16(lo, hi) : _mm512_packs_epi16(lo, hi);
    return _mm512_permutexvar_epi32(p->order, y);
}

/* At most 48 columns. */
ALWAYS void bytes_end(const lmn_qgemm_end *e, const tile_sums *s, const bool add_cols)
{
    const packer p = packer_of(e);
    const __mmask64 in = bytes(s->n);
    const __m512 none = _mm512_setzero_ps();
    __m512i add[3] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    const int vectors = s->n > 2 * LANES ? 3 : s->n > LANES ? 2 : 1;
    for (int v = 0; add_cols && v < vectors; v++)
        add[v] = _mm512_loadu_si512(e->col_add + s->j + (int64_t)v * LANES);
    uint8_t *c = (uint8_t *)e->c + s->i * e->ldc + s->j;
    for (int64_t i = 0; i < s->rows; i++, c += e->ldc) {
        const __m512 x0 = scaled(e, s, i, 0, add[0]);
        const __m512 x1 = vectors > 1 ? scaled(e, s, i, LANES, add[1]) : none;
        const __m512 x2 = vectors > 2 ? scaled(e, s, i, 2 * LANES, add[2]) : none;
        _mm512_mask_storeu_epi8(c, in, packed_bytes(&p, x0, x1, x2));
    }
}

ALWAYS void floats_end(const lmn_qgemm_end *e, const tile_sums *s, const bool add_cols)
{
    for (int64_t j = 0; j < s->n; j += LANES) {
        const __mmask16 in = lanes(s->n - j);
        const __m512i add =
            add_cols ? _mm512_loadu_si512(e->col_add + s->j + j) : _mm512_setzero_si512();
        float *c = (float *)e->c + s->i * e->ldc + s->j + j;
        for (int64_t i = 0; i < s->rows; i++, c += e->ldc) {
            __m512 x = scaled(e, s, i, j, add);
            if (e->col_bias) x = _mm512_add_ps(x, _mm512_loadu_ps(e->col_bias + s->j + j));
            _mm512_mask_storeu_ps(c, in, x);
        }
    }
}

ALWAYS void pack_a_run(const lmn_qgemm_pack *p, const int64_t pad)
{
    const __m512i flip = _mm512_set1_epi8((char)p->flip), one = _mm512_set1_epi8(1);
    const int64_t padded = lmn_round_up_i64(p->k, pad);
    for (int64_t i = 0; i < p->n; i++) {
        const uint8_t *src = p->src + i * p->ld;
        uint8_t *dst = (uint8_t *)p->dst + i * p->step;
        __m512i sum = _mm512_setzero_si512();
        int64_t k = 0;
        for (; k + 64 <= p->k; k += 64) {
            const __m512i x = _mm512_xor_si512(_mm512_loadu_si512(src + k), flip);
            _mm512_storeu_si512(dst + k, x);
            sum = _mm512_dpbusd_epi32(sum, x, one);
        }
        const __mmask64 in = bytes(p->k - k);
        const __m512i v = _mm512_xor_si512(_mm512_maskz_loadu_epi8(in, src + k), flip);
        const __m512i x = _mm512_maskz_mov_epi8(in, v);
        _mm512_mask_storeu_epi8(dst + k, bytes(padded - k), x);
        sum = _mm512_dpbusd_epi32(sum, x, one);
        p->sums[i] = (int32_t)((uint32_t)p->sums[i] + (uint32_t)_mm512_reduce_add_epi32(sum));
    }
}

/* Four rows of up to 64 bytes to as many groups of four, 16 a vector. In front of unpacks that stay
   inside 16 bytes the dwords are transposed, so that columns come out in order. */
ALWAYS void groups_of(__m512i x[FOUR], const __m512i row[FOUR])
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i r0 = _mm512_permutexvar_epi32(order, row[0]);
    const __m512i r1 = _mm512_permutexvar_epi32(order, row[1]);
    const __m512i r2 = _mm512_permutexvar_epi32(order, row[2]);
    const __m512i r3 = _mm512_permutexvar_epi32(order, row[3]);
    const __m512i lo01 = _mm512_unpacklo_epi8(r0, r1), hi01 = _mm512_unpackhi_epi8(r0, r1);
    const __m512i lo23 = _mm512_unpacklo_epi8(r2, r3), hi23 = _mm512_unpackhi_epi8(r2, r3);
    x[0] = _mm512_unpacklo_epi16(lo01, lo23), x[1] = _mm512_unpackhi_epi16(lo01, lo23);
    x[2] = _mm512_unpacklo_epi16(hi01, hi23), x[3] = _mm512_unpackhi_epi16(hi01, hi23);
}

/* So many rows are packed for all panels before the next, so that what is read of a row is long and
   the hardware foresees it. */
enum { PACK_ROWS = 16, PACK_COLUMNS = 64, PACK_NARROW = 192 };

/* Rows [k, end) of columns j .. j + 63, or of those there are, up to a whole panel; whole: four
   rows at a time and all columns. A constant. */
ALWAYS void pack_b_rows(const lmn_qgemm_pack *p, int64_t j, int64_t k, int64_t end, const int nr,
                        const bool whole)
{
    const __m512i flip = _mm512_set1_epi8((char)p->flip), zero = _mm512_setzero_si512();
    const __m512i one = _mm512_set1_epi8(1);
    const bool narrow = nr > 32 && p->n <= PACK_NARROW; /* short runs are not foreseen */
    const int64_t vectors = whole ? FOUR : (lmn_round_up_i64(p->n, nr) - j) / LANES;
    const __mmask64 in = bytes(p->n - j);
    const uint8_t *src = p->src + j + k * p->ld;
    __m512i sum[FOUR] = {zero, zero, zero, zero};
    int8_t *to[FOUR];
#define EACH_VECTOR(M) M(0) M(1) M(2) M(3)
#define TO(v) \
    to[v] =   \
        (int8_t *)p->dst + (j + (v)*LANES) / nr * p->step + (j + (v)*LANES) % nr * FOUR + k * nr;
#define ROW(i)                                                                      \
    _mm512_xor_si512(whole           ? _mm512_loadu_si512(src + (i)*p->ld)          \
                     : k + (i) < end ? _mm512_maskz_loadu_epi8(in, src + (i)*p->ld) \
                                     : flip,                                        \
                     flip)
#define OUT(v)                                           \
    if ((v) < vectors) {                                 \
        _mm512_storeu_si512(to[v], x[v]);                \
        sum[v] = _mm512_dpbusd_epi32(sum[v], one, x[v]); \
        to[v] += nr * FOUR;                              \
    }
#define SUM(v)                                                                   \
    if ((v) < vectors) {                                                         \
        int32_t *s = p->sums + j + (v)*LANES;                                    \
        _mm512_storeu_si512(s, _mm512_add_epi32(_mm512_loadu_si512(s), sum[v])); \
    }
    EACH_VECTOR(TO)
    for (; k < end; k += FOUR, src += FOUR * p->ld) {
        const __m512i row[FOUR] = {ROW(0), ROW(1), ROW(2), ROW(3)};
        __m512i x[FOUR];
        for (int i = 0; narrow && i < FOUR; i++)
            __builtin_prefetch(src + (PACK_ROWS + i) * p->ld + PACK_COLUMNS - 1);
        groups_of(x, row);
        EACH_VECTOR(OUT)
    }
    EACH_VECTOR(SUM)
#undef SUM
#undef OUT
#undef ROW
#undef TO
#undef EACH_VECTOR
}

ALWAYS void pack_b_run(const lmn_qgemm_pack *p, const int nr, const int64_t pad)
{
    const int64_t padded = lmn_round_up_i64(p->k, pad), packed = lmn_round_up_i64(p->k, FOUR);
    const int64_t columns = p->n / PACK_COLUMNS * PACK_COLUMNS;
    for (int64_t k = 0; k < p->k; k += PACK_ROWS) {
        const int64_t end = lmn_min_i64(p->k, k + PACK_ROWS), left = (end - k) % FOUR;
        for (int64_t j = 0; j < columns; j += PACK_COLUMNS) {
            pack_b_rows(p, j, k, end - left, nr, true);
            if (left) pack_b_rows(p, j, end - left, end, nr, false);
        }
        for (int64_t j = columns; j < lmn_round_up_i64(p->n, nr); j += PACK_COLUMNS)
            pack_b_rows(p, j, k, end, nr, false);
    }
    for (int64_t j = 0; packed < padded && j < p->n; j += nr)
        memset((int8_t *)p->dst + j / nr * p->step + packed * nr, 0,
               (size_t)((padded - packed) * nr));
}

/* 64 k of sixteen columns of a transposed B, or what there is of them: fours are words of 32 bits,
   and packing is their transposition. whole: nothing is missing. A constant. */
ALWAYS void pack_bt_words(const lmn_qgemm_pack *p, int64_t j, int64_t k, int8_t *dst, const int nr,
                          int64_t words, __m512i sum[FOUR], const bool whole)
{
    const __m512i flip = _mm512_set1_epi8((char)p->flip), one = _mm512_set1_epi8(1);
    const __mmask64 in = bytes(p->k - k);
    const uint8_t *src = p->src + (j < p->n ? j * p->ld : 0) + k;
    vf r[LANES];
#define ROW(i)                                                                  \
    {                                                                           \
        const __mmask64 of = j + (i) < p->n ? in : 0;                           \
        const __m512i x = whole ? _mm512_loadu_si512(src + (i)*p->ld)           \
                                : _mm512_maskz_loadu_epi8(of, src + (i)*p->ld); \
        const __m512i flips = whole ? flip : _mm512_maskz_mov_epi8(of, flip);   \
        r[i] = _mm512_castsi512_ps(_mm512_xor_si512(x, flips));                 \
    }
#define WORDS(i)                                                        \
    if (whole || (i) < words) {                                         \
        const __m512i x = _mm512_castps_si512(r[i]);                    \
        _mm512_storeu_si512(dst + (i)*nr * FOUR, x);                    \
        sum[(i) % FOUR] = _mm512_dpbusd_epi32(sum[(i) % FOUR], one, x); \
    }
#define EACH_FOUR(M, i) M(i) M((i) + 1) M((i) + 2) M((i) + 3)
#define EACH_WORD(M) EACH_FOUR(M, 0) EACH_FOUR(M, 4) EACH_FOUR(M, 8) EACH_FOUR(M, 12)
    EACH_WORD(ROW)
    vf_transpose(r);
    EACH_WORD(WORDS)
#undef EACH_WORD
#undef EACH_FOUR
#undef WORDS
#undef ROW
}

ALWAYS void pack_bt_run(const lmn_qgemm_pack *p, const int nr, const int64_t pad)
{
    const int64_t padded = lmn_round_up_i64(p->k, pad), cols = lmn_round_up_i64(p->n, nr);
    for (int64_t j = 0; j < cols; j += LANES) {
        int8_t *dst = (int8_t *)p->dst + j / nr * p->step + j % nr * FOUR;
        const int64_t whole = j + LANES <= p->n ? p->k - p->k % 64 : 0;
        const __m512i zero = _mm512_setzero_si512();
        __m512i sum[FOUR] = {zero, zero, zero, zero}; /* one chain would be what packing takes */
        int64_t k = 0;
        for (; k < whole; k += 64) pack_bt_words(p, j, k, dst + k * nr, nr, LANES, sum, true);
        for (; k < padded; k += 64)
            pack_bt_words(p, j, k, dst + k * nr, nr, (padded - k + FOUR - 1) / FOUR, sum, false);
        int32_t *s = p->sums + j;
        sum[0] =
            _mm512_add_epi32(_mm512_add_epi32(sum[0], sum[1]), _mm512_add_epi32(sum[2], sum[3]));
        _mm512_storeu_si512(s, _mm512_add_epi32(_mm512_loadu_si512(s), sum[0]));
    }
}

/* A block of at least one product a sum, at most LMN_QGEMM_SHORT_K and all there are, that leaves
   as SMALL_BYTES. Panels are nr columns wide, a multiple of 16. */
enum { LMN_QGEMM_SHORT_K = 16 };
static inline bool is_short(const lmn_qgemm_block *t)
{
    return !t->part && t->k > 0 && t->k <= LMN_QGEMM_SHORT_K;
}
typedef void lmn_qgemm_short_fn(const lmn_qgemm_block *blk, int64_t nr);

#endif
