/*
 * Normalizer (ai.onnx.ml, since 1): each row divided by its maximum (MAX), the sum of its absolute
 * values (L1) or its Euclidean length (L2). A divisor of zero leaves the row as it is.
 */
#include "ops/f64io.h"
#include "ops/ml.h"
#include "ops/wide.h"

#include <math.h>

static lamina_status infer_normalizer(lmn_infer *ic)
{
    lmn_dim rows;
    LMN_TRY(lmn_ml_infer_rows(ic, &rows));
    lmn_infer_same(ic, 0, 0);
    ic->out[0].dtype = LAMINA_F32;
    return LAMINA_OK;
}

static lamina_status eval_normalizer(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0];
    const bool l1 = lmn_attr_is(ec->node, "norm", "L1", "MAX"),
               l2 = lmn_attr_is(ec->node, "norm", "L2", "MAX");
    int64_t rows, cols;
    double *v;
    lamina_tensor *y;
    if (!l1 && !l2 && !lmn_attr_is(ec->node, "norm", "MAX", "MAX"))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "norm must be MAX, L1 or L2");
    LMN_TRY(lmn_ml_matrix(ec, 0, &rows, &cols));
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    LMN_TRY(lmn_f64_alloc(ec, cols, &v));
    for (int64_t r = 0; y && r < rows; r++) {
        double div = l1 || l2 ? 0.0 : -INFINITY;
        lmn_f64_load(x, r * cols, cols, v);
        for (int64_t i = 0; i < cols; i++) {
            if (l1)
                div += fabs(v[i]);
            else if (l2)
                div += v[i] * v[i];
            else if (v[i] > div)
                div = v[i];
        }
        if (l2) div = sqrt(div);
        for (int64_t i = 0; i < cols && div != 0.0; i++) v[i] /= div;
        lmn_f64_store(y, r * cols, cols, v);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"norm", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_Normalizer = {
    .name = "Normalizer",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_normalizer,
    .eval = eval_normalizer,
};
