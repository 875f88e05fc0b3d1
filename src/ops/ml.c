/*
 * Lists, index, transforms and labels of ai.onnx.ml (see ml.h).
 */
#include "ops/ml.h"
#include "ops/f64io.h"

#include <math.h>
#include <string.h>

/* ---- lists --------------------------------------------------------------------------------------
 */

static bool take(const lmn_opnode *n, const char *name, lmn_attr_type type, lamina_dtype dt,
                 lmn_ml_list *l)
{
    const lmn_attr *a = name ? lmn_attr_find(n, name) : NULL;
    if (l->dt || !a || a->type != type) return false;
    if (type == LMN_ATTR_TENSOR)
        *l = (lmn_ml_list){a->u.t->dtype, lmn_count(a->u.t), a};
    else if (a->n > 0)
        *l = (lmn_ml_list){dt, a->n, a};
    return true;
}

lmn_ml_list lmn_ml_list_of(const lmn_opnode *n, const char *strings, const char *ints,
                           const char *floats, const char *tensor)
{
    lmn_ml_list l = {0};
    take(n, tensor, LMN_ATTR_TENSOR, 0, &l);
    take(n, strings, LMN_ATTR_STRINGS, LAMINA_STRING, &l);
    take(n, ints, LMN_ATTR_INTS, LAMINA_I64, &l);
    take(n, floats, LMN_ATTR_FLOATS, LAMINA_F32, &l);
    return l;
}

double lmn_ml_f64(const lmn_ml_list *l, int64_t i)
{
    if (l->attr->type == LMN_ATTR_TENSOR) return lmn_get_f64(l->attr->u.t, i);
    return l->attr->type == LMN_ATTR_INTS ? (double)l->attr->u.ints[i]
                                          : (double)l->attr->u.floats[i];
}

int64_t lmn_ml_i64(const lmn_ml_list *l, int64_t i)
{
    if (l->attr->type == LMN_ATTR_INTS) return l->attr->u.ints[i];
    if (l->attr->type == LMN_ATTR_TENSOR) return lmn_get_i64(l->attr->u.t, i);
    return (int64_t)l->attr->u.floats[i];
}

lmn_str lmn_ml_str(const lmn_ml_list *l, int64_t i)
{
    lmn_str s = l->attr->type == LMN_ATTR_TENSOR ? ((const lmn_str *)l->attr->u.t->data)[i]
                                                 : l->attr->u.strings[i];
    if (!s.p) s = (lmn_str){(char *)(uintptr_t) "", 0};
    return s;
}

lamina_status lmn_ml_values(lmn_eval *ec, const lmn_ml_list *l, int64_t n, double fill,
                            double **out)
{
    if (l->dt && (l->dt == LAMINA_STRING || l->n != n))
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "attribute \"%s\" has %lld values, must have %lld", l->attr->name,
                             (long long)l->n, (long long)n);
    LMN_TRY(lmn_f64_alloc(ec, n, out));
    for (int64_t i = 0; i < n; i++) (*out)[i] = l->dt ? lmn_ml_f64(l, i) : fill;
    return LAMINA_OK;
}

/* ---- index --------------------------------------------------------------------------------------
 */

lmn_ml_key lmn_ml_key_str(lmn_str s)
{
    return (lmn_ml_key){.p = s.p ? s.p : "", .n = s.n};
}
lmn_ml_key lmn_ml_key_i64(int64_t v)
{
    return (lmn_ml_key){.bits = (uint64_t)v};
}
lmn_ml_key lmn_ml_key_f64(double v)
{
    lmn_ml_key k = {0};
    if (isnan(v)) v = (double)NAN;
    if (v == 0.0) v = 0.0; /* -0.0 too */
    memcpy(&k.bits, &v, sizeof v);
    if (isnan(v)) k.bits = 0x7ff8000000000000u;
    return k;
}

static uint64_t hash_of(lmn_ml_key k)
{
    uint64_t h = 14695981039346656037u;
    if (!k.p) {
        h ^= k.bits;
        h *= 0x9e3779b97f4a7c15u;
        return h ^ h >> 32;
    }
    for (size_t i = 0; i < k.n; i++) h = (h ^ (uint8_t)k.p[i]) * 1099511628211u;
    return h ^ h >> 32;
}

