/*
 * The compiler of regular expressions: recursive descent over groups, straight emission of a
 * program whose jumps are relative. An alternative is moved one place to make room for its split; a
 * counted repeat copies its fragment.
 *
 * Bounds: program, ranges and nesting; counts as in RE2 (1000).
 */
#include "base/text.h"
#include "ops/regex_inst.h"
#include "ops/unicase.h"

#include <string.h>

#define MAX_CODE 16384
#define MAX_RANGES 8192
#define MAX_DEPTH 200
#define MAX_COUNT 1000
#define MAX_CP 0x10FFFFu

typedef struct flags {
    bool fold, multi, dot_nl;
} flags;

typedef struct parser {
    lmn_eval *ec;
    lmn_regex *re;
    const uint8_t *start, *p, *end;
    flags f;
    int32_t depth;
    bool literal; /* between \Q and \E */
} parser;

static lamina_status bad(parser *s, const char *what)
{
    return lmn_eval_fail(s->ec, LAMINA_E_PARSE, "pattern, byte %zu: %s", (size_t)(s->p - s->start),
                         what);
}

static lamina_status too_large(parser *s)
{
    return lmn_eval_fail(s->ec, LAMINA_E_LIMIT, "the pattern makes a program of more than %d steps",
                         MAX_CODE);
}

static bool looking_at(const parser *s, const char *text)
{
    const size_t n = strlen(text);
    return (size_t)(s->end - s->p) >= n && memcmp(s->p, text, n) == 0;
}

static lamina_status emit(parser *s, lmn_regex_inst i)
{
    if (s->re->n >= MAX_CODE - 1) return too_large(s);
    s->re->code[s->re->n++] = i;
    return LAMINA_OK;
}

static lamina_status insert(parser *s, int32_t at, lmn_regex_inst i)
{
    lmn_regex *re = s->re;
    if (re->n >= MAX_CODE - 1) return too_large(s);
    memmove(&re->code[at + 1], &re->code[at], (size_t)(re->n - at) * sizeof *re->code);
    re->code[at] = i;
    re->n++;
    return LAMINA_OK;
}

/* ---- characters and classes ---------------------------------------------------------------------
 */

