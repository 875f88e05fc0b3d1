/*
 * TreeEnsembleRegressor (ai.onnx.ml, since 1): the older form of TreeEnsemble, float scores. Rules
 * in trees.h; base_values are added after the aggregate.
 */
#include "ops/f64io.h"
#include "ops/trees.h"
#include "ops/wide.h"

static lamina_status infer_regressor(lmn_infer *ic)
{
    return lmn_ml_infer_scores(ic, "n_targets");
}

static bool aggregate_of(const lmn_opnode *n, int32_t *out)
{
    static const char *const NAMES[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    for (int32_t i = 0; i < 4; i++)
        if (lmn_attr_is(n, "aggregate_function", NAMES[i], "SUM")) {
            *out = i;
            return true;
        }
    return false;
}

static lamina_status eval_regressor(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    int64_t rows, cols;
    lmn_forest f;
    lmn_ml_post post;
    double *x;
    lamina_tensor *y;
    LMN_TRY(lmn_ml_matrix(ec, 0, &rows, &cols));
    LMN_TRY(lmn_forest_old(ec, "target", lmn_attr_i(ec->node, "n_targets", 1), &f));
    if (!aggregate_of(ec->node, &f.aggregate) || !lmn_ml_post_of(ec->node, &post))
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "aggregate_function or post_transform is not known");
    if (f.features > cols)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "a node asks for feature %lld of %lld",
                             (long long)f.features - 1, (long long)cols);
    const int64_t dims[2] = {rows, f.targets};
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, 2, dims, &y));
    LMN_TRY(lmn_f64_alloc(ec, cols + f.targets, &x));
    bool *hit = lmn_scratch(ec, (size_t)f.targets);
    if (!hit)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld targets",
                             (long long)f.targets);
    for (int64_t r = 0; y && r < rows; r++) {
        lmn_f64_load(ec->in[0], r * cols, cols, x);
        LMN_TRY(lmn_forest_run(ec, &f, x, x + cols, hit));
        lmn_ml_post_apply(post, x + cols, f.targets);
        lmn_f64_store(y, r * f.targets, f.targets, x + cols);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_FOREST_ATTRS,
                                        {"aggregate_function", LMN_ATTR_STRING, 0},
                                        {"n_targets", LMN_ATTR_INT, 0},
                                        {"target_ids", LMN_ATTR_INTS, 0},
                                        {"target_nodeids", LMN_ATTR_INTS, 0},
                                        {"target_treeids", LMN_ATTR_INTS, 0},
                                        {"target_weights", LMN_ATTR_FLOATS, 0},
                                        {"target_weights_as_tensor", LMN_ATTR_TENSOR, 0},
                                        {0}};

const lmn_op_def lmn_op_TreeEnsembleRegressor = {
    .name = "TreeEnsembleRegressor",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_regressor,
    .eval = eval_regressor,
};
