/*
 * Planes turned (turn.h). Elements of four bytes go by blocks of 4 x 4 in registers, those of two
 * by 8 x 8; where one axis has two or three elements, by shuffles that deal out or join so many
 * planes. Other sizes go tile by tile.
 *
 * Invariant: nothing outside the plane is read or written, and every element is moved whole.
 */
#include "ops/turn.h"

#include "base/types.h"

typedef uint16_t __attribute__((aligned(1), may_alias)) u16m;
typedef uint32_t __attribute__((aligned(1), may_alias)) u32m;
typedef uint64_t __attribute__((aligned(1), may_alias)) u64m;
typedef struct __attribute__((packed, may_alias)) u128m {
    uint64_t lo, hi;
} u128m;
/* Four neighbours of four bytes. */
typedef uint32_t __attribute__((vector_size(16), aligned(1), may_alias)) quad;

#define MIX(x, y, a, b, c, d) __builtin_shufflevector(x, y, a, b, c, d)
#define AT(p) (*(quad *)(p))
#define GET(p) (*(const quad *)(p))

enum { TILE = 16 };

#define PLANE(type)                                                               \
    do {                                                                          \
        type *d = (type *)(void *)dst;                                            \
        const type *s = (const type *)(const void *)src;                          \
        for (int64_t a = a0; a < a1; a++)                                         \
            for (int64_t b = b0; b < b1; b++) d[a * dsa + b] = s[a + b * p->ssb]; \
    } while (0)

/* Tile by tile, any size of element. */
static void turn_tiles(const lmn_plane *p, uint8_t *dst, const uint8_t *src)
{
    const int64_t dsa = p->dsa;
    for (int64_t b0 = 0; b0 < p->nb; b0 += TILE) {
        const int64_t b1 = lmn_min_i64(p->nb, b0 + TILE);
        for (int64_t a0 = 0; a0 < p->na; a0 += TILE) {
            const int64_t a1 = lmn_min_i64(p->na, a0 + TILE);
            switch (p->eb) {
            case 1: PLANE(uint8_t); break;
            case 2: PLANE(u16m); break;
            case 4: PLANE(u32m); break;
            case 8: PLANE(u64m); break;
            default: PLANE(u128m); break;
            }
        }
    }
}

/* Eight neighbours of two bytes. */
typedef uint16_t __attribute__((vector_size(16), aligned(1), may_alias)) oct;
#define LOW1(x, y) MIX8(x, y, 0, 8, 1, 9, 2, 10, 3, 11)
#define HIGH1(x, y) MIX8(x, y, 4, 12, 5, 13, 6, 14, 7, 15)
#define LOW2(x, y) MIX8(x, y, 0, 1, 8, 9, 2, 3, 10, 11)
#define HIGH2(x, y) MIX8(x, y, 4, 5, 12, 13, 6, 7, 14, 15)
#define LOW4(x, y) MIX8(x, y, 0, 1, 2, 3, 8, 9, 10, 11)
#define HIGH4(x, y) MIX8(x, y, 4, 5, 6, 7, 12, 13, 14, 15)
#define MIX8(x, y, a, b, c, d, e, f, g, h) __builtin_shufflevector(x, y, a, b, c, d, e, f, g, h)
#define OCT(p) (*(oct *)(p))
#define ROW(i) (*(const oct *)(s + (i)*ssb))

/* d[a dsa + b] = s[a + b ssb] for 8 x 8 elements. */
static inline void turn_oct(u16m *d, int64_t dsa, const u16m *s, int64_t ssb)
{
    const oct r0 = ROW(0), r1 = ROW(1), r2 = ROW(2), r3 = ROW(3), r4 = ROW(4), r5 = ROW(5),
              r6 = ROW(6), r7 = ROW(7);
    const oct a0 = LOW1(r0, r1), a1 = HIGH1(r0, r1), a2 = LOW1(r2, r3), a3 = HIGH1(r2, r3),
              a4 = LOW1(r4, r5), a5 = HIGH1(r4, r5), a6 = LOW1(r6, r7), a7 = HIGH1(r6, r7);
    const oct b0 = LOW2(a0, a2), b1 = HIGH2(a0, a2), b2 = LOW2(a1, a3), b3 = HIGH2(a1, a3),
              c0 = LOW2(a4, a6), c1 = HIGH2(a4, a6), c2 = LOW2(a5, a7), c3 = HIGH2(a5, a7);
    OCT(d) = LOW4(b0, c0), OCT(d + dsa) = HIGH4(b0, c0);
    OCT(d + 2 * dsa) = LOW4(b1, c1), OCT(d + 3 * dsa) = HIGH4(b1, c1);
    OCT(d + 4 * dsa) = LOW4(b2, c2), OCT(d + 5 * dsa) = HIGH4(b2, c2);
    OCT(d + 6 * dsa) = LOW4(b3, c3), OCT(d + 7 * dsa) = HIGH4(b3, c3);
}

