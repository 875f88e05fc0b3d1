/*
 * qgemm row for NEON with dot products: tiles of 4 x 16, k in fours by udot. B is packed with 128
 * added, which makes it unsigned as A is; what that adds to a row of sums is 128 times the sum of
 * the row of A, which one more udot a row counts, so that everything stays exact.
 */
#include "kernels/qgemm/qgather_tmpl.h"
#include "kernels/qgemm/qwindow_tmpl.h"

#include <arm_neon.h>
#include <string.h>

enum { NR = 16, GROUP = 4, LANES = 4 };

#define ALWAYS static inline __attribute__((always_inline))
#define EACH_ROW(X) X(0) X(1) X(2) X(3)

lmn_qgemm_block_fn lmn_qgemm_i8_block_neondot;
lmn_qgemm_taps_fn lmn_qgemm_i8_taps_neondot;
lmn_qgemm_gather_fn lmn_qgemm_i8_gather_neondot;
lmn_qgemm_windows_fn lmn_qgemm_i8_windows_neondot;
lmn_qgemm_pack_fn lmn_qgemm_i8_pack_a_neondot, lmn_qgemm_i8_pack_b_neondot;

/* n (at most 4) of the numbers to int32. */
ALWAYS void store_words(int32_t *c, int32x4_t v, int64_t n)
{
    int32_t wide[LANES];
    vst1q_s32(wide, v);
    memcpy(c, wide, (size_t)(n < LANES ? n : LANES) * sizeof *c);
}

/* n (at most 4) floats, then zeros. */
ALWAYS float32x4_t load_floats(const float *p, int64_t n)
{
    float wide[LANES] = {0};
    if (n >= LANES) return vld1q_f32(p);
    memcpy(wide, p, (size_t)n * sizeof *p);
    return vld1q_f32(wide);
}

/* n (at most 4) of the values, quantised, to bytes. */
ALWAYS void store_bytes(uint8_t *c, float32x4_t x, const int32_t *zp_lo_hi, int64_t n)
{
    const int32_t zp = zp_lo_hi[0];
    x = vbslq_f32(vceqq_f32(x, x), x, vdupq_n_f32(0.0f));
    x = vmaxq_f32(x, vdupq_n_f32((float)(zp_lo_hi[1] - zp)));
    x = vminq_f32(x, vdupq_n_f32((float)(zp_lo_hi[2] - zp)));
    const int32x4_t v = vaddq_s32(vcvtnq_s32_f32(x), vdupq_n_s32(zp));
    const int16x4_t half = vmovn_s32(v);
    uint8_t bytes[8];
    vst1_u8(bytes, vreinterpret_u8_s8(vmovn_s16(vcombine_s16(half, half))));
    memcpy(c, bytes, (size_t)(n < LANES ? n : LANES));
}

/* V and C of qgemm.h for a vector of sums, of which n are wanted. */
ALWAYS void finish(const lmn_qgemm_end *e, int64_t i, int64_t j, int32x4_t v, int64_t n)
{
    if (n <= 0) return;
    v = vaddq_s32(v, vld1q_s32(e->col_add + j));
    v = vaddq_s32(v, vdupq_n_s32(e->row_add[i]));
    if (e->col_zp) v = vmlsq_s32(v, vld1q_s32(e->col_zp + j), vdupq_n_s32(e->row_sum[i]));
    if (e->row_zp) v = vmlsq_s32(v, vld1q_s32(e->col_sum + j), vdupq_n_s32(e->row_zp[i]));
    const int64_t at = i * e->ldc + j;
    if (e->out == LMN_QGEMM_I32) {
        store_words((int32_t *)e->c + at, v, n);
        return;
    }
    const float32x4_t mul = e->col_mul ? vld1q_f32(e->col_mul + j) : vdupq_n_f32(e->row_mul[i]);
    float32x4_t x = vmulq_f32(vcvtq_f32_s32(v), mul);
    if (e->out == LMN_QGEMM_F32 && e->col_bias) x = vaddq_f32(x, vld1q_f32(e->col_bias + j));
    if (e->plus) x = vaddq_f32(x, load_floats(e->plus + i * e->ld_plus + j, n));
    if (e->out == LMN_QGEMM_F32) {
        store_words((int32_t *)e->c + at, vreinterpretq_s32_f32(x), n);
        return;
    }
    if (e->div != 1.0f) x = vdivq_f32(x, vdupq_n_f32(e->div));
    store_bytes((uint8_t *)e->c + at, x, (const int32_t[3]){e->zp, e->lo, e->hi}, n);
}

