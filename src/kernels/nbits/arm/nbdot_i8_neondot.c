/*
 * nbdot row for NEON with dot products: a row of weights against one or two packed rows, sixteen
 * groups at a time. Register g of scales, sums and chains holds groups g, 4 + g, 8 + g, 12 + g.
 * Weights of 8 bits are taken as signed, 128 less than they are, and so are their zero points.
 */
#include "kernels/nbits/nbdot_tmpl.h"

#include <arm_neon.h>

#define ALWAYS static inline __attribute__((always_inline))
#define EACH(X) X(0) X(1) X(2) X(3)

lmn_nbdot_pack_fn lmn_nbdot_i8_pack_neondot;
lmn_nbdot_run_fn lmn_nbdot_i8_run_neondot;

void lmn_nbdot_i8_pack_neondot(uint8_t *dst, const float *x, int64_t k, int32_t bits, bool more)
{
    nbdot_pack(dst, x, k, bits, more);
}

ALWAYS float32x4_t load_floats(const uint8_t *p)
{
    return vreinterpretq_f32_u8(vld1q_u8(p));
}
ALWAYS int8x16_t load_bytes(const uint8_t *p)
{
    return vreinterpretq_s8_u8(vld1q_u8(p));
}

/* Sixteen words, one a group in their order, to the order of a chunk. */
typedef struct quarters {
    uint32x4_t v0, v1, v2, v3;
} quarters;

/* Words of blocks of 32 << shift columns, from the first of a chunk on. */
ALWAYS quarters spread(const uint8_t *p, int32_t shift)
{
    const uint32x4_t v = vreinterpretq_u32_u8(vld1q_u8(p));
    if (shift == 0) {
        const uint32x4_t b = vreinterpretq_u32_u8(vld1q_u8(p + 16)),
                         c = vreinterpretq_u32_u8(vld1q_u8(p + 32)),
                         d = vreinterpretq_u32_u8(vld1q_u8(p + 48));
        const uint32x4_t e = vuzp1q_u32(v, b), f = vuzp1q_u32(c, d), g = vuzp2q_u32(v, b),
                         h = vuzp2q_u32(c, d);
        return (quarters){vuzp1q_u32(e, f), vuzp1q_u32(g, h), vuzp2q_u32(e, f), vuzp2q_u32(g, h)};
    }
    if (shift == 1) {
        const uint32x4_t b = vreinterpretq_u32_u8(vld1q_u8(p + 16));
        const uint32x4_t even = vuzp1q_u32(v, b), odd = vuzp2q_u32(v, b);
        return (quarters){even, even, odd, odd};
    }
    const uint32x4_t all = shift == 2 ? v : shift == 3 ? vzip1q_u32(v, v) : vdupq_laneq_u32(v, 0);
    return (quarters){all, all, all, all};
}

/* The zero points of n blocks from `block` on, as weights are taken. */
ALWAYS quarters zero_points(const uint8_t *zp, int64_t block, int64_t n, int32_t shift, int bits)
{
    int32_t some[LMN_NBDOT_GROUPS] = {0};
    for (int64_t i = 0; i < n; i++)
        some[i] = lmn_nbdot_zp_at(zp, bits, block + i) - (bits == 8 ? 128 : 0);
    return spread((const uint8_t *)some, shift);
}

/* What a chunk needs of a row of weights. */
typedef struct weights {
    const uint8_t *q;
    quarters scale, zp;
} weights;

/* A group's two halves. */
ALWAYS void halves(const uint8_t *q, int bits, int8x16_t *first, int8x16_t *second)
{
    const uint8x16_t v = vld1q_u8(q), top = vdupq_n_u8(0x80);
    if (bits == 4) {
        *first = vreinterpretq_s8_u8(vandq_u8(v, vdupq_n_u8(15)));
        *second = vreinterpretq_s8_u8(vshrq_n_u8(v, 4));
        return;
    }
    *first = vreinterpretq_s8_u8(veorq_u8(v, top));
    *second = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(q + 16), top));
}

/* Word i of every register to register i. */
ALWAYS void transposed(int8x16_t *p0, int8x16_t *p1, int8x16_t *p2, int8x16_t *p3)
{
    const int32x4_t a = vreinterpretq_s32_s8(*p0), b = vreinterpretq_s32_s8(*p1),
                    c = vreinterpretq_s32_s8(*p2), d = vreinterpretq_s32_s8(*p3);
    const int32x4_t t0 = vzip1q_s32(a, c), t1 = vzip1q_s32(b, d), t2 = vzip2q_s32(a, c),
                    t3 = vzip2q_s32(b, d);
    *p0 = vreinterpretq_s8_s32(vzip1q_s32(t0, t1)), *p1 = vreinterpretq_s8_s32(vzip2q_s32(t0, t1));
    *p2 = vreinterpretq_s8_s32(vzip1q_s32(t2, t3)), *p3 = vreinterpretq_s8_s32(vzip2q_s32(t2, t3));
}

