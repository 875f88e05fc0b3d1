/*
 * One node of a file into the graph: its operator's canon function rewrites old versions through
 * the builder below, then what came out is inferred, so that the next node's canon sees facts.
 */
#include "graph/gradient.h"

#include <string.h>

typedef struct builder {
    lmn_graph *g;
    lmn_diags *diags;
    const lmn_opnode *origin;
    lamina_status status;
} builder;

static lmn_builder vtable(builder *b);

static lmn_diag_at origin_at(const builder *b)
{
    return (lmn_diag_at){b->origin->name, b->origin->def->name, b->origin->opset};
}

/* Infer the last appended node into its values' facts; declared facts are met, contradictions
 * noted. */
static lamina_status infer_last(lmn_graph *g, lmn_diags *diags)
{
    lmn_gnode *n = &g->nodes[g->n_nodes - 1];
    const size_t n_in = (size_t)n->op.n_in, n_out = (size_t)n->op.n_out;
    const lmn_fact **in = LMN_ARENA_ARRAY(&g->arena, const lmn_fact *, n_in);
    const lamina_tensor **in_const = LMN_ARENA_ARRAY(&g->arena, const lamina_tensor *, n_in);
    lmn_fact *out = LMN_ARENA_ARRAY(&g->arena, lmn_fact, n_out);
    if (g->arena.failed || !in || !in_const || !out) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < n_in; i++) {
        in[i] = n->in[i] ? &g->values[n->in[i]].fact : NULL;
        in_const[i] = g->values[n->in[i]].is_input ? NULL : g->values[n->in[i]].constant;
    }
    lamina_status st = lmn_graph_infer_node(g->dims, &g->arena, n, in, in_const, out, diags);
    for (size_t i = 0; i < n_out; i++) {
        if (!n->out[i]) continue;
        lmn_fact declared = g->values[n->out[i]].fact;
        g->values[n->out[i]].fact = out[i];
        if (!lmn_fact_unify(g->dims, &g->values[n->out[i]].fact, &declared))
            g->values[n->out[i]].fact = out[i];
    }
    return st;
}

/* A tensor owns its strings, so these are copied one by one; the rest is bytes. */
static lamina_status fill(lamina_tensor *t, const void *data)
{
    if (t->dtype != LAMINA_STRING) {
        if (t->data_bytes) memcpy(t->data, data, t->data_bytes);
        return LAMINA_OK;
    }
    const lmn_str *s = data;
    for (int64_t i = 0, n = lmn_count(t); i < n; i++)
        LMN_TRY(lamina_tensor_set_string(t, i, s[i].p ? s[i].p : "", s[i].n));
    return LAMINA_OK;
}

static lmn_ref build_constant(void *ctx, lamina_dtype dt, int32_t rank, const int64_t *dims,
                              const void *data)
{
    builder *b = ctx;
    lamina_tensor *t = NULL;
    lmn_ref r = 0;
    b->status = lamina_tensor_create(b->g->engine, dt, rank, dims, &t);
    if (b->status == LAMINA_OK) b->status = fill(t, data);
    if (b->status == LAMINA_OK) {
        r = lmn_graph_constant(b->g, "", t);
        if (!r) b->status = LAMINA_E_NOMEM;
    }
    lamina_tensor_unref(t);
    return r;
}

static const lmn_op_def *find_qualified(const char *op)
{
    const char *colon = strchr(op, ':');
    if (!colon) return lmn_op_find("", op);
    char domain[64];
    (void)lmn_format(domain, sizeof domain, "%.*s", (int)(colon - op), op);
    return lmn_op_find(domain, colon + 1);
}

