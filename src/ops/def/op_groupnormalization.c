/*
 * GroupNormalization (ai.onnx, since 18): channels in num_groups groups, each made to mean 0 and
 * variance 1 per image, then scaled and shifted. Version 21 has one scale and bias per channel,
 * version 18 one per group: the count tells which (where both are equal they mean the same).
 */
#include "ops/normcore.h"
#include "ops/wide.h"

static lamina_status infer_groupnormalization(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 2, LMN_MAX_RANK));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    const int64_t groups = lmn_attr_i(ic->node, "num_groups", 0);
    if (groups < 1)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "attribute \"num_groups\" is %lld",
                              (long long)groups);
    if (!x) return LAMINA_OK;
    if (lmn_dim_is_const(x->dims[1]) && lmn_dim_value(x->dims[1]) % groups != 0)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                              "%lld channels do not divide by %lld groups",
                              (long long)lmn_dim_value(x->dims[1]), (long long)groups);
    lmn_fact *y = lmn_infer_ranked(ic, 0, x->rank);
    for (int32_t d = 0; y && d < x->rank; d++) y->dims[d] = x->dims[d];
    return LAMINA_OK;
}

/* Parameters of input i, one per channel. */
static lamina_status per_channel(lmn_eval *ec, int32_t i, int64_t channels, int64_t groups,
                                 const double **out)
{
    const lamina_tensor *t = lmn_in(ec, i);
    if (t->rank != 1 || t->dims[0] == channels) return lmn_norm_vector(ec, i, channels, out);
    const double *group;
    LMN_TRY(lmn_norm_vector(ec, i, groups, &group));
    double *w = lmn_wide_scratch(ec, channels, sizeof *w);
    if (!w) return LAMINA_E_NOMEM;
    for (int64_t c = 0; c < channels; c++) w[c] = group[c / (channels / groups)];
    *out = w;
    return LAMINA_OK;
}

static lamina_status eval_groupnormalization(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0);
    const int64_t groups = lmn_attr_i(ec->node, "num_groups", 0);
    if (x->rank < 2 || groups < 1 || x->dims[1] % groups != 0)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the channels do not divide by %lld groups",
                             (long long)groups);
    const int64_t channels = x->dims[1], inner = lmn_norm_extent(x, 2, x->rank);
    const double *scale, *bias;
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(per_channel(ec, 1, channels, groups, &scale));
    LMN_TRY(per_channel(ec, 2, channels, groups, &bias));
    lmn_norm_rows r = {.eps = (double)lmn_attr_f(ec->node, "epsilon", 1e-5f)};
    r.rows = channels ? x->dims[0] * groups : 0; /* no channels divide by any number of groups */
    r.n = channels / groups * inner;
    LMN_TRY(lmn_wide_in(ec, x, &r.x));
    LMN_TRY(lmn_wide_out(ec, y, &r.y));
    lmn_norm_rows_run(ec->par, &r);
    lmn_norm_affine(r.y, x->dims[0], channels, inner, scale, bias);
    lmn_wide_store(y, r.y);
    return LAMINA_OK;
}

static const lmn_port IN[] = {
    {"X", 'T', 0, LMN_D_FLOAT}, {"scale", 'T', 0, LMN_D_FLOAT}, {"bias", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"epsilon", LMN_ATTR_FLOAT, 0},
                                        {"num_groups", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"stash_type", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_GroupNormalization = {
    .name = "GroupNormalization",
    .domain = "",
    .since = 18,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_groupnormalization,
    .eval = eval_groupnormalization,
    .cost = lmn_norm_cost,
};
