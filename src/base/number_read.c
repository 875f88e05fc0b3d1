/*
 * Reading decimals. Digits are taken eight at a time out of one word; a short one is exact in a
 * double and one division or product away; the others take one product with a power of ten to 128
 * bits (Eisel-Lemire; that 128 bits always do: Mushtak and Lemire, "Fast number parsing without
 * fallback"). What has more than 19 digits and lies near the middle of two values is decided by
 * long division (number_long.c). All text is foreign: no load leaves [p, end).
 */
#include "base/number.h"

#include "base/number_long.h"
#include "base/pow10.h"

#include <math.h>
#include <string.h>

/* A decimal then stays in registers; only what is rare passes it on, by value. */
#define INLINE static inline __attribute__((always_inline))

#define WORD_DIGITS 19 /* decimal digits that always fit 64 bits */
#define EXPONENT_MAX ((int64_t)1 << 50)

static const uint64_t TENS[9] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000};
static const double EXACT[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* A decimal: w * 10^q; `cut`: more digits follow those of w. */
typedef struct decimal {
    uint64_t w;
    int64_t q;
    bool minus, cut;
    const uint8_t *digits, *digits_end; /* with the point among them */
    int64_t exponent;                   /* as written */
} decimal;

static inline bool is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') < 10;
}

/* The number that eight digits are, the first in the low byte, each as its value. */
static inline uint64_t eight(uint64_t x)
{
    x = (x & 0x0f0f0f0f0f0f0f0f) * 2561 >> 8;
    x = (x & 0x00ff00ff00ff00ff) * 6553601 >> 16;
    return (x & 0x0000ffff0000ffff) * 42949672960001 >> 32;
}

/* Digits from p on into *w; returns the byte behind them. */
INLINE const uint8_t *take(const uint8_t *p, const uint8_t *end, uint64_t *w)
{
    while (end - p >= 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        x ^= 0x3030303030303030;
        const uint64_t other = ((x + 0x0606060606060606) | x) & 0xf0f0f0f0f0f0f0f0;
        if (other == 0) {
            *w = *w * 100000000 + eight(x);
            p += 8;
            continue;
        }
        const int bits = __builtin_ctzll(other) & 56, n = bits >> 3;
        *w = *w * TENS[n] + eight((x << 8) << (56 - bits));
        return p + n;
    }
    for (; p < end && is_digit(*p); p++) *w = *w * 10 + (uint64_t)(*p - '0');
    return p;
}

/* More than 19 digits were taken: w again, of the first 19 that count. */
__attribute__((noinline, cold)) static decimal retake(decimal d)
{
    const uint8_t *p = d.digits;
    int64_t n = 0, behind = 0, dropped = 0;
    bool fraction = false;
    d.w = 0;
    for (; p < d.digits_end; p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        behind += fraction;
        if (n == WORD_DIGITS) {
            dropped++;
            d.cut |= *p != '0';
        } else if (n || *p != '0') {
            d.w = d.w * 10 + (uint64_t)(*p - '0');
            n++;
        }
    }
    d.q = d.exponent - behind + dropped;
    return d;
}

/* At the "e"; NULL when no exponent follows it. */
static inline const uint8_t *take_exponent(const uint8_t *p, const uint8_t *end, int64_t *out)
{
    const bool minus = ++p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end || !is_digit(*p)) return NULL;
    int64_t e = 0;
    for (; p < end && is_digit(*p); p++)
        if (e < EXPONENT_MAX) e = e * 10 + (*p - '0');
    *out = minus ? -e : e;
    return p;
}

INLINE const uint8_t *scan(const uint8_t *p, const uint8_t *end, bool lax, decimal *d)
{
    d->minus = p < end && *p == '-';
    if (p < end && (*p == '-' || (lax && *p == '+'))) p++;
    const uint8_t *first = p;
    d->w = 0;
    d->cut = false;
    d->exponent = 0;
    if (end - p >= 2 && p[1] == '.' && is_digit(*p))
        d->w = (uint64_t)(*p++ - '0');
    else
        p = take(p, end, &d->w);
    int64_t n = p - first, behind = 0;
    if (!lax && (n == 0 || (n > 1 && *first == '0'))) return NULL;
    if (p < end && *p == '.') {
        const uint8_t *point = p + 1;
        p = take(point, end, &d->w);
        behind = p - point;
        if (behind == 0) return NULL;
    }
    n += behind;
    if (n == 0) return NULL;
    d->digits = first;
    d->digits_end = p;
    if (p < end && (*p | 0x20) == 'e' && !(p = take_exponent(p, end, &d->exponent))) return NULL;
    d->q = d->exponent - behind;
    if (LMN_UNLIKELY(n > WORD_DIGITS)) *d = retake(*d);
    return p;
}

