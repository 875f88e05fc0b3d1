/*
 * What follows a product or convolution element by element moves into its epilogue: activations,
 * Add and Mul with an operand that provably fits (a bias, a residual, a scalar). f32 only. The bits
 * stay: an epilogue is the same arithmetic as the separate operators.
 *
 * The fused node stands where the absorbed one stood, so its operands come before it, and keeps the
 * name of the product with a trace of what it absorbed.
 */
#include "graph/passes/match.h"
#include "ops/fused.h"

#include <math.h>
#include <string.h>

typedef struct base_op {
    const char *plain, *fused;
    int32_t n_in; /* of the plain operator, optional ones counted */
} base_op;
static const base_op BASES[] = {
    {"Conv", "FusedConv", 3}, {"MatMul", "FusedMatMul", 2}, {"Gemm", "FusedGemm", 3}};

/* The operation a node would be in an epilogue; false if none. ADD and MUL have an operand. */
static bool step_of(const lmn_match *m, const lmn_gnode *n, lmn_fused_step *s)
{
    static const struct {
        const char *op;
        lmn_epi_kind kind;
    } KINDS[] = {{"Add", LMN_EPI_ADD},
                 {"Mul", LMN_EPI_MUL},
                 {"Relu", LMN_EPI_RELU},
                 {"Clip", LMN_EPI_CLIP},
                 {"Sigmoid", LMN_EPI_SIGMOID},
                 {"Tanh", LMN_EPI_TANH},
                 {"Swish", LMN_EPI_SILU},
                 {"Gelu", LMN_EPI_GELU},
                 {"HardSwish", LMN_EPI_HARDSWISH},
                 {"HardSigmoid", LMN_EPI_HARDSIGMOID},
                 {"LeakyRelu", LMN_EPI_LEAKYRELU}};
    size_t i = 0;
    while (i < LMN_COUNT(KINDS) && !lmn_match_op(n, KINDS[i].op)) i++;
    if (i == LMN_COUNT(KINDS)) return false;
    *s = (lmn_fused_step){.kind = KINDS[i].kind, .operand = -1};
    double lo = -(double)INFINITY, hi = (double)INFINITY;
    switch (s->kind) {
    case LMN_EPI_CLIP:
        for (int32_t k = 1; k < n->op.n_in; k++)
            if (n->in[k] && !lmn_match_scalar(m, n->in[k], k == 1 ? &lo : &hi)) return false;
        s->p0 = (float)lo, s->p1 = (float)hi;
        break;
    case LMN_EPI_GELU:
        if (lmn_attr_is(&n->op, "approximate", "tanh", "none")) s->kind = LMN_EPI_GELU_TANH;
        break;
    case LMN_EPI_SILU:
        if (lmn_attr_f(&n->op, "alpha", 1) != 1) return false;
        break;
    case LMN_EPI_HARDSIGMOID:
        s->p0 = lmn_attr_f(&n->op, "alpha", 0.2f), s->p1 = lmn_attr_f(&n->op, "beta", 0.5f);
        break;
    case LMN_EPI_LEAKYRELU: s->p0 = lmn_attr_f(&n->op, "alpha", 0.01f); break;
    default: break;
    }
    return !isnan(s->p0) && !isnan(s->p1);
}

/* ---- the product -------------------------------------------------------------------------------
 */

static const base_op *base_of(const lmn_gnode *n)
{
    for (size_t i = 0; n && i < LMN_COUNT(BASES); i++) {
        const bool fused = strcmp(n->op.def->domain, "lamina") == 0;
        if (fused ? strcmp(n->op.def->name, BASES[i].fused) == 0 : lmn_match_op(n, BASES[i].plain))
            return &BASES[i];
    }
    return NULL;
}

/* Shapes whose epilogue the fast kernels take: what they do not stays apart, where its parts may be
   fast. Products whose batches broadcast are not among them. */
static bool known_shapes(const lmn_match *m, const lmn_gnode *n, const base_op *b)
{
    const lmn_fact *fa = &m->g->values[n->in[0]].fact, *fb = &m->g->values[n->in[1]].fact;
    if (b == &BASES[0]) return fa->rank >= 3 && fa->rank <= 5 && fa->rank == fb->rank;
    if (fa->rank < 2 || fb->rank < 2) return false;
    for (int32_t i = 0; fb->rank > 2 && i < fb->rank - 2; i++)
        if (fa->rank != fb->rank || !lmn_dim_known(fa->dims[i]) || fa->dims[i] != fb->dims[i])
            return false;
    return true;
}

/* The product that makes v and has room for one more step. */
static lmn_gnode *product_of(const lmn_match *m, lmn_vid v, const base_op **b)
{
    const int64_t *epi;
    lmn_gnode *n = lmn_match_maker(m, v);
    *b = base_of(n);
    if (!*b || n->op.n_in < 2 || !n->in[0] || !n->in[1] || n->out[0] != v) return NULL;
    if (!lmn_match_once(m, v) || !lmn_match_is_f32(m, v) || !known_shapes(m, n, *b)) return NULL;
    if (lmn_attr_ints(&n->op, "epi", &epi) >= LMN_EPI_MAX) return NULL;
    return n;
}

/* Does operand x fit into y in one of the layouts of epi.h: one value, one a channel (Conv) or a
   column, or y's own shape? */