/* The attributes with their lists in the arena: rules make them on their stack. */
static const lmn_attr *own_attrs(lmn_graph *g, const lmn_attr *attrs, int32_t n)
{
    lmn_attr *own = lmn_arena_dup(&g->arena, attrs, (size_t)n * sizeof *attrs);
    for (int32_t i = 0; own && i < n; i++) {
        lmn_attr *a = &own[i];
        if (a->type == LMN_ATTR_INTS)
            a->u.ints = lmn_arena_dup(&g->arena, a->u.ints, (size_t)a->n * sizeof *a->u.ints);
        else if (a->type == LMN_ATTR_FLOATS)
            a->u.floats = lmn_arena_dup(&g->arena, a->u.floats, (size_t)a->n * sizeof *a->u.floats);
    }
    return g->arena.failed ? NULL : own;
}

static bool build_node(void *ctx, const char *op, const lmn_ref *in, int32_t n_in,
                       const lmn_attr *attrs, int32_t n_attrs, lmn_ref *out, int32_t n_out)
{
    builder *b = ctx;
    const lmn_op_def *def = find_qualified(op);
    if (!def) {
        b->status = lmn_diag_add(b->diags, LMN_DIAG_ERROR, LAMINA_E_UNSUPPORTED, origin_at(b), NULL,
                                 "its canonical form needs operator %s, which is missing", op);
        return false;
    }
    for (int32_t i = 0; i < n_out; i++)
        if (!(out[i] = lmn_graph_value(b->g, "", NULL))) return b->status = LAMINA_E_NOMEM, false;
    const lmn_opnode node = {.def = def,
                             .name = b->origin->name,
                             .opset = b->origin->opset,
                             .n_in = n_in,
                             .n_out = n_out,
                             .attrs = own_attrs(b->g, attrs, n_attrs),
                             .n_attrs = n_attrs};
    if (!node.attrs || !lmn_graph_node(b->g, &node, in, out))
        return b->status = LAMINA_E_NOMEM, false;
    lamina_status st = infer_last(b->g, b->diags);
    if (st != LAMINA_OK) b->status = st;
    return st == LAMINA_OK;
}

static const lmn_fact *build_fact(void *ctx, lmn_ref r)
{
    return &((builder *)ctx)->g->values[r].fact;
}

static const lamina_tensor *build_data(void *ctx, lmn_ref r)
{
    const lmn_value *v = &((builder *)ctx)->g->values[r];
    return v->is_input ? NULL : v->constant;
}

static lmn_ref build_find(void *ctx, lmn_str name)
{
    const lmn_graph *g = ((builder *)ctx)->g;
    for (size_t v = 1; name.n && v < g->n_values; v++)
        if (strlen(g->values[v].name) == name.n && !memcmp(g->values[v].name, name.p, name.n))
            return (lmn_ref)v;
    return 0;
}

static bool build_gradient(void *ctx, lmn_ref y, const lmn_ref *x, int32_t n_x, lmn_ref *dx)
{
    builder *b = ctx;
    const lmn_builder vt = vtable(b);
    lamina_status st =
        lmn_graph_gradient(b->g, &vt, &(lmn_gradient_of){y, x, n_x, dx}, b->diags, origin_at(b));
    if (st != LAMINA_OK && b->status == LAMINA_OK) b->status = st;
    return st == LAMINA_OK;
}

static lmn_builder vtable(builder *b)
{
    return (lmn_builder){b,          build_constant, build_node,    build_fact,
                         build_data, build_find,     build_gradient};
}

/* Value `out` of the file becomes what the canon function computed as `made`. */
static bool bind_replaced(lmn_graph *g, const builder *b, size_t first_node, lmn_vid out,
                          lmn_vid made)
{
    lmn_value *m = &g->values[made];
    if (m->constant && !m->is_input) {
        g->values[out].constant = lamina_tensor_ref(m->constant);
        g->values[out].fact = m->fact;
        return true;
    }
    if (m->producer == LMN_NO_NODE ||
        m->producer < first_node) { /* a value from outside: pass on */
        lmn_vid in[1] = {made}, to[1] = {out};
        const lmn_opnode node = {.def = lmn_op_find("", "Identity"),
                                 .name = b->origin->name,
                                 .opset = b->origin->opset,
                                 .n_in = 1,
                                 .n_out = 1};
        return lmn_graph_node(g, &node, in, to) && infer_last(g, b->diags) == LAMINA_OK;
    }
    lmn_gnode *p = &g->nodes[m->producer];
    p->out[m->producer_out] = out;
    lmn_value *o = &g->values[out];
    o->producer = m->producer;
    o->producer_out = m->producer_out;
    o->fact = m->fact;
    m->producer = LMN_NO_NODE;
    for (size_t i = first_node; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_in; k++)
            if (g->nodes[i].in[k] == made) g->nodes[i].in[k] = out;
    return true;
}

