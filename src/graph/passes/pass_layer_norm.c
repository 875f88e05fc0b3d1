/*
 * LayerNormalization written out: (x - mean) / sqrt(mean((x - mean)^2) + eps) * scale + bias over
 * the last axes becomes the operator, when scale and bias have exactly the shape of those axes; and
 * RMSNormalization, which is the same without the mean and the bias. f32, f16 and bf16; the norm of
 * half precision may be in f32 between Casts, which it then takes in. The last bits may change.
 */
#include "graph/passes/match.h"

/* Mean of x over the last axes, kept as extents of 1: x and how many axes, else 0. */
static lmn_vid mean_of(const lmn_match *m, lmn_vid v, int32_t *n_axes)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "ReduceMean");
    const lamina_tensor *axes = n && n->op.n_in == 2 ? lmn_match_const(m, n->in[1]) : NULL;
    if (!axes || axes->dtype != LAMINA_I64 || lmn_attr_i(&n->op, "keepdims", 1) == 0) return 0;
    const int32_t rank = m->g->values[n->in[0]].fact.rank;
    const int64_t count = lmn_count(axes);
    uint32_t mask = 0;
    if (rank < 1 || rank > LMN_MAX_RANK || count < 1 || count > rank) return 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t a = lmn_get_i64(axes, i);
        a += a < 0 ? rank : 0;
        if (a < rank - count || a >= rank) return 0;
        mask |= 1u << a;
    }
    if (mask >> (rank - count) != (1u << count) - 1) return 0;
    *n_axes = (int32_t)count;
    return n->in[0];
}

/* v = d^2? */
static bool square_of(const lmn_match *m, lmn_vid v, lmn_vid d)
{
    lmn_product p;
    return lmn_match_product(m, v, &d, 1, &p) && lmn_product_is(m, &p, 1, d, 2, 0);
}

/* v = sqrt(mean(d^2) + eps) over the last *n_axes? */
static bool deviation_of(const lmn_match *m, lmn_vid v, lmn_vid d, int32_t *n_axes, double *eps)
{
    const lmn_gnode *root = lmn_match_made_by(m, v, "Sqrt");
    const lmn_gnode *add = root ? lmn_match_made_by(m, root->in[0], "Add") : NULL;
    for (int32_t i = 0; add && i < 2; i++) {
        if (!lmn_match_scalar(m, add->in[i], eps)) continue;
        const lmn_vid sq = mean_of(m, add->in[1 - i], n_axes);
        return sq && square_of(m, sq, d) && *eps >= 0;
    }
    return false;
}

/* v = d / deviation, as a division or a product with the reciprocal. */
static bool normalised(const lmn_match *m, lmn_vid v, lmn_vid *d, lmn_vid *dev)
{
    const lmn_gnode *n = lmn_match_maker(m, v);
    double one;
    if (lmn_match_op(n, "Div")) {
        *d = n->in[0], *dev = n->in[1];
        return true;
    }
    for (int32_t i = 0; lmn_match_op(n, "Mul") && i < 2; i++) {
        const lmn_gnode *r = lmn_match_made_by(m, n->in[i], "Reciprocal");
        const lmn_gnode *q = lmn_match_made_by(m, n->in[i], "Div");
        if (!r && !(q && lmn_match_scalar(m, q->in[0], &one) && one == 1)) continue;
        *d = n->in[1 - i], *dev = r ? r->in[0] : q->in[1];
        return true;
    }
    return false;
}

/* v is (x - mean(x)) / deviation: x, else 0. */
static lmn_vid match_norm(const lmn_match *m, lmn_vid v, int32_t *n_axes, double *eps)
{
    lmn_vid d, dev;
    if (!normalised(m, v, &d, &dev)) return 0;
    const lmn_gnode *sub = lmn_match_made_by(m, d, "Sub");
    if (!sub) return 0;
    const lmn_vid x = mean_of(m, sub->in[1], n_axes);
    int32_t n = 0;
    if (!x || x != sub->in[0] || !deviation_of(m, dev, d, &n, eps) || n != *n_axes) return 0;
    return x;
}

/* v is x / sqrt(mean(x^2) + eps): x, else 0. */
static lmn_vid match_rms(const lmn_match *m, lmn_vid v, int32_t *n_axes, double *eps)
{
    lmn_vid x, root;
    return normalised(m, v, &x, &root) && deviation_of(m, root, x, n_axes, eps) ? x : 0;
}