/* The sums of a row of a panel go to where they are kept, or out. */
static __attribute__((noinline)) void leave(const lmn_qgemm_block *t, int64_t i, int64_t j,
                                            uint32x4x4_t sums)
{
    int32_t *part = t->part ? t->part + i * t->ld_part + j : NULL;
    for (int64_t v = 0; v < NR / LANES; v++) {
        int32x4_t x = vreinterpretq_s32_u32(sums.val[v]);
        if (part && !t->first) x = vaddq_s32(x, vld1q_s32(part + v * LANES));
        if (part && !t->last)
            vst1q_s32(part + v * LANES, x);
        else
            finish(&t->end, i, j + v * LANES, x, t->n - j - v * LANES);
    }
}

ALWAYS void tile(const lmn_qgemm_block *t, int64_t i0, int64_t j0, const int rows)
{
    const int64_t groups = (t->k + GROUP - 1) / GROUP, lda = t->lda;
    const uint8_t *a = (const uint8_t *)t->a + i0 * lda;
    const uint8_t *b = (const uint8_t *)t->b + j0 / NR * t->b_panel;
    const uint8x16_t ones = vdupq_n_u8(1);
#define START(i)                                                                                  \
    uint32x4_t c##i##0 = vdupq_n_u32(0), c##i##1 = c##i##0, c##i##2 = c##i##0, c##i##3 = c##i##0, \
               s##i = c##i##0;
    EACH_ROW(START)
#undef START
    for (int64_t g = 0; g < groups; g++) {
        const uint8x16_t b0 = vld1q_u8(b), b1 = vld1q_u8(b + 16), b2 = vld1q_u8(b + 32),
                         b3 = vld1q_u8(b + 48);
#define STEP(i)                                                       \
    if (rows > i) {                                                   \
        uint32_t four;                                                \
        memcpy(&four, a + i * lda, sizeof four);                      \
        const uint8x16_t x = vreinterpretq_u8_u32(vdupq_n_u32(four)); \
        c##i##0 = vdotq_u32(c##i##0, b0, x);                          \
        c##i##1 = vdotq_u32(c##i##1, b1, x);                          \
        c##i##2 = vdotq_u32(c##i##2, b2, x);                          \
        c##i##3 = vdotq_u32(c##i##3, b3, x);                          \
        s##i = vdotq_u32(s##i, ones, x);                              \
    }
        EACH_ROW(STEP)
#undef STEP
        a += GROUP, b += NR * GROUP;
    }
#define LEAVE(i)                                                                   \
    if (rows > i) {                                                                \
        const uint32x4_t off = vshlq_n_u32(s##i, 7);                               \
        leave(t, i0 + i, j0,                                                       \
              (uint32x4x4_t){{vsubq_u32(c##i##0, off), vsubq_u32(c##i##1, off),    \
                              vsubq_u32(c##i##2, off), vsubq_u32(c##i##3, off)}}); \
    }
    EACH_ROW(LEAVE)
#undef LEAVE
}

#define INSTANCE(rows)                                                                             \
    static                                                                                         \
        __attribute__((noinline)) void tile_##rows(const lmn_qgemm_block *t, int64_t i, int64_t j) \
    {                                                                                              \
        tile(t, i, j, rows);                                                                       \
    }
INSTANCE(1)
INSTANCE(2)
INSTANCE(4)

void lmn_qgemm_i8_block_neondot(const lmn_qgemm_block *t)
{
    for (int64_t j = 0; j < t->n; j += NR) {
        int64_t i = 0;
        for (; i + 4 <= t->m; i += 4) tile_4(t, i, j);
        for (; i + 2 <= t->m; i += 2) tile_2(t, i, j);
        for (; i < t->m; i++) tile_1(t, i, j);
    }
}

void lmn_qgemm_i8_pack_a_neondot(const lmn_qgemm_pack *p)
{
    const int64_t padded = (p->k + GROUP - 1) / GROUP * GROUP;
    for (int64_t i = 0; i < p->n; i++) {
        const uint8_t *src = p->src + i * p->ld;
        uint8_t *dst = (uint8_t *)p->dst + i * p->step;
        uint32_t total = 0;
        for (int64_t k = 0; k < p->k; k++) {
            dst[k] = src[k] ^ p->flip;
            total += dst[k];
        }
        memset(dst + p->k, 0, (size_t)(padded - p->k));
        p->sums[i] = (int32_t)((uint32_t)p->sums[i] + total);
    }
}

/* 16 columns of a row, of which n are there, as signed bytes. */
ALWAYS int8x16_t columns(const uint8_t *src, int64_t n, uint8x16_t flip)
{
    uint8_t some[NR] = {0};
    if (n >= NR) return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(src), flip));
    memcpy(some, src, (size_t)n);
    uint8x16_t v = veorq_u8(vld1q_u8(some), flip);
    for (int64_t j = n; j < NR; j++) some[j] = 0xff;
    for (int64_t j = 0; j < n; j++) some[j] = 0;
    return vreinterpretq_s8_u8(vbicq_u8(v, vld1q_u8(some))); /* none is zero whatever the flip */
}

void lmn_qgemm_i8_pack_b_neondot(const lmn_qgemm_pack *p)
{
    const uint8x16_t flip = vdupq_n_u8(p->flip), up = vdupq_n_u8(0x80);
    for (int64_t j = 0; j < p->n; j += NR) {
        const int64_t n = p->n - j;
        uint8_t *dst = (uint8_t *)p->dst + j / NR * p->step;
        int32_t *sums = p->sums + j;
        for (int64_t k = 0; k < p->k; k += GROUP, dst += NR * GROUP) {
            const uint8_t *src = p->src + k * p->ld + j;
            int8x16_t r[GROUP];
            for (int64_t e = 0; e < GROUP; e++)
                r[e] = k + e < p->k ? columns(src + e * p->ld, n, flip) : vdupq_n_s8(0);
            const int16x8_t lo = vaddq_s16(vaddl_s8(vget_low_s8(r[0]), vget_low_s8(r[1])),
                                           vaddl_s8(vget_low_s8(r[2]), vget_low_s8(r[3])));
            const int16x8_t hi = vaddq_s16(vaddl_s8(vget_high_s8(r[0]), vget_high_s8(r[1])),
                                           vaddl_s8(vget_high_s8(r[2]), vget_high_s8(r[3])));
            vst1q_s32(sums, vaddw_s16(vld1q_s32(sums), vget_low_s16(lo)));
            vst1q_s32(sums + 4, vaddw_s16(vld1q_s32(sums + 4), vget_high_s16(lo)));
            vst1q_s32(sums + 8, vaddw_s16(vld1q_s32(sums + 8), vget_low_s16(hi)));
            vst1q_s32(sums + 12, vaddw_s16(vld1q_s32(sums + 12), vget_high_s16(hi)));
            const uint8x16x4_t four = {
                {veorq_u8(vreinterpretq_u8_s8(r[0]), up), veorq_u8(vreinterpretq_u8_s8(r[1]), up),
                 veorq_u8(vreinterpretq_u8_s8(r[2]), up), veorq_u8(vreinterpretq_u8_s8(r[3]), up)}};
            vst4q_u8(dst, four);
        }
    }
}

/* Eight outputs whose first tap lies at x. */
ALWAYS int32x4x2_t eight(const lmn_qgemm_taps *t, const uint8_t *x)
{
    int32x4_t lo = vdupq_n_s32(t->add), hi = lo;
    for (int64_t ky = 0; ky < t->kh; ky++) {
        for (int64_t kx = 0; kx < t->kw; kx++) {
            const uint8_t *src = x + ky * t->tap_step + kx;
            const int16_t w = (int16_t)(t->w[ky * t->kw + kx] - t->w_zp);
            const uint8x8_t b = t->stride == 1 ? vld1_u8(src) : vld2_u8(src).val[0];
            const int16x8_t v = vreinterpretq_s16_u16(vmovl_u8(b));
            lo = vmlal_n_s16(lo, vget_low_s16(v), w);
            hi = vmlal_n_s16(hi, vget_high_s16(v), w);
        }
    }
    return (int32x4x2_t){{lo, hi}};
}

void lmn_qgemm_i8_taps_neondot(const lmn_qgemm_taps *t)
{
    const int32_t ends[3] = {t->zp, t->lo, t->hi};
    const float32x4_t mul = vdupq_n_f32(t->mul);
    for (int64_t o = 0; o < t->rows; o++) {
        for (int64_t i = 0; i < t->n; i += 2 * LANES) {
            const int32x4x2_t v = eight(t, t->x + o * t->row_step + i * t->stride);
            for (int64_t h = 0; h < 2 && i + h * LANES < t->n; h++) {
                const int64_t at = o * t->n + i + h * LANES, n = t->n - i - h * LANES;
                if (t->requant)
                    store_bytes((uint8_t *)t->y + at, vmulq_f32(vcvtq_f32_s32(v.val[h]), mul), ends,
                                n);
                else
                    store_words((int32_t *)t->y + at, v.val[h], n);
            }
        }
    }
}

static inline void gather_rows(uint8_t *dst, const uint8_t *x, const gather_piece *a)
{
    for (int64_t r = 0; r < a->rows; r++, dst += a->n, x += a->step) {
        uint8_t *to = dst + a->inside.lo;
        const int64_t some = a->inside.hi - a->inside.lo;
        memset(dst, a->pad, (size_t)a->inside.lo);
        if (a->stride == 1 && some > 0)
            memcpy(to, x, (size_t)some);
        else
            for (int64_t i = 0; i < some; i++) to[i] = x[i * a->stride];
        memset(dst + a->inside.hi, a->pad, (size_t)(a->n - a->inside.hi));
    }
}

void lmn_qgemm_i8_gather_neondot(const lmn_qgemm_gather *w)
{
    gather_slab(w);
}

void lmn_qgemm_i8_windows_neondot(const lmn_qgemm_windows *w)
{
    windows_run(w);
}
