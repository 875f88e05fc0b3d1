/*
 * Numbers to text and back (cast.h). The shortest text is found by trying 1, 2, 3 ... significant
 * digits until the text reads back as the same element of the same type.
 */
#include "ops/cast.h"

#include "base/text.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#define MAX_DIGITS 17

typedef struct decimal {
    char digit[MAX_DIGITS + 1];
    int n, exponent; /* digit[0].digit[1].. * 10^exponent */
} decimal;

/* |v| rounded to n digits. The decimal point of printf depends on the locale: only digits are read.
 */
static void round_to(decimal *d, double v, int n)
{
    char text[64];
    (void)lmn_format(text, sizeof text, "%.*e", n - 1, fabs(v));
    d->n = 0;
    d->exponent = 0;
    const char *p = text;
    for (; *p && *p != 'e'; p++)
        if (*p >= '0' && *p <= '9' && d->n < MAX_DIGITS) d->digit[d->n++] = *p;
    int64_t e = 0;
    if (*p == 'e') (void)lmn_parse_i64(p + 1 + (p[1] == '+'), strlen(p + 1 + (p[1] == '+')), &e);
    d->exponent = (int)e;
    d->digit[d->n] = 0;
}

static bool reads_back(const decimal *d, lamina_dtype dt, double v)
{
    char text[64];
    double got = 0, back = 0;
    uint64_t elem = 0;
    const size_t n = lmn_format(text, sizeof text, "%se%d", d->digit, d->exponent - d->n + 1);
    if (!lmn_parse_f64(text, n, &got)) return false;
    lmn_convert(dt, &elem, LAMINA_F64, &got, 1, false);
    lmn_convert(LAMINA_F64, &back, dt, &elem, 1, false);
    return back == fabs(v);
}

/* As numpy: positional for exponents -4..15, with ".0" where no fraction is left. */
static size_t lay_out(const decimal *d, bool minus, char *buf)
{
    const int cap = LMN_CAST_TEXT_BYTES, e = d->exponent;
    const char *sign = minus ? "-" : "";
    if (e < -4 || e > 15)
        return lmn_format(buf, (size_t)cap, "%s%c%s%se%c%02d", sign, d->digit[0],
                          d->n > 1 ? "." : "", d->digit + 1, e < 0 ? '-' : '+', e < 0 ? -e : e);
    if (e < 0) return lmn_format(buf, (size_t)cap, "%s0.%.*s%s", sign, -e - 1, "000", d->digit);
    if (d->n > e + 1)
        return lmn_format(buf, (size_t)cap, "%s%.*s.%s", sign, e + 1, d->digit, d->digit + e + 1);
    return lmn_format(buf, (size_t)cap, "%s%s%.*s.0", sign, d->digit, e + 1 - d->n,
                      "000000000000000");
}

size_t lmn_cast_to_text(const lamina_tensor *x, int64_t i, char buf[LMN_CAST_TEXT_BYTES])
{
    switch (lmn_dtype_class(x->dtype)) {
    case LMN_CLASS_BOOL:
        return lmn_format(buf, LMN_CAST_TEXT_BYTES, lmn_get_i64(x, i) ? "True" : "False");
    case LMN_CLASS_UINT:
        return lmn_format(buf, LMN_CAST_TEXT_BYTES, "%llu", (unsigned long long)lmn_get_u64(x, i));
    case LMN_CLASS_SINT:
        return lmn_format(buf, LMN_CAST_TEXT_BYTES, "%lld", (long long)lmn_get_i64(x, i));
    default: break;
    }
    const double v = lmn_get_f64(x, i);
    if (isnan(v)) return lmn_format(buf, LMN_CAST_TEXT_BYTES, "nan");
    if (isinf(v)) return lmn_format(buf, LMN_CAST_TEXT_BYTES, v < 0 ? "-inf" : "inf");
    decimal d;
    for (int n = 1; n <= MAX_DIGITS; n++) {
        round_to(&d, v, n);
        if (reads_back(&d, x->dtype, v)) break;
    }
    while (d.n > 1 && d.digit[d.n - 1] == '0') d.digit[--d.n] = 0;
    return lay_out(&d, signbit(v) != 0, buf);
}

static bool parse_word(const char *p, size_t n, double *out)
{
    static const struct {
        const char *word;
        double value;
    } WORDS[] = {{"nan", (double)NAN},
                 {"inf", (double)INFINITY},
                 {"infinity", (double)INFINITY},
                 {"true", 1},
                 {"false", 0}};
    for (size_t k = 0; k < LMN_COUNT(WORDS); k++)
        if (strlen(WORDS[k].word) == n && strncasecmp(p, WORDS[k].word, n) == 0) {
            *out = WORDS[k].value;
            return true;
        }
    return false;
}

bool lmn_cast_from_text(lamina_tensor *y, int64_t i, lmn_str text)
{
    const char *p = text.p ? text.p : "";
    size_t n = text.n;
    while (n && (p[0] == ' ' || p[0] == '\t')) p++, n--;
    while (n && (p[n - 1] == ' ' || p[n - 1] == '\t')) n--;
    const lmn_dclass c = lmn_dtype_class(y->dtype);
    int64_t whole;
    double v;
    if ((c == LMN_CLASS_SINT || c == LMN_CLASS_UINT) && lmn_parse_i64(p, n, &whole)) {
        lmn_set_i64(y, i, whole);
        return true;
    }
    if (!lmn_parse_f64(p, n, &v)) {
        const bool minus = n && p[0] == '-', sign = n && (p[0] == '-' || p[0] == '+');
        if (!parse_word(p + sign, n - sign, &v)) return false;
        if (minus) v = -v;
    }
    if (c == LMN_CLASS_BOOL)
        lmn_set_i64(y, i, v != 0);
    else
        lmn_set_f64(y, i, v);
    return true;
}
