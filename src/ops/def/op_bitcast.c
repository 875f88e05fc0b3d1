/*
 * BitCast (ai.onnx, since 26): the same bits read as another type of the same width.
 */
#include "ops/op.h"

#include <string.h>

static lamina_status eval_op(lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!x) return lmn_eval_fail(ec, LAMINA_E_INVALID, "input 0 is missing");
    const lamina_dtype to = (lamina_dtype)lmn_attr_i(ec->node, "to", 0);
    const uint32_t bits = lamina_dtype_bits(x->dtype);
    if (bits == 0 || bits != lamina_dtype_bits(to))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "%s and %s do not have the same width",
                             lamina_dtype_name(x->dtype), lamina_dtype_name(to));
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, to, x->rank, x->dims, &y));
    if (y && y->data_bytes) memmove(y->data, x->data, y->data_bytes);
    return LAMINA_OK;
}

static lamina_status infer_op(lmn_infer *ic)
{
    const int64_t to = lmn_attr_i(ic->node, "to", 0);
    if (to <= 0 || to >= LAMINA_DTYPE_COUNT || to == LAMINA_STRING)
        return lmn_infer_fail(ic, LAMINA_E_DTYPE, NULL,
                              "attribute \"to\" is %lld, which is no type of fixed width",
                              (long long)to);
    const lamina_dtype from = ic->in[0] ? ic->in[0]->dtype : LAMINA_DTYPE_NONE;
    if (from && lamina_dtype_bits(from) != lamina_dtype_bits((lamina_dtype)to))
        return lmn_infer_fail(ic, LAMINA_E_DTYPE, "choose a type of the same width, or use Cast",
                              "%s has %u bits but %s has %u", lamina_dtype_name(from),
                              lamina_dtype_bits(from), lamina_dtype_name((lamina_dtype)to),
                              lamina_dtype_bits((lamina_dtype)to));
    lmn_infer_same(ic, 0, 0);
    ic->out[0].dtype = (lamina_dtype)to;
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 0, 0, LMN_D_ALL & ~LMN_D_STRING}, {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_ALL & ~LMN_D_STRING}, {0}};
static const lmn_attr_schema ATTRS[] = {{"to", LMN_ATTR_INT, LMN_ATTR_REQUIRED}, {0}};

const lmn_op_def lmn_op_BitCast = {
    .domain = "",
    .name = "BitCast",
    .since = 26,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_op,
    .eval = eval_op,
};
