/*
 * StringNormalizer (ai.onnx, since 10): drops stop words from a [C] or [1,C] tensor and changes the
 * case of the rest. Case maps by own tables, whatever the locale says; bytes that are no UTF-8
 * stay. When nothing is left the output is one empty string.
 */
#include "ops/strings.h"
#include "ops/unicase.h"

#include "base/text.h"

#include <string.h>

enum { KEEP, LOWER, UPPER };

static lamina_status infer_stringnormalizer(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    lmn_fact *f;
    if (r >= 0 && r != 1 && r != 2)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "shape it [C] or [1,C]", "the input has rank %d",
                              r);
    LMN_TRY(lmn_infer_shape(ic, 0, r, &f));
    if (r == 2) f->dims[0] = lmn_dim_c(1);
    return LAMINA_OK;
}

/* Text in another case; at most two bytes for one. */
static lmn_str change(lmn_str s, int action, lmn_str_pool *pool)
{
    lmn_str out = {pool->at, 0};
    if (action == KEEP) return s;
    const uint8_t *p = (const uint8_t *)s.p;
    for (size_t i = 0, len; i < s.n; i += len) {
        const uint32_t cp = lmn_utf8_get(p + i, s.n - i, &len);
        if (cp > 0x10FFFF)
            out.p[out.n++] = s.p[i];
        else
            out.n += lmn_utf8_put((uint8_t *)out.p + out.n,
                                  action == LOWER ? lmn_case_lower(cp) : lmn_case_upper(cp));
    }
    pool->at += out.n;
    return out;
}

typedef struct stops {
    const lmn_str *word;
    int32_t n;
    bool exact;
} stops;

/* Equal in lower case, code point by code point. */
static bool folds_equal(const lmn_str *a, const lmn_str *b)
{
    size_t i = 0, k = 0, la, lb;
    while (i < a->n && k < b->n) {
        const uint32_t x = lmn_utf8_get((const uint8_t *)a->p + i, a->n - i, &la);
        const uint32_t y = lmn_utf8_get((const uint8_t *)b->p + k, b->n - k, &lb);
        if (lmn_case_lower(x) != lmn_case_lower(y)) return false;
        i += la;
        k += lb;
    }
    return i == a->n && k == b->n;
}

static bool is_stop(const stops *s, const lmn_str *w)
{
    for (int32_t k = 0; k < s->n; k++)
        if (s->exact ? lmn_str_equal(&s->word[k], w) : folds_equal(&s->word[k], w)) return true;
    return false;
}

static lamina_status read_action(lmn_eval *ec, int *action)
{
    const char *a = lmn_attr_s(ec->node, "case_change_action", "NONE");
    *action = strcmp(a, "LOWER") == 0 ? LOWER : strcmp(a, "UPPER") == 0 ? UPPER : KEEP;
    if (*action != KEEP || strcmp(a, "NONE") == 0) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_INVALID, "case_change_action must be LOWER, UPPER or NONE");
}

static lamina_status eval_stringnormalizer(lmn_eval *ec)
{
    const lamina_tensor *x;
    stops s = {.exact = lmn_attr_i(ec->node, "is_case_sensitive", 0) != 0};
    int action;
    size_t bytes = 0;
    int64_t kept = 0;
    lmn_str_pool pool;
    lmn_plain out;
    LMN_TRY(read_action(ec, &action));
    LMN_TRY(lmn_need_strings(ec, 0, &x));
    if (x->rank < 1 || x->rank > 2 || (x->rank == 2 && x->dims[0] != 1))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the input must be [C] or [1,C]");
    s.n = lmn_attr_strings(ec->node, "stopwords", &s.word);
    const int64_t n = lmn_count(x);
    const lmn_str *in = lmn_strs(x);
    for (int64_t i = 0; i < n; i++) {
        if (is_stop(&s, &in[i])) continue;
        kept++;
        bytes += 2 * in[i].n;
    }
    const int64_t dims[2] = {x->rank == 2 ? 1 : kept ? kept : 1, kept ? kept : 1};
    LMN_TRY(lmn_str_pool_make(ec, bytes, &pool));
    LMN_TRY(lmn_plain_out(ec, 0, LAMINA_STRING, x->rank, dims, &out));
    if (!out.t) return LAMINA_OK;
    lmn_str *y = lmn_plain_strs(&out);
    for (int64_t i = 0; i < n; i++)
        if (!is_stop(&s, &in[i])) *y++ = change(in[i], action, &pool);
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_D_STRING}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_D_STRING}, {0}};
static const lmn_attr_schema ATTRS[] = {{"case_change_action", LMN_ATTR_STRING, 0},
                                        {"is_case_sensitive", LMN_ATTR_INT, 0},
                                        {"locale", LMN_ATTR_STRING, 0},
                                        {"stopwords", LMN_ATTR_STRINGS, 0},
                                        {0}};

const lmn_op_def lmn_op_StringNormalizer = {
    .name = "StringNormalizer",
    .domain = "",
    .since = 10,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_stringnormalizer,
    .eval = eval_stringnormalizer,
};
