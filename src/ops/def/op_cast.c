/*
 * Cast (ai.onnx, since 1): elements converted to the type `to`; see cast.h for text, lmn_convert
 * for numbers. `saturate` and `round_mode` concern the 8-bit floats. In opset 1 `to` was a name.
 */
#include "ops/cast.h"

#include <string.h>

static lamina_status eval_op(lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!x) return lmn_eval_fail(ec, LAMINA_E_INVALID, "input 0 is missing");
    return lmn_cast_eval(ec, x, (lamina_dtype)lmn_attr_i(ec->node, "to", 0));
}

static lamina_status infer_op(lmn_infer *ic)
{
    const int64_t to = lmn_attr_i(ic->node, "to", 0);
    if (to <= 0 || to >= LAMINA_DTYPE_COUNT)
        return lmn_infer_fail(ic, LAMINA_E_DTYPE, NULL,
                              "attribute \"to\" is %lld, which is no element type", (long long)to);
    return lmn_cast_infer(ic, (lamina_dtype)to);
}

static lamina_status canon_op(lmn_canon *c)
{
    /* DataType names of onnx.proto, in the order of their numbers. */
    static const char *const NAMES[] = {
        "UNDEFINED", "FLOAT", "UINT8",   "INT8",   "UINT16", "INT16",  "INT32",     "INT64",
        "STRING",    "BOOL",  "FLOAT16", "DOUBLE", "UINT32", "UINT64", "COMPLEX64", "COMPLEX128"};
    const lmn_attr *to = lmn_attr_find(c->node, "to");
    if (c->opset >= 6 || !to || to->type != LMN_ATTR_STRING) return LAMINA_OK;
    for (size_t i = 1; i < LMN_COUNT(NAMES); i++)
        if (to->u.s.p && strcmp(to->u.s.p, NAMES[i]) == 0 && lmn_canon_set_i(c, "to", (int64_t)i))
            return LAMINA_OK;
    return lmn_canon_fail(c, LAMINA_E_DTYPE, NULL,
                          "attribute \"to\" is no name of an element type");
}

static const lmn_port IN[] = {{"input", 0, 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"to", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"saturate", LMN_ATTR_INT, 0},
                                        {"round_mode", LMN_ATTR_STRING, 0},
                                        {0}};

const lmn_op_def lmn_op_Cast = {
    .domain = "",
    .name = "Cast",
    .since = 1,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_op,
    .eval = eval_op,
    .canon = canon_op,
};