/* Has v exactly the last n_axes extents of x? */
static bool fits_axes(const lmn_match *m, lmn_vid v, lmn_vid x, int32_t n_axes)
{
    const lmn_fact *f = &m->g->values[v].fact, *fx = &m->g->values[x].fact;
    if (f->kind != LMN_FACT_TENSOR || f->rank != n_axes) return false;
    for (int32_t i = 0; i < n_axes; i++) {
        const lmn_dim want = fx->dims[fx->rank - n_axes + i];
        if (!lmn_dim_known(want) || f->dims[i] != want) return false;
    }
    return true;
}

/* v, or what a Cast from f32 to the type of v was made of. */
static lmn_vid widened(const lmn_match *m, lmn_vid v)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "Cast");
    return n && lmn_match_once(m, v) && lmn_match_is_f32(m, n->in[0]) ? n->in[0] : v;
}

/* The normalised value times scale: x, the scale and what is known of the norm. A half x may have
   been widened; RMSNormalization does not ask that x has the type of the scale. */
typedef lmn_vid norm_fn(const lmn_match *m, lmn_vid v, int32_t *n_axes, double *eps);
static lmn_vid match_scaled(lmn_match *m, const lmn_gnode *mul, norm_fn *norm, lmn_vid *scale,
                            int32_t *n_axes, double *eps)
{
    const lamina_dtype dt = lmn_match_float(m, mul->out[0]);
    for (int32_t i = 0; dt && i < 2; i++) {
        lmn_vid x = norm(m, widened(m, mul->in[i]), n_axes, eps);
        *scale = mul->in[1 - i];
        if (x && lmn_match_float(m, x) != dt) x = lmn_match_narrow(m, x);
        if (!x || lmn_match_float(m, *scale) != dt || !fits_axes(m, *scale, x, *n_axes)) continue;
        if (lmn_match_float(m, x) == dt || (norm == match_rms && lmn_match_is_f32(m, x))) return x;
    }
    return 0;
}

static lamina_status become(lmn_match *m, lmn_gnode *n, const lmn_vid *in, int32_t n_in,
                            int32_t n_axes, double eps, const char *op)
{
    const lmn_attr attrs[2] = {
        {.name = "axis", .type = LMN_ATTR_INT, .n = 1, .u.i = -n_axes},
        {.name = "epsilon", .type = LMN_ATTR_FLOAT, .n = 1, .u.f = (float)eps}};
    return lmn_match_become(m, n,
                            &(lmn_rewrite){.domain = "",
                                           .op = op,
                                           .name = n->op.name,
                                           .opset = n->op.opset,
                                           .in = in,
                                           .n_in = n_in,
                                           .attrs = attrs,
                                           .n_attrs = 2});
}

/* First Add with a bias, then what is left as Mul. */
static lamina_status run(lmn_match *m)
{
    lmn_vid scale;
    int32_t n_axes;
    double eps;
    for (size_t i = 0; i < m->g->n_nodes; i++) {
        lmn_gnode *n = &m->g->nodes[i];
        if (n->dead || !lmn_match_op(n, "Add")) continue;
        for (int32_t k = 0; k < 2; k++) {
            const lmn_gnode *mul = lmn_match_made_by(m, n->in[k], "Mul");
            if (!mul || !lmn_match_once(m, n->in[k])) continue;
            const lmn_vid x = match_scaled(m, mul, match_norm, &scale, &n_axes, &eps);
            const lmn_vid bias = n->in[1 - k];
            if (!x || !fits_axes(m, bias, x, n_axes) ||
                lmn_match_float(m, bias) != lmn_match_float(m, x))
                continue;
            LMN_TRY(become(m, n, (const lmn_vid[]){x, scale, bias}, 3, n_axes, eps,
                           "LayerNormalization"));
            break;
        }
    }
    for (size_t i = 0; i < m->g->n_nodes; i++) {
        lmn_gnode *n = &m->g->nodes[i];
        if (n->dead || !lmn_match_op(n, "Mul")) continue;
        lmn_vid x = match_scaled(m, n, match_norm, &scale, &n_axes, &eps);
        const char *op = x ? "LayerNormalization" : "RMSNormalization";
        if (!x) x = match_scaled(m, n, match_rms, &scale, &n_axes, &eps);
        if (x) LMN_TRY(become(m, n, (const lmn_vid[]){x, scale}, 2, n_axes, eps, op));
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_layer_norm(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_layer_norm(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
