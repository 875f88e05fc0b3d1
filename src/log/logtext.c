/*
 * Formatting by hand. Real numbers come from 64-bit integers and long double scaling: right to 15
 * digits, which is what people read in a log; the daemon prints typed fields exactly.
 */
#include "log/logtext.h"

#include <string.h>

typedef struct text {
    char *p;
    size_t n, cap;
    bool cut;
} text;

typedef struct spec {
    bool left, plus, space, alt, zero;
    int width, precision; /* precision -1: none given */
    char length;          /* of: 0 'H' (hh) 'h' 'l' 'L' (ll) 'z' 'j' 't' */
    char kind;
} spec;

static void put(text *t, const char *s, size_t n)
{
    const size_t room = t->cap - t->n;
    if (n > room) {
        t->cut = true;
        n = room;
    }
    memcpy(t->p + t->n, s, n);
    t->n += n;
}

static void fill(text *t, char c, int n)
{
    for (; n > 0 && !t->cut; n--) put(t, &c, 1);
}

/* sign, zeros up to the precision, digits: into the field. */
static void put_field(text *t, const spec *s, const char *sign, const char *digits, int n,
                      int zeros)
{
    const int n_sign = (int)strlen(sign);
    int pad = s->width - n_sign - zeros - n;
    if (s->zero && !s->left && pad > 0) {
        zeros += pad;
        pad = 0;
    }
    if (!s->left) fill(t, ' ', pad);
    put(t, sign, (size_t)n_sign);
    fill(t, '0', zeros);
    put(t, digits, (size_t)n);
    if (s->left) fill(t, ' ', pad);
}

static int digits_of(uint64_t v, unsigned base, bool upper, char buf[24])
{
    const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char back[24];
    int n = 0;
    do back[n++] = set[v % base];
    while (v /= base);
    for (int i = 0; i < n; i++) buf[i] = back[n - 1 - i];
    return n;
}

static void put_whole(text *t, spec *s, uint64_t v, bool minus)
{
    char buf[24];
    const unsigned base = s->kind == 'x' || s->kind == 'X' ? 16 : s->kind == 'o' ? 8 : 10;
    int n = digits_of(v, base, s->kind == 'X', buf);
    if (v == 0 && s->precision == 0) n = 0;
    const char *sign = "";
    if (s->kind == 'd' || s->kind == 'i') sign = minus ? "-" : s->plus ? "+" : s->space ? " " : "";
    if (s->alt && v && base == 16) sign = s->kind == 'X' ? "0X" : "0x";
    int zeros = s->precision > n ? s->precision - n : 0;
    if (s->alt && base == 8 && zeros == 0 && (n == 0 || buf[0] != '0')) zeros = 1;
    if (s->precision >= 0) s->zero = false;
    put_field(t, s, sign, buf, n, zeros);
}

static long double power_of_ten(int e)
{
    long double r = 1, b = 10;
    for (unsigned k = e < 0 ? 0u - (unsigned)e : (unsigned)e; k; k >>= 1, b *= b)
        if (k & 1) r *= b;
    return r;
}

/* v * 10^-e: never through a power that is out of range. */
static long double scaled(long double v, int e)
{
    for (; e < -300; e += 300) v *= power_of_ten(300);
    return e < 0 ? v * power_of_ten(-e) : v / power_of_ten(e);
}

/* v > 0 as n significant digits (1 to 17) d[0].d[1]... * 10^e. */
static int significant(double v, int n, char d[24])
{
    int e = 0;
    long double x = (long double)v;
    for (int step = 256; step; step /= 2) {
        if (x >= power_of_ten(step)) x /= power_of_ten(step), e += step;
        if (x < power_of_ten(1 - step)) x *= power_of_ten(step), e -= step;
    }
    x = scaled((long double)v, e);
    while (x >= 10) x /= 10, e++;
    while (x < 1) x *= 10, e--;
    const long double all = x * power_of_ten(n - 1);
    uint64_t u = (uint64_t)all;
    const long double rest = all - (long double)u;
    u += rest > 0.5L || (rest == 0.5L && (u & 1));
    if (digits_of(u, 10, false, d) > n) e++; /* 9.99 became 10.0 */
    return e;
}