static bool operand_fits(const lmn_match *m, lmn_vid x, lmn_vid y, const base_op *b)
{
    const lmn_fact *fx = &m->g->values[x].fact, *fy = &m->g->values[y].fact;
    if (!lmn_match_is_f32(m, x) || fx->rank > fy->rank) return false;
    if (lmn_match_same_shape(m, x, y)) return true;
    const int32_t axis = b == &BASES[0] ? 1 : fy->rank - 1, shift = fy->rank - fx->rank;
    for (int32_t d = 0; d < fx->rank; d++) {
        const lmn_dim want = fy->dims[shift + d];
        const bool all = shift + d == axis && lmn_dim_known(want) && fx->dims[d] == want;
        if (fx->dims[d] != lmn_dim_c(1) && !all) return false;
    }
    return true;
}

/* ---- rewriting ---------------------------------------------------------------------------------
 */

/* The attributes of the product without an old epilogue, then the longer one. */
static lmn_attr *attrs_with(lmn_match *m, const lmn_gnode *p, const lmn_fused_step *s, int32_t *n)
{
    lmn_arena *a = &m->g->arena;
    const int64_t *epi;
    const float *par;
    const int32_t n_epi = lmn_attr_ints(&p->op, "epi", &epi);
    (void)lmn_attr_floats(&p->op, "epi_p", &par);
    lmn_attr *attrs = LMN_ARENA_ARRAY(a, lmn_attr, (size_t)p->op.n_attrs + 2);
    int64_t *kinds = LMN_ARENA_ARRAY(a, int64_t, (size_t)n_epi + 1);
    float *params = LMN_ARENA_ARRAY(a, float, 2 * ((size_t)n_epi + 1));
    if (!attrs || !kinds || !params) return NULL;
    *n = 0;
    for (int32_t i = 0; i < p->op.n_attrs; i++)
        if (!n_epi || (strcmp(p->op.attrs[i].name, "epi") && strcmp(p->op.attrs[i].name, "epi_p")))
            attrs[(*n)++] = p->op.attrs[i];
    for (int32_t i = 0; i < n_epi; i++) {
        kinds[i] = epi[i];
        params[2 * i] = par[2 * i], params[2 * i + 1] = par[2 * i + 1];
    }
    kinds[n_epi] = s->kind;
    params[2 * n_epi] = s->p0, params[2 * n_epi + 1] = s->p1;
    attrs[(*n)++] =
        (lmn_attr){.name = "epi", .type = LMN_ATTR_INTS, .n = n_epi + 1, .u.ints = kinds};
    attrs[(*n)++] = (lmn_attr){
        .name = "epi_p", .type = LMN_ATTR_FLOATS, .n = 2 * (n_epi + 1), .u.floats = params};
    return attrs;
}

static lamina_status absorb(lmn_match *m, lmn_gnode *p, const base_op *b, lmn_gnode *n,
                            const lmn_fused_step *s, lmn_vid operand)
{
    lmn_vid in[3 + LMN_EPI_MAX] = {0};
    int32_t n_in = p->op.n_in, n_attrs;
    const int64_t *epi;
    /* A file may hold a fused node that is wrong: it is left to complain about itself. */
    lmn_fused old;
    if (lmn_attr_ints(&p->op, "epi", &epi) && lmn_fused_read(&p->op, b->n_in, &old))
        return LAMINA_OK;
    if (n_in > (int32_t)LMN_COUNT(in) - 1) return LAMINA_OK;
    memcpy(in, p->in, (size_t)n_in * sizeof *in);
    if (operand) {
        if (n_in < b->n_in) n_in = b->n_in;
        in[n_in++] = operand;
    }
    lmn_attr *attrs = attrs_with(m, p, s, &n_attrs);
    const char *name = lmn_match_trace(m, &p->op, &n->op);
    if (!attrs || !name) return LAMINA_E_NOMEM;
    const uint32_t id = p->op.id;
    const int32_t opset = p->op.opset;
    LMN_TRY(lmn_match_become(m, n,
                             &(lmn_rewrite){.domain = "lamina",
                                            .op = b->fused,
                                            .name = name,
                                            .opset = opset,
                                            .in = in,
                                            .n_in = n_in,
                                            .attrs = attrs,
                                            .n_attrs = n_attrs,
                                            .takes = p}));
    n->op.id = id;
    return LAMINA_OK;
}

static lamina_status try_absorb(lmn_match *m, lmn_gnode *n)
{
    lmn_fused_step s;
    const base_op *b = NULL, *other;
    if (n->op.n_in < 1 || n->op.n_out != 1 || !step_of(m, n, &s)) return LAMINA_OK;
    const bool binary = s.kind == LMN_EPI_ADD || s.kind == LMN_EPI_MUL;
    lmn_gnode *p = product_of(m, n->in[0], &b);
    if (!binary) return p ? absorb(m, p, b, n, &s, 0) : LAMINA_OK;
    if (n->op.n_in != 2 || n->in[0] == n->in[1]) return LAMINA_OK;
    lmn_vid operand = n->in[1];
    if (p && !operand_fits(m, operand, n->in[0], b)) p = NULL;
    /* Of two products the later one goes on: the other's result waits less. */
    lmn_gnode *q = product_of(m, n->in[1], &other);
    if (q && (!p || q > p) && operand_fits(m, n->in[0], n->in[1], other)) {
        p = q;
        b = other;
        operand = n->in[0];
    }
    return p ? absorb(m, p, b, n, &s, operand) : LAMINA_OK;
}

static lamina_status run(lmn_match *m)
{
    for (size_t i = 0; i < m->g->n_nodes; i++)
        if (!m->g->nodes[i].dead) LMN_TRY(try_absorb(m, &m->g->nodes[i]));
    return LAMINA_OK;
}

lamina_status lmn_pass_epilogue(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_epilogue(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