/* w * 10^q rounded to a value of the format, without sign. */
static uint64_t rounded(const lmn_float_format *f, uint64_t w, int64_t q64)
{
    if (w == 0 || q64 < f->q_min) return 0;
    if (q64 > f->q_max) return f->infinity;
    const int32_t q = (int32_t)q64, lz = __builtin_clzll(w);
    lmn_pow10 t = lmn_pow10_of(q);
    if (q > 55) t.hi -= t.lo == 0, t.lo--; /* rounded down, as the proof has it */
    w <<= lz;
    const lmn_u128 x = (lmn_u128)w * t.hi;
    uint64_t hi = (uint64_t)(x >> 64), lo = (uint64_t)x;
    const uint64_t mask = UINT64_MAX >> (f->bits + 3);
    if ((hi & mask) == mask) {
        const uint64_t more = (uint64_t)((lmn_u128)w * t.lo >> 64);
        lo += more;
        hi += lo < more;
    }
    const int32_t upper = (int32_t)(hi >> 63), shift = upper + 64 - (int32_t)f->bits - 3;
    uint64_t m = hi >> shift;
    int32_t e = lmn_log2_of_pow10(q) + 63 + upper - lz + f->bias;
    if (e <= 0) { /* subnormal; a tie would need more digits than w has */
        if (1 - e >= 64) return 0;
        m >>= 1 - e;
        return (m + (m & 1)) >> 1; /* one that rounds up to normal has its bits right */
    }
    /* the very middle: to even */
    if (lo <= 1 && q >= f->tie_min && q <= f->tie_max && (m & 3) == 1 && m << shift == hi) m--;
    m = (m + (m & 1)) >> 1;
    if (m >> (f->bits + 1)) m >>= 1, e++;
    const uint64_t bits = ((uint64_t)e << f->bits) + (m & (((uint64_t)1 << f->bits) - 1));
    return bits < f->infinity ? bits : f->infinity;
}

static const lmn_float_format DOUBLE = {52, 1023, (uint64_t)0x7ff << 52, -342, 308, -4, 23};
static const lmn_float_format SINGLE = {23, 127, (uint64_t)0xff << 23, -65, 38, -17, 10};

/* The bits of a decimal that is no short one. */
__attribute__((noinline)) static uint64_t hard(const lmn_float_format *f, decimal d)
{
    const uint64_t low = rounded(f, d.w, d.q);
    if (!d.cut || low == rounded(f, d.w + 1, d.q)) return low;
    return lmn_number_long(f, d.digits, d.digits_end, d.exponent);
}

static inline double to_f64(decimal d)
{
    double v;
    if (d.w >> 53 == 0 && d.q >= -22 && d.q <= 22 && !d.cut) {
        v = d.q < 0 ? (double)d.w / EXACT[-d.q] : (double)d.w * EXACT[d.q];
    } else {
        const uint64_t bits = hard(&DOUBLE, d);
        memcpy(&v, &bits, 8);
    }
    return d.minus ? -v : v;
}

const uint8_t *lmn_f64_read(const uint8_t *p, const uint8_t *end, double *out)
{
    decimal d;
    p = scan(p, end, false, &d);
    if (p) *out = to_f64(d);
    return p;
}

const uint8_t *lmn_f64_read_lax(const uint8_t *p, const uint8_t *end, double *out)
{
    decimal d;
    p = scan(p, end, true, &d);
    if (p) *out = to_f64(d);
    return p;
}

