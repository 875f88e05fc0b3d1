/*
 * The JSON pull parser. One small state says what may come next; a bit a level says whether that
 * level is an object. No recursion, no allocation, so depth and memory are bounded by the struct.
 */
#include "base/json.h"

#include "base/text.h"

#include <string.h>

enum { WANT_VALUE, WANT_FIRST_VALUE, WANT_FIRST_KEY, WANT_KEY, WANT_COMMA, AT_END, FAILED };

void lmn_json_init(lmn_json *j, lmn_span text, lamina_error *err)
{
    memset(j, 0, sizeof *j);
    j->start = j->p = text.p;
    j->end = text.n ? text.p + text.n : text.p;
    j->err = err;
    j->state = WANT_VALUE;
}

static lmn_json_kind fail(lmn_json *j, lmn_json_token *t, lamina_status st, const char *what)
{
    int32_t line = 1, column = 1;
    for (const uint8_t *p = j->start; p < j->p; p++) {
        column++;
        if (*p == '\n') line++, column = 1;
    }
    (void)lmn_fail(j->err, st, "JSON line %d column %d: %s", (int)line, (int)column, what);
    if (j->err) j->err->line = line, j->err->column = column;
    j->state = FAILED;
    t->kind = LMN_JSON_ERROR;
    return t->kind;
}

static lmn_json_kind wrong(lmn_json *j, lmn_json_token *t, const char *what)
{
    return fail(j, t, LAMINA_E_PARSE, what);
}

static bool is_digit(const lmn_json *j)
{
    return j->p < j->end && *j->p >= '0' && *j->p <= '9';
}

static bool digits(lmn_json *j)
{
    if (!is_digit(j)) return false;
    while (is_digit(j)) j->p++;
    return true;
}

static lmn_json_kind number(lmn_json *j, lmn_json_token *t)
{
    const uint8_t *from = j->p;
    if (*j->p == '-') j->p++;
    if (j->p < j->end && *j->p == '0') {
        j->p++;
        if (is_digit(j)) return wrong(j, t, "a number begins with a superfluous zero");
    } else if (!digits(j)) {
        return wrong(j, t, "a digit was expected");
    }
    if (j->p < j->end && *j->p == '.') {
        j->p++;
        if (!digits(j)) return wrong(j, t, "a digit must follow the decimal point");
    }
    if (j->p < j->end && (*j->p == 'e' || *j->p == 'E')) {
        j->p++;
        if (j->p < j->end && (*j->p == '+' || *j->p == '-')) j->p++;
        if (!digits(j)) return wrong(j, t, "a digit must follow the exponent sign");
    }
    t->text = (lmn_span){from, (size_t)(j->p - from)};
    return t->kind = LMN_JSON_NUMBER;
}

/* Four hex digits at p, or -1. */
static int32_t hex4(const uint8_t *p, const uint8_t *end)
{
    int32_t v = 0;
    if (end - p < 4) return -1;
    for (int i = 0; i < 4; i++) {
        int c = p[i], low = c | 0x20;
        int d = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
        if (d < 0) return -1;
        v = v * 16 + d;
    }
    return v;
}

/*
 * The escape at p, which points behind the backslash: its code point, and *n the bytes it takes
 * behind the backslash. -1 when it is none.
 */
static int32_t escape(const uint8_t *p, const uint8_t *end, size_t *n)
{
    static const char FROM[] = "\"\\/bfnrt", TO[] = "\"\\/\b\f\n\r\t";
    if (p == end || *p == 0) return -1;
    const char *at = strchr(FROM, *p);
    *n = 1;
    if (at) return (uint8_t)TO[at - FROM];
    if (*p != 'u') return -1;
    int32_t hi = hex4(p + 1, end);
    *n = 5;
    if (hi < 0 || (hi >= 0xdc00 && hi < 0xe000)) return -1;
    if (hi < 0xd800 || hi >= 0xe000) return hi;
    if (end - p < 11 || p[5] != '\\' || p[6] != 'u') return -1;
    int32_t lo = hex4(p + 7, end);
    *n = 11;
    if (lo < 0xdc00 || lo >= 0xe000) return -1;
    return 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
}

