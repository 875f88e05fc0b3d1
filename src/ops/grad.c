/*
 * The rules, one function an operator, and the table that finds them. All are of operators with one
 * output, so dout[0] is set whenever a rule is called. Broadcast inputs get the sum over the axes
 * along which they were repeated.
 */
#include "ops/grad.h"

#include <string.h>

static lmn_ref apply(const lmn_grad *g, const char *op, lmn_ref x, lmn_ref y)
{
    const lmn_ref in[2] = {x, y};
    lmn_ref out = 0;
    return x && g->b->node(g->b->ctx, op, in, y ? 2 : 1, NULL, 0, &out, 1) ? out : 0;
}

static lmn_ref apply3(const lmn_grad *g, const char *op, const lmn_ref in[3])
{
    lmn_ref out = 0;
    return in[0] && in[1] && in[2] && g->b->node(g->b->ctx, op, in, 3, NULL, 0, &out, 1) ? out : 0;
}

/* The number v in the type of `like`, a scalar. */
static lmn_ref number(const lmn_grad *g, float v, lmn_ref like)
{
    return apply(g, "CastLike", g->b->constant(g->b->ctx, LAMINA_F32, 0, NULL, &v), like);
}

static bool same_shape(const lmn_fact *a, const lmn_fact *b)
{
    if (a->rank < 0 || a->rank != b->rank) return false;
    for (int32_t k = 0; k < a->rank; k++)
        if (!lmn_dim_known(a->dims[k]) || a->dims[k] != b->dims[k]) return false;
    return true;
}

