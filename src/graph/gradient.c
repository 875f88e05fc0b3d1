/*
 * Nodes in reverse order pass derivatives from their outputs to their inputs. Only nodes between x
 * and y take part. A value read twice gets the sum of what its readers pass back.
 *
 * The node table may grow (move) with every node that a rule appends: nodes are copied before use.
 */
#include "graph/gradient.h"

#include "ops/grad.h"

typedef struct sweep {
    lmn_graph *g;
    const lmn_builder *b;
    lmn_arena arena;
    size_t n_values; /* before anything was appended */
    bool *depends;   /* [n_values] on some x */
    lmn_ref *d;      /* [n_values] derivative so far, 0 = none */
    lmn_diags *diags;
    lmn_diag_at at;
} sweep;

static lmn_ref apply(const lmn_builder *b, const char *op, lmn_ref x, lmn_ref y)
{
    const lmn_ref in[2] = {x, y};
    lmn_ref out = 0;
    return x && b->node(b->ctx, op, in, y ? 2 : 1, NULL, 0, &out, 1) ? out : 0;
}

/* A tensor of type and shape of `like`, filled with v. */
static lmn_ref filled(const lmn_builder *b, float v, lmn_ref like)
{
    const lmn_ref one = b->constant(b->ctx, LAMINA_F32, 0, NULL, &v);
    return apply(b, "Expand", apply(b, "CastLike", one, like), apply(b, "Shape", like, 0));
}

static void mark(sweep *s)
{
    for (size_t i = 0; i < s->g->n_nodes; i++) {
        const lmn_gnode *n = &s->g->nodes[i];
        bool any = false;
        for (int32_t k = 0; k < n->op.n_in; k++) any = any || s->depends[n->in[k]];
        for (int32_t k = 0; any && k < n->op.n_out; k++)
            if (n->out[k]) s->depends[n->out[k]] = true;
    }
}

static bool accumulate(sweep *s, lmn_vid v, lmn_ref d)
{
    if (!d || !s->depends[v]) return true;
    s->d[v] = s->d[v] ? apply(s->b, "Add", s->d[v], d) : d;
    return s->d[v] != 0;
}

static lamina_status unsupported(sweep *s, const lmn_gnode *n, const char *when)
{
    return lmn_diag_add(s->diags, LMN_DIAG_ERROR, LAMINA_E_UNSUPPORTED, s->at,
                        "differentiate in the training framework and export the result",
                        "the gradient through %s (node \"%s\")%s is not known", n->op.def->name,
                        n->op.name, when);
}

/* Rules read inputs that are not optional unasked; a node without them was reported already. */
static bool is_whole(const lmn_opnode *n)
{
    const lmn_port *port = n->def->in;
    for (int32_t k = 0; port && port[k].name; k++)
        if (k >= n->n_in && !(port[k].flags & LMN_PORT_OPTIONAL)) return false;
    return true;
}

static lamina_status back(sweep *s, const lmn_gnode *n)
{
    bool reached = false, wanted = false;
    for (int32_t k = 0; k < n->op.n_out; k++) reached = reached || s->d[n->out[k]];
    for (int32_t k = 0; k < n->op.n_in; k++) wanted = wanted || s->depends[n->in[k]];
    if (!reached || !wanted) return LAMINA_OK;
    const lmn_grad_fn rule = lmn_grad_rule(n->op.def);
    if (!rule) return unsupported(s, n, "");
    if (!is_whole(&n->op)) return unsupported(s, n, " without its inputs");
    lmn_ref *dout = LMN_ARENA_ARRAY(&s->arena, lmn_ref, (size_t)n->op.n_out),
            *din = LMN_ARENA_ARRAY(&s->arena, lmn_ref, (size_t)n->op.n_in);
    if (!dout || !din) return LAMINA_E_NOMEM;
    for (int32_t k = 0; k < n->op.n_out; k++) dout[k] = s->d[n->out[k]];
    for (int32_t k = 0; k < n->op.n_in; k++) din[k] = 0;
    const lmn_grad grad = {&n->op, n->in, n->out, dout, din, s->b};
    if (!rule(&grad)) return unsupported(s, n, " with inputs of these ranks");
    for (int32_t k = 0; k < n->op.n_in; k++)
        if (!accumulate(s, n->in[k], din[k])) return LAMINA_E_NOMEM;
    return LAMINA_OK;
}

static lamina_status sweep_all(sweep *s, const lmn_gradient_of *of)
{
    for (int32_t i = 0; i < of->n_x; i++) s->depends[of->x[i]] = true;
    mark(s);
    s->d[of->y] = filled(s->b, 1.0F, of->y);
    if (!s->d[of->y]) return LAMINA_E_NOMEM;
    for (size_t i = s->g->n_nodes; i-- > 0;) {
        const lmn_gnode n = s->g->nodes[i];
        bool old = !n.dead;
        for (int32_t k = 0; k < n.op.n_out; k++) old = old && n.out[k] < s->n_values;
        if (old) LMN_TRY(back(s, &n));
    }
    for (int32_t i = 0; i < of->n_x; i++) {
        const lmn_ref d = s->d[of->x[i]];
        of->dx[i] = apply(s->b, "Identity", d ? d : filled(s->b, 0.0F, of->x[i]), 0);
        if (!of->dx[i]) return LAMINA_E_NOMEM;
    }
    return LAMINA_OK;
}

lamina_status lmn_graph_gradient(lmn_graph *g, const lmn_builder *b, const lmn_gradient_of *of,
                                 lmn_diags *diags, lmn_diag_at at)
{
    sweep s = {.g = g, .b = b, .n_values = g->n_values, .diags = diags, .at = at};
    lmn_arena_init(&s.arena, &g->engine->alloc, 0);
    s.depends = LMN_ARENA_ARRAY(&s.arena, bool, s.n_values);
    s.d = LMN_ARENA_ARRAY(&s.arena, lmn_ref, s.n_values);
    lamina_status st = LAMINA_E_NOMEM;
    if (s.depends && s.d) {
        for (size_t v = 0; v < s.n_values; v++) s.depends[v] = false, s.d[v] = 0;
        st = sweep_all(&s, of);
    }
    lmn_arena_finish(&s.arena);
    return st;
}