/* p behind the bytes that stand for themselves: no quote, no backslash, no control, ASCII. */
static const uint8_t *plain(const uint8_t *p, const uint8_t *end)
{
    const uint64_t ones = 0x0101010101010101, high = 0x8080808080808080;
    for (; end - p >= 8; p += 8) {
        uint64_t x;
        memcpy(&x, p, 8);
        const uint64_t quote = x ^ ones * '"', slash = x ^ ones * '\\';
        /* the lowest bit that is set is right; those above may come from a borrow */
        const uint64_t stop = ((x - ones * 0x20) | (quote - ones) | (slash - ones) | x) & high;
        if (stop) return p + (__builtin_ctzll(stop) >> 3);
    }
    while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') p++;
    return p;
}

/* At the opening quote; leaves p behind the closing one. */
static lmn_json_kind string(lmn_json *j, lmn_json_token *t, lmn_json_kind kind)
{
    const uint8_t *from = ++j->p;
    for (;;) {
        j->p = plain(j->p, j->end);
        if (j->p == j->end) return wrong(j, t, "a string does not end");
        uint8_t c = *j->p;
        if (c == '"') break;
        if (c < 0x20) return wrong(j, t, "a control character inside a string must be escaped");
        if (c == '\\') {
            size_t n = 0;
            if (escape(j->p + 1, j->end, &n) < 0) return wrong(j, t, "invalid escape in a string");
            j->p += 1 + n;
            t->escaped = true;
            continue;
        }
        size_t n = lmn_utf8_len(j->p, (size_t)(j->end - j->p));
        if (n == 0) return wrong(j, t, "a string is not valid UTF-8");
        j->p += n;
    }
    t->text = (lmn_span){from, (size_t)(j->p - from)};
    j->p++;
    return t->kind = kind;
}

static lmn_json_kind open(lmn_json *j, lmn_json_token *t, bool object)
{
    if (j->depth == LMN_JSON_MAX_DEPTH) return fail(j, t, LAMINA_E_LIMIT, "nested too deeply");
    j->in_object[j->depth++] = object;
    j->p++;
    j->state = object ? WANT_FIRST_KEY : WANT_FIRST_VALUE;
    return t->kind = object ? LMN_JSON_OBJECT : LMN_JSON_ARRAY;
}

static lmn_json_kind close(lmn_json *j, lmn_json_token *t)
{
    bool object = j->in_object[--j->depth];
    j->p++;
    j->state = j->depth ? WANT_COMMA : AT_END;
    return t->kind = object ? LMN_JSON_OBJECT_END : LMN_JSON_ARRAY_END;
}

static lmn_json_kind word(lmn_json *j, lmn_json_token *t, const char *text, lmn_json_kind kind)
{
    size_t n = strlen(text);
    if ((size_t)(j->end - j->p) < n || memcmp(j->p, text, n) != 0)
        return wrong(j, t, "a value was expected");
    j->p += n;
    return t->kind = kind;
}

static lmn_json_kind value(lmn_json *j, lmn_json_token *t)
{
    uint8_t c = *j->p;
    if (c == '{' || c == '[') return open(j, t, c == '{');
    j->state = j->depth ? WANT_COMMA : AT_END; /* a failure below overrides it */
    switch (c) {
    case '"': return string(j, t, LMN_JSON_STRING);
    case 't': return word(j, t, "true", LMN_JSON_TRUE);
    case 'f': return word(j, t, "false", LMN_JSON_FALSE);
    case 'n': return word(j, t, "null", LMN_JSON_NULL);
    default:
        if (c == '-' || (c >= '0' && c <= '9')) return number(j, t);
        return wrong(j, t, "a value was expected");
    }
}

static void space(lmn_json *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r'))
        j->p++;
}

static lmn_json_kind key(lmn_json *j, lmn_json_token *t)
{
    if (*j->p != '"') return wrong(j, t, "a key in quotes was expected");
    if (string(j, t, LMN_JSON_KEY) == LMN_JSON_ERROR) return LMN_JSON_ERROR;
    space(j);
    if (j->p == j->end || *j->p != ':') return wrong(j, t, "a colon must follow the key");
    j->p++;
    j->state = WANT_VALUE;
    return t->kind;
}

