/*
 * Graphs, nodes and attributes as messages. Order in a graph: the nodes as they stand (casts of
 * narrowed weights before all others), weights, inputs, outputs, types of computed values.
 *
 * Invariant: what is written is a graph in SSA form whose every name is defined here or in an
 * enclosing graph; an output that would be no value of this graph's own gets an Identity.
 */
#include "formats/onnx/onnx_write.h"

#include <string.h>

static void put_attr_head(lmn_onnx_out *w, const char *name, lmn_attr_type type)
{
    lmn_onnx_put_str(w, 1, name);
    lmn_onnx_put_int(w, 20, type);
}

static void put_int_attr(lmn_onnx_out *w, const char *name, int64_t v)
{
    lmn_onnx_mark m = lmn_onnx_begin(w, 5);
    put_attr_head(w, name, LMN_ATTR_INT);
    lmn_onnx_put_int(w, 3, v);
    lmn_onnx_end(w, m);
}

static void put_value(lmn_onnx_out *w, const lmn_onnx_naming *s, const lmn_gnode *n,
                      const lmn_attr *a)
{
    switch (a->type) {
    case LMN_ATTR_FLOAT: lmn_onnx_put_f32(w, 2, a->u.f); break;
    case LMN_ATTR_INT: lmn_onnx_put_int(w, 3, a->u.i); break;
    case LMN_ATTR_STRING: lmn_onnx_put_bytes(w, 4, a->u.s.p, a->u.s.n); break;
    case LMN_ATTR_TENSOR: lmn_onnx_put_tensor(w, 5, "", a->u.t, a->u.t->dtype); break;
    case LMN_ATTR_GRAPH: lmn_onnx_put_graph(w, 6, a->u.g, s, n, ""); break;
    case LMN_ATTR_TYPE: lmn_onnx_put_type(w, 14, s->g->dims, a->u.type_fact); break;
    case LMN_ATTR_FLOATS:
        for (int32_t i = 0; i < a->n; i++) lmn_onnx_put_f32(w, 7, a->u.floats[i]);
        break;
    case LMN_ATTR_INTS:
        for (int32_t i = 0; i < a->n; i++) lmn_onnx_put_int(w, 8, a->u.ints[i]);
        break;
    case LMN_ATTR_STRINGS:
        for (int32_t i = 0; i < a->n; i++)
            lmn_onnx_put_bytes(w, 9, a->u.strings[i].p, a->u.strings[i].n);
        break;
    default:
        lmn_onnx_out_fail(w, LAMINA_E_UNSUPPORTED,
                          "node \"%s\": attribute \"%s\" is of type %d, which cannot be written",
                          n->op.name, a->name, (int)a->type);
    }
}

static void put_attrs(lmn_onnx_out *w, const lmn_onnx_naming *s, const lmn_gnode *n)
{
    const bool quantize = !strcmp(n->op.def->name, "QuantizeLinear") && w->opset < 23;
    const bool onnx = !*n->op.def->domain;
    for (int32_t i = 0; i < n->op.n_attrs && lmn_onnx_out_ok(w); i++) {
        const lmn_attr *a = &n->op.attrs[i];
        /* Older versions compute like that and have no word for it. */
        if (a->type == LMN_ATTR_NONE || (onnx && quantize && !strcmp(a->name, "precision")))
            continue;
        lmn_onnx_mark m = lmn_onnx_begin(w, 5);
        put_attr_head(w, a->name, a->type);
        put_value(w, s, n, a);
        lmn_onnx_end(w, m);
    }
    /* Since 18 a Split without sizes says its number. */
    if (onnx && !strcmp(n->op.def->name, "Split") && w->opset >= 18 &&
        (n->op.n_in < 2 || !n->in[1]) && !lmn_attr_find(&n->op, "num_outputs"))
        put_int_attr(w, "num_outputs", n->op.n_out);
}

/* Is output i of a list without fixed length? Such a one has to be named even if nobody reads it.
 */
static bool listed(const lmn_opnode *op, int32_t i)
{
    const lmn_port *p = op->def->out;
    while (i > 0 && p->name && !(p->flags & LMN_PORT_VARIADIC)) i--, p++;
    return p->name && (p->flags & LMN_PORT_VARIADIC);
}

static void put_node(lmn_onnx_out *w, lmn_onnx_naming *s, const lmn_gnode *n)
{
    const lmn_opnode *op = &n->op;
    if (!strcmp(op->def->domain, "lamina")) {
        lmn_onnx_out_fail(w, LAMINA_E_UNSUPPORTED,
                          "node \"%s\" is the engine's own operator %s, which no file may hold",
                          op->name, op->def->name);
        return;
    }
    int32_t n_out = op->n_out;
    while (n_out > 1 && !n->out[n_out - 1] && !listed(op, n_out - 1)) n_out--;
    lmn_onnx_mark m = lmn_onnx_begin(w, 1);
    for (int32_t i = 0; i < op->n_in - op->n_caps; i++) lmn_onnx_put_str(w, 1, s->name[n->in[i]]);
    for (int32_t i = 0; i < n_out; i++)
        lmn_onnx_put_str(w, 2,
                         n->out[i]       ? s->name[n->out[i]]
                         : listed(op, i) ? lmn_onnx_fresh(w, s, op->def->name)
                                         : "");
    if (*op->name && !w->opts->strip) lmn_onnx_put_str(w, 3, lmn_onnx_label(w, s, op->name));
    lmn_onnx_put_str(w, 4, op->def->name);
    if (*op->def->domain) lmn_onnx_put_str(w, 7, op->def->domain);
    put_attrs(w, s, n);
    lmn_onnx_end(w, m);
}

