/*
 * SplitToSequence (ai.onnx, since 11): parts along `axis` as a sequence: parts of one length
 * (scalar split, the last may be shorter), of given lengths (vector), or single slices, whose axis
 * goes away with keepdims=0.
 */
#include "ops/gather.h"
#include "ops/join.h"
#include "ops/sequence.h"

static lamina_status infer_splittosequence(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    const bool by_split = ic->node->n_in > 1 && ic->in[1];
    const bool drop = !by_split && lmn_attr_i(ic->node, "keepdims", 1) == 0;
    int32_t axis;
    if (r < 0) {
        lmn_infer_sequence(ic, 0, NULL);
        return LAMINA_OK;
    }
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), r, &axis));
    lmn_fact item = lmn_fact_tensor(ic->in[0]->dtype, r - (drop ? 1 : 0));
    for (int32_t k = 0, o = 0; k < r; k++) {
        if (k != axis)
            item.dims[o++] = ic->in[0]->dims[k];
        else if (!drop)
            item.dims[o++] = by_split ? LMN_DIM_UNKNOWN : lmn_dim_c(1);
    }
    lmn_infer_sequence(ic, 0, &item);
    return LAMINA_OK;
}

/* Number of parts and, for a vector, their lengths; `step` is 0 for a vector. */
static lamina_status read_split(lmn_eval *ec, int64_t extent, int64_t *n, int64_t *step)
{
    const lamina_tensor *s = lmn_in(ec, 1);
    *step = 1;
    *n = extent;
    if (!s) return LAMINA_OK;
    LMN_TRY(lmn_index_input(ec, 1, &s));
    if (s->rank == 0) {
        *step = lmn_get_i64(s, 0);
        if (*step < 1)
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "split must be 1 or more, it is %lld",
                                 (long long)*step);
        *n = extent / *step + (extent % *step != 0);
        return LAMINA_OK;
    }
    int64_t left = extent;
    if (s->rank != 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "split must be a scalar or a vector");
    *step = 0;
    *n = s->dims[0];
    for (int64_t k = 0; k < *n; k++) {
        const int64_t len = lmn_index_at(s, k);
        if (len < 0 || len > left)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "split lengths do not fit an extent of %lld",
                                 (long long)extent);
        left -= len;
    }
    if (left) return lmn_eval_fail(ec, LAMINA_E_SHAPE, "split lengths leave %lld", (long long)left);
    return LAMINA_OK;
}

static lamina_status eval_splittosequence(lmn_eval *ec)
{
    const lamina_tensor *split = lmn_in(ec, 1);
    lamina_tensor **items;
    int64_t n, step;
    lmn_cut cut = {0};
    lmn_cutter c = {.squeeze = !split && lmn_attr_i(ec->node, "keepdims", 1) == 0};
    LMN_TRY(lmn_need(ec, 0, &c.x));
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", 0), c.x->rank, &cut.axis));
    const int64_t extent = c.x->dims[cut.axis];
    LMN_TRY(read_split(ec, extent, &n, &step));
    LMN_TRY(lmn_plain_in(ec, c.x, &c.in));
    LMN_TRY(lmn_seq_items(ec, n, &items));
    lamina_status st = LAMINA_OK;
    for (int64_t k = 0; k < n && st == LAMINA_OK; k++) {
        cut.count = step ? lmn_min_i64(step, extent - cut.first) : lmn_index_at(split, k);
        st = lmn_cut_tensor(ec, &c, cut, &items[k]);
        cut.first += cut.count;
    }
    if (st == LAMINA_OK) st = lmn_out_sequence(ec, 0, c.x->dtype, n, items);
    lmn_seq_unref(items, n);
    return st;
}

static const lmn_port IN[] = {
    {"input", 'T', 0, LMN_D_ALL}, {"split", 0, LMN_PORT_OPTIONAL, LMN_D_INDEX}, {0}};
static const lmn_port OUT[] = {{"output_sequence", 'T', LMN_PORT_ANYKIND, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"axis", LMN_ATTR_INT, 0}, {"keepdims", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_SplitToSequence = {
    .name = "SplitToSequence",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_splittosequence,
    .eval = eval_splittosequence,
};
