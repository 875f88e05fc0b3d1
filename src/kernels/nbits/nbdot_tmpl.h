/*
 * What the nbdot rows share. Packing a row in plain C, which compilers turn into vectors of the
 * file's ISA: a maximum, a rounding and a sum over 32 numbers, each exact or one f32 operation, so
 * the bits do not depend on the vectors. And the walk over a block: one row of weights after the
 * other, which memory likes best, since they lie after each other.
 */
#ifndef LMN_KERNELS_NBDOT_TMPL_H
#define LMN_KERNELS_NBDOT_TMPL_H

#include "kernels/nbits/nbdot.h"

#include <string.h>

enum { NBDOT_S = 512, NBDOT_SUMS = 576 }; /* offsets in a packed chunk */

/* 32 numbers to 32 integers in order; the scale is returned. */
static inline float nbdot_round(int8_t r[LMN_NBDOT_GROUP], const float x[LMN_NBDOT_GROUP])
{
    uint32_t most = 0;
    float top;
    for (int i = 0; i < LMN_NBDOT_GROUP; i++) {
        uint32_t b;
        memcpy(&b, x + i, sizeof b);
        b &= 0x7fffffffu;
        most = most > b ? most : b;
    }
    memcpy(&top, &most, sizeof top);
    const bool small = most < 0x0d800000u /* 2^-100 */, odd = most >= 0x7f800000u;
    if (small || odd) {
        memset(r, 0, LMN_NBDOT_GROUP);
        return odd ? __builtin_nanf("") : 0.0f;
    }
    /* 1.5 * 2^23 more, a number has its integer, rounded, in the low bits */
    const float up = 127.0f / top;
    for (int i = 0; i < LMN_NBDOT_GROUP; i++) {
        const float high = x[i] * up + 0x1.8p23f;
        uint32_t b;
        memcpy(&b, &high, sizeof b);
        r[i] = (int8_t)(b & 255);
    }
    return top / 127.0f;
}

/* Where group i of a chunk keeps its scale and sum: i = 4 r + g is dword r of 128-bit lane g. */
static inline int64_t nbdot_place(int64_t i)
{
    return i % 4 * 4 + i / 4;
}

/* Where byte c of the first half of group i lies in a packed chunk; the second half is 64 bytes on
   for one row, 256 for more. */
static inline int64_t nbdot_byte_at(int64_t i, int64_t c, int32_t bits, bool more)
{
    const int64_t r = i / 4;
    if (more) return c / 4 * 64 + nbdot_place(i) * 4 + c % 4;
    if (bits == 4) return (r ^ c / 8) * 128 + i % 4 * 16 + r % 2 * 8 + c % 8;
    return r * 128 + i % 4 * 16 + c;
}

/* Every other one of eight bytes, from the first on. Little-endian, as everything x86 or arm64. */
static inline uint32_t nbdot_even_bytes(uint64_t v)
{
    v &= 0x00ff00ff00ff00ffu;
    v = (v | v >> 8) & 0x0000ffff0000ffffu;
    return (uint32_t)(v | v >> 16);
}

static inline void nbdot_put(uint8_t *chunk, int64_t i, const int8_t *r, float s, int32_t bits,
                             bool more)
{
    int32_t sum = 0;
    for (int c = 0; c < LMN_NBDOT_GROUP; c++) sum -= r[c];
    for (int c = 0; c < 16; c += 4) {
        uint8_t *to = chunk + nbdot_byte_at(i, c, bits, more);
        uint32_t first, second;
        if (bits == 4) {
            uint64_t both;
            memcpy(&both, r + 2 * c, sizeof both);
            first = nbdot_even_bytes(both), second = nbdot_even_bytes(both >> 8);
        } else {
            memcpy(&first, r + c, sizeof first), memcpy(&second, r + 16 + c, sizeof second);
        }
        memcpy(to, &first, sizeof first);
        memcpy(to + (more ? 256 : 64), &second, sizeof second);
    }
    memcpy(chunk + NBDOT_S + nbdot_place(i) * 4, &s, sizeof s);
    memcpy(chunk + NBDOT_SUMS + nbdot_place(i) * 4, &sum, sizeof sum);
}

static inline void nbdot_pack(uint8_t *dst, const float *x, int64_t k, int32_t bits, bool more)
{
    const int64_t groups = lmn_round_up_i64(lmn_nbdot_groups(k), LMN_NBDOT_GROUPS);
    float some[LMN_NBDOT_GROUP] = {0};
    for (int64_t g = 0; g < groups; g++) {
        const int64_t n = lmn_min_i64(LMN_NBDOT_GROUP, k - g * LMN_NBDOT_GROUP);
        const float *from = n == LMN_NBDOT_GROUP ? x + g * LMN_NBDOT_GROUP : some;
        if (n != LMN_NBDOT_GROUP) memset(some, 0, sizeof some);
        if (n > 0 && n < LMN_NBDOT_GROUP)
            memcpy(some, x + g * LMN_NBDOT_GROUP, (size_t)n * sizeof *some);
        int8_t r[LMN_NBDOT_GROUP];
        const float s = nbdot_round(r, from);
        uint8_t *chunk = dst + g / LMN_NBDOT_GROUPS * LMN_NBDOT_CHUNK;
        nbdot_put(chunk, g % LMN_NBDOT_GROUPS, r, s, bits, more);
    }
}

