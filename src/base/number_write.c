/*
 * Writing numbers. Floats by Schubfach (Raffaello Giulietti, "The Schubfach way to render
 * doubles"): three products with a power of ten tell the shortest decimal within the interval that
 * rounds to v, and of those the nearest. Digits then come eight at a time out of one word and are
 * stored as words.
 */
#include "base/number.h"

#include "base/pow10.h"

#include <string.h>

/* Once for floats, once for doubles: what differs is then constant. */
#define INLINE static inline __attribute__((always_inline))

static const char PAIRS[] = "00010203040506070809101112131415161718192021222324252627282930313233"
                            "34353637383940414243444546474849505152535455565758596061626364656667"
                            "6869707172737475767778798081828384858687888990919293949596979899";

/* Eight digits of v < 10^8 as bytes 0..9, the first in the low byte. */
static inline uint64_t bcd8(uint32_t v)
{
    uint64_t x = v / 10000 | (uint64_t)(v % 10000) << 32;
    uint64_t t = (x * 10486 >> 20) & 0x7f0000007f;
    x = t | (x - t * 100) << 16;
    t = (x * 103 >> 10) & 0x000f000f000f000f;
    return t | (x - t * 10) << 8;
}

/* A decimal: w * 10^k. */
typedef struct decimal {
    uint64_t w;
    int32_t k;
} decimal;

static inline int32_t floor_log10_pow2(int32_t e, bool three_quarters)
{
    return (int32_t)(((int64_t)e * 1262611 - (three_quarters ? 524031 : 0)) >> 22);
}

/* The upper 64 bits of the product of 192, rounded to odd. */
static inline uint64_t odd64(lmn_pow10 g, uint64_t c)
{
    const uint64_t low = (uint64_t)((lmn_u128)c * g.lo >> 64);
    const lmn_u128 x = (lmn_u128)c * g.hi + low;
    return (uint64_t)(x >> 64) | ((uint64_t)x > 1);
}

static inline uint64_t odd32(uint64_t g, uint64_t c)
{
    const lmn_u128 x = (lmn_u128)g * c;
    return (uint64_t)(x >> 64) | ((uint64_t)x >> 33 != 0);
}

/* Which of the decimals around vb / 4 it is; lower and upper bound the interval. Which way it goes
 * is chance for most data, so nothing here branches. */
INLINE decimal choose(uint64_t lower, uint64_t vb, uint64_t upper, int32_t k)
{
    const uint64_t s = vb / 4, tens = s / 10, middle = 4 * s + 2;
    const bool down10 = lower <= 40 * tens, up10 = 40 * tens + 40 <= upper;
    const bool shorter = (s >= 10) & (down10 != up10);
    const bool down = lower <= 4 * s, up = 4 * s + 4 <= upper;
    const bool nearest = (vb > middle) | ((vb == middle) & (s & 1));
    const bool above = down != up ? up : nearest;
    const uint64_t mask = 0 - (uint64_t)shorter;
    return (decimal){((tens + up10) & mask) | ((s + above) & ~mask), k + shorter};
}

/* c * 2^q, c > 0; `first`: c is a power of two, below which values lie closer. */
static inline decimal shortest64(uint64_t c, int32_t q, bool first)
{
    if (q <= 0 && q > -53 && (c & (((uint64_t)1 << -q) - 1)) == 0) return (decimal){c >> -q, 0};
    const int32_t k = floor_log10_pow2(q, first), h = q + lmn_log2_of_pow10(-k) + 1;
    const lmn_pow10 g = lmn_pow10_of(-k);
    const uint64_t odd = c & 1; /* the ends of the interval belong to even ones only */
    const uint64_t lower = odd64(g, (4 * c - 2 + first) << h) + odd;
    const uint64_t upper = odd64(g, (4 * c + 2) << h) - odd;
    return choose(lower, odd64(g, (4 * c) << h), upper, k);
}

