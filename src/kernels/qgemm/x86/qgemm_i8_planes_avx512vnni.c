/*
 * What convolutions want of the qgemm row for AVX-512 VNNI: depthwise planes, whose taps are spread
 * out in fours for vpdpbusd, and the gathering of pixels into rows of B.
 */
#include "kernels/qgemm/qgather_tmpl.h"
#include "kernels/qgemm/qwindow_tmpl.h"
#include "kernels/qgemm/qgemm_avx512_tmpl.h"

lmn_qgemm_taps_fn lmn_qgemm_i8_taps_avx512vnni;
lmn_qgemm_gather_fn lmn_qgemm_i8_gather_avx512vnni;
lmn_qgemm_windows_fn lmn_qgemm_i8_windows_avx512vnni;

/* Taps in fours: lane i of a vector gets the bytes i * stride .. i * stride + 3 of what is loaded,
   by moving dwords into the 16 bytes that want them and bytes inside those. */
typedef struct taps {
    __m512i dwords, bytes_of;
    int64_t n; /* fours of all kernel rows */
    int32_t w[LMN_QGEMM_TAPS], ones[LMN_QGEMM_TAPS];
    int64_t at[LMN_QGEMM_TAPS];
} taps;

static void lanes_of_taps(const lmn_qgemm_taps *t, taps *f)
{
    const __m512i lane = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i place = _mm512_setr_epi32(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
    const __m128i one = _mm_setr_epi8(0, 1, 2, 3, 1, 2, 3, 4, 2, 3, 4, 5, 3, 4, 5, 6);
    const __m128i two = _mm_setr_epi8(0, 1, 2, 3, 2, 3, 4, 5, 4, 5, 6, 7, 6, 7, 8, 9);
    f->dwords = _mm512_add_epi32(place, t->stride == 1 ? lane : _mm512_add_epi32(lane, lane));
    f->bytes_of = _mm512_broadcast_i32x4(t->stride == 1 ? one : two);
}

static void taps_in_fours(const lmn_qgemm_taps *t, taps *f)
{
    lanes_of_taps(t, f);
    f->n = 0;
    for (int64_t y = 0; y < t->kh; y++) {
        for (int64_t x = 0; x < t->kw; x += 4, f->n++) {
            const int64_t some = lmn_min_i64(4, t->kw - x);
            const uint32_t inside = (uint32_t)(((uint64_t)1 << 8 * some) - 1);
            uint32_t w;
            memcpy(&w, t->w + y * t->kw + x, sizeof w);
            f->w[f->n] = (int32_t)(w & inside), f->ones[f->n] = (int32_t)(0x01010101u & inside);
            f->at[f->n] = y * t->tap_step + x;
        }
    }
}

/* How outputs leave, in registers: no store to y makes it be read again. */
typedef struct taps_out {
    void *y;
    __m512 mul;
    clamp to_bytes;
    bool requant;
} taps_out;

ALWAYS taps_out taps_out_of(const lmn_qgemm_taps *t)
{
    return (taps_out){t->y, _mm512_set1_ps(t->mul), clamp_to(t->zp, t->lo, t->hi), t->requant};
}

/* Sixteen outputs from number `at` on, of which those of m are wanted. */
ALWAYS void taps_end(const taps_out *out, int64_t at, __m512i v, __mmask16 m)
{
    if (!out->requant) {
        _mm512_mask_storeu_epi32((int32_t *)out->y + at, m, v);
        return;
    }
    const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(v), out->mul);
    v = quantised(y, &out->to_bytes);
    _mm512_mask_cvtepi32_storeu_epi8((uint8_t *)out->y + at, m, v);
}

/* Three rows of up to four taps, stride 1: a row of the plane is spread out once for the three rows
   of outputs it takes part in. */
static void taps_three(const lmn_qgemm_taps *t)
{
    const taps_out out = taps_out_of(t);
    const int64_t n = t->n, rows = t->rows, step = t->tap_step;
    const __m512i add = _mm512_set1_epi32(t->add);
    taps f;
    lanes_of_taps(t, &f);
    const uint32_t inside = t->kw == 4 ? 0xffffffffu : (1u << 8 * t->kw) - 1;
    __m512i w[3];
    for (int r = 0; r < 3; r++) {
        uint32_t four_taps;
        memcpy(&four_taps, t->w + r * t->kw, sizeof four_taps);
        w[r] = _mm512_set1_epi32((int32_t)(four_taps & inside));
    }
#define SPREAD(p) \
    _mm512_shuffle_epi8(_mm512_permutexvar_epi32(f.dwords, _mm512_loadu_si512(p)), f.bytes_of)
    for (int64_t i = 0; i < n; i += LANES) {
        const uint8_t *x = t->x + i;
        const __mmask16 m = lanes(n - i);
        __m512i r0 = SPREAD(x), r1 = SPREAD(x + step);
        x += 2 * step;
        for (int64_t o = 0; o < rows; o++, x += step) {
            const __m512i r2 = SPREAD(x);
            __m512i acc = _mm512_dpbusd_epi32(add, r0, w[0]);
            acc = _mm512_dpbusd_epi32(_mm512_dpbusd_epi32(acc, r1, w[1]), r2, w[2]);
            taps_end(&out, o * n + i, acc, m);
            r0 = r1, r1 = r2;
        }
    }
#undef SPREAD
}

