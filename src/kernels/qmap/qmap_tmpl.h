/*
 * The loops of qmap in plain C, which compilers turn into vectors of the file's ISA: elements do
 * not depend on each other, so the bits do not depend on the vectors. The file that includes it
 * defines its row's functions with QMAP_ROW(variant), and, after QMAP_QUICK, quick_sums().
 */
#include "kernels/qmap/qmap.h"

/* Elements at once where there are several conversions: each is a loop of its own. */
enum { BLOCK = 256 };

static inline float real_of(uint8_t x, float scale, int32_t zp)
{
    return (float)((int32_t)x - zp) * scale;
}

/* Clamped before it is rounded, which gives the same integer and cannot overflow. */
static inline uint8_t byte_of(float x, int32_t zp)
{
    const float least = (float)-zp, most = (float)(255 - zp);
    x = x != x ? 0.0f : x;
    x = x < least ? least : x;
    x = x > most ? most : x;
    return (uint8_t)((int32_t)__builtin_rintf(x) + zp);
}

static inline void quantize_run(uint8_t *dst, const float *x, int64_t n, lmn_qmap_side q,
                                uint8_t flip)
{
    for (int64_t i = 0; i < n; i++) dst[i] = (uint8_t)(byte_of(x[i] / q.scale, q.zp) ^ flip);
}

static inline void dequantize_run(float *dst, const uint8_t *x, int64_t n, lmn_qmap_side q,
                                  uint8_t flip)
{
    for (int64_t i = 0; i < n; i++) dst[i] = real_of(x[i] ^ flip, q.scale, q.zp);
}

#ifdef QMAP_QUICK
static inline int64_t quick_sums(const lmn_qmap_pair *p);
#endif

static inline void pair_block(const lmn_qmap_pair *p, int64_t at, int64_t n)
{
    float a[BLOCK], b[BLOCK];
    const uint8_t *xa = p->a + (p->a_one ? 0 : at), *xb = p->b + (p->b_one ? 0 : at);
    if (p->a_one)
        for (int64_t i = 0; i < n; i++) a[i] = real_of(xa[0] ^ p->flip, p->qa.scale, p->qa.zp);
    else
        dequantize_run(a, xa, n, p->qa, p->flip);
    if (p->b_one)
        for (int64_t i = 0; i < n; i++) b[i] = real_of(xb[0] ^ p->flip, p->qb.scale, p->qb.zp);
    else
        dequantize_run(b, xb, n, p->qb, p->flip);
    if (p->kind == LMN_QMAP_ADD)
        for (int64_t i = 0; i < n; i++) a[i] += b[i];
    else
        for (int64_t i = 0; i < n; i++) a[i] *= b[i];
    quantize_run(p->dst + at, a, n, p->qc, p->flip);
}

#ifndef QMAP_QUICK
/* The first elements of a sum by a shorter way of the file's ISA; how many. */
static inline int64_t quick_sums(const lmn_qmap_pair *p)
{
    (void)p;
    return 0;
}
#endif

static inline void pair_run(const lmn_qmap_pair *p)
{
    for (int64_t at = quick_sums(p); at < p->n; at += BLOCK)
        pair_block(p, at, lmn_min_i64(BLOCK, p->n - at));
}

static inline void add_up_run(double *restrict sum, const uint8_t *restrict x, int64_t n,
                              lmn_qmap_side q, uint8_t flip)
{
    for (int64_t i = 0; i < n; i++) sum[i] += (double)real_of(x[i] ^ flip, q.scale, q.zp);
}

static inline void clip_run(uint8_t *dst, const uint8_t *x, int64_t n, uint8_t lo, uint8_t hi,
                            uint8_t flip)
{
    for (int64_t i = 0; i < n; i++) {
        uint8_t v = x[i] ^ flip;
        v = v < lo ? lo : v;
        dst[i] = (v > hi ? hi : v) ^ flip;
    }
}

static inline uint8_t larger(uint8_t a, uint8_t b, uint8_t flip)
{
    const uint8_t fa = a ^ flip, fb = b ^ flip;
    return (fa > fb ? fa : fb) ^ flip;
}

static inline void max_run(uint8_t *restrict dst, const uint8_t *restrict x, int64_t n,
                           int64_t step, uint8_t flip)
{
    if (step == 1)
        for (int64_t i = 0; i < n; i++) dst[i] = larger(dst[i], x[i], flip);
    else if (step == 2)
        for (int64_t i = 0; i < n; i++) dst[i] = larger(dst[i], x[2 * i], flip);
    else
        for (int64_t i = 0; i < n; i++) dst[i] = larger(dst[i], x[step * i], flip);
}

