/*
 * Trilu (ai.onnx, since 14): the upper (default) or lower triangle of the last two axes, from
 * diagonal k on; everything else is 0.
 */
#include "ops/move.h"
#include "ops/shapes.h"

#include <string.h>

static lamina_status infer_trilu(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    if (r >= 0 && r < 2)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give it matrices", "the input has rank %d", r);
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

static lamina_status eval_trilu(lmn_eval *ec)
{
    const bool upper = lmn_attr_i(ec->node, "upper", 1) != 0;
    const uint8_t zero[16] = {0};
    const lamina_tensor *x;
    int64_t k;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_int(ec, 1, 0, &k));
    if (x->rank < 2) return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the input has rank %d", x->rank);
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, x->rank, x->dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    const int64_t rows = x->dims[x->rank - 2], cols = x->dims[x->rank - 1];
    k = lmn_max_i64(-rows, lmn_min_i64(k, cols)); /* past the corners nothing changes any more */
    for (int64_t r = 0; r < out.n / cols; r++) {
        /* Columns [0, cut) are on one side of the diagonal, [cut, cols) on the other. */
        const int64_t edge = r % rows + k + (upper ? 0 : 1);
        const int64_t cut = lmn_max_i64(0, lmn_min_i64(edge, cols));
        const int64_t from = upper ? cut : 0, to = upper ? cols : cut;
        uint8_t *d = out.p + (size_t)(r * cols) * out.eb;
        lmn_move_fill(d, out.eb, cols, zero);
        memcpy(d + (size_t)from * out.eb, in.p + (size_t)(r * cols + from) * in.eb,
               (size_t)(to - from) * in.eb);
    }
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {
    {"input", 'T', 0, LMN_D_ALL}, {"k", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"upper", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Trilu = {
    .name = "Trilu",
    .domain = "",
    .since = 14,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_trilu,
    .eval = eval_trilu,
};
