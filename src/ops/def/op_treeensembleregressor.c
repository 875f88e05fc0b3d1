/*
 * TreeEnsembleRegressor (ai.onnx.ml, since 1): the older form of TreeEnsemble, float scores. Rules
 * in trees.h; base_values are added after the aggregate.
 */
#include "ops/f64io.h"
#include "ops/grove.h"
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

lamina_status lmn_tree_regressor_forest(lmn_eval *ec, lmn_forest *f)
{
    LMN_TRY(lmn_forest_old(ec, "target", lmn_attr_i(ec->node, "n_targets", 1), f));
    if (aggregate_of(ec->node, &f->info.aggregate)) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_INVALID, "aggregate_function is not known");
}

typedef struct job {
    lamina_tensor *y;
    int64_t targets;
    lmn_ml_post post;
} job;

static void take_row(void *arg, int64_t r, double *score, const bool *hit)
{
    const job *j = arg;
    (void)hit;
    lmn_ml_post_apply(j->post, score, j->targets);
    lmn_f64_store(j->y, r * j->targets, j->targets, score);
}

lamina_status lmn_tree_regressor_eval(lmn_eval *ec, const lmn_grove *g)
{
    job j = {0};
    int64_t rows, cols;
    lmn_forest f;
    LMN_TRY(lmn_eval_ready(ec));
    LMN_TRY(lmn_ml_matrix(ec, 0, &rows, &cols));
    if (!g) LMN_TRY(lmn_tree_regressor_forest(ec, &f));
    if (!lmn_ml_post_of(ec->node, &j.post))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "post_transform is not known");
    j.targets = g ? g->info.targets : f.info.targets;
    const int64_t dims[2] = {rows, j.targets};
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, 2, dims, &j.y));
    return j.y ? lmn_forest_rows(ec, g ? NULL : &f, g, take_row, &j) : LAMINA_OK;
}

static lamina_status eval_regressor(lmn_eval *ec)
{
    return lmn_tree_regressor_eval(ec, NULL);
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