static inline void requantize_run(uint8_t *dst, const uint8_t *x, int64_t n,
                                  const lmn_qmap_side side[2], const uint8_t flips[2])
{
    float v[BLOCK];
    for (int64_t at = 0; at < n; at += BLOCK) {
        const int64_t some = lmn_min_i64(BLOCK, n - at);
        dequantize_run(v, x + at, some, side[0], flips[0]);
        quantize_run(dst + at, v, some, side[1], flips[1]);
    }
}

/* Lanes of their own, since a chain of comparisons is no vector to a compiler. */
static inline bool bounds_run(const float *x, int64_t n, float lo_hi[2])
{
    enum { LANES = 64 };
    float lo[LANES], hi[LANES];
    int32_t odd[LANES] = {0};
    for (int i = 0; i < LANES; i++) lo[i] = lo_hi[0], hi[i] = lo_hi[1];
    int64_t at = 0;
    for (; at + LANES <= n; at += LANES) {
        for (int i = 0; i < LANES; i++) {
            const float v = x[at + i];
            lo[i] = v < lo[i] ? v : lo[i];
            hi[i] = v > hi[i] ? v : hi[i];
            odd[i] |= v != v;
        }
    }
    for (int i = 0; at < n; at++, i++) {
        lo[i] = x[at] < lo[i] ? x[at] : lo[i];
        hi[i] = x[at] > hi[i] ? x[at] : hi[i];
        odd[i] |= x[at] != x[at];
    }
    for (int i = 1; i < LANES; i++) {
        lo[0] = lo[i] < lo[0] ? lo[i] : lo[0];
        hi[0] = hi[i] > hi[0] ? hi[i] : hi[0];
        odd[0] |= odd[i];
    }
    lo_hi[0] = lo[0], lo_hi[1] = hi[0];
    return !odd[0];
}

#define QMAP_ROW(var)                                                                              \
    lmn_qmap_quantize_fn lmn_qmap_i8_quantize_##var;                                               \
    lmn_qmap_dequantize_fn lmn_qmap_i8_dequantize_##var;                                           \
    lmn_qmap_pair_fn lmn_qmap_i8_pair_##var;                                                       \
    lmn_qmap_clip_fn lmn_qmap_i8_clip_##var;                                                       \
    lmn_qmap_max_fn lmn_qmap_i8_max_##var;                                                         \
    lmn_qmap_requantize_fn lmn_qmap_i8_requantize_##var;                                           \
    lmn_qmap_bounds_fn lmn_qmap_i8_bounds_##var;                                                   \
    lmn_qmap_add_up_fn lmn_qmap_i8_add_up_##var;                                                   \
    void lmn_qmap_i8_quantize_##var(uint8_t *dst, const float *x, int64_t n,                       \
                                    const lmn_qmap_side *q, uint8_t flip)                          \
    {                                                                                              \
        quantize_run(dst, x, n, *q, flip);                                                         \
    }                                                                                              \
    void lmn_qmap_i8_dequantize_##var(float *dst, const uint8_t *x, int64_t n,                     \
                                      const lmn_qmap_side *q, uint8_t flip)                        \
    {                                                                                              \
        dequantize_run(dst, x, n, *q, flip);                                                       \
    }                                                                                              \
    void lmn_qmap_i8_pair_##var(const lmn_qmap_pair *p)                                            \
    {                                                                                              \
        pair_run(p);                                                                               \
    }                                                                                              \
    void lmn_qmap_i8_clip_##var(uint8_t *dst, const uint8_t *x, int64_t n, const uint8_t lo_hi[2], \
                                uint8_t flip)                                                      \
    {                                                                                              \
        clip_run(dst, x, n, lo_hi[0], lo_hi[1], flip);                                             \
    }                                                                                              \
    void lmn_qmap_i8_max_##var(uint8_t *dst, const uint8_t *x, int64_t n, int64_t step,            \
                               uint8_t flip)                                                       \
    {                                                                                              \
        max_run(dst, x, n, step, flip);                                                            \
    }                                                                                              \
    void lmn_qmap_i8_requantize_##var(uint8_t *dst, const uint8_t *x, int64_t n,                   \
                                      const lmn_qmap_side from_to[2], const uint8_t flips[2])      \
    {                                                                                              \
        requantize_run(dst, x, n, from_to, flips);                                                 \
    }                                                                                              \
    bool lmn_qmap_i8_bounds_##var(const float *x, int64_t n, float lo_hi[2])                       \
    {                                                                                              \
        return bounds_run(x, n, lo_hi);                                                            \
    }                                                                                              \
    void lmn_qmap_i8_add_up_##var(double *sum, const uint8_t *x, int64_t n,                        \
                                  const lmn_qmap_side *q, uint8_t flip)                            \
    {                                                                                              \
        add_up_run(sum, x, n, *q, flip);                                                           \
    }
