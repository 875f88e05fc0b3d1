/*
 * The compiler of regular expressions: recursive descent over groups, straight emission of a
 * program whose jumps are relative. An alternative is moved one place to make room for its split; a
 * counted repeat copies its fragment.
 *
 * Bounds: program, ranges and nesting; counts as in RE2 (1000).
 */
#include "ops/regex_parse_int.h"

#include <string.h>

#define MAX_CODE 16384
#define MAX_DEPTH 200
#define MAX_COUNT 1000

lamina_status lmn_regex_bad(lmn_regex_parser *s, const char *what)
{
    return lmn_eval_fail(s->ec, LAMINA_E_PARSE, "pattern, byte %zu: %s", (size_t)(s->p - s->start),
                         what);
}

static lamina_status too_large(lmn_regex_parser *s)
{
    return lmn_eval_fail(s->ec, LAMINA_E_LIMIT, "the pattern makes a program of more than %d steps",
                         MAX_CODE);
}

bool lmn_regex_looking_at(const lmn_regex_parser *s, const char *text)
{
    const size_t n = strlen(text);
    return (size_t)(s->end - s->p) >= n && memcmp(s->p, text, n) == 0;
}

static lamina_status emit(lmn_regex_parser *s, lmn_regex_inst i)
{
    if (s->re->n >= MAX_CODE - 1) return too_large(s);
    s->re->code[s->re->n++] = i;
    return LAMINA_OK;
}

static lamina_status insert(lmn_regex_parser *s, int32_t at, lmn_regex_inst i)
{
    lmn_regex *re = s->re;
    if (re->n >= MAX_CODE - 1) return too_large(s);
    memmove(&re->code[at + 1], &re->code[at], (size_t)(re->n - at) * sizeof *re->code);
    re->code[at] = i;
    re->n++;
    return LAMINA_OK;
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
static bool read_repeat(lmn_regex_parser *s, int32_t *min, int32_t *max)
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
static lamina_status copy(lmn_regex_parser *s, int32_t at, int32_t len)
{
    lmn_regex *re = s->re;
    if (len > MAX_CODE - 1 - re->n) return too_large(s);
    memcpy(&re->code[re->n], &re->code[at], (size_t)len * sizeof *re->code);
    re->n += len;
    return LAMINA_OK;
}

static lamina_status star(lmn_regex_parser *s, int32_t at)
{
    const int32_t len = s->re->n - at;
    LMN_TRY(insert(s, at, (lmn_regex_inst){.op = LMN_RE_SPLIT, .x = 1, .y = len + 2}));
    return emit(s, (lmn_regex_inst){.op = LMN_RE_JMP, .x = -(len + 1)});
}

/* The fragment [at, n) becomes its repetition. */
static lamina_status repeat(lmn_regex_parser *s, int32_t at, int32_t min, int32_t max)
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

static lamina_status parse_repeat(lmn_regex_parser *s, int32_t at)
{
    int32_t min, max;
    if (s->literal || !read_repeat(s, &min, &max)) return LAMINA_OK;
    if (min > MAX_COUNT || max > MAX_COUNT || (max >= 0 && max < min))
        return lmn_regex_bad(s, "bad repeat count");
    if (s->p < s->end && *s->p == '?') s->p++; /* lazy: the same whole matches */
    LMN_TRY(repeat(s, at, min, max));
    if (read_repeat(s, &min, &max)) return lmn_regex_bad(s, "a repeat of a repeat");
    return LAMINA_OK;
}

/* ---- atoms and groups ---------------------------------------------------------------------------
 */

static lamina_status parse_alternatives(lmn_regex_parser *s);

/* "(?flags)" or "(?flags:"; *group tells whether a group follows. */
static lamina_status parse_flags(lmn_regex_parser *s, bool *group)
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
        default: return lmn_regex_bad(s, "unknown group syntax");
        }
    }
    return lmn_regex_bad(s, "a group is not closed");
}

