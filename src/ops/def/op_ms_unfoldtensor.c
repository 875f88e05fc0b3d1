/*
 * UnfoldTensor (com.microsoft, since 1): all slices of `size` along axis `dim` (default the last),
 * `step` apart; the slice is a new last axis, the axis itself counts the slices.
 */
#include "ops/move.h"
#include "ops/shapes.h"

#include <string.h>

static lamina_status infer_unfold(lmn_infer *ic)
{
    const int64_t size = lmn_attr_i(ic->node, "size", 0), step = lmn_attr_i(ic->node, "step", 1);
    const int32_t rank = lmn_infer_rank(ic, 0);
    int32_t axis;
    lmn_fact *y;
    if (size < 1 || step < 1)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "size and step must be positive");
    if (rank < 0) return LAMINA_OK;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "dim", -1), rank, &axis));
    LMN_TRY(lmn_infer_shape(ic, 0, rank + 1, &y));
    if (!y) return LAMINA_OK;
    for (int32_t d = 0; d < rank; d++) y->dims[d] = ic->in[0]->dims[d];
    const lmn_dim room = lmn_dim_sub(ic->dims, y->dims[axis], lmn_dim_c(size));
    y->dims[axis] =
        lmn_dim_add(ic->dims, lmn_dim_floordiv(ic->dims, room, lmn_dim_c(step)), lmn_dim_c(1));
    y->dims[rank] = lmn_dim_c(size);
    return LAMINA_OK;
}

static lamina_status eval_unfold(lmn_eval *ec)
{
    const int64_t size = lmn_attr_i(ec->node, "size", 0), step = lmn_attr_i(ec->node, "step", 1);
    const lamina_tensor *x;
    int64_t dims[LMN_MAX_RANK + 1];
    int32_t axis;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "dim", -1), x->rank, &axis));
    if (x->rank >= LMN_MAX_RANK || size < 1 || step < 1 || x->dims[axis] < size)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "slices of %lld do not fit the input",
                             (long long)size);
    memcpy(dims, x->dims, sizeof x->dims);
    const int64_t n = dims[axis] = (x->dims[axis] - size) / step + 1;
    dims[x->rank] = size;
    LMN_TRY(lmn_check_grown(ec, x->dtype, x->rank + 1, dims));
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, x->rank + 1, dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    const int64_t inner = lmn_span_count(x->dims, axis + 1, x->rank);
    const size_t eb = out.eb;
    for (int64_t e = 0; e < out.n; e++) {
        const int64_t k = e % size, i = e / size % inner, s = e / size / inner % n,
                      o = e / size / inner / n;
        const int64_t from = (o * x->dims[axis] + s * step + k) * inner + i;
        memcpy(out.p + (size_t)e * eb, in.p + (size_t)from * eb, eb);
    }
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"dim", LMN_ATTR_INT, 0},
                                        {"size", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"step", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_MsUnfoldTensor = {
    .domain = "com.microsoft",
    .name = "UnfoldTensor",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_unfold,
    .eval = eval_unfold,
};
