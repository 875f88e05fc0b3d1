/*
 * BitwiseNot (ai.onnx, since 18): every bit of an integer inverted.
 */
#include "ops/ew.h"

LMN_EW_UN(i64_fn, int64_t, int64_t, ~x)
LMN_EW_UN(u64_fn, uint64_t, uint64_t, ~x)

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.i64 = i64_fn, .u64 = u64_fn};
    return lmn_ew_eval(ec, &IMPL, NULL);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_INT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_INT}, {0}};

const lmn_op_def lmn_op_BitwiseNot = {
    .domain = "",
    .name = "BitwiseNot",
    .since = 18,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE,
    .in = IN,
    .out = OUT,
    .eval = eval_op,
};
