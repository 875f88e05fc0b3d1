/*
 * Activations written out as arithmetic become the operators they are: Gelu by erf and by tanh,
 * Swish (with its factor, as quick Gelu has it), HardSwish. f32, f16 and bf16; constants as near
 * their value as the type allows. The last bits may change.
 */
#include "graph/passes/match.h"

#include <math.h>

#define SQRT_HALF 0.70710678118654752440
#define SQRT_2_OVER_PI 0.79788456080286535588
#define MAX_LEVELS 3

/* The input of `op` in 1 + op(arg), else 0. */
static lmn_vid one_plus(const lmn_match *m, lmn_vid v, const char *op)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "Add");
    double k;
    for (int32_t i = 0; n && i < 2; i++) {
        const lmn_gnode *f = lmn_match_made_by(m, n->in[i], op);
        if (f && lmn_match_once(m, n->in[i]) && lmn_match_scalar(m, n->in[1 - i], &k) && k == 1)
            return f->in[0];
    }
    return 0;
}

typedef lmn_vid part_fn(const lmn_match *m, lmn_vid v);

/* The part of the product v for which `is` gives a value; *arg gets that value. */
static lmn_vid find_part(const lmn_match *m, lmn_vid v, int32_t levels, part_fn *is, lmn_vid *arg)
{
    *arg = is(m, v);
    if (*arg) return v;
    const lmn_gnode *n = levels > 0 ? lmn_match_maker(m, v) : NULL;
    if (!lmn_match_op(n, "Mul") && !lmn_match_op(n, "Div")) return 0;
    for (int32_t i = 0; i < 2; i++) {
        const lmn_vid part = find_part(m, n->in[i], levels - 1, is, arg);
        if (part) return part;
    }
    return 0;
}

static lmn_vid is_erf(const lmn_match *m, lmn_vid v)
{
    return one_plus(m, v, "Erf");
}
static lmn_vid is_tanh(const lmn_match *m, lmn_vid v)
{
    return one_plus(m, v, "Tanh");
}

/* v = Mul(x, scale) or Div(x, 1 / scale): x, else 0. */
static lmn_vid scaled(const lmn_match *m, lmn_vid v, double scale)
{
    const lmn_gnode *n = lmn_match_maker(m, v);
    double k;
    if (lmn_match_op(n, "Div"))
        return lmn_match_scalar(m, n->in[1], &k) && lmn_match_near(m, k, 1 / scale) ? n->in[0] : 0;
    if (!lmn_match_op(n, "Mul")) return 0;
    for (int32_t i = 0; i < 2; i++)
        if (lmn_match_scalar(m, n->in[i], &k) && lmn_match_near(m, k, scale)) return n->in[1 - i];
    return 0;
}

/* Is v = scale * x^times * other? */
static bool product_is(const lmn_match *m, lmn_vid v, double scale, lmn_vid x, int32_t times,
                       lmn_vid other)
{
    const lmn_vid stop[2] = {x, other};
    lmn_product p;
    return lmn_match_product(m, v, stop, other ? 2 : 1, &p) &&
           lmn_product_is(m, &p, scale, x, times, other);
}

/* arg = sqrt(2 / pi) (x + 0.044715 x^3): x, else 0. */
static lmn_vid cubic_sum(const lmn_match *m, lmn_vid arg)
{
    const lmn_vid sum = scaled(m, arg, SQRT_2_OVER_PI);
    const lmn_gnode *n = sum ? lmn_match_made_by(m, sum, "Add") : NULL;
    for (int32_t i = 0; n && i < 2; i++)
        if (product_is(m, n->in[1 - i], 0.044715, n->in[i], 3, 0)) return n->in[i];
    return 0;
}

/* sum = 1 + 0.044715 x^2 ? */
static bool square_sum(const lmn_match *m, lmn_vid sum, lmn_vid x)
{
    const lmn_gnode *n = lmn_match_made_by(m, sum, "Add");
    double k;
    for (int32_t i = 0; n && i < 2; i++)
        if (lmn_match_scalar(m, n->in[i], &k) && k == 1 &&
            product_is(m, n->in[1 - i], 0.044715, x, 2, 0))
            return true;
    return false;
}

/* arg = sqrt(2 / pi) x (1 + 0.044715 x^2): is it so for this x? */
static bool factored_cubic(const lmn_match *m, lmn_vid arg, lmn_vid x)
{
    const lmn_vid stop[1] = {x};
    lmn_product p;
    if (!lmn_match_product(m, arg, stop, 1, &p) || p.n != 2) return false;
    const lmn_vid sum = p.leaf[0] == x ? p.leaf[1] : p.leaf[0];
    return lmn_product_is(m, &p, SQRT_2_OVER_PI, x, 1, sum) && square_sum(m, sum, x);
}

/* Candidates for x are all factors of arg. */
static lmn_vid factored_of(const lmn_match *m, lmn_vid arg, lmn_vid v, int32_t levels)
{
    if (factored_cubic(m, arg, v)) return v;
    const lmn_gnode *n = levels > 0 ? lmn_match_maker(m, v) : NULL;
    for (int32_t i = 0; lmn_match_op(n, "Mul") && i < 2; i++) {
        const lmn_vid x = factored_of(m, arg, n->in[i], levels - 1);
        if (x) return x;
    }
    return 0;
}

/* All else in an activation is of one element, so equal ranks are equal shapes. */
static bool stays(lmn_match *m, lmn_vid x, lmn_vid out)
{
    const lamina_dtype dt = lmn_match_float(m, x);
    return dt && dt == lmn_match_float(m, out) &&
           m->g->values[x].fact.rank == m->g->values[out].fact.rank;
}

