/*
 * TfIdfVectorizer (ai.onnx, since 9): counts the n-grams of a pool in each row of [C] or [N,C],
 * with up to max_skip_count tokens skipped between neighbours. Mode TF gives counts, IDF the weight
 * of what occurs, TFIDF count times weight; the i-th n-gram adds to coordinate ngram_indexes[i].
 */
#include "ops/lookup.h"
#include "ops/strings.h"
#include "ops/wide.h"

#include <string.h>

typedef struct pool {
    lmn_tokens tokens;
    int64_t n_tokens;
    const int64_t *counts, *index; /* starts by gram length; coordinates */
    const float *weights;
    int32_t n_counts, n_index, n_weights;
    int64_t width; /* max coordinate + 1 */
    lmn_token_run *keys;
    lmn_lookup lookup;
    int64_t min_len, max_len, max_skip;
    bool idf, tf;
} pool;

static int64_t width_of(const lmn_opnode *n)
{
    const int64_t *v;
    const int32_t len = lmn_attr_ints(n, "ngram_indexes", &v);
    int64_t max = -1;
    for (int32_t k = 0; k < len; k++) max = lmn_max_i64(max, v[k]);
    return max < INT64_MAX ? max + 1 : max; /* no memory has so many */
}

static lamina_status infer_tfidfvectorizer(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    lmn_fact *f;
    if (r >= 0 && r != 1 && r != 2)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "shape it [C] or [N,C]", "the input has rank %d",
                              r);
    LMN_TRY(lmn_infer_shape(ic, 0, r, &f));
    if (r < 0) return LAMINA_OK;
    if (r == 2) f->dims[0] = ic->in[0]->dims[0];
    f->dims[r - 1] = lmn_dim_c(width_of(ic->node));
    return LAMINA_OK;
}

/* Number the n-grams of the pool in order; E_INVALID when the attributes do not fit together. */
static lamina_status number_grams(lmn_eval *ec, pool *p)
{
    int64_t id = 0;
    for (int32_t g = 0; g < p->n_counts; g++) {
        const int64_t from = p->counts[g];
        const int64_t to = g + 1 < p->n_counts ? p->counts[g + 1] : p->n_tokens;
        if (from < 0 || to < from || to > p->n_tokens || (to - from) % (g + 1) != 0 ||
            (to - from) / (g + 1) > p->n_index - id)
            return lmn_eval_fail(ec, LAMINA_E_INVALID,
                                 "ngram_counts do not fit the pool of %lld tokens",
                                 (long long)p->n_tokens);
        for (int64_t at = from; at < to; at += g + 1)
            p->keys[id++] = (lmn_token_run){p->tokens, at, 1, g + 1};
    }
    if (id != p->n_index)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "%lld n-grams but %d ngram_indexes",
                             (long long)id, p->n_index);
    LMN_TRY(lmn_lookup_make(ec, id, p->keys, &p->lookup));
    while (id > 0) lmn_lookup_add(&p->lookup, --id); /* backwards: the first of equals stays */
    return LAMINA_OK;
}

static lamina_status read_pool(lmn_eval *ec, const lamina_tensor *x, pool *p)
{
    const lmn_opnode *n = ec->node;
    const char *mode = lmn_attr_s(n, "mode", "");
    const bool text = x->dtype == LAMINA_STRING;
    *p = (pool){.width = width_of(n),
                .min_len = lmn_attr_i(n, "min_gram_length", 1),
                .max_len = lmn_attr_i(n, "max_gram_length", 1),
                .max_skip = lmn_attr_i(n, "max_skip_count", 0)};
    p->tf = strcmp(mode, "IDF") != 0;
    p->idf = strcmp(mode, "TF") != 0;
    p->n_counts = lmn_attr_ints(n, "ngram_counts", &p->counts);
    p->n_index = lmn_attr_ints(n, "ngram_indexes", &p->index);
    p->n_weights = lmn_attr_floats(n, "weights", &p->weights);
    p->n_tokens = text ? lmn_attr_strings(n, "pool_strings", &p->tokens.str)
                       : lmn_attr_ints(n, "pool_int64s", &p->tokens.num);
    if ((p->tf && p->idf && strcmp(mode, "TFIDF") != 0) || p->n_tokens == 0 || p->min_len < 1 ||
        p->max_len < p->min_len || p->max_skip < 0 || (p->n_weights && p->n_weights != p->n_index))
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "mode, pool, gram lengths and weights do not fit together");
    for (int32_t k = 0; k < p->n_index; k++)
        if (p->index[k] < 0)
            return lmn_eval_fail(ec, LAMINA_E_INVALID, "ngram_indexes holds a negative coordinate");
    p->keys = lmn_scratch(ec, (size_t)(p->n_index + 1) * sizeof *p->keys);
    if (!p->keys) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the n-grams");
    return number_grams(ec, p);
}

