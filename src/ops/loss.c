/*
 * Shapes and evaluation of the two cross-entropy losses (see loss.h), in f64 with one rounding.
 */
#include "ops/loss.h"
#include "ops/f64io.h"
#include "ops/wide.h"

#include <math.h>

enum { REDUCE_NONE, REDUCE_SUM, REDUCE_MEAN };

/* -1 for an unknown name. */
static int reduction_of(const lmn_opnode *n)
{
    if (lmn_attr_is(n, "reduction", "none", "mean")) return REDUCE_NONE;
    if (lmn_attr_is(n, "reduction", "sum", "mean")) return REDUCE_SUM;
    return lmn_attr_is(n, "reduction", "mean", "mean") ? REDUCE_MEAN : -1;
}

static lamina_status fail_labels(lmn_infer *ic)
{
    char x[160], t[160];
    (void)lmn_fact_format(ic->dims, ic->in[0], x, sizeof x);
    (void)lmn_fact_format(ic->dims, ic->in[1], t, sizeof t);
    return lmn_infer_fail(ic, LAMINA_E_SHAPE,
                          "labels have the shape of the scores without the class axis 1",
                          "labels %s do not fit scores %s", t, x);
}

lamina_status lmn_loss_infer(lmn_infer *ic)
{
    const lmn_fact *x = ic->in[0], *t = ic->in[1];
    const int r = reduction_of(ic->node);
    if (r < 0)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "use none, sum or mean",
                              "reduction \"%.40s\" is not known",
                              lmn_attr_s(ic->node, "reduction", ""));
    if (lmn_infer_has(ic, 0) && x->rank >= 0 && x->rank < 2)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                              "the scores have rank %d, must be at least 2", x->rank);
    if (x->rank > 0 && t->rank >= 0 && t->rank != x->rank - 1) return fail_labels(ic);
    lmn_fact *y = &ic->out[0];
    const int32_t rank = x->rank > 0 ? x->rank - 1 : t->rank;
    if (r != REDUCE_NONE) {
        y->rank = 0;
    } else if (rank >= 0) {
        y->rank = rank;
    }
    for (int32_t i = 0; i < rank; i++) {
        const lmn_dim a = x->rank > 0 ? x->dims[i == 0 ? 0 : i + 1] : LMN_DIM_UNKNOWN;
        const lmn_dim b = t->rank > 0 ? t->dims[i] : LMN_DIM_UNKNOWN;
        lmn_dim both;
        if (!lmn_dim_unify(ic->dims, a, b, &both)) return fail_labels(ic);
        if (r == REDUCE_NONE) y->dims[i] = both;
    }
    if (ic->node->n_out > 1) lmn_infer_same(ic, 1, 0);
    return LAMINA_OK;
}

typedef struct loss {
    const lamina_tensor *x, *labels, *weight;
    int64_t n, classes, inner;
    bool ignores, softmax;
    int64_t ignore;
    lamina_tensor *log_prob;
} loss;

/* Scores of one position as log probabilities in z; writes log_prob. */
static void load_position(const loss *l, int64_t i, int64_t d, double *z)
{
    const int64_t at = i * l->classes * l->inner + d;
    double top = -INFINITY, sum = 0.0;
    for (int64_t c = 0; c < l->classes; c++) {
        lmn_f64_load(l->x, at + c * l->inner, 1, &z[c]);
        if (z[c] > top) top = z[c];
    }
    if (!l->softmax) return;
    if (top == -INFINITY) top = 0.0; /* all -inf: -inf - log 0 = NaN below, as the formula says */
    for (int64_t c = 0; c < l->classes; c++) sum += exp(z[c] - top);
    const double shift = top + log(sum);
    for (int64_t c = 0; c < l->classes; c++) {
        z[c] -= shift;
        if (l->log_prob) lmn_f64_store(l->log_prob, at + c * l->inner, 1, &z[c]);
    }
}

static lamina_status read_args(lmn_eval *ec, loss *l)
{
    const lamina_tensor *x = l->x = ec->in[0], *t = l->labels = ec->in[1];
    l->weight = lmn_in(ec, 2);
    if (x->rank < 2 || t->rank != x->rank - 1 || t->dims[0] != x->dims[0])
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "the labels do not have the shape of the scores without axis 1");
    l->n = x->dims[0], l->classes = x->dims[1], l->inner = 1;
    for (int32_t i = 2; i < x->rank; i++) {
        if (t->dims[i - 1] != x->dims[i])
            return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                 "the labels do not have the shape of the scores without axis 1");
        l->inner *= x->dims[i];
    }
    if (l->weight && !lmn_shape_is(l->weight, 1, &l->classes))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the weights must be [classes]");
    l->ignores = lmn_attr_find(ec->node, "ignore_index") != NULL;
    l->ignore = lmn_attr_i(ec->node, "ignore_index", 0);
    return LAMINA_OK;
}

static lamina_status walk(lmn_eval *ec, loss *l, lamina_tensor *each, double *z, double *sum,
                          double *weights)
{
    for (int64_t i = 0; i < l->n * l->inner; i++) {
        const int64_t label = lmn_get_i64(l->labels, i);
        double v = 0.0;
        if ((i & 1023) == 0 && lmn_eval_cancelled(ec)) return LAMINA_E_CANCELLED;
        load_position(l, i / l->inner, i % l->inner, z);
        if (!l->ignores || label != l->ignore) {
            if (label < 0 || label >= l->classes)
                return lmn_eval_fail(ec, LAMINA_E_RANGE, "label %lld is outside [0, %lld)",
                                     (long long)label, (long long)l->classes);
            const double w = l->weight ? lmn_get_f64(l->weight, label) : 1.0;
            v = -z[label] * w;
            *weights += w;
        }
        *sum += v;
        if (each) lmn_f64_store(each, i, 1, &v);
    }
    return LAMINA_OK;
}

lamina_status lmn_loss_eval(lmn_eval *ec, bool softmax)
{
    LMN_TRY(lmn_eval_ready(ec));
    loss l = {.softmax = softmax};
    const int r = reduction_of(ec->node);
    lamina_tensor *y;
    double *z, sum = 0.0, weights = 0.0;
    if (r < 0) return lmn_eval_fail(ec, LAMINA_E_INVALID, "reduction must be none, sum or mean");
    LMN_TRY(read_args(ec, &l));
    LMN_TRY(lmn_out(ec, 0, l.x->dtype, r == REDUCE_NONE ? l.labels->rank : 0, l.labels->dims, &y));
    if (softmax) LMN_TRY(lmn_out(ec, 1, l.x->dtype, l.x->rank, l.x->dims, &l.log_prob));
    LMN_TRY(lmn_f64_alloc(ec, l.classes, &z));
    LMN_TRY(walk(ec, &l, r == REDUCE_NONE ? y : NULL, z, &sum, &weights));
    if (r == REDUCE_MEAN) sum /= weights;
    if (y && r != REDUCE_NONE) lmn_f64_store(y, 0, 1, &sum);
    return LAMINA_OK;
}
