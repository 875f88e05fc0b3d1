/*
 * Compress (ai.onnx, since 9): the slices along `axis` (without it: the elements of the flat input)
 * whose condition is true. A condition shorter than the axis drops the rest; a longer one must not
 * select past the end.
 */
#include "ops/move.h"
#include "ops/shapes.h"

#include <string.h>

static lamina_status infer_compress(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    int32_t axis;
    lmn_fact *f;
    if (!lmn_attr_find(ic->node, "axis")) return lmn_infer_shape(ic, 0, 1, NULL);
    LMN_TRY(lmn_infer_shape(ic, 0, r, &f));
    if (r < 0) return LAMINA_OK;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), r, &axis));
    for (int32_t k = 0; k < r; k++)
        if (k != axis) f->dims[k] = ic->in[0]->dims[k];
    return LAMINA_OK;
}

static lamina_status eval_compress(lmn_eval *ec)
{
    const lamina_tensor *x, *c;
    int64_t dims[LMN_MAX_RANK] = {0}, kept = 0, o = 0;
    int32_t axis = 0, rank = 1;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_need(ec, 1, &c));
    if (c->rank != 1 || c->dtype != LAMINA_BOOL)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "condition must be a bool vector");
    if (lmn_attr_find(ec->node, "axis")) {
        LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", 0), x->rank, &axis));
        rank = x->rank;
        memcpy(dims, x->dims, sizeof dims);
    } else {
        dims[0] = lmn_count(x);
    }
    const int64_t extent = dims[axis], outer = lmn_span_count(dims, 0, axis);
    const uint8_t *take = c->data;
    for (int64_t i = 0; i < c->dims[0]; i++) {
        if (take[i] && i >= extent)
            return lmn_eval_fail(ec, LAMINA_E_RANGE,
                                 "condition %lld selects past an extent of %lld", (long long)i,
                                 (long long)extent);
        kept += take[i] != 0;
    }
    dims[axis] = kept;
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, rank, dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    const size_t row = (size_t)lmn_span_count(dims, axis + 1, rank) * in.eb;
    for (int64_t i = 0; i < c->dims[0]; i++) {
        if (!take[i]) continue;
        for (int64_t k = 0; k < outer; k++)
            memcpy(out.p + (size_t)(k * kept + o) * row, in.p + (size_t)(k * extent + i) * row,
                   row);
        o++;
    }
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_ALL}, {"condition", 0, 0, LMN_D_BOOL}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Compress = {
    .name = "Compress",
    .domain = "",
    .since = 9,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_compress,
    .eval = eval_compress,
};
