/*
 * BitShift (ai.onnx, since 11): X shifted by Y bits, `direction` LEFT or RIGHT. Right shifts of
 * signed types keep the sign. A count that is negative or not below the width leaves only the fill:
 * -1 for a right shift of a negative X, else 0.
 */
#include "ops/ew.h"

typedef struct shift {
    bool left;
    uint64_t bits;
} shift;

static void i64_fn(const void *const *in, void *out, int64_t n, const void *arg)
{
    const shift *s = arg;
    const int64_t *x = in[0], *by = in[1];
    int64_t *y = out;
    for (int64_t i = 0; i < n; i++) {
        const bool past = (uint64_t)by[i] >= s->bits;
        if (s->left)
            y[i] = past ? 0 : (int64_t)((uint64_t)x[i] << by[i]);
        else
            y[i] = x[i] >> (past ? 63 : by[i]);
    }
}

static void u64_fn(const void *const *in, void *out, int64_t n, const void *arg)
{
    const shift *s = arg;
    const uint64_t *x = in[0], *by = in[1];
    uint64_t *y = out;
    for (int64_t i = 0; i < n; i++)
        y[i] = by[i] >= s->bits ? 0 : s->left ? x[i] << by[i] : x[i] >> by[i];
}

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.i64 = i64_fn, .u64 = u64_fn};
    const lamina_tensor *x = lmn_in(ec, 0);
    const shift arg = {.left = lmn_attr_is(ec->node, "direction", "LEFT", ""),
                       .bits = x ? lamina_dtype_bits(x->dtype) : 0};
    return lmn_ew_eval(ec, &IMPL, &arg);
}

static lamina_status infer_op(lmn_infer *ic)
{
    if (!lmn_attr_is(ic->node, "direction", "LEFT", "") &&
        !lmn_attr_is(ic->node, "direction", "RIGHT", ""))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "use \"LEFT\" or \"RIGHT\"",
                              "attribute \"direction\" has the unknown value \"%.40s\"",
                              lmn_attr_s(ic->node, "direction", ""));
    return lmn_infer_broadcast(ic, 0, 0, 1);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_INT}, {"Y", 'T', 0, LMN_D_INT}, {0}};
static const lmn_port OUT[] = {{"Z", 'T', 0, LMN_D_INT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"direction", LMN_ATTR_STRING, LMN_ATTR_REQUIRED}, {0}};

const lmn_op_def lmn_op_BitShift = {
    .domain = "",
    .name = "BitShift",
    .since = 11,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_op,
    .eval = eval_op,
};
