/*
 * PRelu (ai.onnx, since 1): slope * x below zero, x above; slope broadcasts to X and never widens
 * it. Before opset 7 a slope vector belonged to axis 1.
 */
#include "ops/ew.h"

/* Four at a time by masks: a compiler branches on the sign, which nothing foresees. */
static void f32_fn(const void *const *in, void *out, int64_t n, LMN_UNUSED const void *arg)
{
    typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
    typedef int32_t bits __attribute__((vector_size(16), aligned(4), may_alias));
    const float *a = in[0], *b = in[1];
    float *y = out;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const four x = *(const four *)(a + i), product = x * *(const four *)(b + i);
        const bits below = x < 0.0f;
        *(bits *)(y + i) = (below & (bits)product) | (~below & (bits)x);
    }
    for (; i < n; i++) y[i] = a[i] < 0 ? a[i] * b[i] : a[i];
}
LMN_EW_BIN(f64_fn, double, double, a < 0 ? a * b : a)
LMN_EW_BIN(i64_fn, int64_t, int64_t, a < 0 ? (int64_t)((uint64_t)a * (uint64_t)b) : a)
LMN_EW_BIN(u64_fn, uint64_t, uint64_t, ((void)b, a))

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn, .u64 = u64_fn};
    int32_t rank;
    int64_t dims[LMN_MAX_RANK];
    const lamina_tensor *x = lmn_in(ec, 0);
    LMN_TRY(lmn_ew_shape(ec, 0, 1, &rank, dims));
    if (x && !lmn_dims_equal(rank, dims, x->rank, x->dims))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "the slope is larger than the input: it must broadcast to it");
    return lmn_ew_eval(ec, &IMPL, NULL);
}

static lamina_status infer_op(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_broadcast(ic, 0, 0, 1)); /* for its check; the shape is that of X */
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

static const lmn_fact *fact_of(const lmn_canon *c, int32_t i)
{
    return i < c->n_in && c->in[i] ? c->b->fact(c->b->ctx, c->in[i]) : NULL;
}

static lamina_status canon_op(lmn_canon *c)
{
    if (c->opset >= 7) return LAMINA_OK;
    lmn_canon_drop_attr(c, "consumed_inputs");
    const lmn_fact *x = fact_of(c, 0), *slope = fact_of(c, 1);
    if (!x || !slope || x->rank <= 2 || slope->rank != 1 || slope->dims[0] == lmn_dim_c(1))
        return LAMINA_OK;
    int64_t axes[LMN_MAX_RANK];
    const int64_t n = x->rank - 2;
    for (int64_t i = 0; i < n; i++) axes[i] = 1 + i;
    const lmn_ref in[2] = {c->in[1], c->b->constant(c->b->ctx, LAMINA_I64, 1, &n, axes)};
    if (!in[1] || !c->b->node(c->b->ctx, "Unsqueeze", in, 2, NULL, 0, &c->in[1], 1))
        return lmn_canon_fail(c, LAMINA_E_NOMEM, NULL,
                              "the slope could not be given the shape of a channel");
    return LAMINA_OK;
}

#define TYPES                                                                           \
    (LMN_D_FLOAT | LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64) | LMN_DBIT(LAMINA_U32) | \
     LMN_DBIT(LAMINA_U64))
static const lmn_port IN[] = {{"X", 'T', 0, TYPES}, {"slope", 'T', 0, TYPES}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, TYPES}, {0}};

const lmn_op_def lmn_op_PRelu = {
    .domain = "",
    .name = "PRelu",
    .since = 1,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE,
    .in = IN,
    .out = OUT,
    .infer = infer_op,
    .eval = eval_op,
    .canon = canon_op,
};