/* "ddd.ddd" of n digits d at exponent e with `decimals` behind the point. */
static int lay_fixed(char *out, const char *d, int n, int e, int decimals, bool point)
{
    int o = 0;
    for (int i = 0; i <= (e < 0 ? 0 : e); i++) out[o++] = e < 0 || i >= n ? '0' : d[i];
    if (decimals > 0 || point) out[o++] = '.';
    for (int i = 1; i <= decimals; i++) {
        const int k = e + i;
        out[o++] = k < 0 || k >= n ? '0' : d[k];
    }
    return o;
}

static int lay_exponent(char *out, const char *d, int n, int e, int decimals, const spec *s)
{
    int o = 0;
    out[o++] = d[0];
    if (decimals > 0 || s->alt) out[o++] = '.';
    for (int i = 1; i <= decimals; i++) out[o++] = i < n ? d[i] : '0';
    out[o++] = s->kind == 'E' || s->kind == 'G' ? 'E' : 'e';
    out[o++] = e < 0 ? '-' : '+';
    const unsigned m = e < 0 ? 0u - (unsigned)e : (unsigned)e;
    if (m < 10) out[o++] = '0';
    return o + digits_of(m, 10, false, out + o);
}

static int without_zeros(const char *d, int n)
{
    while (n > 1 && d[n - 1] == '0') n--;
    return n;
}

#define DIGITS 17
#define FIXED_MAX 330 /* digits before the point, a point, 17 behind, and some */

static int lay_real(char out[FIXED_MAX + 40], const spec *s, double v)
{
    char d[24];
    const char kind = (char)(s->kind | 0x20);
    int precision = s->precision < 0 ? 6 : s->precision > DIGITS ? DIGITS : s->precision;
    if (kind == 'g' && precision == 0) precision = 1;
    memset(d, '0', sizeof d);
    if (v == 0) {
        if (kind == 'e') return lay_exponent(out, d, 1, 0, precision, s);
        return lay_fixed(out, d, 1, 0, kind == 'f' || s->alt ? precision - (kind == 'g') : 0,
                         s->alt);
    }
    if (kind == 'e') {
        const int n = precision + 1 > DIGITS ? DIGITS : precision + 1;
        return lay_exponent(out, d, n, significant(v, n, d), precision, s);
    }
    if (kind == 'g') {
        int n = precision;
        const int e = significant(v, n, d);
        if (!s->alt) n = without_zeros(d, n);
        if (e < -4 || e >= precision) return lay_exponent(out, d, n, e, n - 1, s);
        return lay_fixed(out, d, n, e, n - 1 - e > 0 ? n - 1 - e : 0, s->alt);
    }
    int e = significant(v, DIGITS, d), n = e + 1 + precision;
    if (n > DIGITS) n = DIGITS;
    if (n > 0) {
        memset(d, '0', sizeof d);
        e = significant(v, n, d);
        return lay_fixed(out, d, n, e, precision, s->alt);
    }
    /* Less than one of the last place: rounds to it or to nothing. */
    const bool up = n == 0 && (d[0] > '5' || (d[0] == '5' && strspn(d + 1, "0") < DIGITS - 1));
    memset(d, '0', sizeof d);
    d[0] = up ? '1' : '0';
    return lay_fixed(out, d, 1, up ? -precision : 0, precision, s->alt);
}

static void put_real(text *t, spec *s, double v)
{
    char out[FIXED_MAX + 40];
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    const bool minus = bits >> 63, big = s->kind < 'a';
    const char *sign = minus ? "-" : s->plus ? "+" : s->space ? " " : "";
    if ((bits >> 52 & 0x7ff) == 0x7ff) {
        const bool nan = (bits & (UINT64_MAX >> 12)) != 0;
        s->zero = false;
        put_field(t, s, sign, nan ? (big ? "NAN" : "nan") : (big ? "INF" : "inf"), 3, 0);
        return;
    }
    put_field(t, s, sign, out, lay_real(out, s, minus ? -v : v), 0);
}

static const char *number(const char *f, int *out)
{
    int v = 0;
    for (; *f >= '0' && *f <= '9'; f++)
        if (v < 10000) v = v * 10 + (*f - '0');
    *out = v;
    return f;
}

static const char *read_flags(const char *f, spec *s)
{
    for (;; f++) {
        if (*f == '-')
            s->left = true;
        else if (*f == '+')
            s->plus = true;
        else if (*f == ' ')
            s->space = true;
        else if (*f == '#')
            s->alt = true;
        else if (*f == '0')
            s->zero = true;
        else
            return f;
    }
}