static lamina_status append(lmn_graph *g, const lmn_opnode *op, const lmn_vid *in,
                            const lmn_vid *out, lmn_diags *diags)
{
    if (!lmn_graph_node(g, op, in, out)) return LAMINA_E_NOMEM;
    return infer_last(g, diags);
}

static lamina_status import_canon(lmn_graph *g, const lmn_opnode *op, const lmn_vid *in,
                                  const lmn_vid *out, lmn_diags *diags)
{
    lmn_arena tmp;
    lmn_arena_init(&tmp, &g->engine->alloc, 0);
    builder b = {g, diags, op, LAMINA_OK};
    const lmn_builder vt = vtable(&b);
    const size_t first_node = g->n_nodes;
    lmn_canon c = {.node = op,
                   .opset = op->opset,
                   .op = op->def->name,
                   .n_attrs = op->n_attrs,
                   .n_in = op->n_in,
                   .n_out = op->n_out,
                   .b = &vt,
                   .diags = diags,
                   .at = {op->name, op->def->name, op->opset}};
    c.attrs = LMN_ARENA_ARRAY(&tmp, lmn_attr, (size_t)op->n_attrs + 8);
    c.in = LMN_ARENA_ARRAY(&tmp, lmn_ref, (size_t)op->n_in + 8);
    c.out = LMN_ARENA_ARRAY(&tmp, lmn_ref, (size_t)op->n_out + 8);
    lamina_status st = LAMINA_E_NOMEM;
    if (tmp.failed || !c.attrs || !c.in || !c.out) goto done;
    if (op->n_attrs) memcpy(c.attrs, op->attrs, (size_t)op->n_attrs * sizeof *op->attrs);
    if (op->n_in) memcpy(c.in, in, (size_t)op->n_in * sizeof *in);
    st = op->def->canon(&c);
    if (st == LAMINA_OK) st = b.status;
    if (st != LAMINA_OK) goto done;
    if (!c.replaced) {
        lmn_opnode node = *op;
        node.def = strcmp(c.op, op->def->name) ? find_qualified(c.op) : op->def;
        if (!node.def) {
            st = lmn_canon_fail(&c, LAMINA_E_UNSUPPORTED, NULL,
                                "needs operator %s, which is missing", c.op);
            goto done;
        }
        node.attrs = c.attrs;
        node.n_attrs = c.n_attrs;
        node.n_in = c.n_in;
        st = append(g, &node, c.in, out, diags);
        goto done;
    }
    for (int32_t i = 0; i < op->n_out; i++)
        if (out[i] && c.out[i] && !bind_replaced(g, &b, first_node, out[i], c.out[i]))
            st = LAMINA_E_NOMEM;
done:
    lmn_arena_finish(&tmp);
    return st;
}

lamina_status lmn_graph_import_node(lmn_graph *g, const lmn_opnode *op, const lmn_vid *in,
                                    const lmn_vid *out, lmn_diags *diags)
{
    const lmn_port *first = op->def->out;
    const lmn_diag_at at = {op->name, op->def->name, op->opset};
    /* Rules set the first output unasked. */
    if (op->n_out == 0 && first && first->name && !(first->flags & LMN_PORT_OPTIONAL))
        return lmn_diag_add(diags, LMN_DIAG_ERROR, LAMINA_E_INVALID, at,
                            "name it, or remove the node", "output 0 \"%s\" is missing",
                            first->name);
    if (!op->def->canon) return append(g, op, in, out, diags);
    return import_canon(g, op, in, out, diags);
}