static lamina_status become(lmn_match *m, lmn_gnode *n, const char *op, lmn_vid x,
                            const lmn_attr *attr)
{
    return lmn_match_become(m, n,
                            &(lmn_rewrite){.domain = "",
                                           .op = op,
                                           .name = n->op.name,
                                           .opset = n->op.opset,
                                           .in = &x,
                                           .n_in = 1,
                                           .attrs = attr,
                                           .n_attrs = attr ? 1 : 0});
}

static lamina_status try_gelu(lmn_match *m, lmn_gnode *n, bool *done)
{
    lmn_vid arg, x = 0;
    const lmn_vid out = n->out[0];
    lmn_vid part = find_part(m, out, MAX_LEVELS, is_erf, &arg);
    const bool by_erf = part != 0;
    if (by_erf) {
        x = scaled(m, arg, SQRT_HALF);
    } else {
        part = find_part(m, out, MAX_LEVELS, is_tanh, &arg);
        if (!part) return LAMINA_OK;
        x = cubic_sum(m, arg);
        if (!x) x = factored_of(m, arg, arg, MAX_LEVELS);
    }
    if (!x || !product_is(m, out, 0.5, x, 1, part)) return LAMINA_OK;
    if (!stays(m, x, out)) return LAMINA_OK;
    *done = true;
    if (by_erf) return become(m, n, "Gelu", x, NULL);
    char *text = lmn_arena_str(&m->g->arena, "tanh");
    const lmn_attr attr = {
        .name = "approximate", .type = LMN_ATTR_STRING, .n = 1, .u.s = {text, 4}};
    return text ? become(m, n, "Gelu", x, &attr) : LAMINA_E_NOMEM;
}

/* v = alpha * x with a positive constant? */
static bool is_multiple(const lmn_match *m, lmn_vid v, lmn_vid x, double *alpha)
{
    lmn_product p;
    *alpha = 1;
    if (v == x) return true;
    if (!lmn_match_once(m, v) || !lmn_match_product(m, v, &x, 1, &p)) return false;
    *alpha = p.scale;
    return p.n == 1 && p.leaf[0] == x && p.scale > 0 && isfinite((float)p.scale);
}

static lamina_status try_swish(lmn_match *m, lmn_gnode *n, bool *done)
{
    double alpha;
    if (!lmn_match_op(n, "Mul")) return LAMINA_OK;
    for (int32_t i = 0; i < 2; i++) {
        const lmn_vid x = n->in[1 - i];
        const lmn_gnode *s = lmn_match_made_by(m, n->in[i], "Sigmoid");
        if (!stays(m, x, n->out[0]) || !lmn_match_once(m, n->in[i])) continue;
        if (s && is_multiple(m, s->in[0], x, &alpha)) {
            const lmn_attr attr = {
                .name = "alpha", .type = LMN_ATTR_FLOAT, .n = 1, .u.f = (float)alpha};
            *done = true;
            return become(m, n, "Swish", x, alpha == 1 ? NULL : &attr);
        }
        s = lmn_match_made_by(m, n->in[i], "HardSigmoid");
        if (s && s->in[0] == x &&
            lmn_match_near(m, (double)lmn_attr_f(&s->op, "alpha", 0.2f), 1.0 / 6) &&
            lmn_match_near(m, (double)lmn_attr_f(&s->op, "beta", 0.5f), 0.5)) {
            *done = true;
            return become(m, n, "HardSwish", x, NULL);
        }
    }
    return LAMINA_OK;
}

/* v = min(6, max(0, x + 3)): x, else 0. */
static lmn_vid is_relu6_of_3(const lmn_match *m, lmn_vid v)
{
    const lmn_gnode *c = lmn_match_made_by(m, v, "Clip");
    double lo, hi, k;
    if (!c || c->op.n_in != 3 || !lmn_match_once(m, v) || !lmn_match_scalar(m, c->in[1], &lo) ||
        !lmn_match_scalar(m, c->in[2], &hi) || lo != 0 || hi != 6)
        return 0;
    const lmn_gnode *a = lmn_match_made_by(m, c->in[0], "Add");
    for (int32_t i = 0; a && i < 2; i++)
        if (lmn_match_scalar(m, a->in[i], &k) && k == 3) return a->in[1 - i];
    return 0;
}

static lamina_status try_hard_swish(lmn_match *m, lmn_gnode *n, bool *done)
{
    lmn_vid x;
    const lmn_vid out = n->out[0], part = find_part(m, out, MAX_LEVELS, is_relu6_of_3, &x);
    if (!part || !product_is(m, out, 1.0 / 6, x, 1, part)) return LAMINA_OK;
    if (!stays(m, x, out)) return LAMINA_OK;
    *done = true;
    return become(m, n, "HardSwish", x, NULL);
}

static lamina_status run(lmn_match *m)
{
    for (size_t i = 0; i < m->g->n_nodes; i++) {
        lmn_gnode *n = &m->g->nodes[i];
        bool done = false;
        if (n->dead || (!lmn_match_op(n, "Mul") && !lmn_match_op(n, "Div")) || !n->out[0] ||
            !lmn_match_float(m, n->out[0]))
            continue;
        LMN_TRY(try_swish(m, n, &done));
        if (!done) LMN_TRY(try_gelu(m, n, &done));
        if (!done) LMN_TRY(try_hard_swish(m, n, &done));
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_activations(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_activations(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
