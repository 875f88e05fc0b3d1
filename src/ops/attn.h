/*
 * The attention of the com.microsoft operators: rows of queries, keys and values lie in many
 * layouts (packed or not, heads inside or outside), get a bias, a norm and a rotation, and the keys
 * and values move into the cache's layout [batch, heads, capacity, size]. Then
 *
 *   y = softmax(softcap(scale * q k') + bias, over the keys lo..hi of the row) v
 *
 * in f64, rounded once. One chunk of work is one key head of one batch row.
 */
#ifndef LMN_OPS_ATTN_H
#define LMN_OPS_ATTN_H

#include "ops/op.h"

/* Where the row (b, head, i) of a tensor lies: element off + b * sb + head * sh + i * si. */
typedef struct lmn_attn_rows {
    const lamina_tensor *t;
    int64_t heads, len, size; /* size: values of a row */
    int64_t off, sb, sh, si;
} lmn_attn_rows;
/* [batch, len, width] whose columns from `first` on hold `heads` heads of `size` values. */
lmn_attn_rows lmn_attn_flat(const lamina_tensor *t, int64_t first, int64_t heads, int64_t size);
/* [batch, heads, len, size] */
lmn_attn_rows lmn_attn_bnsh(const lamina_tensor *t);
/* [batch, len, heads, parts, size]: part `which` */
lmn_attn_rows lmn_attn_parts(const lamina_tensor *t, int64_t which);

/* What happens to a row on its way. */
typedef struct lmn_attn_prep {
    const lamina_tensor *bias; /* added: element bias_at + head * size + j; NULL = none */
    int64_t bias_at;
    const lamina_tensor *norm; /* RMS norm weight [size], NULL = none */
    double norm_eps;
    const lamina_tensor *cos, *sin; /* caches [positions, rot / 2], NULL = no rotation */
    bool interleaved;
    const int64_t *positions; /* [batch * len], within the caches */
} lmn_attn_prep;
/* Rows of r to dst [batch, heads, capacity, size] (r's type), from row first[b] on. */
lamina_status lmn_attn_place(lmn_eval *ec, const lmn_attn_rows *r, const lmn_attn_prep *p,
                             int64_t batch, const int64_t *first, int64_t capacity, void *dst);

typedef struct lmn_attn lmn_attn;
/* Of the keys [*lo, *hi) asked about, which the query sees, and what is added to their scores: the
   bias of key j is bias[j - lo on entry], 0 on entry; NULL = only the keys are wanted. */
typedef void lmn_attn_row_fn(const lmn_attn *a, int64_t b, int64_t h, int64_t i, int64_t *lo,
                             int64_t *hi, double *bias);
struct lmn_attn {
    lamina_dtype dt;
    int64_t batch, heads, kv_heads, queries, capacity, d, dv;
    const void *q;     /* [batch, heads, queries, d] */
    const void *k, *v; /* [batch, kv_heads, capacity, d or dv] */
    lamina_tensor *y;  /* [batch, queries, heads * dv]; NULL = not wanted */
    lamina_tensor *qk; /* [batch, heads, queries, qk_keys] or NULL */
    int64_t qk_keys;
    bool qk_after;    /* after the softmax, else before */
    double qk_unseen; /* what stands before the softmax where a key is not seen */
    double scale, softcap;
    const double *sink; /* one a head, joins the denominator; NULL = none */
    lmn_attn_row_fn *row;
    bool biased;     /* row adds something */
    const void *ctx; /* of row */
    double *area;    /* work, by lmn_attn_run */
    int64_t area_n;
};
/* How the attention itself is computed: lmn_attn_run by the definition, a device its own way. */
typedef lamina_status lmn_attn_run_fn(lmn_eval *ec, lmn_attn *a, const void *dev);
lmn_attn_run_fn lmn_attn_run;
/* GroupQueryAttention and MultiHeadAttention with `run` in the middle, which is given `dev`. */
/* By the keys that output 1 has, where their number is known. */
void lmn_attn_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                   lmn_cost *c);
lamina_status lmn_gqa_eval(lmn_eval *ec, lmn_attn_run_fn *run, const void *dev);
lamina_status lmn_mha_eval(lmn_eval *ec, lmn_attn_run_fn *run, const void *dev);

/* May these extents be multiplied with each other and a few bytes? Asked before anything else;
   fails with a sentence. */
lamina_status lmn_attn_extents(lmn_eval *ec, const lmn_attn *a);

/* Adds element [b, h, i, lo..hi) of a bias that broadcasts over its first two axes to bias[0..]. */
void lmn_attn_add_bias(const lamina_tensor *t, int64_t b, int64_t h, int64_t i, int64_t lo,
                       int64_t hi, double *bias);
/* Is t absent or [batch or 1, heads or 1, queries, at least keys]? */
bool lmn_attn_bias_fits(const lamina_tensor *t, int64_t batch, int64_t heads, int64_t queries,
                        int64_t keys);
/* Memory for rows of type dt in scratch, zeroed; reports exhaustion. */
lamina_status lmn_attn_scratch(lmn_eval *ec, lamina_dtype dt, int64_t n, void **out);

/* Inference helpers: dim d of input i, or unknown. */
lmn_dim lmn_attn_dim(const lmn_infer *ic, int32_t i, int32_t d);
/* Output o, if the node has it, becomes [a, b, c, d]. */
void lmn_attn_set4(lmn_infer *ic, int32_t o, lmn_dim a, lmn_dim b, lmn_dim c, lmn_dim d);

#endif