const uint8_t *lmn_f32_read(const uint8_t *p, const uint8_t *end, float *out)
{
    decimal d;
    p = scan(p, end, false, &d);
    if (!p) return NULL;
    if (d.w >> 53 == 0 && d.q >= -22 && d.q <= 22 && !d.cut) {
        const double v = d.q < 0 ? (double)d.w / EXACT[-d.q] : (double)d.w * EXACT[d.q];
        uint64_t bits;
        memcpy(&bits, &v, 8);
        /* rounding twice is wrong only where the first fell on the middle of two floats */
        if (LMN_LIKELY((bits & 0x1fffffff) != 0x10000000)) {
            *out = d.minus ? -(float)v : (float)v;
            return p;
        }
    }
    const uint32_t bits = (uint32_t)hard(&SINGLE, d) | (uint32_t)d.minus << 31;
    memcpy(out, &bits, 4);
    return p;
}

/* How many digits p begins with, at most 8, in *w. Eight bytes are there. */
INLINE uint32_t word_of(const uint8_t *p, uint64_t *w)
{
    uint64_t x;
    memcpy(&x, p, 8);
    x ^= 0x3030303030303030;
    const uint64_t other = ((x + 0x0606060606060606) | x) & 0xf0f0f0f0f0f0f0f0;
    const uint32_t bits = other ? (uint32_t)__builtin_ctzll(other) & 56 : 64;
    *w = eight(bits ? x << (64 - bits) : 0);
    return bits >> 3;
}

const uint8_t *lmn_f32_read_row(const uint8_t *p, const uint8_t *end, float *out, size_t n,
                                size_t *done)
{
    size_t i = 0;
    for (; i < n && end - p >= 24; i++) {
        const uint32_t minus = *p == '-';
        const uint8_t *q = p + minus;
        uint64_t whole = (uint64_t)*q - '0', w = 0;
        uint32_t n_whole = 1, behind = 0;
        if (LMN_UNLIKELY(q[1] != '.')) n_whole = word_of(q, &whole);
        if (LMN_UNLIKELY(whole > 9 && (n_whole <= 1 || n_whole > 6))) break; /* or no digit */
        if (LMN_UNLIKELY(n_whole == 0 || (n_whole > 1 && *q == '0'))) break;
        q += n_whole;
        if (LMN_LIKELY(*q == '.')) {
            behind = word_of(++q, &w);
            if (LMN_UNLIKELY(behind == 0)) break;
            q += behind;
        }
        if (LMN_UNLIKELY(*q != ',')) break; /* more digits, an exponent, the end */
        const double v = (double)(whole * TENS[behind] + w) / EXACT[behind];
        uint64_t bits;
        memcpy(&bits, &v, 8);
        if (LMN_UNLIKELY((bits & 0x1fffffff) == 0x10000000)) break; /* as in lmn_f32_read */
        out[i] = minus ? -(float)v : (float)v;
        p = q + 1;
        p += *p == ' ';
    }
    *done = i;
    return p;
}

/* Digits without point and exponent; false: none, a superfluous zero, or more than 64 bits. */
static const uint8_t *magnitude(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    const uint8_t *first = p;
    uint64_t w = 0;
    p = take(p, end, &w);
    const int64_t n = p - first;
    if (n == 0 || (n > 1 && *first == '0') || n > WORD_DIGITS + 1) return NULL;
    if (n > WORD_DIGITS) { /* it wrapped round at most once: then it is less than its first digits
                              say */
        uint64_t high = 0;
        for (const uint8_t *c = first; c < p - 1; c++) high = high * 10 + (uint64_t)(*c - '0');
        if (high > UINT64_MAX / 10 || (high == UINT64_MAX / 10 && p[-1] > '5')) return NULL;
    }
    *out = w;
    return p;
}

const uint8_t *lmn_u64_read(const uint8_t *p, const uint8_t *end, uint64_t *out)
{
    uint64_t w;
    const bool minus = p < end && *p == '-';
    p = magnitude(p + minus, end, &w);
    if (!p || (minus && w)) return NULL;
    *out = w;
    return p;
}

const uint8_t *lmn_i64_read(const uint8_t *p, const uint8_t *end, int64_t *out)
{
    uint64_t w;
    const bool minus = p < end && *p == '-';
    p = magnitude(p + minus, end, &w);
    if (!p || w > (uint64_t)INT64_MAX + minus) return NULL;
    *out = minus ? (int64_t)(0 - w) : (int64_t)w;
    return p;
}