/* A power of two: values below it lie closer. */
__attribute__((noinline, cold)) static decimal power32(uint32_t c, int32_t q)
{
    const int32_t k = floor_log10_pow2(q, true), h = q + lmn_log2_of_pow10(-k) + 1;
    const lmn_pow10 g128 = lmn_pow10_of(-k);
    const uint64_t g = g128.hi + (g128.lo != 0), c4 = (uint64_t)c * 4;
    return choose(odd32(g, (c4 - 1) << h), odd32(g, c4 << h), odd32(g, (c4 + 2) << h), k);
}

INLINE decimal shortest32(uint32_t c, const lmn_pow10_scale *s)
{
    const uint64_t odd = c & 1, c4 = (uint64_t)c * 4, g = s->g;
    const int32_t h = s->h;
    const uint64_t lower = odd32(g, (c4 - 2) << h) + odd;
    const uint64_t upper = odd32(g, (c4 + 2) << h) - odd;
    return choose(lower, odd32(g, c4 << h), upper, s->k);
}

#define ZEROS 0x3030303030303030

static inline void store8(char *out, uint64_t text)
{
    memcpy(out, &text, 8);
}

/* A decimal of up to 17 digits, the first of which stands alone: d.ddd * 10^e. */
typedef struct digits {
    char first;
    uint64_t a, b; /* eight more each, as text */
    int32_t n, e;  /* without zeros at the end */
} digits;

/* w > 0 of at most 9 digits, or with `wide` 17. */
INLINE digits digits_of(decimal d, bool wide)
{
    static const uint64_t TENS[18] = {1,
                                      10,
                                      100,
                                      1000,
                                      10000,
                                      100000,
                                      1000000,
                                      10000000,
                                      100000000,
                                      1000000000,
                                      10000000000,
                                      100000000000,
                                      1000000000000,
                                      10000000000000,
                                      100000000000000,
                                      1000000000000000,
                                      10000000000000000,
                                      100000000000000000};
    const int32_t most = wide ? 17 : 9;
    int32_t n;
    if (!wide && LMN_LIKELY(d.w >= 100000)) { /* nearly all floats have 6 to 9 digits */
        n = 6 + (d.w >= 1000000) + (d.w >= 10000000) + (d.w >= 100000000);
    } else {
        n = (64 - __builtin_clzll(d.w)) * 1233 >> 12;
        n += d.w >= TENS[n];
    }
    const uint64_t w = d.w * TENS[most - n];
    digits out = {.b = ZEROS, .e = d.k + n - 1};
    uint64_t a = 0, b = 0;
    if (wide) {
        const uint64_t high = w / 100000000;
        b = bcd8((uint32_t)(w % 100000000));
        out.b = b | ZEROS;
        out.first = (char)('0' + high / 100000000);
        a = bcd8((uint32_t)(high % 100000000));
    } else {
        out.first = (char)('0' + w / 100000000);
        a = bcd8((uint32_t)(w % 100000000));
    }
    out.a = a | ZEROS;
    out.n = b ? 17 - (__builtin_clzll(b) >> 3) : a ? 9 - (__builtin_clzll(a) >> 3) : 1;
    return out;
}

/* d.ddde-5 and the like, and what has more than eight digits before its point. */
__attribute__((noinline, cold)) static size_t lay_out_far(char *out, digits d)
{
    const int32_t e = d.e, n = d.n;
    out[0] = d.first;
    if (e > 0 && e <= 16) {
        store8(out + 1, d.a);
        store8(out + 9, d.b);
        if (n <= e + 1) return (size_t)e + 1;
        memmove(out + e + 2, out + e + 1, (size_t)(n - e - 1));
        out[e + 1] = '.';
        return (size_t)n + 1;
    }
    out[1] = '.';
    store8(out + 2, d.a);
    store8(out + 10, d.b);
    size_t o = n > 1 ? (size_t)n + 1 : 1;
    const int32_t positive = e < 0 ? -e : e;
    out[o++] = 'e';
    out[o] = '-';
    o += e < 0;
    if (positive >= 100) out[o++] = (char)('0' + positive / 100);
    if (positive >= 10) out[o++] = (char)('0' + positive / 10 % 10);
    out[o++] = (char)('0' + positive % 10);
    return o;
}