lmn_json_kind lmn_json_next(lmn_json *j, lmn_json_token *t)
{
    *t = (lmn_json_token){0};
    if (j->state == FAILED) return t->kind = LMN_JSON_ERROR;
    space(j);
    if (j->state == AT_END) {
        if (j->p != j->end) return wrong(j, t, "something follows the value");
        return t->kind = LMN_JSON_END;
    }
    if (j->p == j->end) return wrong(j, t, "the text ends too early");
    const bool object = j->depth && j->in_object[j->depth - 1];
    if (j->state != WANT_VALUE && j->state != WANT_KEY && *j->p == (object ? '}' : ']'))
        return close(j, t);
    if (j->state == WANT_COMMA) {
        if (*j->p != ',') return wrong(j, t, "a comma or a closing bracket was expected");
        j->p++;
        space(j);
        j->state = object ? WANT_KEY : WANT_VALUE;
        if (j->p == j->end) return wrong(j, t, "the text ends too early");
    }
    if (j->state == WANT_KEY || j->state == WANT_FIRST_KEY) return key(j, t);
    return value(j, t);
}

bool lmn_json_skip(lmn_json *j, const lmn_json_token *t)
{
    lmn_json_token at = *t;
    if (at.kind == LMN_JSON_KEY) (void)lmn_json_next(j, &at);
    if (at.kind == LMN_JSON_OBJECT || at.kind == LMN_JSON_ARRAY) {
        const uint32_t depth = j->depth;
        while (j->depth >= depth)
            if (lmn_json_next(j, &at) == LMN_JSON_ERROR) return false;
    }
    return at.kind != LMN_JSON_ERROR;
}

const uint8_t *lmn_json_at(lmn_json *j)
{
    lmn_assert(j->state == WANT_VALUE);
    space(j);
    return j->p;
}

void lmn_json_resume(lmn_json *j, const uint8_t *behind)
{
    lmn_assert(j->state == WANT_VALUE && behind > j->p && behind <= j->end);
    j->p = behind;
    j->state = j->depth ? WANT_COMMA : AT_END;
}

/* Decode one character at *p into out; returns its bytes. The text was checked by string(). */
static size_t decode(const uint8_t **p, const uint8_t *end, uint8_t out[4])
{
    if (**p != '\\') {
        out[0] = *(*p)++;
        return 1;
    }
    size_t n = 0;
    int32_t cp = escape(*p + 1, end, &n);
    *p += 1 + n;
    return lmn_utf8_put(out, (uint32_t)cp);
}

bool lmn_json_is(const lmn_json_token *t, const char *s)
{
    const uint8_t *p = t->text.p, *end = p + t->text.n;
    const size_t n = strlen(s);
    size_t at = 0;
    if (t->kind != LMN_JSON_KEY && t->kind != LMN_JSON_STRING) return false;
    if (!t->escaped) return t->text.n == n && memcmp(p, s, n) == 0;
    while (p < end) {
        uint8_t c[4];
        size_t k = decode(&p, end, c);
        if (k > n - at || memcmp(c, s + at, k) != 0) return false;
        at += k;
    }
    return at == n;
}

size_t lmn_json_string(const lmn_json_token *t, void *dst)
{
    const uint8_t *p = t->text.p, *end = p + t->text.n;
    uint8_t *out = dst;
    size_t n = 0;
    if (!t->escaped) {
        if (t->text.n) memcpy(dst, p, t->text.n);
        return t->text.n;
    }
    while (p < end) {
        uint8_t c[4];
        size_t k = decode(&p, end, c);
        memcpy(out + n, c, k);
        n += k;
    }
    return n;
}

bool lmn_json_i64(const lmn_json_token *t, int64_t *out)
{
    return t->kind == LMN_JSON_NUMBER && lmn_parse_i64(t->text.p, t->text.n, out);
}

bool lmn_json_f64(const lmn_json_token *t, double *out)
{
    return t->kind == LMN_JSON_NUMBER && lmn_parse_f64(t->text.p, t->text.n, out);
}
