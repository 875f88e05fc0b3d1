/*
 * StringSplit (ai.onnx, since 20): substrings in a new last axis, padded with empty strings, and
 * how many there are. Without a delimiter runs of ASCII white space separate and the ends are
 * stripped; with one, neighbouring delimiters give empty substrings. After maxsplit cuts the rest
 * stays whole.
 */
#include "ops/strings.h"

#include <string.h>

static lamina_status infer_stringsplit(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    lmn_fact *f;
    LMN_TRY(lmn_infer_shape(ic, 0, r < 0 ? -1 : r + 1, &f));
    for (int32_t k = 0; k < r; k++) f->dims[k] = ic->in[0]->dims[k];
    if (ic->node->n_out < 2) return LAMINA_OK;
    LMN_TRY(lmn_infer_shape(ic, 1, r, &f));
    for (int32_t k = 0; k < r; k++) f->dims[k] = ic->in[0]->dims[k];
    return LAMINA_OK;
}

typedef struct cutter {
    lmn_str delimiter; /* n == 0: white space */
    int64_t max;       /* cuts, < 0 = no bound */
} cutter;

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* The next substring of *rest after `cuts` cuts; false at the end. */
static bool next_word(const cutter *c, lmn_str *rest, int64_t cuts, lmn_str *word)
{
    size_t i = 0;
    while (i < rest->n && is_space(rest->p[i])) i++;
    if (i == rest->n) return false;
    rest->p += i;
    rest->n -= i;
    size_t len = 0;
    while (len < rest->n && (cuts == c->max || !is_space(rest->p[len]))) len++;
    *word = (lmn_str){rest->p, len};
    rest->p += len;
    rest->n -= len;
    return true;
}

static bool next_field(const cutter *c, lmn_str *rest, int64_t cuts, lmn_str *word)
{
    const size_t d = c->delimiter.n;
    size_t len = 0;
    if (!rest->p) return false;
    while (cuts != c->max && len + d <= rest->n && memcmp(rest->p + len, c->delimiter.p, d) != 0)
        len++;
    if (cuts == c->max || len + d > rest->n) { /* the last one */
        *word = *rest;
        *rest = (lmn_str){NULL, 0};
        return true;
    }
    *word = (lmn_str){rest->p, len};
    rest->p += len + d;
    rest->n -= len + d;
    return true;
}

/* Number of substrings of s; writes up to `cap` of them. */
static int64_t split(const cutter *c, lmn_str s, lmn_str *out, int64_t cap)
{
    char empty[1] = "";
    int64_t n = 0;
    lmn_str word;
    if (!s.p) s.p = empty;
    while (c->delimiter.n ? next_field(c, &s, n, &word) : next_word(c, &s, n, &word)) {
        if (n < cap) out[n] = word;
        n++;
    }
    return n;
}

static lamina_status eval_stringsplit(lmn_eval *ec)
{
    const lmn_attr *d = lmn_attr_find(ec->node, "delimiter");
    const lamina_tensor *x;
    lamina_tensor *counts;
    int64_t dims[LMN_MAX_RANK + 1], most = 0;
    lmn_plain out;
    cutter c = {.max = lmn_attr_i(ec->node, "maxsplit", -1)};
    if (d && d->type == LMN_ATTR_STRING) c.delimiter = d->u.s;
    LMN_TRY(lmn_need_strings(ec, 0, &x));
    LMN_TRY(lmn_out(ec, 1, LAMINA_I64, x->rank, x->dims, &counts));
    const int64_t n = lmn_count(x);
    for (int64_t i = 0; i < n; i++) {
        const int64_t k = split(&c, lmn_strs(x)[i], NULL, 0);
        if (counts) ((int64_t *)counts->data)[i] = k;
        most = lmn_max_i64(most, k);
    }
    for (int32_t k = 0; k < x->rank; k++) dims[k] = x->dims[k];
    dims[x->rank] = most;
    LMN_TRY(lmn_check_grown(ec, LAMINA_STRING, x->rank + 1, dims));
    LMN_TRY(lmn_plain_out(ec, 0, LAMINA_STRING, x->rank + 1, dims, &out));
    if (!out.t) return LAMINA_OK;
    for (int64_t i = 0; i < n; i++)
        (void)split(&c, lmn_strs(x)[i], lmn_plain_strs(&out) + i * most, most);
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_D_STRING}, {0}};
static const lmn_port OUT[] = {
    {"Y", 0, 0, LMN_D_STRING}, {"Z", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"delimiter", LMN_ATTR_STRING, 0}, {"maxsplit", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_StringSplit = {
    .name = "StringSplit",
    .domain = "",
    .since = 20,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_stringsplit,
    .eval = eval_stringsplit,
};
