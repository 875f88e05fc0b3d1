/*
 * LinearClassifier (ai.onnx.ml, since 1): scores X coefficients' + intercepts, transformed, and the
 * label of the largest. One set of coefficients with two labels says label 1 where s > 0 and gives
 * the scores (1 - s, s), of which LOGISTIC and PROBIT transform s first and the others nothing:
 * what the runtimes do that exporters test against. With fewer labels it says the first label (1
 * without labels) where s reaches 0 (0.5 when transformed), else 0 or the empty string.
 */
#include "ops/f64io.h"
#include "ops/ml.h"
#include "ops/wide.h"

static lmn_ml_list labels_of(const lmn_opnode *n)
{
    return lmn_ml_list_of(n, "classlabels_strings", "classlabels_ints", NULL, NULL);
}

static lamina_status infer_classifier(lmn_infer *ic)
{
    const lmn_ml_list labels = labels_of(ic->node);
    return lmn_ml_infer_classes(ic, &labels, LMN_DIM_UNKNOWN);
}

static lamina_status put_single(lmn_eval *ec, lamina_tensor *y, int64_t i,
                                const lmn_ml_list *labels, bool yes)
{
    if (yes)
        return labels->dt ? lmn_ml_put_label(ec, y, i, labels, 0)
                          : lmn_ml_put_label(ec, y, i, labels, 1);
    if (y->dtype == LAMINA_STRING) return LAMINA_OK; /* strings start empty */
    lmn_set_i64(y, i, 0);
    return LAMINA_OK;
}

typedef struct classifier {
    int64_t rows, cols, sets, scores; /* sets of coefficients; scores of a row */
    double *w, *b;
    lmn_ml_post post;
    lmn_ml_list labels;
} classifier;

static lamina_status read_args(lmn_eval *ec, classifier *c)
{
    const lmn_ml_list coef = lmn_ml_list_of(ec->node, NULL, NULL, "coefficients", NULL);
    const lmn_ml_list icpt = lmn_ml_list_of(ec->node, NULL, NULL, "intercepts", NULL);
    c->labels = labels_of(ec->node);
    LMN_TRY(lmn_ml_matrix(ec, 0, &c->rows, &c->cols));
    if (c->cols < 1 || coef.n < 1 || coef.n % c->cols != 0)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%lld coefficients do not fit %lld features",
                             (long long)coef.n, (long long)c->cols);
    if (!lmn_ml_post_of(ec->node, &c->post))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "post_transform is not known");
    c->sets = coef.n / c->cols;
    c->scores = c->sets == 1 && c->labels.n == 2 ? 2 : c->sets;
    LMN_TRY(lmn_ml_values(ec, &coef, coef.n, 0.0, &c->w));
    return lmn_ml_values(ec, &icpt, c->sets, 0.0, &c->b);
}

static lamina_status eval_classifier(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    classifier c = {0};
    double *row;
    lamina_tensor *y, *z;
    LMN_TRY(read_args(ec, &c));
    LMN_TRY(lmn_f64_alloc(ec, c.cols + c.scores, &row));
    const int64_t dims[2] = {c.rows, c.scores};
    LMN_TRY(lmn_out(ec, 0, lmn_ml_label_type(&c.labels), 1, dims, &y));
    LMN_TRY(lmn_out(ec, 1, LAMINA_F32, 2, dims, &z));
    for (int64_t r = 0; r < c.rows; r++) {
        double *s = row + c.cols;
        lmn_f64_load(ec->in[0], r * c.cols, c.cols, row);
        for (int64_t k = 0; k < c.sets; k++) {
            s[k] = c.b[k];
            for (int64_t i = 0; i < c.cols; i++) s[k] += row[i] * c.w[k * c.cols + i];
        }
        const bool pair = c.scores > c.sets, yes = s[0] > 0.0;
        /* By the scores as they are: a transform may not keep their order. */
        int64_t best = pair && yes;
        for (int64_t k = 1; !pair && k < c.scores; k++)
            if (s[k] > s[best]) best = k;
        if (!pair || c.post == LMN_ML_LOGISTIC || c.post == LMN_ML_PROBIT)
            lmn_ml_post_apply(c.post, s, c.sets);
        if (pair) s[1] = s[0], s[0] = 1.0 - s[0];
        if (z) lmn_f64_store(z, r * c.scores, c.scores, s);
        if (!y) continue;
        if (c.scores > 1)
            LMN_TRY(lmn_ml_put_label(ec, y, r, &c.labels, best));
        else
            LMN_TRY(put_single(ec, y, r, &c.labels, s[0] >= (c.post == LMN_ML_NONE ? 0.0 : 0.5)));
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 'L', 0, LMN_D_LABEL}, {"Z", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"classlabels_ints", LMN_ATTR_INTS, 0},
                                        {"classlabels_strings", LMN_ATTR_STRINGS, 0},
                                        {"coefficients", LMN_ATTR_FLOATS, LMN_ATTR_REQUIRED},
                                        {"intercepts", LMN_ATTR_FLOATS, 0},
                                        {"multi_class", LMN_ATTR_INT, 0},
                                        {"post_transform", LMN_ATTR_STRING, 0},
                                        {0}};

const lmn_op_def lmn_op_LinearClassifier = {
    .name = "LinearClassifier",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_classifier,
    .eval = eval_classifier,
};