/* Whole columns of `wide` elements of the source, so that few lines of the destination are open at
   once; squares of n by `square`. */
#define TURN_COLUMNS(square, n, wide)                                                      \
    do {                                                                                   \
        const int64_t nb = p->nb, bn = nb / (n) * (n), dsa = p->dsa, ssb = p->ssb;         \
        for (int64_t a0 = 0; a0 < p->na; a0 += (wide)) {                                   \
            const int64_t a1 = lmn_min_i64(p->na, a0 + (wide));                            \
            const int64_t an = a0 + (a1 - a0) / (n) * (n);                                 \
            for (int64_t b = 0; b < bn; b += (n)) {                                        \
                for (int64_t a = a0; a < an; a += (n))                                     \
                    square(d + a * dsa + b, dsa, s + a + b * ssb, ssb);                    \
                for (int64_t a = an; a < a1; a++)                                          \
                    for (int64_t k = b; k < b + (n); k++) d[a * dsa + k] = s[a + k * ssb]; \
            }                                                                              \
            for (int64_t b = bn; b < nb; b++)                                              \
                for (int64_t a = a0; a < a1; a++) d[a * dsa + b] = s[a + b * ssb];         \
        }                                                                                  \
    } while (0)

static void turn_halves(const lmn_plane *p, u16m *d, const u16m *s)
{
    TURN_COLUMNS(turn_oct, 8, 32);
}

/* d[a dsa + b] = s[a + b ssb] for 4 x 4 elements. */
static inline void turn_quad(u32m *d, int64_t dsa, const u32m *s, int64_t ssb)
{
    const quad r0 = GET(s), r1 = GET(s + ssb), r2 = GET(s + 2 * ssb), r3 = GET(s + 3 * ssb);
    const quad p = MIX(r0, r2, 0, 4, 1, 5), q = MIX(r1, r3, 0, 4, 1, 5),
               t = MIX(r0, r2, 2, 6, 3, 7), u = MIX(r1, r3, 2, 6, 3, 7);
    AT(d) = MIX(p, q, 0, 4, 1, 5), AT(d + dsa) = MIX(p, q, 2, 6, 3, 7);
    AT(d + 2 * dsa) = MIX(t, u, 0, 4, 1, 5), AT(d + 3 * dsa) = MIX(t, u, 2, 6, 3, 7);
}

static void turn_words(const lmn_plane *p, u32m *d, const u32m *s)
{
    TURN_COLUMNS(turn_quad, 4, 8);
}

/* Two interleaved planes dealt out. */
static void deal_two(const lmn_plane *p, u32m *d, const u32m *s)
{
    u32m *e = d + p->dsa;
    int64_t b = 0;
    for (; b + 4 <= p->nb; b += 4) {
        const quad x = GET(s + 2 * b), y = GET(s + 2 * b + 4);
        AT(d + b) = MIX(x, y, 0, 2, 4, 6);
        AT(e + b) = MIX(x, y, 1, 3, 5, 7);
    }
    for (; b < p->nb; b++) d[b] = s[2 * b], e[b] = s[2 * b + 1];
}

static void deal_three(const lmn_plane *p, u32m *d, const u32m *s)
{
    u32m *e = d + p->dsa, *f = e + p->dsa;
    int64_t b = 0;
    for (; b + 4 <= p->nb; b += 4) { /* x0 y0 z0 x1, y1 z1 x2 y2, z2 x3 y3 z3 */
        const quad i = GET(s + 3 * b), j = GET(s + 3 * b + 4), k = GET(s + 3 * b + 8);
        const quad x = MIX(i, j, 0, 3, 6, 6), y = MIX(i, j, 1, 4, 7, 7), z = MIX(i, j, 2, 5, 5, 5);
        AT(d + b) = MIX(x, k, 0, 1, 2, 5);
        AT(e + b) = MIX(y, k, 0, 1, 2, 6);
        AT(f + b) = MIX(z, k, 0, 1, 4, 7);
    }
    for (; b < p->nb; b++) d[b] = s[3 * b], e[b] = s[3 * b + 1], f[b] = s[3 * b + 2];
}

