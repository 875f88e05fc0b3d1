/*
 * TreeEnsembleClassifier (ai.onnx.ml, since 1): a forest whose leaves vote for classes; the label
 * of the highest score and all scores.
 *
 * Two labels with votes for one class only are binary: the label is 1 when the score s > 0.5 if no
 * weight is negative, when s > 0 otherwise. Votes for class 1 leave the scores (0, s). Votes for
 * class 0 stand for class 1 too and give (1 - s, s) or, with negative weights, (-s, s); LOGISTIC
 * gives (f(-s), f(s)), PROBIT transforms, the others do not. This is the behaviour of the runtimes
 * that exporters test against; the standard leaves it open.
 */
#include "ops/f64io.h"
#include "ops/grove.h"
#include "ops/wide.h"

static lmn_ml_list labels_of(const lmn_opnode *n)
{
    return lmn_ml_list_of(n, "classlabels_strings", "classlabels_int64s", NULL, NULL);
}

static lamina_status infer_classifier(lmn_infer *ic)
{
    const lmn_ml_list labels = labels_of(ic->node);
    return lmn_ml_infer_classes(ic, &labels, labels.n == 1 ? LMN_DIM_UNKNOWN : lmn_dim_c(labels.n));
}

lamina_status lmn_tree_classifier_forest(lmn_eval *ec, lmn_forest *f)
{
    const lmn_ml_list labels = labels_of(ec->node);
    if (!labels.dt) return lmn_eval_fail(ec, LAMINA_E_INVALID, "there are no class labels");
    return lmn_forest_old(ec, "class", labels.n, f);
}

typedef struct classifier {
    const lmn_forest_info *f;
    lmn_ml_list labels;
    lmn_ml_post post;
    bool binary;
    int64_t *best; /* label number of each row */
    lamina_tensor *z;
} classifier;

/* Label of a binary row; s[0..1] become its scores. */
static int64_t finish_binary(const classifier *c, double *s)
{
    const int64_t target = c->f->only_target;
    const double v = s[target];
    const int64_t label = v > (c->f->positive ? 0.5 : 0.0);
    if (target == 1) {
        lmn_ml_post_apply(c->post, s, 2);
        return label;
    }
    s[1] = v;
    s[0] = c->f->positive ? 1.0 - v : -v;
    if (c->post == LMN_ML_LOGISTIC) s[0] = -v;
    if (c->post == LMN_ML_LOGISTIC || c->post == LMN_ML_PROBIT) lmn_ml_post_apply(c->post, s, 2);
    return label;
}

static int64_t finish_row(const classifier *c, double *s, const bool *hit)
{
    int64_t best = -1;
    if (c->binary) return finish_binary(c, s);
    for (int64_t k = 0; k < c->f->targets; k++)
        if ((hit[k] || c->f->base) && (best < 0 || s[k] > s[best])) best = k;
    lmn_ml_post_apply(c->post, s, c->f->targets);
    return best < 0 ? 0 : best;
}

static void take_row(void *arg, int64_t r, double *score, const bool *hit)
{
    const classifier *c = arg;
    c->best[r] = finish_row(c, score, hit);
    if (c->z) lmn_f64_store(c->z, r * c->f->targets, c->f->targets, score);
}

lamina_status lmn_tree_classifier_eval(lmn_eval *ec, const lmn_grove *g)
{
    classifier c = {.labels = labels_of(ec->node)};
    int64_t rows, cols;
    lmn_forest f;
    lamina_tensor *y;
    LMN_TRY(lmn_eval_ready(ec));
    LMN_TRY(lmn_ml_matrix(ec, 0, &rows, &cols));
    if (!g) LMN_TRY(lmn_tree_classifier_forest(ec, &f));
    if (!lmn_ml_post_of(ec->node, &c.post))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "post_transform is not known");
    c.f = g ? &g->info : &f.info;
    c.binary = c.labels.n == 2 && c.f->only_target >= 0;
    c.best = lmn_wide_scratch(ec, rows, sizeof *c.best);
    if (!c.best) return LAMINA_E_NOMEM;
    const int64_t dims[2] = {rows, c.f->targets};
    LMN_TRY(lmn_out(ec, 0, lmn_ml_label_type(&c.labels), 1, dims, &y));
    LMN_TRY(lmn_out(ec, 1, LAMINA_F32, 2, dims, &c.z));
    LMN_TRY(lmn_forest_rows(ec, g ? NULL : &f, g, take_row, &c));
    for (int64_t r = 0; y && r < rows; r++)
        LMN_TRY(lmn_ml_put_label(ec, y, r, &c.labels, c.best[r]));
    return LAMINA_OK;
}

static lamina_status eval_classifier(lmn_eval *ec)
{
    return lmn_tree_classifier_eval(ec, NULL);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 'L', 0, LMN_D_LABEL}, {"Z", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_FOREST_ATTRS,
                                        {"class_ids", LMN_ATTR_INTS, 0},
                                        {"class_nodeids", LMN_ATTR_INTS, 0},
                                        {"class_treeids", LMN_ATTR_INTS, 0},
                                        {"class_weights", LMN_ATTR_FLOATS, 0},
                                        {"class_weights_as_tensor", LMN_ATTR_TENSOR, 0},
                                        {"classlabels_int64s", LMN_ATTR_INTS, 0},
                                        {"classlabels_strings", LMN_ATTR_STRINGS, 0},
                                        {0}};

const lmn_op_def lmn_op_TreeEnsembleClassifier = {
    .name = "TreeEnsembleClassifier",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_classifier,
    .eval = eval_classifier,
};