/* Axes along which `x` has extent 1 once its shape is led by ones to the rank of d. */
static lmn_ref repeated_axes(const lmn_grad *g, lmn_ref shape, int32_t lead)
{
    static const int64_t ONES[LMN_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    const int64_t n = lead, one = 1, minus = -1, i1 = 1;
    const lmn_attr axis = {.name = "axis", .type = LMN_ATTR_INT, .n = 1, .u.i = 0};
    if (lead > 0) {
        const lmn_ref in[2] = {g->b->constant(g->b->ctx, LAMINA_I64, 1, &n, ONES), shape};
        lmn_ref out = 0;
        if (!in[0] || !g->b->node(g->b->ctx, "Concat", in, 2, &axis, 1, &out, 1)) return 0;
        shape = out;
    }
    const lmn_ref is_one =
        apply(g, "Equal", shape, g->b->constant(g->b->ctx, LAMINA_I64, 0, NULL, &one));
    return apply(g, "Reshape", apply(g, "NonZero", is_one, 0),
                 g->b->constant(g->b->ctx, LAMINA_I64, 1, &i1, &minus));
}

/* `d`, perhaps broadcast, summed to the shape of input i. */
static lmn_ref fit(const lmn_grad *g, int32_t i, lmn_ref d)
{
    if (!d) return 0;
    const lmn_fact *x = g->b->fact(g->b->ctx, g->in[i]), *y = g->b->fact(g->b->ctx, d);
    if (same_shape(x, y)) return d;
    if (x->rank < 0 || y->rank < x->rank) return 0;
    const int32_t lead = y->rank - x->rank;
    const lmn_ref shape = apply(g, "Shape", g->in[i], 0), axes = repeated_axes(g, shape, lead);
    const lmn_attr noop = {.name = "noop_with_empty_axes", .type = LMN_ATTR_INT, .n = 1, .u.i = 1};
    const lmn_ref in[2] = {d, axes};
    lmn_ref sum = 0;
    if (!axes || !g->b->node(g->b->ctx, "ReduceSum", in, 2, &noop, 1, &sum, 1)) return 0;
    return apply(g, "Reshape", sum, shape);
}

static bool pass(const lmn_grad *g, int32_t i, lmn_ref d)
{
    return (g->din[i] = fit(g, i, d)) != 0;
}

static bool grad_identity(const lmn_grad *g)
{
    return (g->din[0] = g->dout[0]) != 0;
}

static bool grad_add(const lmn_grad *g)
{
    return pass(g, 0, g->dout[0]) && pass(g, 1, g->dout[0]);
}

static bool grad_sum(const lmn_grad *g)
{
    for (int32_t i = 0; i < g->node->n_in; i++)
        if (!pass(g, i, g->dout[0])) return false;
    return true;
}

static bool grad_sub(const lmn_grad *g)
{
    return pass(g, 0, g->dout[0]) && pass(g, 1, apply(g, "Neg", g->dout[0], 0));
}

static bool grad_mul(const lmn_grad *g)
{
    return pass(g, 0, apply(g, "Mul", g->dout[0], g->in[1])) &&
           pass(g, 1, apply(g, "Mul", g->dout[0], g->in[0]));
}

/* y = a / b: da = d / b, db = -y d / b. */
static bool grad_div(const lmn_grad *g)
{
    const lmn_ref d = apply(g, "Div", g->dout[0], g->in[1]);
    return pass(g, 0, d) && pass(g, 1, apply(g, "Neg", apply(g, "Mul", d, g->out[0]), 0));
}

static bool grad_neg(const lmn_grad *g)
{
    return pass(g, 0, apply(g, "Neg", g->dout[0], 0));
}

static bool grad_exp(const lmn_grad *g)
{
    return pass(g, 0, apply(g, "Mul", g->dout[0], g->out[0]));
}

static bool grad_log(const lmn_grad *g)
{
    return pass(g, 0, apply(g, "Div", g->dout[0], g->in[0]));
}

/* d / (2 y) */
static bool grad_sqrt(const lmn_grad *g)
{
    return pass(g, 0, apply(g, "Div", g->dout[0], apply(g, "Add", g->out[0], g->out[0])));
}

/* d (1 - y^2) */
static bool grad_tanh(const lmn_grad *g)
{
    const lmn_ref y2 = apply(g, "Mul", g->out[0], g->out[0]);
    const lmn_ref one = number(g, 1.0F, g->out[0]);
    return y2 && one && pass(g, 0, apply(g, "Mul", g->dout[0], apply(g, "Sub", one, y2)));
}

/* d y (1 - y) */
static bool grad_sigmoid(const lmn_grad *g)
{
    const lmn_ref one = number(g, 1.0F, g->out[0]), dy = apply(g, "Mul", g->dout[0], g->out[0]);
    return one && dy && pass(g, 0, apply(g, "Mul", dy, apply(g, "Sub", one, g->out[0])));
}

static bool grad_relu(const lmn_grad *g)
{
    const lmn_ref zero = number(g, 0.0F, g->in[0]);
    const lmn_ref in[3] = {zero ? apply(g, "Greater", g->in[0], zero) : 0, g->dout[0], zero};
    return pass(g, 0, apply3(g, "Where", in));
}

/* The last two axes exchanged; 0 for vectors and unknown ranks. */
static lmn_ref turned(const lmn_grad *g, lmn_ref x)
{
    int64_t perm[LMN_MAX_RANK];
    const int32_t rank = g->b->fact(g->b->ctx, x)->rank;
    if (rank < 2) return 0;
    for (int32_t k = 0; k < rank; k++) perm[k] = k;
    perm[rank - 1] = rank - 2;
    perm[rank - 2] = rank - 1;
    const lmn_attr a = {.name = "perm", .type = LMN_ATTR_INTS, .n = rank, .u.ints = perm};
    lmn_ref out = 0;
    return g->b->node(g->b->ctx, "Transpose", &x, 1, &a, 1, &out, 1) ? out : 0;
}

/* dA = d B', dB = A' d; the fit sums broadcast batches. */
static bool grad_matmul(const lmn_grad *g)
{
    const lmn_ref a = turned(g, g->in[0]), b = turned(g, g->in[1]);
    return a && b && pass(g, 0, apply(g, "MatMul", g->dout[0], b)) &&
           pass(g, 1, apply(g, "MatMul", a, g->dout[0]));
}

static const struct {
    const char *name;
    lmn_grad_fn rule;
} RULES[] = {{"Add", grad_add},         {"Div", grad_div},           {"Exp", grad_exp},
             {"Log", grad_log},         {"Identity", grad_identity}, {"MatMul", grad_matmul},
             {"Mul", grad_mul},         {"Neg", grad_neg},           {"Relu", grad_relu},
             {"Sigmoid", grad_sigmoid}, {"Sqrt", grad_sqrt},         {"Sub", grad_sub},
             {"Sum", grad_sum},         {"Tanh", grad_tanh}};

lmn_grad_fn lmn_grad_rule(const lmn_op_def *def)
{
    for (size_t i = 0; i < LMN_COUNT(RULES); i++)
        if (*def->domain == 0 && strcmp(def->name, RULES[i].name) == 0) return RULES[i].rule;
    return NULL;
}
