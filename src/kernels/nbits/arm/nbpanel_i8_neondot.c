/*
 * nbpanel row for NEON with dot products: a strip is eight registers of sums. Weights of 8 bits are
 * taken as signed, 128 less than they are, and so are their zero points.
 */
#include "kernels/nbits/nbpanel_tmpl.h"

#include <arm_neon.h>

#define ALWAYS static inline __attribute__((always_inline))
#define EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

lmn_nbpanel_pack_fn lmn_nbpanel_i8_pack_neondot;
lmn_nbpanel_run_fn lmn_nbpanel_i8_run_neondot;

void lmn_nbpanel_i8_pack_neondot(uint8_t *tile, int64_t rows, int64_t r, const float *x, int64_t k,
                                 const lmn_nbpanels *w)
{
    nbpanel_pack(tile, rows, r, x, k, w);
}

/* Sums of r * q of a strip, four rows a register. */
typedef struct sums {
    int32x4_t v0, v1, v2, v3, v4, v5, v6, v7;
} sums;

/* The word at p in every lane. */
ALWAYS int32x4_t every(const uint8_t *p)
{
    int32_t v;
    memcpy(&v, p, sizeof v);
    return vdupq_n_s32(v);
}

ALWAYS void line4(sums *s, const uint8_t *q, const uint8_t *r)
{
    const int8x16_t first = vreinterpretq_s8_s32(every(r));
    const int8x16_t last = vreinterpretq_s8_s32(every(r + 16));
#define QUARTER(i)                                                                   \
    {                                                                                \
        const uint8x16_t two = vld1q_u8(q + 16 * (i));                               \
        const int8x16_t lo = vreinterpretq_s8_u8(vandq_u8(two, vdupq_n_u8(15)));     \
        s->v##i = vdotq_s32(s->v##i, lo, first);                                     \
        s->v##i = vdotq_s32(s->v##i, vreinterpretq_s8_u8(vshrq_n_u8(two, 4)), last); \
    }
    EACH(QUARTER)
#undef QUARTER
}
ALWAYS void line8(sums *s, const uint8_t *q, const uint8_t *r)
{
    const int8x16_t a = vreinterpretq_s8_s32(every(r));
#define QUARTER(i)                                                                 \
    {                                                                              \
        const uint8x16_t all = veorq_u8(vld1q_u8(q + 16 * (i)), vdupq_n_u8(0x80)); \
        s->v##i = vdotq_s32(s->v##i, vreinterpretq_s8_u8(all), a);                 \
    }
    EACH(QUARTER)
#undef QUARTER
}
ALWAYS sums group_sums(const uint8_t *q, const uint8_t *r, const int bits)
{
    const int32x4_t zero = vdupq_n_s32(0);
    sums s = {zero, zero, zero, zero, zero, zero, zero, zero};
    for (int c = 0; c < bits; c++) (bits == 4 ? line4 : line8)(&s, q + 128 * c, r + 4 * c);
    return s;
}

/* What zero points of four rows take off by a record, at the same place as their sums. */
ALWAYS int32x4_t taken_off(const uint8_t *r, const uint8_t *zp, const int bits)
{
    const int32x4_t sum = every(r + NBPANEL_SUM);
    if (!zp) return bits == 4 ? vshrq_n_s32(sum, 4) : vdupq_n_s32(0);
    uint8_t some[8] = {0};
    memcpy(some, zp, 4);
    const int32x4_t v = vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vld1_u8(some)))));
    return vmulq_s32(bits == 4 ? v : vsubq_s32(v, vdupq_n_s32(128)), sum);
}

/* A strip by row i of the tile. */
ALWAYS void row(const nbpanel_part *p, int64_t i, const int bits, const bool zps)
{
    const lmn_nbpanels *w = &p->w;
    const uint8_t *a = p->a + i * LMN_NBPANEL_RECORD;
    float *acc = p->acc[i];
#define START(i) float32x4_t c##i = p->g > 0 ? vld1q_f32(acc + 4 * (i)) : vdupq_n_f32(0.0f);
    EACH(START)
#undef START
    for (int64_t g = p->g; g < p->end; g++, a += p->m * LMN_NBPANEL_RECORD) {
        const sums v = group_sums(nbpanel_group(w, g, bits, zps), a, bits);
        const uint8_t *scales = nbpanel_scales(w, g, bits, zps);
        const float32x4_t s = vreinterpretq_f32_s32(every(a + NBPANEL_S));
#define CHAIN(i)                                                                     \
    {                                                                                \
        const uint8_t *zp = zps ? scales + NBPANEL_ZP + 4 * (i) : NULL;              \
        const float32x4_t scale = vreinterpretq_f32_u8(vld1q_u8(scales + 16 * (i))); \
        const int32x4_t sum = vaddq_s32(v.v##i, taken_off(a, zp, bits));             \
        c##i = vfmaq_f32(c##i, vcvtq_f32_s32(sum), vmulq_f32(scale, s));             \
    }
        EACH(CHAIN)
#undef CHAIN
    }
#define END(i) vst1q_f32(acc + 4 * (i), c##i);
    EACH(END)
#undef END
}

/* There are no registers for several rows of A: one after the other. */
ALWAYS void tile(const nbpanel_part *p, const int bits, const bool zps)
{
    for (int64_t i = 0; i < p->m; i++) row(p, i, bits, zps);
}

#include "kernels/nbits/nbpanel_forms_tmpl.h"

void lmn_nbpanel_i8_run_neondot(const lmn_nbpanel_block *b)
{
    nbpanel_run(b, any_form, 4);
}
