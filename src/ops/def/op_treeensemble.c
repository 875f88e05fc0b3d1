/*
 * TreeEnsemble (ai.onnx.ml, since 5): a forest over [rows, features], one score a target. Missing
 * values (NaN) go the true way where nodes_missing_value_tracks_true says so. Rules in trees.h.
 */
#include "ops/f64io.h"
#include "ops/trees.h"
#include "ops/wide.h"

static lamina_status infer_trees(lmn_infer *ic)
{
    return lmn_ml_infer_scores(ic, "n_targets");
}

static lamina_status eval_trees(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const int64_t post = lmn_attr_i(ec->node, "post_transform", LMN_ML_NONE);
    int64_t rows, cols;
    lmn_forest f;
    double *x;
    lamina_tensor *y;
    LMN_TRY(lmn_ml_matrix(ec, 0, &rows, &cols));
    LMN_TRY(lmn_forest_new(ec, &f));
    if (f.features > cols || post < 0 || post > LMN_ML_PROBIT)
        return lmn_eval_fail(ec, LAMINA_E_RANGE,
                             "a node asks for feature %lld of %lld, or post_transform is unknown",
                             (long long)f.features - 1, (long long)cols);
    const int64_t dims[2] = {rows, f.targets};
    LMN_TRY(lmn_out(ec, 0, ec->in[0]->dtype, 2, dims, &y));
    LMN_TRY(lmn_f64_alloc(ec, cols + f.targets, &x));
    bool *hit = lmn_scratch(ec, (size_t)f.targets);
    if (!hit)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld targets",
                             (long long)f.targets);
    for (int64_t r = 0; y && r < rows; r++) {
        lmn_f64_load(ec->in[0], r * cols, cols, x);
        LMN_TRY(lmn_forest_run(ec, &f, x, x + cols, hit));
        lmn_ml_post_apply((lmn_ml_post)post, x + cols, f.targets);
        lmn_f64_store(y, r * f.targets, f.targets, x + cols);
    }
    return LAMINA_OK;
}

#define TYPES (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F64) | LMN_DBIT(LAMINA_F16))
static const lmn_port IN[] = {{"X", 'T', 0, TYPES}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {{"aggregate_function", LMN_ATTR_INT, 0},
                                        {"leaf_targetids", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"leaf_weights", LMN_ATTR_TENSOR, LMN_ATTR_REQUIRED},
                                        {"membership_values", LMN_ATTR_TENSOR, 0},
                                        {"n_targets", LMN_ATTR_INT, 0},
                                        {"nodes_falseleafs", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"nodes_falsenodeids", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"nodes_featureids", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"nodes_hitrates", LMN_ATTR_TENSOR, 0},
                                        {"nodes_missing_value_tracks_true", LMN_ATTR_INTS, 0},
                                        {"nodes_modes", LMN_ATTR_TENSOR, LMN_ATTR_REQUIRED},
                                        {"nodes_splits", LMN_ATTR_TENSOR, LMN_ATTR_REQUIRED},
                                        {"nodes_trueleafs", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"nodes_truenodeids", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"post_transform", LMN_ATTR_INT, 0},
                                        {"tree_roots", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {0}};

const lmn_op_def lmn_op_TreeEnsemble = {
    .name = "TreeEnsemble",
    .domain = "ai.onnx.ml",
    .since = 5,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_trees,
    .eval = eval_trees,
};