/* After "(". */
static lamina_status parse_group(lmn_regex_parser *s)
{
    const lmn_regex_flags outer = s->f;
    bool group = true;
    if (++s->depth > MAX_DEPTH) return lmn_regex_bad(s, "groups nest too deeply");
    if (lmn_regex_looking_at(s, "?P<") ||
        (lmn_regex_looking_at(s, "?<") && !lmn_regex_looking_at(s, "?<=") &&
         !lmn_regex_looking_at(s, "?<!"))) {
        const uint8_t *close = memchr(s->p, '>', (size_t)(s->end - s->p));
        if (!close) return lmn_regex_bad(s, "a group name is not closed");
        s->p = close + 1;
    } else if (lmn_regex_looking_at(s, "?")) {
        s->p++;
        LMN_TRY(parse_flags(s, &group));
    }
    if (group) {
        LMN_TRY(parse_alternatives(s));
        if (s->p >= s->end || *s->p++ != ')') return lmn_regex_bad(s, "a group is not closed");
        s->f = outer;
    }
    s->depth--;
    return LAMINA_OK;
}

static lamina_status emit_assert(lmn_regex_parser *s, int32_t kind)
{
    return emit(s, (lmn_regex_inst){.op = LMN_RE_ASSERT, .x = kind});
}

static lamina_status emit_char(lmn_regex_parser *s, uint32_t cp)
{
    return emit(s, (lmn_regex_inst){.op = LMN_RE_CHAR, .fold = s->f.fold, .x = (int32_t)cp});
}

/* After a backslash. */
static lamina_status parse_escape(lmn_regex_parser *s)
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
    LMN_TRY(lmn_regex_perl_class(s, &is_class));
    if (is_class) {
        set.y = s->re->n_ranges - set.x;
        return emit(s, set);
    }
    LMN_TRY(lmn_regex_read_escape(s, &cp));
    return emit_char(s, cp);
}

static lamina_status parse_atom(lmn_regex_parser *s)
{
    lmn_regex_inst set;
    uint32_t cp;
    switch (*s->p) {
    case '(': s->p++; return parse_group(s);
    case '[':
        s->p++;
        LMN_TRY(lmn_regex_read_set(s, &set));
        return emit(s, set);
    case '\\': s->p++; return parse_escape(s);
    case '.':
        s->p++;
        return emit(s, (lmn_regex_inst){.op = s->f.dot_nl ? LMN_RE_ANY : LMN_RE_ANY_BUT_NL});
    case '^': s->p++; return emit_assert(s, s->f.multi ? LMN_RE_LINE_BEGIN : LMN_RE_BEGIN);
    case '$': s->p++; return emit_assert(s, s->f.multi ? LMN_RE_LINE_END : LMN_RE_END);
    case '*':
    case '+':
    case '?': return lmn_regex_bad(s, "nothing to repeat");
    default: break;
    }
    LMN_TRY(lmn_regex_read_cp(s, &cp));
    return emit_char(s, cp);
}

/* One piece of a concatenation, with its repeat. */
static lamina_status parse_piece(lmn_regex_parser *s)
{
    const int32_t at = s->re->n;
    uint32_t cp;
    if (!s->literal) {
        LMN_TRY(parse_atom(s));
        return s->literal ? LAMINA_OK : parse_repeat(s, at);
    }
    if (lmn_regex_looking_at(s, "\\E")) {
        s->p += 2;
        s->literal = false;
        return LAMINA_OK;
    }
    LMN_TRY(lmn_regex_read_cp(s, &cp));
    return emit_char(s, cp);
}

/* Alternatives up to ")" or the end. Each one ends in a jump to the end, chained until it is known.
 */
static lamina_status parse_alternatives(lmn_regex_parser *s)
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
                      .ranges = lmn_scratch(ec, LMN_REGEX_MAX_RANGES * sizeof *re->ranges)};
    if (!re->code || !re->ranges)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for a pattern");
    lmn_regex_parser s = {.ec = ec, .re = re, .start = p, .p = p, .end = p + n};
    LMN_TRY(parse_alternatives(&s));
    if (s.p < s.end) return lmn_regex_bad(&s, "an unmatched )");
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