/* A node of one input and one output; `to` < 0: without the attribute. */
static void put_unary(lmn_onnx_out *w, const char *op, const char *in, const char *out, int64_t to)
{
    lmn_onnx_mark m = lmn_onnx_begin(w, 1);
    lmn_onnx_put_str(w, 1, in);
    lmn_onnx_put_str(w, 2, out);
    lmn_onnx_put_str(w, 4, op);
    if (to >= 0) put_int_attr(w, "to", to);
    lmn_onnx_end(w, m);
}

/* Weights, and a Cast for each that is written in a narrower type than its readers want. */
static void put_weights(lmn_onnx_out *w, lmn_onnx_naming *s)
{
    const lmn_graph *g = s->g;
    for (size_t v = 1; v < g->n_values && lmn_onnx_out_ok(w); v++) {
        const lmn_value *x = &g->values[v];
        if (!x->constant || s->shared[v] || (!s->uses[v] && !x->is_input)) continue;
        const char *name = s->name[v];
        const lamina_dtype own = x->constant->dtype;
        const lamina_dtype as =
            x->is_input || x->is_output || x->constant->kind != LAMINA_KIND_TENSOR
                ? own
                : lmn_onnx_narrow(w, x->constant);
        if (as != own) {
            const char *wide = name;
            name = lmn_onnx_fresh(w, s, name);
            put_unary(w, "Cast", name, wide, own);
        }
        lmn_onnx_put_tensor(w, 5, name, x->constant, as);
    }
}

/*
 * Types of what nodes compute. In a subgraph without extents, which may hold for a
 * branch only that is never taken, and for tensors only: an optional sequence is known as its
 * content.
 */
static void put_computed(lmn_onnx_out *w, const lmn_onnx_naming *s, uint32_t num, const char *name,
                         lmn_vid v)
{
    lmn_fact f = s->g->values[v].fact;
    if (s->outer && f.kind != LMN_FACT_TENSOR) f = lmn_fact_unknown();
    for (int32_t i = 0; s->outer && i < f.rank; i++) f.dims[i] = LMN_DIM_UNKNOWN;
    lmn_onnx_put_info(w, num, s->g->dims, name, &f);
}

/* Name under which output i leaves the graph. */
static const char *output_name(lmn_onnx_out *w, lmn_onnx_naming *s, size_t i)
{
    const lmn_graph *g = s->g;
    const lmn_vid v = g->outputs[i];
    bool again = s->shared[v];
    for (size_t k = 0; k < i; k++) again = again || g->outputs[k] == v;
    const char *name = s->name[v];
    if (!s->outer && strcmp(g->output_names[i], name) != 0)
        name = g->output_names[i]; /* taken for it by the naming */
    else if (again)
        name = lmn_onnx_fresh(w, s, name);
    else
        return name;
    put_unary(w, "Identity", s->name[v], name, -1);
    return name;
}

static void put_infos(lmn_onnx_out *w, const lmn_onnx_naming *s)
{
    const lmn_graph *g = s->g;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_out; k++) {
            const lmn_vid v = g->nodes[i].out[k];
            const lmn_value *x = &g->values[v];
            if (v && !g->nodes[i].dead && !x->is_output && x->fact.kind == LMN_FACT_TENSOR &&
                x->fact.dtype)
                put_computed(w, s, 13, s->name[v], v);
        }
}

static void put_body(lmn_onnx_out *w, lmn_onnx_naming *s, const lmn_gnode *n)
{
    const lmn_graph *g = s->g;
    put_weights(w, s);
    for (size_t i = 0; i < g->n_nodes && lmn_onnx_out_ok(w); i++)
        if (!g->nodes[i].dead) put_node(w, s, &g->nodes[i]);
    const size_t n_in = g->n_inputs - (n ? (size_t)n->op.n_caps : 0);
    for (size_t i = 0; i < n_in; i++) {
        const lmn_vid v = g->inputs[i];
        lmn_onnx_put_info(w, 11, g->dims, s->name[v], &g->values[v].fact);
    }
    for (size_t i = 0; i < g->n_outputs; i++)
        put_computed(w, s, 12, output_name(w, s, i), g->outputs[i]);
    if (!w->opts->strip) put_infos(w, s);
}

void lmn_onnx_put_graph(lmn_onnx_out *w, uint32_t num, const lmn_graph *g,
                        const lmn_onnx_naming *outer, const lmn_gnode *n, const char *doc)
{
    lmn_onnx_naming s;
    lmn_onnx_naming_init(w, &s, g, outer, n);
    if (lmn_onnx_out_ok(w)) {
        lmn_onnx_mark m = lmn_onnx_begin(w, num);
        lmn_onnx_put_str(w, 2, g->name && *g->name ? g->name : "graph");
        if (*doc) lmn_onnx_put_str(w, 10, doc);
        put_body(w, &s, n);
        lmn_onnx_end(w, m);
    }
    lmn_onnx_naming_finish(&s);
}