static lamina_status read_cp(parser *s, uint32_t *cp)
{
    size_t len;
    *cp = lmn_utf8_get(s->p, (size_t)(s->end - s->p), &len);
    if (*cp > MAX_CP) return bad(s, "this is not UTF-8");
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
static lamina_status read_hex(parser *s, uint32_t *cp)
{
    const bool braced = s->p < s->end && *s->p == '{';
    int digits = 0;
    *cp = 0;
    if (braced) s->p++;
    while (s->p < s->end && hex_digit(*s->p) >= 0 && digits < (braced ? 8 : 2)) {
        *cp = *cp * 16 + (uint32_t)hex_digit(*s->p++);
        digits++;
    }
    if (digits == 0 || (!braced && digits != 2) || *cp > MAX_CP) return bad(s, "bad \\x escape");
    if (!braced) return LAMINA_OK;
    if (s->p >= s->end || *s->p++ != '}') return bad(s, "bad \\x escape");
    return LAMINA_OK;
}

/* The character after a backslash, where it means a single one. */
static lamina_status read_escape(parser *s, uint32_t *cp)
{
    static const char FROM[] = "ntrfva", TO[] = "\n\t\r\f\v\a";
    if (s->p >= s->end) return bad(s, "a backslash ends the pattern");
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
    if (c >= '1' && c <= '9') return bad(s, "back references do not exist in RE2");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return bad(s, "unknown escape");
    return read_cp(s, cp);
}

static lamina_status add_range(parser *s, uint32_t lo, uint32_t hi)
{
    if (s->re->n_ranges >= MAX_RANGES)
        return lmn_eval_fail(s->ec, LAMINA_E_LIMIT, "pattern: more than %d ranges", MAX_RANGES);
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
static lamina_status add_class(parser *s, const char *name, size_t n, bool negate, bool *found)
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

/* \d \w \s and their negations at s->p (after the backslash). */
static lamina_status perl_class(parser *s, bool *found)
{
    *found = false;
    if (s->p >= s->end || !memchr("dDwWsS", *s->p, 6)) return LAMINA_OK;
    const char lower = (char)(*s->p | 0x20);
    const bool negate = *s->p < 'a';
    s->p++;
    return add_class(s, &lower, 1, negate, found);
}

static lamina_status posix_class(parser *s, bool *found)
{
    *found = false;
    if (!looking_at(s, "[:")) return LAMINA_OK;
    const uint8_t *name = s->p + 2;
    const bool negate = name < s->end && *name == '^';
    if (negate) name++;
    const uint8_t *stop = name;
    while (stop < s->end && *stop >= 'a' && *stop <= 'z') stop++;
    if (s->end - stop < 2 || stop[0] != ':' || stop[1] != ']') return LAMINA_OK;
    LMN_TRY(add_class(s, (const char *)name, (size_t)(stop - name), negate, found));
    if (!*found) return bad(s, "unknown class name");
    s->p = stop + 2;
    return LAMINA_OK;
}

static lamina_status set_member(parser *s, uint32_t *cp, bool *is_class)
{
    *is_class = false;
    LMN_TRY(posix_class(s, is_class));
    if (*is_class) return LAMINA_OK;
    if (*s->p != '\\') return read_cp(s, cp);
    s->p++;
    LMN_TRY(perl_class(s, is_class));
    return *is_class ? LAMINA_OK : read_escape(s, cp);
}

/* After "[". */
static lamina_status parse_set(parser *s)
{
    lmn_regex_inst i = {.op = LMN_RE_SET, .fold = s->f.fold, .x = s->re->n_ranges};
    bool first = true, is_class;
    if (s->p < s->end && *s->p == '^') {
        i.negate = true;
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
            if (is_class || hi < lo) return bad(s, "bad range in a class");
        }
        LMN_TRY(add_range(s, lo, hi));
    }
    if (s->p >= s->end) return bad(s, "a class is not closed");
    s->p++;
    i.y = s->re->n_ranges - i.x;
    return emit(s, i);
}

/* ---- repeats ------------------------------------------------------------------------------------
 */

static bool read_number(const uint8_t **p, const uint8_t *end, int32_t *v)
{
    const uint8_t *q = *p;
    *v = 0;
    while (q < end && *q >= '0' && *q <= '9' && *v <= MAX_COUNT) *v = *v * 10 + (*q++ - '0');
    const bool any = q > *p;
    *p = q;
    return any;
}

/* A quantifier at s->p: bounds, max -1 = none. Text that only looks like one is a literal. */
static bool read_repeat(parser *s, int32_t *min, int32_t *max)
{
    if (s->p >= s->end) return false;
    const uint8_t c = *s->p;
    if (c == '*' || c == '+' || c == '?') {
        *min = c == '+';
        *max = c == '?' ? 1 : -1;
        s->p++;
        return true;
    }
    if (c != '{') return false;
    const uint8_t *q = s->p + 1;
    if (!read_number(&q, s->end, min)) return false;
    *max = *min;
    if (q < s->end && *q == ',') {
        q++;
        if (!read_number(&q, s->end, max)) *max = -1;
    }
    if (q >= s->end || *q != '}') return false;
    s->p = q + 1;
    return true;
}

/* Append a copy of the fragment [at, at + len). */
static lamina_status copy(parser *s, int32_t at, int32_t len)
{
    lmn_regex *re = s->re;
    if (len > MAX_CODE - 1 - re->n) return too_large(s);
    memcpy(&re->code[re->n], &re->code[at], (size_t)len * sizeof *re->code);
    re->n += len;
    return LAMINA_OK;
}

static lamina_status star(parser *s, int32_t at)
{
    const int32_t len = s->re->n - at;
    LMN_TRY(insert(s, at, (lmn_regex_inst){.op = LMN_RE_SPLIT, .x = 1, .y = len + 2}));
    return emit(s, (lmn_regex_inst){.op = LMN_RE_JMP, .x = -(len + 1)});
}

/* The fragment [at, n) becomes its repetition. */
static lamina_status repeat(parser *s, int32_t at, int32_t min, int32_t max)
{
    lmn_regex *re = s->re;
    const int32_t len = re->n - at;
    if (max < 0 && min == 0) return star(s, at);
    if (max == 0) {
        re->n = at;
        return LAMINA_OK;
    }
    for (int32_t k = 1; k < min; k++) LMN_TRY(copy(s, at, len));
    if (max < 0) return emit(s, (lmn_regex_inst){.op = LMN_RE_SPLIT, .x = -len, .y = 1});
    const int32_t optional = max - min; /* each one may jump to the very end */
    const int32_t end = (min == 0 ? at : re->n) + optional * (len + 1);
    int32_t k = 0;
    if (min == 0) {
        LMN_TRY(insert(s, at, (lmn_regex_inst){.op = LMN_RE_SPLIT, .x = 1, .y = end - at}));
        at++;
        k = 1;
    }
    for (; k < optional; k++) {
        LMN_TRY(emit(s, (lmn_regex_inst){.op = LMN_RE_SPLIT, .x = 1, .y = end - re->n}));
        LMN_TRY(copy(s, at, len));
    }
    return LAMINA_OK;
}

static lamina_status parse_repeat(parser *s, int32_t at)
{
    int32_t min, max;
    if (s->literal || !read_repeat(s, &min, &max)) return LAMINA_OK;
    if (min > MAX_COUNT || max > MAX_COUNT || (max >= 0 && max < min))
        return bad(s, "bad repeat count");
    if (s->p < s->end && *s->p == '?') s->p++; /* lazy: the same whole matches */
    LMN_TRY(repeat(s, at, min, max));
    if (read_repeat(s, &min, &max)) return bad(s, "a repeat of a repeat");
    return LAMINA_OK;
}

/* ---- atoms and groups ---------------------------------------------------------------------------
 */

static lamina_status parse_alternatives(parser *s);

/* "(?flags)" or "(?flags:"; *group tells whether a group follows. */
static lamina_status parse_flags(parser *s, bool *group)
{
    bool on = true;
    for (; s->p < s->end; s->p++) {
        switch (*s->p) {
        case 'i': s->f.fold = on; break;
        case 'm': s->f.multi = on; break;
        case 's': s->f.dot_nl = on; break;
        case 'U': break; /* swaps greedy and lazy: the same whole matches */
        case '-': on = false; break;
        case ':':
        case ')': *group = *s->p++ == ':'; return LAMINA_OK;
        default: return bad(s, "unknown group syntax");
        }
    }
    return bad(s, "a group is not closed");
}

/* After "(". */
static lamina_status parse_group(parser *s)
{
    const flags outer = s->f;
    bool group = true;
    if (++s->depth > MAX_DEPTH) return bad(s, "groups nest too deeply");
    if (looking_at(s, "?P<") ||
        (looking_at(s, "?<") && !looking_at(s, "?<=") && !looking_at(s, "?<!"))) {
        const uint8_t *close = memchr(s->p, '>', (size_t)(s->end - s->p));
        if (!close) return bad(s, "a group name is not closed");
        s->p = close + 1;
    } else if (looking_at(s, "?")) {
        s->p++;
        LMN_TRY(parse_flags(s, &group));
    }
    if (group) {
        LMN_TRY(parse_alternatives(s));
        if (s->p >= s->end || *s->p++ != ')') return bad(s, "a group is not closed");
        s->f = outer;
    }
    s->depth--;
    return LAMINA_OK;
}

static lamina_status emit_assert(parser *s, int32_t kind)
{
    return emit(s, (lmn_regex_inst){.op = LMN_RE_ASSERT, .x = kind});
}

static lamina_status emit_char(parser *s, uint32_t cp)
{
    return emit(s, (lmn_regex_inst){.op = LMN_RE_CHAR, .fold = s->f.fold, .x = (int32_t)cp});
}

/* After a backslash. */
static lamina_status parse_escape(parser *s)
{
    lmn_regex_inst set = {.op = LMN_RE_SET, .x = s->re->n_ranges};
    uint32_t cp;
    bool is_class;
    const uint8_t c = s->p < s->end ? *s->p : 0;
    if (c == 'A' || c == 'z' || c == 'b' || c == 'B') {
        s->p++;
        return emit_assert(s, c == 'A'   ? LMN_RE_BEGIN
                              : c == 'z' ? LMN_RE_END
                              : c == 'b' ? LMN_RE_WORD
                                         : LMN_RE_NOT_WORD);
    }
    if (c == 'Q') {
        s->p++;
        s->literal = true;
        return LAMINA_OK;
    }
    LMN_TRY(perl_class(s, &is_class));
    if (is_class) {
        set.y = s->re->n_ranges - set.x;
        return emit(s, set);
    }
    LMN_TRY(read_escape(s, &cp));
    return emit_char(s, cp);
}

static lamina_status parse_atom(parser *s)
{
    uint32_t cp;
    switch (*s->p) {
    case '(': s->p++; return parse_group(s);
    case '[': s->p++; return parse_set(s);
    case '\\': s->p++; return parse_escape(s);
    case '.':
        s->p++;
        return emit(s, (lmn_regex_inst){.op = s->f.dot_nl ? LMN_RE_ANY : LMN_RE_ANY_BUT_NL});
    case '^': s->p++; return emit_assert(s, s->f.multi ? LMN_RE_LINE_BEGIN : LMN_RE_BEGIN);
    case '$': s->p++; return emit_assert(s, s->f.multi ? LMN_RE_LINE_END : LMN_RE_END);
    case '*':
    case '+':
    case '?': return bad(s, "nothing to repeat");
    default: break;
    }
    LMN_TRY(read_cp(s, &cp));
    return emit_char(s, cp);
}

/* One piece of a concatenation, with its repeat. */
static lamina_status parse_piece(parser *s)
{
    const int32_t at = s->re->n;
    uint32_t cp;
    if (!s->literal) {
        LMN_TRY(parse_atom(s));
        return s->literal ? LAMINA_OK : parse_repeat(s, at);
    }
    if (looking_at(s, "\\E")) {
        s->p += 2;
        s->literal = false;
        return LAMINA_OK;
    }
    LMN_TRY(read_cp(s, &cp));
    return emit_char(s, cp);
}

/* Alternatives up to ")" or the end. Each one ends in a jump to the end, chained until it is known.
 */
static lamina_status parse_alternatives(parser *s)
{
    lmn_regex *re = s->re;
    int32_t at = re->n, chain = -1;
    while (s->p < s->end && (s->literal || *s->p != ')')) {
        if (s->literal || *s->p != '|') {
            LMN_TRY(parse_piece(s));
            continue;
        }
        s->p++;
        const int32_t len = re->n - at;
        LMN_TRY(insert(s, at, (lmn_regex_inst){.op = LMN_RE_SPLIT, .x = 1, .y = len + 2}));
        LMN_TRY(emit(s, (lmn_regex_inst){.op = LMN_RE_JMP, .x = chain}));
        chain = re->n - 1;
        at = re->n;
    }
    while (chain >= 0) {
        const int32_t before = re->code[chain].x;
        re->code[chain].x = re->n - chain;
        chain = before;
    }
    return LAMINA_OK;
}

lamina_status lmn_regex_compile(lmn_eval *ec, const char *pattern, size_t n, lmn_regex *re)
{
    const uint8_t *p = (const uint8_t *)pattern;
    *re = (lmn_regex){.code = lmn_scratch(ec, MAX_CODE * sizeof *re->code),
                      .ranges = lmn_scratch(ec, MAX_RANGES * sizeof *re->ranges)};
    if (!re->code || !re->ranges)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for a pattern");
    parser s = {.ec = ec, .re = re, .start = p, .p = p, .end = p + n};
    LMN_TRY(parse_alternatives(&s));
    if (s.p < s.end) return bad(&s, "an unmatched )");
    LMN_TRY(emit(&s, (lmn_regex_inst){.op = LMN_RE_MATCH}));
    int32_t *mem = lmn_scratch(ec, (size_t)re->n * 4 * sizeof *mem);
    if (!mem) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for a pattern");
    re->set[0] = mem;
    re->set[1] = mem + re->n;
    re->mark = mem + 2 * re->n;
    re->stack = mem + 3 * re->n;
    memset(re->mark, 0, (size_t)re->n * sizeof *re->mark);
    re->since[0] = lmn_scratch(ec, (size_t)re->n * 2 * sizeof *re->since[0]);
    if (!re->since[0]) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for a pattern");
    re->since[1] = re->since[0] + re->n;
    return LAMINA_OK;
}
