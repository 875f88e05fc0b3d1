/*
 * TreeEnsemble (ai.onnx.ml, since 5): a forest over [rows, features], one score a target. Missing
 * values (NaN) go the true way where nodes_missing_value_tracks_true says so. Rules in trees.h.
 */
#include "ops/f64io.h"
#include "ops/grove.h"
#include "ops/wide.h"

static lamina_status infer_trees(lmn_infer *ic)
{
    return lmn_ml_infer_scores(ic, "n_targets");
}

lamina_status lmn_tree_ensemble_forest(lmn_eval *ec, lmn_forest *f)
{
    return lmn_forest_new(ec, f);
}

typedef struct job {
    lamina_tensor *y;
    int64_t targets, post;
} job;

static void take_row(void *arg, int64_t r, double *score, const bool *hit)
{
    const job *j = arg;
    (void)hit;
    lmn_ml_post_apply((lmn_ml_post)j->post, score, j->targets);
    lmn_f64_store(j->y, r * j->targets, j->targets, score);
}

lamina_status lmn_tree_ensemble_eval(lmn_eval *ec, const lmn_grove *g)
{
    job j = {.post = lmn_attr_i(ec->node, "post_transform", LMN_ML_NONE)};
    int64_t rows, cols;
    lmn_forest f;
    LMN_TRY(lmn_eval_ready(ec));
    LMN_TRY(lmn_ml_matrix(ec, 0, &rows, &cols));
    if (!g) LMN_TRY(lmn_tree_ensemble_forest(ec, &f));
    if (j.post < 0 || j.post > LMN_ML_PROBIT)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "post_transform is %lld, must be 0 to %d",
                             (long long)j.post, LMN_ML_PROBIT);
    j.targets = g ? g->info.targets : f.info.targets;
    const int64_t dims[2] = {rows, j.targets};
    LMN_TRY(lmn_out(ec, 0, ec->in[0]->dtype, 2, dims, &j.y));
    return j.y ? lmn_forest_rows(ec, g ? NULL : &f, g, take_row, &j) : LAMINA_OK;
}

static lamina_status eval_trees(lmn_eval *ec)
{
    return lmn_tree_ensemble_eval(ec, NULL);
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
