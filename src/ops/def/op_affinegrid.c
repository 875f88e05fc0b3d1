/*
 * AffineGrid (ai.onnx, since 20): sampling grids for GridSample from matrices theta [N, 2, 3] or
 * [N, 3, 4] and the size [N, C, H, W] or [N, C, D, H, W]. Positions run over [-1, 1]: corners to
 * corners with align_corners, else centres of cells. An axis of one aligned position lies at 0.
 */
#include "ops/wide.h"

static lamina_status infer_affinegrid(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 3, 3));
    const lmn_fact *theta = lmn_infer_shape_of(ic, 0);
    const lmn_dim *size;
    const int32_t n = lmn_infer_elems(ic, 1, &size);
    if (n >= 0 && n != 4 && n != 5)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give [N, C, H, W] or [N, C, D, H, W]",
                              "size has %d entries", n);
    int32_t rank = n < 0 ? -1 : n - 2;
    if (rank < 0 && theta && lmn_dim_is_const(theta->dims[1]))
        rank = (int32_t)lmn_min_i64(lmn_dim_value(theta->dims[1]), 4);
    if (rank != 2 && rank != 3) return LAMINA_OK;
    if (theta) {
        LMN_TRY(
            lmn_infer_equal(ic, theta->dims[1], lmn_dim_c(rank), "rows of theta and axes", NULL));
        LMN_TRY(lmn_infer_equal(ic, theta->dims[2], lmn_dim_c(rank + 1),
                                "columns of theta and axes plus one", NULL));
    }
    lmn_fact *y = lmn_infer_ranked(ic, 0, rank + 2);
    if (!y) return LAMINA_OK;
    y->dims[0] = n >= 0 ? size[0] : theta ? theta->dims[0] : LMN_DIM_UNKNOWN;
    for (int32_t a = 0; a < rank; a++) y->dims[1 + a] = n >= 0 ? size[2 + a] : LMN_DIM_UNKNOWN;
    y->dims[rank + 1] = lmn_dim_c(rank);
    return LAMINA_OK;
}

static double position(int64_t i, int64_t n, bool align)
{
    if (align) return n > 1 ? -1.0 + 2.0 * (double)i / (double)(n - 1) : 0.0;
    return -1.0 + (2.0 * (double)i + 1.0) / (double)n;
}

static lamina_status read_size(lmn_eval *ec, int32_t *rank, int64_t *dims)
{
    const lamina_tensor *theta = lmn_in(ec, 0), *size = lmn_in(ec, 1);
    const int64_t n = lmn_count(size);
    *rank = (int32_t)n - 2;
    if ((n != 4 && n != 5) || theta->rank != 3 || theta->dims[1] != *rank ||
        theta->dims[2] != *rank + 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "theta does not fit a size of %lld entries",
                             (long long)n);
    dims[0] = lmn_get_i64(size, 0);
    if (dims[0] != theta->dims[0])
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "theta and size differ in the batch");
    for (int32_t a = 0; a < *rank; a++) dims[1 + a] = lmn_get_i64(size, 2 + a);
    dims[1 + *rank] = *rank;
    return LAMINA_OK;
}

static lamina_status eval_affinegrid(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    int64_t dims[LMN_MAX_RANK];
    int32_t rank;
    LMN_TRY(read_size(ec, &rank, dims));
    lamina_tensor *yt;
    const double *theta;
    double *y;
    LMN_TRY(lmn_out(ec, 0, lmn_in(ec, 0)->dtype, rank + 2, dims, &yt));
    if (!yt) return LAMINA_OK;
    LMN_TRY(lmn_wide_in(ec, lmn_in(ec, 0), &theta));
    LMN_TRY(lmn_wide_out(ec, yt, &y));
    const bool align = lmn_attr_i(ec->node, "align_corners", 0) != 0;
    const int64_t n = lmn_count(yt) / rank;
    for (int64_t e = 0; e < n; e++) {
        double at[4] = {0, 0, 0, 0};
        int64_t rest = e;
        at[rank] = 1.0;
        for (int32_t a = rank - 1; a >= 0; a--) { /* x first: the last axis */
            at[rank - 1 - a] = position(rest % dims[1 + a], dims[1 + a], align);
            rest /= dims[1 + a];
        }
        const double *m = theta + rest * rank * (rank + 1);
        for (int32_t r = 0; r < rank; r++) {
            double v = 0.0;
            for (int32_t k = 0; k <= rank; k++) v += m[r * (rank + 1) + k] * at[k];
            y[e * rank + r] = v;
        }
    }
    lmn_wide_store(yt, y);
    return LAMINA_OK;
}

static const lmn_port IN[] = {
    {"theta", 'T', 0, LMN_D_FLOAT}, {"size", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"grid", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"align_corners", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_AffineGrid = {
    .name = "AffineGrid",
    .domain = "",
    .since = 20,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_affinegrid,
    .eval = eval_affinegrid,
};
