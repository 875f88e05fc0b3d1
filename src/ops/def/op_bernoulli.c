/*
 * Bernoulli (ai.onnx, since 15): 1 with the probability given by the element, else 0; type by
 * attribute dtype, else the input's. NaN gives 0.
 */
#include "ops/random.h"
#include "ops/wide.h"

static lamina_status infer_bernoulli(lmn_infer *ic)
{
    lmn_infer_same(ic, 0, 0);
    const lamina_dtype in = lmn_infer_has(ic, 0) ? ic->in[0]->dtype : LAMINA_DTYPE_NONE;
    ic->out[0].dtype = lmn_attr_dtype(ic->node, "dtype", in);
    return LAMINA_OK;
}

static lamina_status eval_bernoulli(lmn_eval *ec)
{
    const lamina_tensor *x;
    lamina_tensor *t;
    lmn_rng r;
    LMN_TRY(lmn_eval_ready(ec));
    LMN_TRY(lmn_need(ec, 0, &x));
    const lamina_dtype dt = lmn_attr_dtype(ec->node, "dtype", x->dtype);
    if (!(LMN_DBIT(dt) & (LMN_D_NUM | LMN_D_BOOL)))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "the output cannot be %s", lamina_dtype_name(dt));
    LMN_TRY(lmn_out(ec, 0, dt, x->rank, x->dims, &t));
    lmn_random_begin(ec, &r);
    const int64_t n = t ? lmn_count(t) : 0;
    for (int64_t i = 0; i < n; i++) lmn_set_f64(t, i, lmn_rng_f64(&r) < lmn_get_f64(x, i) ? 1 : 0);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 0, 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_NUM | LMN_D_BOOL}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"dtype", LMN_ATTR_INT, 0}, {"seed", LMN_ATTR_FLOAT, 0}, {0}};

const lmn_op_def lmn_op_Bernoulli = {
    .name = "Bernoulli",
    .domain = "",
    .since = 15,
    .flags = LMN_OP_RANDOM,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_bernoulli,
    .eval = eval_bernoulli,
};
