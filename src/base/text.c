/*
 * Locale-free number text. Reading: the digits are copied without their point and the exponent is
 * corrected, then strtod rounds. Writing: 15 significant digits are enough for every decimal of
 * that length, so the first of 15, 16, 17 (6..9 for float) that reads back is the shortest once
 * its trailing zeros are gone.
 */
#include "base/text.h"

#include "base/error.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_TEXT_MAX 4096u
#define EXPONENT_MAX 100000

size_t lmn_utf8_len(const uint8_t *p, size_t n)
{
    if (n == 0) return 0;
    size_t len = p[0] < 0x80   ? 1
                 : p[0] < 0xc2 ? 0
                 : p[0] < 0xe0 ? 2
                 : p[0] < 0xf0 ? 3
                 : p[0] < 0xf5 ? 4
                               : 0;
    if (len > n) return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if (len == 3 && p[0] == 0xe0 && p[1] < 0xa0) return 0;
    if (len == 3 && p[0] == 0xed && p[1] > 0x9f) return 0;
    if (len == 4 && p[0] == 0xf0 && p[1] < 0x90) return 0;
    if (len == 4 && p[0] == 0xf4 && p[1] > 0x8f) return 0;
    return len;
}

size_t lmn_utf8_put(uint8_t out[4], uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (uint8_t)cp;
        return 1;
    }
    size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
    for (size_t i = n; i-- > 1; cp >>= 6) out[i] = (uint8_t)(0x80 | (cp & 0x3f));
    out[0] = (uint8_t)((0xf00 >> n) | cp);
    return n;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Digits of `text` into out, without sign, point and leading zeros; *exp10 makes up for it. */
static bool collect(const uint8_t *p, size_t n, char *out, size_t *n_out, long *exp10)
{
    size_t i = 0, o = 0, seen = 0;
    long shift = 0;
    bool fraction = false;
    for (; i < n && (is_digit(p[i]) || (p[i] == '.' && !fraction)); i++) {
        if (p[i] == '.') {
            fraction = true;
            continue;
        }
        seen++;
        if (fraction) shift--;
        if (o || p[i] != '0') out[o++] = (char)p[i];
    }
    if (seen == 0 || p[i - 1] == '.') return false;
    long e = 0;
    if (i < n && (p[i] == 'e' || p[i] == 'E')) {
        bool minus = ++i < n && p[i] == '-';
        if (i < n && (p[i] == '-' || p[i] == '+')) i++;
        if (i == n) return false;
        for (; i < n && is_digit(p[i]); i++)
            if (e < EXPONENT_MAX) e = e * 10 + (p[i] - '0');
        if (minus) e = -e;
    }
    *n_out = o;
    *exp10 = e + shift;
    return i == n;
}

/* The text as "digits" "e" exponent: nothing in it depends on the locale. */
static bool pointless(const void *text, size_t n, char buf[NUMBER_TEXT_MAX + 32], bool *minus)
{
    const uint8_t *p = text;
    size_t o;
    long exp10;
    if (n == 0 || n > NUMBER_TEXT_MAX) return false;
    *minus = p[0] == '-';
    if (p[0] == '-' || p[0] == '+') p++, n--;
    if (n == 0 || !collect(p, n, buf, &o, &exp10)) return false;
    if (o == 0) buf[o++] = '0';
    (void)lmn_format(buf + o, 32, "e%ld", exp10);
    return true;
}

bool lmn_parse_f64(const void *text, size_t n, double *out)
{
    char buf[NUMBER_TEXT_MAX + 32];
    bool minus;
    if (!pointless(text, n, buf, &minus)) return false;
    double v = strtod(buf, NULL);
    *out = minus ? -v : v;
    return true;
}

bool lmn_parse_i64(const void *text, size_t n, int64_t *out)
{
    const uint8_t *p = text;
    bool minus = n && p[0] == '-';
    int64_t v = 0;
    size_t i = minus;
    if (i == n) return false;
    for (; i < n; i++) {
        if (!is_digit(p[i])) return false;
        int64_t d = p[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v)) return false;
        if (__builtin_add_overflow(v, minus ? -d : d, &v)) return false;
    }
    *out = v;
    return true;
}

/* Lay out n significant digits d with decimal exponent e (value d[0].d[1].. * 10^e). */
static size_t lay_out(char *buf, bool minus, const char *d, int n, int e)
{
    size_t o = 0;
    if (minus) buf[o++] = '-';
    if (e < -5 || e > 16) {
        buf[o++] = d[0];
        if (n > 1) buf[o++] = '.';
        for (int i = 1; i < n; i++) buf[o++] = d[i];
        return o + lmn_format(buf + o, LMN_NUMBER_BYTES - o, "e%d", e);
    }
    if (e < 0) {
        buf[o++] = '0', buf[o++] = '.';
        for (int i = -1; i > e; i--) buf[o++] = '0';
        for (int i = 0; i < n; i++) buf[o++] = d[i];
    } else {
        for (int i = 0; i < n || i <= e; i++) {
            if (i == e + 1) buf[o++] = '.';
            buf[o++] = i < n ? d[i] : '0';
        }
    }
    buf[o] = 0;
    return o;
}

/* Significant digits and exponent of |v| out of "%.*e", whatever its decimal point looks like. */
static int digits_of(double v, int n_digits, char d[24], int *e)
{
    char text[64];
    int n = 0;
    (void)lmn_format(text, sizeof text, "%.*e", n_digits - 1, fabs(v));
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (is_digit((uint8_t)*p) && n < 20) d[n++] = *p;
    *e = *p ? atoi(p + 1) : 0;
    return n;
}

static size_t shortest(char *buf, double v, int from, int to, bool single)
{
    char d[24], again[64];
    int n = 0, e = 0;
    if (isnan(v)) return lmn_format(buf, LMN_NUMBER_BYTES, "nan");
    if (isinf(v)) return lmn_format(buf, LMN_NUMBER_BYTES, v < 0 ? "-inf" : "inf");
    if (fabs(v) < (single ? (double)FLT_MIN : DBL_MIN))
        from = 1; /* subnormal: fewer bits, fewer digits */
    for (int k = from; k <= to; k++) {
        n = digits_of(v, k, d, &e);
        (void)lmn_format(again, sizeof again, "%.*se%d", n, d, e - n + 1);
        double back = single ? (double)strtof(again, NULL) : strtod(again, NULL);
        if (back == fabs(v)) break;
    }
    while (n > 1 && d[n - 1] == '0') n--;
    return lay_out(buf, signbit(v), d, n, e);
}

size_t lmn_format_f64(char buf[LMN_NUMBER_BYTES], double v)
{
    return shortest(buf, v, 15, 17, false);
}

size_t lmn_format_f32(char buf[LMN_NUMBER_BYTES], float v)
{
    return shortest(buf, (double)v, 6, 9, true);
}