/* Two planes joined to pairs. */
static void join_two(const lmn_plane *p, u32m *d, const u32m *s)
{
    const u32m *t = s + p->ssb;
    int64_t a = 0;
    for (; a + 4 <= p->na; a += 4) {
        const quad x = GET(s + a), y = GET(t + a);
        AT(d + 2 * a) = MIX(x, y, 0, 4, 1, 5);
        AT(d + 2 * a + 4) = MIX(x, y, 2, 6, 3, 7);
    }
    for (; a < p->na; a++) d[2 * a] = s[a], d[2 * a + 1] = t[a];
}

static void join_three(const lmn_plane *p, u32m *d, const u32m *s)
{
    const u32m *t = s + p->ssb, *u = t + p->ssb;
    int64_t a = 0;
    for (; a + 4 <= p->na; a += 4) {
        const quad x = GET(s + a), y = GET(t + a), z = GET(u + a);
        const quad xy = MIX(x, y, 0, 4, 1, 5), yz = MIX(y, z, 1, 5, 2, 6),
                   zx = MIX(z, x, 2, 7, 3, 3);
        AT(d + 3 * a) = MIX(xy, z, 0, 1, 4, 2);
        AT(d + 3 * a + 4) = MIX(yz, x, 0, 1, 6, 2);
        AT(d + 3 * a + 8) = MIX(zx, y, 0, 1, 7, 2);
    }
    for (; a < p->na; a++) d[3 * a] = s[a], d[3 * a + 1] = t[a], d[3 * a + 2] = u[a];
}

/* One axis is shorter than a block and the planes are not dense: along the other axis. */
static void turn_few(const lmn_plane *p, u32m *d, const u32m *s)
{
    enum { RUN = 1024 };
    const bool few_a = p->na < p->nb;
    const int64_t n = few_a ? p->nb : p->na;
    for (int64_t i0 = 0; i0 < n; i0 += RUN) {
        const int64_t i1 = lmn_min_i64(n, i0 + RUN);
        for (int64_t k = 0; few_a && k < p->na; k++)
            for (int64_t b = i0; b < i1; b++) d[k * p->dsa + b] = s[k + b * p->ssb];
        for (int64_t k = 0; !few_a && k < p->nb; k++)
            for (int64_t a = i0; a < i1; a++) d[a * p->dsa + k] = s[a + k * p->ssb];
    }
}

void lmn_plane_turn(const lmn_plane *p, uint8_t *dst, const uint8_t *src)
{
    u32m *d = (u32m *)(void *)dst;
    const u32m *s = (const u32m *)(const void *)src;
    const bool deals = p->na == p->ssb, joins = p->nb == p->dsa;
    if (p->eb == sizeof(u16m) && p->na >= 8 && p->nb >= 8)
        turn_halves(p, (u16m *)(void *)dst, (const u16m *)(const void *)src);
    else if (p->eb != sizeof(u32m))
        turn_tiles(p, dst, src);
    else if (p->na >= 4 && p->nb >= 4)
        turn_words(p, d, s);
    else if (deals && p->na == 2)
        deal_two(p, d, s);
    else if (deals && p->na == 3)
        deal_three(p, d, s);
    else if (joins && p->nb == 2)
        join_two(p, d, s);
    else if (joins && p->nb == 3)
        join_three(p, d, s);
    else
        turn_few(p, d, s);
}

#define PICK(type)                                          \
    do {                                                    \
        type *d = (type *)(void *)dst;                      \
        const type *s = (const type *)(const void *)src;    \
        for (int64_t b = 0; b < n; b++) d[b] = s[b * step]; \
    } while (0)

static void pick_even(int64_t n, u32m *d, const u32m *s)
{
    int64_t b = 0;
    for (; b + 5 <= n; b += 4) /* the last one read must be an element */
        AT(d + b) = MIX(GET(s + 2 * b), GET(s + 2 * b + 4), 0, 2, 4, 6);
    for (; b < n; b++) d[b] = s[2 * b];
}

void lmn_plane_pick(size_t eb, int64_t n, int64_t step, uint8_t *dst, const uint8_t *src)
{
    if (eb == sizeof(u32m) && step == 2) {
        pick_even(n, (u32m *)(void *)dst, (const u32m *)(const void *)src);
        return;
    }
    switch (eb) {
    case 1: PICK(uint8_t); break;
    case 2: PICK(u16m); break;
    case 4: PICK(u32m); break;
    case 8: PICK(u64m); break;
    default: PICK(u128m); break;
    }
}