/* Sums of quarter g of a packed row to its chain: `zp` takes off what it should, exactly. */
ALWAYS float32x4_t chained(uint32x4_t scale, uint32x4_t zp, const uint8_t *a, int g, int32x4_t v,
                           float32x4_t acc)
{
    const int32x4_t sums = vreinterpretq_s32_u8(vld1q_u8(a + NBDOT_SUMS + 16 * g));
    const float32x4_t s =
        vmulq_f32(vreinterpretq_f32_u32(scale), load_floats(a + NBDOT_S + 16 * g));
    v = vmlaq_s32(v, vreinterpretq_s32_u32(zp), sums);
    return vfmaq_f32(acc, vcvtq_f32_s32(v), s);
}

/* Halves of bytes of v: products with 16 bytes at a and 16 at a + 64. */
ALWAYS int32x4_t dot_halves(int32x4_t sum, uint64x2_t v, const uint8_t *a)
{
    const uint8x16_t u = vreinterpretq_u8_u64(v);
    const int8x16_t f = vreinterpretq_s8_u8(vandq_u8(u, vdupq_n_u8(15)));
    const int8x16_t s = vreinterpretq_s8_u8(vshrq_n_u8(u, 4));
    return vdotq_s32(vdotq_s32(sum, f, load_bytes(a)), s, load_bytes(a + 64));
}

/* 4 bits: groups at q and 64 B on, two sums of either: 8 columns of one beside 8 of the other are
   what is multiplied. */
ALWAYS int32x4_t two_groups(const uint8_t *q, const uint8_t *a)
{
    const uint64x2_t v0 = vreinterpretq_u64_u8(vld1q_u8(q)),
                     v1 = vreinterpretq_u64_u8(vld1q_u8(q + 64));
    const int32x4_t sum = dot_halves(vdupq_n_s32(0), vcopyq_laneq_u64(v0, 1, v1, 1), a);
    return dot_halves(sum, vextq_u64(v0, v1, 1), a + 128);
}

/* Quarter g of a chunk of a product of one row: whole groups, each folded. */
ALWAYS int32x4_t quarter_of_one(const uint8_t *q, const uint8_t *a, int g, int bits)
{
    const int32x4_t zero = vdupq_n_s32(0);
    int8x16_t f, s;
    if (bits == 4)
        return vpaddq_s32(two_groups(q + 16 * g, a + 16 * g),
                          two_groups(q + 128 + 16 * g, a + 256 + 16 * g));
#define GROUP(r)                                                                              \
    halves(q + (4 * (r) + g) * 4 * bits, bits, &f, &s);                                       \
    const int32x4_t v##r = vdotq_s32(vdotq_s32(zero, f, load_bytes(a + (r)*128 + 16 * g)), s, \
                                     load_bytes(a + (r)*128 + 64 + 16 * g));
    EACH(GROUP)
#undef GROUP
    return vpaddq_s32(vpaddq_s32(v0, v1), vpaddq_s32(v2, v3));
}

/* The weights of a quarter, transposed, and their sums with a packed row. */
typedef struct turned {
    int8x16_t f0, f1, f2, f3, s0, s1, s2, s3;
} turned;

