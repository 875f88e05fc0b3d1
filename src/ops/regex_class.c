/*
 * Characters of a pattern, escapes that mean one, and sets of them: [...], named classes, Perl's.
 */
#include "ops/regex_parse_int.h"
#include "ops/unicase.h"

#include <string.h>

#define MAX_CP 0x10FFFFu

lamina_status lmn_regex_read_cp(lmn_regex_parser *s, uint32_t *cp)
{
    size_t len;
    *cp = lmn_utf8_get(s->p, (size_t)(s->end - s->p), &len);
    if (*cp > MAX_CP) return lmn_regex_bad(s, "this is not UTF-8");
    s->p += len;
    return LAMINA_OK;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* After "\x": two digits or {digits}. */
static lamina_status read_hex(lmn_regex_parser *s, uint32_t *cp)
{
    const bool braced = s->p < s->end && *s->p == '{';
    int digits = 0;
    *cp = 0;
    if (braced) s->p++;
    while (s->p < s->end && hex_digit(*s->p) >= 0 && digits < (braced ? 8 : 2)) {
        *cp = *cp * 16 + (uint32_t)hex_digit(*s->p++);
        digits++;
    }
    if (digits == 0 || (!braced && digits != 2) || *cp > MAX_CP)
        return lmn_regex_bad(s, "bad \\x escape");
    if (!braced) return LAMINA_OK;
    if (s->p >= s->end || *s->p++ != '}') return lmn_regex_bad(s, "bad \\x escape");
    return LAMINA_OK;
}

lamina_status lmn_regex_read_escape(lmn_regex_parser *s, uint32_t *cp)
{
    static const char FROM[] = "ntrfva", TO[] = "\n\t\r\f\v\a";
    if (s->p >= s->end) return lmn_regex_bad(s, "a backslash ends the pattern");
    const uint8_t c = *s->p;
    const char *hit = memchr(FROM, c, sizeof FROM - 1);
    if (hit) {
        s->p++;
        *cp = (uint32_t)TO[hit - FROM];
        return LAMINA_OK;
    }
    if (c == 'x') {
        s->p++;
        return read_hex(s, cp);
    }
    if (c == '0') { /* up to three octal digits */
        *cp = 0;
        for (int i = 0; i < 3 && s->p < s->end && *s->p >= '0' && *s->p <= '7'; i++)
            *cp = *cp * 8 + (uint32_t)(*s->p++ - '0');
        return LAMINA_OK;
    }
    if (c == 'p' || c == 'P')
        return lmn_eval_fail(s->ec, LAMINA_E_UNSUPPORTED,
                             "pattern: Unicode classes (\\p) are not supported; list the ranges");
    if (c >= '1' && c <= '9') return lmn_regex_bad(s, "back references do not exist in RE2");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return lmn_regex_bad(s, "unknown escape");
    return lmn_regex_read_cp(s, cp);
}

static lamina_status add_range(lmn_regex_parser *s, uint32_t lo, uint32_t hi)
{
    if (s->re->n_ranges >= LMN_REGEX_MAX_RANGES)
        return lmn_eval_fail(s->ec, LAMINA_E_LIMIT, "pattern: more than %d ranges",
                             LMN_REGEX_MAX_RANGES);
    s->re->ranges[s->re->n_ranges++] = (lmn_regex_range){lo, hi};
    return LAMINA_OK;
}

typedef struct named {
    const char *name;
    uint8_t n;
    lmn_regex_range r[4]; /* ascending */
} named;

static const named CLASSES[] = {
    {"d", 1, {{'0', '9'}}},
    {"s", 4, {{'\t', '\n'}, {'\f', '\f'}, {'\r', '\r'}, {' ', ' '}}},
    {"w", 4, {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
    {"alnum", 3, {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
    {"alpha", 2, {{'A', 'Z'}, {'a', 'z'}}},
    {"ascii", 1, {{0, 0x7F}}},
    {"blank", 2, {{'\t', '\t'}, {' ', ' '}}},
    {"cntrl", 2, {{0, 0x1F}, {0x7F, 0x7F}}},
    {"digit", 1, {{'0', '9'}}},
    {"graph", 1, {{'!', '~'}}},
    {"lower", 1, {{'a', 'z'}}},
    {"print", 1, {{' ', '~'}}},
    {"punct", 4, {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}},
    {"space", 2, {{'\t', '\r'}, {' ', ' '}}},
    {"upper", 1, {{'A', 'Z'}}},
    {"word", 4, {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}},
    {"xdigit", 3, {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
};

/* Add a named class or everything but it; false in *found if the name is none. */
static lamina_status add_class(lmn_regex_parser *s, const char *name, size_t n, bool negate,
                               bool *found)
{
    *found = false;
    for (size_t i = 0; i < LMN_COUNT(CLASSES); i++) {
        const named *c = &CLASSES[i];
        if (strlen(c->name) != n || memcmp(c->name, name, n) != 0) continue;
        *found = true;
        uint32_t next = 0;
        for (int32_t k = 0; k < c->n; k++) {
            if (!negate)
                LMN_TRY(add_range(s, c->r[k].lo, c->r[k].hi));
            else if (c->r[k].lo > next)
                LMN_TRY(add_range(s, next, c->r[k].lo - 1));
            next = c->r[k].hi + 1;
        }
        return negate ? add_range(s, next, MAX_CP) : LAMINA_OK;
    }
    return LAMINA_OK;
}

lamina_status lmn_regex_perl_class(lmn_regex_parser *s, bool *found)
{
    *found = false;
    if (s->p >= s->end || !memchr("dDwWsS", *s->p, 6)) return LAMINA_OK;
    const char lower = (char)(*s->p | 0x20);
    const bool negate = *s->p < 'a';
    s->p++;
    return add_class(s, &lower, 1, negate, found);
}

static lamina_status posix_class(lmn_regex_parser *s, bool *found)
{
    *found = false;
    if (!lmn_regex_looking_at(s, "[:")) return LAMINA_OK;
    const uint8_t *name = s->p + 2;
    const bool negate = name < s->end && *name == '^';
    if (negate) name++;
    const uint8_t *stop = name;
    while (stop < s->end && *stop >= 'a' && *stop <= 'z') stop++;
    if (s->end - stop < 2 || stop[0] != ':' || stop[1] != ']') return LAMINA_OK;
    LMN_TRY(add_class(s, (const char *)name, (size_t)(stop - name), negate, found));
    if (!*found) return lmn_regex_bad(s, "unknown class name");
    s->p = stop + 2;
    return LAMINA_OK;
}

static lamina_status set_member(lmn_regex_parser *s, uint32_t *cp, bool *is_class)
{
    *is_class = false;
    LMN_TRY(posix_class(s, is_class));
    if (*is_class) return LAMINA_OK;
    if (*s->p != '\\') return lmn_regex_read_cp(s, cp);
    s->p++;
    LMN_TRY(lmn_regex_perl_class(s, is_class));
    return *is_class ? LAMINA_OK : lmn_regex_read_escape(s, cp);
}

lamina_status lmn_regex_read_set(lmn_regex_parser *s, lmn_regex_inst *i)
{
    *i = (lmn_regex_inst){.op = LMN_RE_SET, .fold = s->f.fold, .x = s->re->n_ranges};
    bool first = true, is_class;
    if (s->p < s->end && *s->p == '^') {
        i->negate = true;
        s->p++;
    }
    for (; s->p < s->end && (first || *s->p != ']'); first = false) {
        uint32_t lo = 0, hi;
        LMN_TRY(set_member(s, &lo, &is_class));
        if (is_class) continue;
        hi = lo;
        if (s->end - s->p >= 2 && *s->p == '-' && s->p[1] != ']') {
            s->p++;
            LMN_TRY(set_member(s, &hi, &is_class));
            if (is_class || hi < lo) return lmn_regex_bad(s, "bad range in a class");
        }
        LMN_TRY(add_range(s, lo, hi));
    }
    if (s->p >= s->end) return lmn_regex_bad(s, "a class is not closed");
    s->p++;
    i->y = s->re->n_ranges - i->x;
    return LAMINA_OK;
}