static bool same_key(lmn_ml_key a, lmn_ml_key b)
{
    if (!a.p || !b.p) return !a.p && !b.p && a.bits == b.bits;
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

lamina_status lmn_ml_index_build(lmn_eval *ec, const lmn_ml_key *keys, int64_t n, lmn_ml_index *x)
{
    int64_t cap = 8;
    if (n > (int64_t)1 << 30) return lmn_eval_fail(ec, LAMINA_E_LIMIT, "more than 2^30 keys");
    while (cap < 2 * n) cap *= 2;
    *x = (lmn_ml_index){.keys = keys, .n = n, .mask = cap - 1};
    x->slots = lmn_scratch(ec, (size_t)cap * sizeof *x->slots);
    if (!x->slots)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for an index of %lld keys",
                             (long long)n);
    memset(x->slots, 0, (size_t)cap * sizeof *x->slots);
    for (int64_t i = 0; i < n; i++) {
        int64_t s = (int64_t)(hash_of(keys[i]) & (uint64_t)x->mask);
        while (x->slots[s] && !same_key(keys[x->slots[s] - 1], keys[i])) s = (s + 1) & x->mask;
        x->slots[s] = (int32_t)(i + 1);
    }
    return LAMINA_OK;
}

int64_t lmn_ml_index_find(const lmn_ml_index *x, lmn_ml_key k)
{
    for (int64_t s = (int64_t)(hash_of(k) & (uint64_t)x->mask); x->slots[s]; s = (s + 1) & x->mask)
        if (same_key(x->keys[x->slots[s] - 1], k)) return x->slots[s] - 1;
    return -1;
}

lamina_status lmn_ml_index_list(lmn_eval *ec, const lmn_ml_list *l, lmn_ml_index *x)
{
    size_t bytes;
    if (!lmn_mul_size((size_t)l->n + 1, sizeof(lmn_ml_key), &bytes)) bytes = SIZE_MAX;
    lmn_ml_key *keys = lmn_scratch(ec, bytes);
    if (!keys)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for an index of %lld keys",
                             (long long)l->n);
    for (int64_t i = 0; i < l->n; i++) {
        if (l->dt == LAMINA_STRING)
            keys[i] = lmn_ml_key_str(lmn_ml_str(l, i));
        else if (lmn_dtype_class(l->dt) == LMN_CLASS_FLOAT)
            keys[i] = lmn_ml_key_f64(lmn_ml_f64(l, i));
        else
            keys[i] = lmn_ml_key_i64(lmn_ml_i64(l, i));
    }
    return lmn_ml_index_build(ec, keys, l->n, x);
}

bool lmn_ml_key_of(const lmn_ml_list *l, const lamina_tensor *t, int64_t i, lmn_ml_key *out)
{
    if ((l->dt == LAMINA_STRING) != (t->dtype == LAMINA_STRING)) return false;
    if (l->dt == LAMINA_STRING)
        *out = lmn_ml_key_str(((const lmn_str *)t->data)[i]);
    else if (lmn_dtype_class(l->dt) == LMN_CLASS_FLOAT)
        *out = lmn_ml_key_f64(lmn_get_f64(t, i));
    else
        *out = lmn_ml_key_i64(lmn_get_i64(t, i));
    return true;
}

/* ---- features, scores, labels -------------------------------------------------------------------
 */

lamina_status lmn_ml_matrix(lmn_eval *ec, int32_t i, int64_t *rows, int64_t *cols)
{
    const lamina_tensor *x = ec->in[i];
    if (x->rank != 1 && x->rank != 2)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d has rank %d, must be 1 or 2", i,
                             x->rank);
    *rows = x->rank == 2 ? x->dims[0] : 1;
    *cols = x->dims[x->rank - 1];
    return LAMINA_OK;
}

lamina_status lmn_ml_infer_rows(lmn_infer *ic, lmn_dim *rows)
{
    *rows = LMN_DIM_UNKNOWN;
    if (!lmn_infer_has(ic, 0) || ic->in[0]->rank < 0) return LAMINA_OK;
    const int32_t rank = ic->in[0]->rank;
    if (rank != 1 && rank != 2)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "reshape it to [rows, features]",
                              "the features have rank %d, must be 1 or 2", rank);
    *rows = rank == 2 ? ic->in[0]->dims[0] : lmn_dim_c(1);
    return LAMINA_OK;
}

