/*
 * ReverseSequence (ai.onnx, since 10): for each batch entry the first sequence_lens[b] steps of the
 * time axis in reverse, the rest as it is. batch_axis and time_axis are 0 and 1 in either order.
 */
#include "ops/move.h"
#include "ops/shapes.h"

#include <string.h>

static lamina_status infer_reversesequence(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    if (r >= 0 && r < 2)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give it a batch and a time axis",
                              "the input has rank %d", r);
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

static lamina_status eval_reversesequence(lmn_eval *ec)
{
    const int64_t batch = lmn_attr_i(ec->node, "batch_axis", 1);
    const int64_t time = lmn_attr_i(ec->node, "time_axis", 0);
    const lamina_tensor *x, *len;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_need(ec, 1, &len));
    if (x->rank < 2 || batch < 0 || batch > 1 || time != 1 - batch)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "batch_axis and time_axis must be 0 and 1");
    if (len->rank != 1 || len->dtype != LAMINA_I64 || len->dims[0] != x->dims[batch])
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "sequence_lens must hold one int64 a batch entry");
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, x->rank, x->dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    const size_t row = (size_t)lmn_span_count(x->dims, 2, x->rank) * in.eb;
    const size_t sb = batch == 0 ? (size_t)x->dims[1] : 1, st = batch == 0 ? 1 : (size_t)x->dims[1];
    for (int64_t b = 0; b < x->dims[batch]; b++) {
        const int64_t n = lmn_get_i64(len, b);
        if (n < 0 || n > x->dims[time])
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "length %lld is outside [0, %lld]",
                                 (long long)n, (long long)x->dims[time]);
        for (int64_t t = 0; t < x->dims[time]; t++) {
            const int64_t s = t < n ? n - 1 - t : t;
            memcpy(out.p + ((size_t)b * sb + (size_t)t * st) * row,
                   in.p + ((size_t)b * sb + (size_t)s * st) * row, row);
        }
    }
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {
    {"input", 'T', 0, LMN_D_ALL}, {"sequence_lens", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"batch_axis", LMN_ATTR_INT, 0}, {"time_axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_ReverseSequence = {
    .name = "ReverseSequence",
    .domain = "",
    .since = 10,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_reversesequence,
    .eval = eval_reversesequence,
};
