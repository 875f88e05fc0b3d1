/*
 * MeanVarianceNormalization (ai.onnx, since 9): (x - mean) / (deviation + 1e-9) over `axes`
 * (default 0, 2, 3: per channel). The deviation is that of the population.
 */
#include "ops/normcore.h"
#include "ops/wide.h"

#include <math.h>

/* Which axes are reduced; false if one is outside the rank. */
static bool reduced_axes(const lmn_opnode *n, int32_t rank, bool *reduced)
{
    static const int64_t DEFAULT[] = {0, 2, 3};
    const int64_t *axes;
    int32_t count = lmn_attr_ints(n, "axes", &axes);
    if (!axes) {
        axes = DEFAULT;
        count = 3;
    }
    for (int32_t d = 0; d < rank; d++) reduced[d] = false;
    for (int32_t k = 0; k < count; k++) {
        if (axes[k] < -rank || axes[k] >= rank) return false;
        reduced[axes[k] < 0 ? axes[k] + rank : axes[k]] = true;
    }
    return true;
}

static lamina_status infer_mvn(lmn_infer *ic)
{
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    bool reduced[LMN_MAX_RANK];
    if (x && !reduced_axes(ic->node, x->rank, reduced))
        return lmn_infer_fail(ic, LAMINA_E_RANGE, "set attribute \"axes\"",
                              "an axis is outside rank %d", x->rank);
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

typedef struct walk {
    int32_t rank;
    int64_t n, dims[LMN_MAX_RANK], stride[LMN_MAX_RANK];
} walk;

/* Advance i by one element and return the group it lies in. */
static int64_t next_group(const walk *w, int64_t *i, int64_t group)
{
    for (int32_t d = w->rank - 1; d >= 0; d--) {
        group += w->stride[d];
        if (++i[d] < w->dims[d]) break;
        group -= w->stride[d] * w->dims[d];
        i[d] = 0;
    }
    return group;
}

/* out[group] += x, or (x - mean[group])^2 if mean is given. */
static void accumulate(const walk *w, const double *x, const double *mean, double *out)
{
    int64_t i[LMN_MAX_RANK] = {0}, g = 0;
    for (int64_t e = 0; e < w->n; e++) {
        const double v = mean ? x[e] - mean[g] : x[e];
        out[g] += mean ? v * v : v;
        g = next_group(w, i, g);
    }
}

static lamina_status eval_mvn(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *xt = lmn_in(ec, 0);
    bool reduced[LMN_MAX_RANK];
    if (!reduced_axes(ec->node, xt->rank, reduced))
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "an axis is outside rank %d", xt->rank);
    walk w = {.rank = xt->rank, .n = lmn_count(xt)};
    int64_t groups = 1;
    for (int32_t d = xt->rank - 1; d >= 0; d--) {
        w.dims[d] = xt->dims[d];
        w.stride[d] = reduced[d] ? 0 : groups;
        groups *= reduced[d] ? 1 : xt->dims[d];
    }
    lamina_tensor *yt;
    const double *x;
    double *y;
    LMN_TRY(lmn_out(ec, 0, xt->dtype, xt->rank, xt->dims, &yt));
    if (!yt || w.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_wide_in(ec, xt, &x));
    LMN_TRY(lmn_wide_out(ec, yt, &y));
    double *mean = lmn_wide_scratch(ec, 2 * groups, sizeof *mean), *dev = mean + groups;
    if (!mean) return LAMINA_E_NOMEM;
    for (int64_t g = 0; g < 2 * groups; g++) mean[g] = 0.0;
    const double count = (double)(w.n / groups);
    accumulate(&w, x, NULL, mean);
    for (int64_t g = 0; g < groups; g++) mean[g] /= count;
    accumulate(&w, x, mean, dev);
    for (int64_t g = 0; g < groups; g++) dev[g] = sqrt(dev[g] / count) + 1e-9;
    int64_t i[LMN_MAX_RANK] = {0}, g = 0;
    for (int64_t e = 0; e < w.n; e++) {
        y[e] = (x[e] - mean[g]) / dev[g];
        g = next_group(&w, i, g);
    }
    lmn_wide_store(yt, y);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axes", LMN_ATTR_INTS, 0}, {0}};

const lmn_op_def lmn_op_MeanVarianceNormalization = {
    .name = "MeanVarianceNormalization",
    .domain = "",
    .since = 9,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_mvn,
    .eval = eval_mvn,
    .cost = lmn_norm_cost,
};