/* Some rows of weights, of each the groups [g, g + groups), g a multiple of 16; and the chains: of
   row r of these and row i of a tile of m rows of a, acc[r * m + i]. Four rows lie `apart` from
   each other, the next four 4 or, if these are of four runs, 1 behind. */
typedef struct nbdot_part {
    int64_t j, rows, apart, g, groups;
    const uint8_t *a; /* packed rows, from group g on */
    int64_t a_step;
    float (*acc)[LMN_NBDOT_GROUPS];
} nbdot_part;

static inline int64_t nbdot_row(const nbdot_part *p, int64_t r)
{
    return p->apart == 1 ? p->j + r : p->j + r / 4 + r % 4 * p->apart;
}

/* The chains of all begin, where g is 0, or go on in acc. */
typedef void nbdot_tile_fn(const lmn_nbdot_weights *w, const nbdot_part *p);
/* sums[r] of acc[r * step]: four rows' chains added up. */
typedef void nbdot_sums_fn(float sums[4], const float (*acc)[LMN_NBDOT_GROUPS], int64_t step);

typedef struct nbdot_tiles {
    nbdot_tile_fn *one;   /* for products of one row */
    nbdot_tile_fn *of[4]; /* of more: for 1, 2, 4, 8 rows; NULL = none, but of 1 there is one */
    nbdot_sums_fn *sums;
    bool runs; /* one row takes four runs of weights side by side: memory gives more to those */
} nbdot_tiles;

enum { NBDOT_M = 8 };
/* Rows of weights that share a part of the rows of a, and how many of these in bytes: half of L1.
 */
enum { NBDOT_ROWS = 16, NBDOT_A_BYTES = 20 << 10 };

/* The tiles of a row are constants to these, which therefore are to be inlined. */
#define NBDOT_INLINE static inline __attribute__((always_inline))

NBDOT_INLINE void nbdot_store(const lmn_nbdot_block *b, const nbdot_tiles *t, int64_t i,
                              const nbdot_part *p, const float (*acc)[LMN_NBDOT_GROUPS],
                              int64_t step)
{
    for (int64_t r = 0; r < p->rows; r += 4) {
        float sums[4];
        t->sums(sums, acc + r * step, step);
        const int64_t n = lmn_min_i64(4, p->rows - r), j = nbdot_row(p, r);
        float *y = b->y + i * b->ldy + j;
        if (n == 4 && !b->bias && p->apart == 1) {
            memcpy(y, sums, sizeof sums);
            continue;
        }
        for (int64_t c = 0; c < n; c++)
            y[c * p->apart] = b->bias ? sums[c] + b->bias[j + c * p->apart] : sums[c];
    }
}

/* Rows of weights, NBDOT_ROWS at most, against rows i .. i + m - 1 of a. The rows of a pass in
   parts that stay in L1. */
NBDOT_INLINE void nbdot_strip(const lmn_nbdot_block *b, const nbdot_tiles *t, int64_t i, int64_t j,
                              int64_t rows, int64_t apart, int32_t log_m)
{
    const int64_t m = (int64_t)1 << log_m;
    const int64_t part = NBDOT_A_BYTES / (LMN_NBDOT_CHUNK * m) * LMN_NBDOT_GROUPS;
    _Alignas(64) float acc[NBDOT_ROWS * NBDOT_M][LMN_NBDOT_GROUPS];
    if (rows < NBDOT_ROWS || b->groups == 0) memset(acc, 0, sizeof acc);
    nbdot_part p = {.j = j, .rows = rows, .apart = apart, .a_step = b->a_step, .acc = acc};
    for (; p.g < b->groups; p.g += part) {
        p.a = b->a + i * b->a_step + p.g / LMN_NBDOT_GROUPS * LMN_NBDOT_CHUNK;
        p.groups = lmn_min_i64(part, b->groups - p.g);
        (b->m > 1 ? t->of[log_m] : t->one)(&b->w, &p);
    }
    for (int64_t c = 0; c < m; c++)
        nbdot_store(b, t, i + c, &p, (const float(*)[LMN_NBDOT_GROUPS])acc + c, m);
}

NBDOT_INLINE void nbdot_run(const lmn_nbdot_block *b, const nbdot_tiles *t)
{
    const int64_t run = t->runs && b->m == 1 && b->n >= NBDOT_ROWS ? b->n / 4 : 0;
    for (int64_t j = 0; j < run; j += NBDOT_ROWS / 4)
        nbdot_strip(b, t, 0, j, lmn_min_i64(NBDOT_ROWS, 4 * (run - j)), run, 0);
    for (int64_t j = 4 * run; j < b->n; j += NBDOT_ROWS) {
        const int64_t rows = lmn_min_i64(NBDOT_ROWS, b->n - j);
        int64_t i = 0;
        for (int32_t log_m = 3; log_m >= 0; log_m--)
            for (; t->of[log_m] && i + (1 << log_m) <= b->m; i += (int64_t)1 << log_m)
                nbdot_strip(b, t, i, j, rows, 1, log_m);
    }
}

#undef NBDOT_INLINE

/* A function of its own for a shape of the row's tile(): what follows are its arguments. */
#define NBDOT_INSTANCE(name, bits, ...)                                             \
    static __attribute__((noinline)) void name##_##bits(const lmn_nbdot_weights *w, \
                                                        const nbdot_part *p)        \
    {                                                                               \
        tile(w, p, __VA_ARGS__);                                                    \
    }

#endif
