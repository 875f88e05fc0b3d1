/*
 * Clip (ai.onnx, since 1): min(max(x, lower), upper), so that upper wins where they cross; NaN
 * passes. The bounds are optional scalars; before opset 11 they were attributes.
 */
#include "ops/ew.h"

#include <math.h>

#define CLIP(fname, T)                                                              \
    static void fname(const void *const *in, void *out, int64_t n, const void *arg) \
    {                                                                               \
        const T *x = in[0], lo = ((const T *)arg)[0], hi = ((const T *)arg)[1];     \
        T *y = out;                                                                 \
        for (int64_t i = 0; i < n; i++) {                                           \
            const T v = x[i] < lo ? lo : x[i];                                      \
            y[i] = v > hi ? hi : v;                                                 \
        }                                                                           \
    }
CLIP(f32_fn, float)
CLIP(f64_fn, double)
CLIP(i64_fn, int64_t)
CLIP(u64_fn, uint64_t)

typedef union bounds {
    float f32[2];
    double f64[2];
    int64_t i64[2];
    uint64_t u64[2];
} bounds;

/* Bound k in the type in which the class of dt computes; absent: the end of that type. */
static void set_bound(bounds *b, int32_t k, lamina_dtype dt, const lamina_tensor *t)
{
    switch (lmn_dtype_class(dt)) {
    case LMN_CLASS_SINT: b->i64[k] = t ? lmn_get_i64(t, 0) : k ? INT64_MAX : INT64_MIN; break;
    case LMN_CLASS_UINT: b->u64[k] = t ? lmn_get_u64(t, 0) : k ? UINT64_MAX : 0; break;
    default: {
        const double v = t ? lmn_get_f64(t, 0) : k ? (double)INFINITY : -(double)INFINITY;
        if (dt == LAMINA_F32)
            b->f32[k] = (float)v;
        else
            b->f64[k] = v;
    }
    }
}

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_ew_impl IMPL = {.f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn, .u64 = u64_fn};
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!x) return lmn_eval_fail(ec, LAMINA_E_INVALID, "input 0 is missing");
    bounds b;
    for (int32_t k = 0; k < 2; k++) {
        const lamina_tensor *t = lmn_in(ec, k + 1);
        if (t && (lmn_count(t) != 1 || t->dtype != x->dtype))
            return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                 "bound %d must be one element of the input's type", k);
        set_bound(&b, k, x->dtype, t);
    }
    lmn_eval only_x = *ec; /* the bounds are arguments, not operands to broadcast */
    only_x.n_in = 1;
    const lamina_status st = lmn_ew_eval(&only_x, &IMPL, &b);
    ec->scratch_head = only_x.scratch_head;
    return st;
}

static lamina_status infer_op(lmn_infer *ic)
{
    for (int32_t i = 1; i < 3; i++) {
        if (!lmn_infer_has(ic, i) || ic->in[i]->rank <= 0) continue;
        if (ic->in[i]->rank > 1)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give a scalar",
                                  "input %d \"%s\" has rank %d", i, i == 1 ? "min" : "max",
                                  ic->in[i]->rank);
    }
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

static lamina_status canon_op(lmn_canon *c)
{
    if (c->opset >= 11) return LAMINA_OK;
    static const char *const NAMES[] = {"min", "max"};
    const lmn_fact *f = c->n_in > 0 && c->in[0] ? c->b->fact(c->b->ctx, c->in[0]) : NULL;
    const lamina_dtype dt = f && f->dtype ? f->dtype : LAMINA_F32;
    lmn_canon_drop_attr(c, "consumed_inputs");
    for (int32_t k = 0; k < 2; k++) {
        const lmn_attr *a = lmn_attr_find(c->node, NAMES[k]);
        if (!a || a->type != LMN_ATTR_FLOAT) continue;
        if (!lmn_canon_in_scalar(c, k + 1, dt, (double)a->u.f))
            return lmn_canon_fail(c, LAMINA_E_NOMEM, NULL,
                                  "attribute \"%s\" could not become an input", NAMES[k]);
        lmn_canon_drop_attr(c, NAMES[k]);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_NUM},
                              {"min", 'T', LMN_PORT_OPTIONAL, LMN_D_NUM},
                              {"max", 'T', LMN_PORT_OPTIONAL, LMN_D_NUM},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_NUM}, {0}};

const lmn_op_def lmn_op_Clip = {
    .domain = "",
    .name = "Clip",
    .since = 1,
    .flags = LMN_OP_INPLACE | LMN_OP_IMAGES,
    .in = IN,
    .out = OUT,
    .infer = infer_op,
    .eval = eval_op,
    .canon = canon_op,
};