/* Count the n-grams of one row of C tokens. */
static lamina_status count_row(lmn_eval *ec, const pool *p, lmn_token_run row, int64_t *count)
{
    const int64_t c = row.len, longest = lmn_min_i64(p->max_len, p->n_counts);
    for (int64_t len = p->min_len; len <= longest && len <= c; len++) {
        const int64_t skips = len == 1 ? 0 : lmn_min_i64(p->max_skip, c);
        for (int64_t skip = 0; skip <= skips; skip++) {
            const int64_t reach = (len - 1) * (skip + 1);
            if (reach >= c) break;
            if (lmn_eval_cancelled(ec)) return lmn_eval_fail(ec, LAMINA_E_CANCELLED, "cancelled");
            for (int64_t at = 0; at + reach < c; at++) {
                const lmn_token_run gram = {row.t, row.first + at, skip + 1, len};
                const int64_t id = lmn_lookup_find(&p->lookup, &gram);
                if (id >= 0) count[id]++;
            }
        }
    }
    return LAMINA_OK;
}

static void add_row(const pool *p, const int64_t *count, double *sum, float *out)
{
    memset(sum, 0, (size_t)p->width * sizeof *sum);
    for (int32_t id = 0; id < p->n_index; id++) {
        const double w = p->idf && p->n_weights ? p->weights[id] : 1;
        const double n = p->tf ? (double)count[id] : count[id] > 0 ? 1 : 0;
        sum[p->index[id]] += n * w;
    }
    for (int64_t k = 0; k < p->width; k++) out[k] = (float)sum[k];
}

static lamina_status row_tokens(lmn_eval *ec, const lamina_tensor *x, lmn_tokens *t)
{
    *t = (lmn_tokens){0};
    if (x->dtype == LAMINA_STRING) {
        t->str = x->data;
        return LAMINA_OK;
    }
    int64_t *num = lmn_scratch(ec, (size_t)lmn_count(x) * sizeof *num + 1);
    if (!num) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the tokens");
    lmn_convert(LAMINA_I64, num, x->dtype, x->data, lmn_count(x), false);
    t->num = num;
    return LAMINA_OK;
}

static lamina_status eval_tfidfvectorizer(lmn_eval *ec)
{
    const lamina_tensor *x;
    lamina_tensor *t;
    pool p;
    lmn_token_run row = {.step = 1};
    LMN_TRY(lmn_eval_ready(ec));
    LMN_TRY(lmn_need(ec, 0, &x));
    if (x->rank < 1 || x->rank > 2)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the input must be [C] or [N,C]");
    LMN_TRY(read_pool(ec, x, &p));
    LMN_TRY(row_tokens(ec, x, &row.t));
    const int64_t rows = x->rank == 2 ? x->dims[0] : 1;
    const int64_t dims[2] = {x->rank == 2 ? rows : p.width, p.width};
    LMN_TRY(lmn_check_grown(ec, LAMINA_F64, x->rank, dims));
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, dims, &t));
    int64_t *count = lmn_scratch(ec, (size_t)p.n_index * sizeof *count + 1);
    double *sum = lmn_scratch(ec, (size_t)p.width * sizeof *sum + 1);
    if (!count || !sum) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the counts");
    row.len = x->dims[x->rank - 1];
    for (int64_t r = 0; t && r < rows; r++) {
        memset(count, 0, (size_t)p.n_index * sizeof *count);
        row.first = r * row.len;
        LMN_TRY(count_row(ec, &p, row, count));
        add_row(&p, count, sum, (float *)t->data + r * p.width);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {
    {"X", 0, 0, LMN_D_STRING | LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"max_gram_length", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"max_skip_count", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"min_gram_length", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"mode", LMN_ATTR_STRING, LMN_ATTR_REQUIRED},
                                        {"ngram_counts", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"ngram_indexes", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"pool_int64s", LMN_ATTR_INTS, 0},
                                        {"pool_strings", LMN_ATTR_STRINGS, 0},
                                        {"weights", LMN_ATTR_FLOATS, 0},
                                        {0}};

const lmn_op_def lmn_op_TfIdfVectorizer = {
    .name = "TfIdfVectorizer",
    .domain = "",
    .since = 9,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_tfidfvectorizer,
    .eval = eval_tfidfvectorizer,
};
