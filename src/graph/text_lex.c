/*
 * Words of the text form (text_lex.h).
 */
#include "graph/text_lex.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

bool lmn_lex_fail(lmn_lex *x, lamina_status status, const char *fmt, ...)
{
    if (x->status != LAMINA_OK) return false;
    char what[LAMINA_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    long long line = 1, column = 1;
    for (const char *p = x->text; p < x->p; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    x->status = lmn_fail(x->err, status, "line %lld, column %lld: %s", line, column, what);
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static void skip(lmn_lex *x)
{
    while (x->p < x->end && (is_space(*x->p) || *x->p == '#')) {
        if (*x->p == '#')
            while (x->p < x->end && *x->p != '\n') x->p++;
        else
            x->p++;
    }
}

bool lmn_lex_at_end(lmn_lex *x)
{
    skip(x);
    return x->p == x->end;
}

bool lmn_lex_take(lmn_lex *x, char c)
{
    skip(x);
    if (x->status != LAMINA_OK || x->p == x->end || *x->p != c) return false;
    x->p++;
    return true;
}

bool lmn_lex_need(lmn_lex *x, char c)
{
    return lmn_lex_take(x, c) || lmn_lex_fail(x, LAMINA_E_CORRUPT, "expected '%c'", c);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("_.:/-", c));
}

bool lmn_lex_word(lmn_lex *x, const char *word)
{
    const size_t n = strlen(word);
    skip(x);
    if (x->status != LAMINA_OK || (size_t)(x->end - x->p) < n || memcmp(x->p, word, n))
        return false;
    if ((size_t)(x->end - x->p) > n && is_word(x->p[n]) && word[n - 1] != ':') return false;
    x->p += n;
    return true;
}

bool lmn_lex_name(lmn_lex *x, char *buf, size_t cap)
{
    size_t n = 0;
    skip(x);
    if (x->status != LAMINA_OK) return false;
    while (x->p + n < x->end && n + 1 < cap && is_word(x->p[n])) n++;
    if (n == 0) return lmn_lex_fail(x, LAMINA_E_CORRUPT, "expected a name");
    memcpy(buf, x->p, n);
    buf[n] = 0;
    x->p += n;
    return true;
}

static size_t digits(const lmn_lex *x, const char *more)
{
    size_t n = 0;
    while (x->p + n < x->end && n < 64 && x->p[n] &&
           ((x->p[n] >= '0' && x->p[n] <= '9') || strchr(more, x->p[n])))
        n++;
    return n;
}

bool lmn_lex_i64(lmn_lex *x, int64_t *out)
{
    skip(x);
    if (x->status != LAMINA_OK) return false;
    const size_t n = digits(x, "-");
    if (!lmn_parse_i64(x->p, n, out))
        return lmn_lex_fail(x, LAMINA_E_CORRUPT, "expected an integer of 64 bits");
    x->p += n;
    return true;
}

bool lmn_lex_u64(lmn_lex *x, uint64_t *out)
{
    skip(x);
    uint64_t v = 0;
    const size_t n = digits(x, "");
    bool ok = x->status == LAMINA_OK && n > 0;
    for (size_t i = 0; ok && i < n; i++)
        ok = !__builtin_mul_overflow(v, 10u, &v) &&
             !__builtin_add_overflow(v, (uint64_t)(x->p[i] - '0'), &v);
    if (!ok) return lmn_lex_fail(x, LAMINA_E_CORRUPT, "expected an integer of 64 bits");
    x->p += n;
    *out = v;
    return true;
}

bool lmn_lex_f64(lmn_lex *x, double *out)
{
    if (lmn_lex_word(x, "inf")) return *out = (double)INFINITY, true;
    if (lmn_lex_word(x, "-inf")) return *out = -(double)INFINITY, true;
    if (x->status != LAMINA_OK) return false;
    const size_t n = digits(x, "+-.eE");
    if (!lmn_parse_f64(x->p, n, out)) return lmn_lex_fail(x, LAMINA_E_CORRUPT, "expected a number");
    x->p += n;
    return true;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool lmn_lex_hex(lmn_lex *x, void *out, size_t n)
{
    uint8_t *to = out;
    skip(x);
    for (size_t i = 0; i < n && x->status == LAMINA_OK; i++) {
        const int hi = x->end - x->p >= 2 ? nibble(x->p[0]) : -1;
        const int lo = hi < 0 ? -1 : nibble(x->p[1]);
        if (lo < 0) return lmn_lex_fail(x, LAMINA_E_CORRUPT, "expected %zu more bytes", n - i);
        to[i] = (uint8_t)(hi << 4 | lo);
        x->p += 2;
    }
    return x->status == LAMINA_OK;
}

bool lmn_lex_string(lmn_lex *x, lmn_arena *a, char **out, size_t *n)
{
    if (!lmn_lex_need(x, '"')) return false;
    size_t len = 0;
    while (x->p + len < x->end && x->p[len] != '"')
        len += x->p[len] == '\\' && x->p + len + 1 < x->end ? 2 : 1;
    if (x->p + len >= x->end) return lmn_lex_fail(x, LAMINA_E_CORRUPT, "the string has no end");
    char *s = lmn_arena_strn(a, x->p, len); /* decoding only shortens */
    if (!s) return lmn_lex_fail(x, LAMINA_E_NOMEM, "out of memory");
    const char *stop = x->p + len;
    size_t o = 0;
    while (x->p < stop) {
        if (*x->p != '\\') {
            s[o++] = *x->p++;
            continue;
        }
        x->p++;
        if (*x->p != 'x') {
            s[o++] = *x->p++;
            continue;
        }
        x->p++;
        if (stop - x->p < 2) return lmn_lex_fail(x, LAMINA_E_CORRUPT, "\\x needs two digits");
        if (!lmn_lex_hex(x, s + o, 1)) return false;
        o++;
    }
    s[o] = 0;
    x->p++;
    *out = s;
    *n = o;
    return true;
}