static const char *read_length(const char *f, spec *s)
{
    if (*f == 'h' || *f == 'l') {
        const bool twice = f[1] == f[0];
        s->length = *f == 'h' ? (twice ? 'H' : 'h') : (twice ? 'L' : 'l');
        return f + 1 + twice;
    }
    if (*f == 'z' || *f == 'j' || *f == 't') s->length = *f++;
    return f;
}

static int64_t take_signed(char length, va_list *ap)
{
    switch (length) {
    case 'H': return (signed char)va_arg(*ap, int);
    case 'h': return (short)va_arg(*ap, int);
    case 'l': return va_arg(*ap, long);
    case 'L': return va_arg(*ap, long long);
    case 'j': return va_arg(*ap, intmax_t);
    case 'z':
    case 't': return va_arg(*ap, ptrdiff_t);
    default: return va_arg(*ap, int);
    }
}

static uint64_t take_unsigned(char length, va_list *ap)
{
    switch (length) {
    case 'H': return (unsigned char)va_arg(*ap, unsigned);
    case 'h': return (unsigned short)va_arg(*ap, unsigned);
    case 'l': return va_arg(*ap, unsigned long);
    case 'L': return va_arg(*ap, unsigned long long);
    case 'j': return va_arg(*ap, uintmax_t);
    case 'z':
    case 't': return va_arg(*ap, size_t);
    default: return va_arg(*ap, unsigned);
    }
}

static void put_text(text *t, spec *s, const char *v)
{
    if (!v) v = "(null)";
    const size_t most = s->precision >= 0 ? (size_t)s->precision : t->cap + 1;
    s->zero = false;
    put_field(t, s, "", v, (int)strnlen(v, most), 0);
}

/* One conversion; false for what is not known. */
static bool convert(text *t, spec *s, va_list *ap)
{
    switch (s->kind) {
    case 'd':
    case 'i': {
        const int64_t v = take_signed(s->length, ap);
        put_whole(t, s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0);
        return true;
    }
    case 'u':
    case 'x':
    case 'X':
    case 'o': put_whole(t, s, take_unsigned(s->length, ap), false); return true;
    case 'p':
        s->kind = 'x';
        s->alt = true;
        put_whole(t, s, (uintptr_t)va_arg(*ap, void *), false);
        return true;
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G': put_real(t, s, va_arg(*ap, double)); return true;
    default: break;
    }
    if (s->kind == 's' && !s->length) return put_text(t, s, va_arg(*ap, const char *)), true;
    if (s->kind == 'c' && !s->length) {
        const char c = (char)va_arg(*ap, int);
        s->zero = false;
        return put_field(t, s, "", &c, 1, 0), true;
    }
    return false;
}

static const char *read_spec(const char *f, spec *s, va_list *ap)
{
    *s = (spec){.precision = -1};
    f = read_flags(f, s);
    if (*f == '*') {
        s->width = va_arg(*ap, int);
        if (s->width < 0) s->left = true, s->width = s->width < -10000 ? 10000 : -s->width;
        f++;
    } else {
        f = number(f, &s->width);
    }
    if (*f == '.') {
        if (*++f == '*') {
            s->precision = va_arg(*ap, int);
            f++;
        } else {
            f = number(f, &s->precision);
        }
    }
    if (s->precision < 0) s->precision = -1;
    f = read_length(f, s);
    s->kind = *f;
    return f;
}

size_t lmn_logtext_format(char *buf, size_t cap, bool *cut, const char *format, va_list ap)
{
    text t = {buf, 0, cap, false};
    va_list args;
    va_copy(args, ap); /* a pointer to a parameter of this type would not be one to the type */
    for (const char *f = format; *f && !t.cut;) {
        const size_t plain = strcspn(f, "%");
        put(&t, f, plain);
        f += plain;
        if (*f != '%') break;
        if (f[1] == '%') {
            put(&t, f, 1);
            f += 2;
            continue;
        }
        spec s;
        const char *end = read_spec(f + 1, &s, &args);
        if (!*end || !convert(&t, &s, &args)) {
            put(&t, f, strlen(f));
            break;
        }
        f = end + 1;
    }
    va_end(args);
    *cut = t.cut;
    return t.n;
}