void lmn_qgemm_i8_taps_avx512vnni(const lmn_qgemm_taps *t)
{
    if (t->kh == 3 && t->kw <= 4 && t->stride == 1 && t->row_step == t->tap_step && !t->w_zp) {
        taps_three(t);
        return;
    }
    const taps_out out = taps_out_of(t);
    taps f;
    taps_in_fours(t, &f);
    for (int64_t o = 0; o < t->rows; o++) {
        for (int64_t i = 0; i < t->n; i += LANES) {
            const uint8_t *x = t->x + o * t->row_step + i * t->stride;
            __m512i acc = _mm512_set1_epi32(t->add), sum = _mm512_setzero_si512();
            for (int64_t k = 0; k < f.n; k++) {
                __m512i v = _mm512_loadu_si512(x + f.at[k]);
                v = _mm512_shuffle_epi8(_mm512_permutexvar_epi32(f.dwords, v), f.bytes_of);
                acc = _mm512_dpbusd_epi32(acc, v, _mm512_set1_epi32(f.w[k]));
                if (t->w_zp) sum = _mm512_dpbusd_epi32(sum, v, _mm512_set1_epi32(f.ones[k]));
            }
            acc = _mm512_sub_epi32(acc, _mm512_mullo_epi32(sum, _mm512_set1_epi32(t->w_zp)));
            taps_end(&out, o * t->n + i, acc, lanes(t->n - i));
        }
    }
}

/* A row of any length and a stride of 1 or 2; what is stored behind it spills. */
ALWAYS void one_row(uint8_t *dst, const uint8_t *src, const gather_piece *a)
{
    const __m512i fill = _mm512_set1_epi8((char)a->pad);
    const int64_t width = a->stride == 1 ? 64 : 32;
    for (int64_t i = 0; i < a->n; i += width) {
        const __mmask64 in = bytes(a->inside.hi - i) & ~bytes(a->inside.lo - i);
        const uint8_t *from = src + (i - a->inside.lo) * a->stride;
        if (a->stride == 1) {
            _mm512_storeu_si512(dst + i, _mm512_mask_loadu_epi8(fill, in, from));
            continue;
        }
        const __mmask64 even = _pdep_u64(in, 0x5555555555555555u);
        const __m256i v = _mm512_cvtepi16_epi8(_mm512_maskz_loadu_epi8(even, from));
        const __m256i y = _mm256_mask_mov_epi8(_mm512_castsi512_si256(fill), (__mmask32)in, v);
        _mm256_storeu_si256((__m256i *)(void *)(dst + i), y);
    }
}

/* Whole vectors are stored: what spills is overwritten by the next row, or lies in the spill. */
static inline void gather_rows(uint8_t *dst, const uint8_t *x, const gather_piece *a)
{
    const uint8_t *src = x;
    const int64_t step = a->step;
    if (a->stride == 1 && a->n <= 64) {
        const __mmask64 in = bytes(a->inside.hi) & ~bytes(a->inside.lo);
        const __m512i fill = _mm512_set1_epi8((char)a->pad);
        const __m256i fill32 = _mm512_castsi512_si256(fill);
        const __m128i fill16 = _mm512_castsi512_si128(fill);
        src -= a->inside.lo;
        /* The narrowest vector: wide stores across lines cost more. */
        for (int64_t r = 0; r < a->rows; r++, src += step, dst += a->n) {
            if (a->n <= 16)
                _mm_storeu_si128((__m128i *)(void *)dst,
                                 _mm_mask_loadu_epi8(fill16, (__mmask16)in, src));
            else if (a->n <= 32)
                _mm256_storeu_si256((__m256i *)(void *)dst,
                                    _mm256_mask_loadu_epi8(fill32, (__mmask32)in, src));
            else
                _mm512_storeu_si512(dst, _mm512_mask_loadu_epi8(fill, in, src));
        }
        return;
    }
    for (int64_t r = 0; r < a->rows; r++, src += step, dst += a->n) {
        if (a->stride <= 2) {
            one_row(dst, src, a);
            continue;
        }
        for (int64_t i = 0; i < a->n; i++) dst[i] = a->pad;
        for (int64_t i = a->inside.lo; i < a->inside.hi; i++)
            dst[i] = src[(i - a->inside.lo) * a->stride];
    }
}

void lmn_qgemm_i8_gather_avx512vnni(const lmn_qgemm_gather *w)
{
    gather_slab(w);
}

void lmn_qgemm_i8_windows_avx512vnni(const lmn_qgemm_windows *w)
{
    windows_run(w);
}
