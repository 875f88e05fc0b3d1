/*
 * UTF-8, and numbers with the conventions of people's texts on top of number.h.
 */
#include "base/text.h"

#include <math.h>
#include <string.h>

#define NUMBER_TEXT_MAX 4096u

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

bool lmn_parse_f64(const void *text, size_t n, double *out)
{
    const uint8_t *p = text;
    double v;
    if (n == 0 || n > NUMBER_TEXT_MAX || lmn_f64_read_lax(p, p + n, &v) != p + n) return false;
    *out = v;
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
        if (p[i] < '0' || p[i] > '9') return false;
        int64_t d = p[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v)) return false;
        if (__builtin_add_overflow(v, minus ? -d : d, &v)) return false;
    }
    *out = v;
    return true;
}

/* What has no digits. */
static size_t word(char *buf, bool nan, bool minus)
{
    static const char *const WORDS[] = {"inf", "-inf", "nan"};
    const char *w = WORDS[nan ? 2 : minus];
    const size_t n = strlen(w);
    memcpy(buf, w, n + 1);
    return n;
}

size_t lmn_format_f64(char buf[LMN_NUMBER_BYTES], double v)
{
    if (!isfinite(v)) return word(buf, isnan(v), v < 0);
    const size_t n = lmn_f64_write(buf, v);
    buf[n] = 0;
    return n;
}

size_t lmn_format_f32(char buf[LMN_NUMBER_BYTES], float v)
{
    if (!isfinite(v)) return word(buf, isnan(v), v < 0);
    const size_t n = lmn_f32_write(buf, v);
    buf[n] = 0;
    return n;
}
