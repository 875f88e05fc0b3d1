/*
 * Tokenizer (com.microsoft, since 1): the tokens of every string of [C] or [N, C] in a new last
 * axis, padded with pad_value: what matches tokenexp (leftmost, longest; RE2 syntax, ops/regex.h),
 * or what stands between separators of one character each, or every character where the only
 * separator is empty. Tokens of fewer than mincharnum characters are left out. `mark` puts "\2" and
 * "\3" around the tokens of each row. Without any token the new axis is empty.
 */
#include "base/text.h"
#include "ops/regex.h"
#include "ops/strings.h"

#include <string.h>

typedef struct cutter {
    lmn_regex re;
    bool by_regex, by_char;
    const lmn_str *separators;
    int32_t n_separators;
    int64_t least; /* characters of a token */
} cutter;

static lamina_status infer_tokenizer(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    lmn_fact *f;
    LMN_TRY(lmn_infer_shape(ic, 0, r < 0 ? -1 : r + 1, &f));
    for (int32_t k = 0; k < r; k++) f->dims[k] = ic->in[0]->dims[k];
    return LAMINA_OK;
}

/* Bytes of the character at `at`; a byte that starts none counts as one. */
static size_t step(lmn_str s, size_t at)
{
    const size_t n = lmn_utf8_len((const uint8_t *)s.p + at, s.n - at);
    return n ? n : 1;
}

static bool is_separator(const cutter *c, const char *p, size_t n)
{
    for (int32_t i = 0; i < c->n_separators; i++)
        if (c->separators[i].n == n && memcmp(c->separators[i].p, p, n) == 0) return true;
    return false;
}

/* The next piece of s from *at on, long enough or not; false at the end. */
static bool next_piece(cutter *c, lmn_str s, size_t *at, lmn_str *piece)
{
    size_t begin = *at, end = *at;
    if (c->by_regex) {
        if (*at > s.n || !lmn_regex_find(&c->re, s.p, s.n, *at, &begin, &end)) return false;
        *at = end > begin ? end : end < s.n ? end + step(s, end) : s.n + 1;
    } else if (*at >= s.n) {
        return false;
    } else if (c->by_char) {
        *at = end = begin + step(s, begin);
    } else {
        while (end < s.n && !is_separator(c, s.p + end, step(s, end))) end += step(s, end);
        *at = end < s.n ? end + step(s, end) : end;
    }
    *piece = (lmn_str){s.p + begin, end - begin};
    return true;
}

/* Number of tokens of s; writes up to `cap` of them. */
static int64_t cut(cutter *c, lmn_str s, lmn_str *out, int64_t cap)
{
    char none[1] = "";
    int64_t n = 0;
    size_t at = 0;
    lmn_str piece;
    if (!s.p) s.p = none;
    while (next_piece(c, s, &at, &piece)) {
        int64_t chars = 0;
        for (size_t i = 0; i < piece.n; i += step(piece, i)) chars++;
        if (chars == 0 || chars < c->least) continue;
        if (n < cap) out[n] = piece;
        n++;
    }
    return n;
}

static lamina_status read_args(lmn_eval *ec, cutter *c)
{
    const lmn_attr *re = lmn_attr_find(ec->node, "tokenexp");
    *c = (cutter){.least = lmn_attr_i(ec->node, "mincharnum", 1)};
    c->n_separators = lmn_attr_strings(ec->node, "separators", &c->separators);
    c->by_regex = re && re->type == LMN_ATTR_STRING && re->u.s.n > 0;
    if (c->by_regex == (c->n_separators > 0))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "give one of separators and tokenexp");
    if (c->by_regex) return lmn_regex_compile(ec, re->u.s.p, re->u.s.n, &c->re);
    c->by_char = c->n_separators == 1 && c->separators[0].n == 0;
    for (int32_t i = 0; !c->by_char && i < c->n_separators; i++)
        if (c->separators[i].n == 0 || step(c->separators[i], 0) != c->separators[i].n)
            return lmn_eval_fail(ec, LAMINA_E_UNSUPPORTED,
                                 "separator %d is not of one character; use tokenexp", i);
    return LAMINA_OK;
}

static lamina_status eval_tokenizer(lmn_eval *ec)
{
    char begin_text[] = "\2", end_text[] = "\3"; /* copied by lmn_plain_done */
    const lmn_attr *pad = lmn_attr_find(ec->node, "pad_value");
    const int64_t mark = lmn_attr_i(ec->node, "mark", 0) != 0;
    const lamina_tensor *x;
    int64_t dims[LMN_MAX_RANK + 1], most = 0;
    lmn_plain out;
    cutter c;
    LMN_TRY(lmn_need_strings(ec, 0, &x));
    LMN_TRY(read_args(ec, &c));
    const int64_t n = lmn_count(x);
    for (int64_t i = 0; i < n; i++) {
        if (lmn_eval_cancelled(ec)) return lmn_eval_fail(ec, LAMINA_E_CANCELLED, "cancelled");
        most = lmn_max_i64(most, cut(&c, lmn_strs(x)[i], NULL, 0));
    }
    const int64_t width = most ? most + 2 * mark : 0;
    for (int32_t k = 0; k < x->rank; k++) dims[k] = x->dims[k];
    dims[x->rank] = width;
    LMN_TRY(lmn_check_grown(ec, LAMINA_STRING, x->rank + 1, dims));
    LMN_TRY(lmn_plain_out(ec, 0, LAMINA_STRING, x->rank + 1, dims, &out));
    for (int64_t i = 0; out.t && width && i < n; i++) {
        lmn_str *row = lmn_plain_strs(&out) + i * width;
        int64_t have = mark + cut(&c, lmn_strs(x)[i], row + mark, most);
        if (mark) row[0] = (lmn_str){begin_text, 1}, row[have++] = (lmn_str){end_text, 1};
        for (int64_t k = have; k < width; k++)
            row[k] = pad && pad->type == LMN_ATTR_STRING ? pad->u.s : (lmn_str){NULL, 0};
    }
    return out.t ? lmn_plain_done(ec, &out) : LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_D_STRING}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_D_STRING}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"mark", LMN_ATTR_INT, 0},         {"mincharnum", LMN_ATTR_INT, 0},
    {"pad_value", LMN_ATTR_STRING, 0}, {"separators", LMN_ATTR_STRINGS, 0},
    {"tokenexp", LMN_ATTR_STRING, 0},  {0}};

const lmn_op_def lmn_op_MsTokenizer = {
    .name = "Tokenizer",
    .domain = "com.microsoft",
    .since = 1,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_tokenizer,
    .eval = eval_tokenizer,
};
