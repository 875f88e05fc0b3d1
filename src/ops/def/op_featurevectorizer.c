/*
 * FeatureVectorizer (ai.onnx.ml, since 1): joins the inputs' columns into one float matrix; each is
 * cut or zero-padded to its entry of inputdimensions. A vector is a column.
 */
#include "ops/f64io.h"
#include "ops/ml.h"
#include "ops/wide.h"

static lamina_status infer_vectorize(lmn_infer *ic)
{
    const int64_t *widths;
    int64_t total = 0;
    if (lmn_attr_ints(ic->node, "inputdimensions", &widths) != ic->node->n_in)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL,
                              "inputdimensions must have one entry for each input");
    for (int32_t i = 0; i < ic->node->n_in; i++) {
        if (widths[i] < 0 || widths[i] > LMN_DIM_MAX_CONST / LMN_CANON_MAX_IN)
            return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL,
                                  "inputdimensions has an entry out of range");
        total += widths[i];
    }
    ic->out[0].rank = 2;
    ic->out[0].dims[0] =
        lmn_infer_has(ic, 0) && ic->in[0]->rank > 0 ? ic->in[0]->dims[0] : LMN_DIM_UNKNOWN;
    ic->out[0].dims[1] = lmn_dim_c(total);
    return LAMINA_OK;
}

static lamina_status eval_vectorize(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const int64_t *widths;
    int64_t total = 0, at = 0;
    lamina_tensor *y;
    double *row;
    if (lmn_attr_ints(ec->node, "inputdimensions", &widths) != ec->n_in)
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "inputdimensions must have one entry for each input");
    for (int32_t i = 0; i < ec->n_in; i++) {
        const lamina_tensor *x = ec->in[i];
        if (x->rank < 1 || x->rank > 2 || x->dims[0] != ec->in[0]->dims[0] || widths[i] < 0 ||
            __builtin_add_overflow(total, widths[i], &total))
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d must be [rows] or [rows, features]",
                                 i);
    }
    const int64_t dims[2] = {ec->in[0]->dims[0], total};
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, 2, dims, &y));
    LMN_TRY(lmn_f64_alloc(ec, total, &row));
    for (int32_t i = 0; y && i < ec->n_in; at += widths[i++]) {
        const lamina_tensor *x = ec->in[i];
        const int64_t have = x->rank == 2 ? x->dims[1] : 1;
        for (int64_t r = 0; r < dims[0]; r++) {
            for (int64_t c = 0; c < widths[i]; c++) row[c] = 0.0;
            lmn_f64_load(x, r * have, lmn_min_i64(have, widths[i]), row);
            lmn_f64_store(y, r * total + at, widths[i], row);
        }
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', LMN_PORT_VARIADIC, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"inputdimensions", LMN_ATTR_INTS, 0}, {0}};

const lmn_op_def lmn_op_FeatureVectorizer = {
    .name = "FeatureVectorizer",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_vectorize,
    .eval = eval_vectorize,
};
