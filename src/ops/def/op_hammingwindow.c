/*
 * HammingWindow (ai.onnx, since 17): the Hamming window (25/46, 21/46) of the given size; periodic
 * by default. Type by attribute output_datatype.
 */
#include "ops/window.h"

static lamina_status eval_hammingwindow(lmn_eval *ec)
{
    return lmn_window_eval(ec, 25.0 / 46.0, 21.0 / 46.0, 0);
}

static const lmn_port IN[] = {{"size", 0, 0, LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_NUM}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"output_datatype", LMN_ATTR_INT, 0}, {"periodic", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_HammingWindow = {
    .name = "HammingWindow",
    .domain = "",
    .since = 17,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_window_infer,
    .eval = eval_hammingwindow,
};