/* Stores run past what is used, within the room. Where the point stands is no branch either: for
 * e < 0 the digits follow "0.000", and get none. */
INLINE size_t lay_out(char *out, digits d, bool wide)
{
    const int32_t e = d.e, n = d.n;
    if (LMN_UNLIKELY(e < -5 || e >= 8)) return lay_out_far(out, d);
    const bool below = e < 0;
    const int32_t zeros = below ? 1 - e : 0, bits = below ? 56 : 8 * e;
    /* the first e digits of a, the point, the others; below: all of them, as the point is put over
     * the place of the last and that is stored behind it */
    const uint64_t whole = ((uint64_t)1 << bits) - 1, last = d.a >> 56;
    const uint64_t point = below ? last << 56 : (uint64_t)'.' << bits | (d.a & ~whole) << 8;
    memcpy(out, "0.000000", 8);
    out += zeros;
    out[0] = d.first;
    store8(out + 1, (d.a & whole) | point);
    out[9] = (char)last;
    if (wide) store8(out + 10 - below, d.b);
    const int32_t used = n > e + 1 ? n + 1 : e + 1;
    return (size_t)(below ? zeros + n : used);
}

INLINE size_t write(char *out, decimal d, bool minus, bool wide)
{
    out[0] = '-';
    out += minus;
    if (d.w == 0) {
        out[0] = '0';
        return (size_t)minus + 1;
    }
    const digits text = digits_of(d, wide);
    return (size_t)minus + lay_out(out, text, wide);
}

static inline decimal of_f64(double v, bool *minus)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    const uint64_t fraction = bits & 0xfffffffffffff;
    const int32_t e = (int32_t)(bits >> 52 & 0x7ff);
    lmn_assert(e != 0x7ff);
    *minus = bits >> 63;
    if (e) return shortest64(fraction | (uint64_t)1 << 52, e - 1075, fraction == 0 && e > 1);
    return fraction ? shortest64(fraction, -1074, false) : (decimal){0, 0};
}

size_t lmn_f64_write(char out[LMN_NUMBER_BYTES], double v)
{
    bool minus;
    const decimal d = of_f64(v, &minus);
    return write(out, d, minus, true);
}

static inline decimal of_f32(float v, bool *minus)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    const uint32_t fraction = bits & 0x7fffff;
    const int32_t e = (int32_t)(bits >> 23 & 0xff);
    lmn_assert(e != 0xff);
    *minus = bits >> 31;
    const uint32_t c = e ? fraction | 1u << 23 : fraction;
    const int32_t q = (e ? e : 1) - 150;
    if (c == 0) return (decimal){0, 0};
    if (q <= 0 && q > -24 && (c & ((1u << -q) - 1)) == 0) return (decimal){c >> -q, 0};
    if (LMN_UNLIKELY(fraction == 0 && e > 1)) return power32(c, q);
    return shortest32(c, &lmn_pow10_single[e]);
}

size_t lmn_f32_write(char out[LMN_NUMBER_BYTES], float v)
{
    bool minus;
    const decimal d = of_f32(v, &minus);
    return write(out, d, minus, false);
}

size_t lmn_u64_write(char out[LMN_NUMBER_BYTES], uint64_t v)
{
    char text[20];
    uint32_t at = sizeof text;
    for (; v >= 100; v /= 100) memcpy(text + (at -= 2), PAIRS + v % 100 * 2, 2);
    if (v >= 10)
        memcpy(text + (at -= 2), PAIRS + v * 2, 2);
    else
        text[--at] = (char)('0' + v);
    memcpy(out, text + at, sizeof text - at);
    return sizeof text - at;
}

size_t lmn_i64_write(char out[LMN_NUMBER_BYTES], int64_t v)
{
    const bool minus = v < 0;
    out[0] = '-';
    return minus + lmn_u64_write(out + minus, minus ? 0 - (uint64_t)v : (uint64_t)v);
}