ALWAYS turned quarter(const uint8_t *q, int g, int bits)
{
    turned t;
#define GROUP(r) halves(q + (4 * (r) + g) * 4 * bits, bits, &t.f##r, &t.s##r);
    EACH(GROUP)
#undef GROUP
    transposed(&t.f0, &t.f1, &t.f2, &t.f3);
    transposed(&t.s0, &t.s1, &t.s2, &t.s3);
    return t;
}
ALWAYS int32x4_t quarter_sums(const turned *t, const uint8_t *a, int g)
{
    int32x4_t v = vdupq_n_s32(0);
#define EIGHTH(e)                                                 \
    v = vdotq_s32(v, t->f##e, load_bytes(a + 64 * (e) + 16 * g)); \
    v = vdotq_s32(v, t->s##e, load_bytes(a + 256 + 64 * (e) + 16 * g));
    EACH(EIGHTH)
#undef EIGHTH
    return v;
}

/* Room for the weights and scales of a chunk that has fewer groups. */
typedef struct room {
    uint8_t q[LMN_NBDOT_GROUPS * LMN_NBDOT_GROUP], scale[LMN_NBDOT_GROUPS * sizeof(float)];
} room;

/* n groups of row j from group g on; what is missing is 0. */
ALWAYS weights weights_at(const lmn_nbdot_weights *of, int64_t j, int64_t g, int64_t n, int bits,
                          room *some)
{
    const int64_t block = g >> of->shift, blocks = ((n - 1) >> of->shift) + 1;
    const int32_t shift = of->shift < 4 ? of->shift : 4;
    const uint8_t *scale = (const uint8_t *)(of->scale + j * of->n_blocks + block);
    weights w = {.q = of->q + j * of->row_bytes + g * 4 * bits};
    if (n < LMN_NBDOT_GROUPS) {
        memset(some->q, 0, sizeof some->q);
        memcpy(some->q, w.q, (size_t)(n * 4 * bits));
        w.q = some->q;
    }
    if (n < LMN_NBDOT_GROUPS || shift > 2) { /* fewer scales than a register holds */
        memset(some->scale, 0, sizeof some->scale);
        memcpy(some->scale, scale, (size_t)blocks * sizeof(float));
        scale = some->scale;
    }
    w.scale = spread(scale, shift);
    const uint32x4_t middle = vdupq_n_u32(bits == 4 ? 8 : 0);
    w.zp = (quarters){middle, middle, middle, middle};
    if (of->zp) w.zp = zero_points(of->zp + j * of->zp_bytes, block, blocks, shift, bits);
    return w;
}

ALWAYS void tile(const lmn_nbdot_weights *of, const nbdot_part *p, const int m, const int bits,
                 const bool more)
{
    const int64_t next = p->a_step, end = p->g + p->groups;
    room some;
    for (int64_t r = 0; r < p->rows; r++) {
        const uint8_t *a = p->a;
        float *acc = p->acc[r * m], *acc1 = p->acc[r * m + m - 1];
#define START(i)                                                                \
    float32x4_t c##i = p->g > 0 ? vld1q_f32(acc + 4 * (i)) : vdupq_n_f32(0.0f), \
                d##i = p->g > 0 ? vld1q_f32(acc1 + 4 * (i)) : c##i;
        EACH(START)
#undef START
        for (int64_t g = p->g; g < end; g += LMN_NBDOT_GROUPS, a += LMN_NBDOT_CHUNK) {
            const int64_t n = lmn_min_i64(LMN_NBDOT_GROUPS, end - g);
            const weights w = weights_at(of, p->j + r, g, n, bits, &some);
#define ONE(i) c##i = chained(w.scale.v##i, w.zp.v##i, a, i, quarter_of_one(w.q, a, i, bits), c##i);
#define MORE(i)                                                                                 \
    {                                                                                           \
        const turned t = quarter(w.q, i, bits);                                                 \
        c##i = chained(w.scale.v##i, w.zp.v##i, a, i, quarter_sums(&t, a, i), c##i);            \
        if (m > 1)                                                                              \
            d##i = chained(w.scale.v##i, w.zp.v##i, a + next, i, quarter_sums(&t, a + next, i), \
                           d##i);                                                               \
    }
            if (more) {
                EACH(MORE)
            } else {
                EACH(ONE)
            }
#undef ONE
#undef MORE
        }
#define END(i)                      \
    vst1q_f32(acc + 4 * (i), c##i); \
    if (m > 1) vst1q_f32(acc1 + 4 * (i), d##i);
        EACH(END)
#undef END
    }
}

#define INSTANCES(bits)                         \
    NBDOT_INSTANCE(one, bits, 1, bits, false)   \
    NBDOT_INSTANCE(tile_1, bits, 1, bits, true) \
    NBDOT_INSTANCE(tile_2, bits, 2, bits, true)
INSTANCES(4)
INSTANCES(8)

/* (d0 + d2) + (d1 + d3) of the chains at p. */
ALWAYS float folded(const float *p)
{
    const float32x4_t d = vld1q_f32(p);
    return vpadds_f32(vadd_f32(vget_low_f32(d), vget_high_f32(d)));
}

static void sums(float to[4], const float (*acc)[LMN_NBDOT_GROUPS], int64_t step)
{
    for (int64_t i = 0; i < 4; i++, acc += step)
        to[i] = (folded(acc[0]) + folded(acc[0] + 8)) + (folded(acc[0] + 4) + folded(acc[0] + 12));
}

void lmn_nbdot_i8_run_neondot(const lmn_nbdot_block *b)
{
    static const nbdot_tiles four = {one_4, {tile_1_4, tile_2_4}, sums, false};
    static const nbdot_tiles eight = {one_8, {tile_1_8, tile_2_8}, sums, false};
    if (b->w.bits == 8)
        nbdot_run(b, &eight);
    else
        nbdot_run(b, &four);
}