lamina_status lmn_ml_infer_scores(lmn_infer *ic, const char *targets)
{
    const int64_t n = lmn_attr_i(ic->node, targets, 1);
    if (n < 1)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "%s is %lld, must be at least 1", targets,
                              (long long)n);
    LMN_TRY(lmn_ml_infer_rows(ic, &ic->out[0].dims[0]));
    ic->out[0].rank = 2;
    ic->out[0].dims[1] = lmn_dim_c(n);
    return LAMINA_OK;
}

lamina_status lmn_ml_infer_classes(lmn_infer *ic, const lmn_ml_list *labels, lmn_dim scores)
{
    lmn_dim rows;
    LMN_TRY(lmn_ml_infer_rows(ic, &rows));
    ic->out[0].rank = 1;
    ic->out[0].dtype = lmn_ml_label_type(labels);
    ic->out[0].dims[0] = rows;
    if (ic->node->n_out < 2) return LAMINA_OK;
    ic->out[1].rank = 2;
    ic->out[1].dims[0] = rows;
    ic->out[1].dims[1] = scores;
    return LAMINA_OK;
}

bool lmn_ml_post_of(const lmn_opnode *n, lmn_ml_post *out)
{
    static const char *const NAMES[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
    for (size_t i = 0; i < LMN_COUNT(NAMES); i++)
        if (lmn_attr_is(n, "post_transform", NAMES[i], "NONE")) {
            *out = (lmn_ml_post)i;
            return true;
        }
    return false;
}

double lmn_ml_logistic(double x)
{
    const double e = exp(-fabs(x));
    return x < 0.0 ? e / (1.0 + e) : 1.0 / (1.0 + e);
}

/* sqrt 2 * erfinv(2x - 1), by the approximation that the standard's implementations share. */
double lmn_ml_probit(double x)
{
    const double y = 2.0 * x - 1.0, t = (1.0 - y) * (1.0 + y), pi = 3.14159265358979323846;
    if (t == 0.0) return 0.0;
    const double l = log(t), v = 2.0 / (pi * 0.147) + 0.5 * l;
    const double r = sqrt(-v + sqrt(v * v - l / 0.147));
    return 1.41421356 * (y < 0.0 ? -r : r);
}

static void softmax(double *s, int64_t n, bool keep_zero)
{
    double top = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++) top = s[i] > top ? s[i] : top;
    for (int64_t i = 0; i < n; i++) {
        const bool zero = keep_zero && fabs(s[i]) <= 1e-7;
        s[i] = zero ? s[i] * exp(-top) : exp(s[i] - top);
        sum += s[i];
    }
    for (int64_t i = 0; i < n; i++) s[i] = sum == 0.0 ? 0.5 : s[i] / sum;
}

void lmn_ml_post_apply(lmn_ml_post p, double *s, int64_t n)
{
    if (p == LMN_ML_SOFTMAX || p == LMN_ML_SOFTMAX_ZERO) softmax(s, n, p == LMN_ML_SOFTMAX_ZERO);
    for (int64_t i = 0; p == LMN_ML_LOGISTIC && i < n; i++) s[i] = lmn_ml_logistic(s[i]);
    for (int64_t i = 0; p == LMN_ML_PROBIT && i < n; i++) s[i] = lmn_ml_probit(s[i]);
}

lamina_status lmn_ml_put_label(lmn_eval *ec, lamina_tensor *y, int64_t i, const lmn_ml_list *labels,
                               int64_t k)
{
    if (!labels->dt) {
        lmn_set_i64(y, i, k);
        return LAMINA_OK;
    }
    if (k < 0 || k >= labels->n)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "class %lld has no label", (long long)k);
    if (labels->dt == LAMINA_STRING) {
        const lmn_str s = lmn_ml_str(labels, k);
        const lamina_status st = lamina_tensor_set_string(y, i, s.p, s.n);
        return st == LAMINA_OK ? st : lmn_eval_fail(ec, st, "no memory for a label");
    }
    lmn_set_i64(y, i, lmn_ml_i64(labels, k));
    return LAMINA_OK;
}
