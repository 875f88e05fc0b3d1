/*
 * Graphs: scopes, inputs, constants, the run over the nodes, outputs.
 */
#include "formats/onnx/onnx_import.h"

bool lmn_onnx_scope_init(lmn_onnx_import *x, lmn_onnx_scope *s, lmn_graph *g,
                         const lmn_onnx_scope *from)
{
    *s = (lmn_onnx_scope){.g = g, .opsets = &x->file.opsets, .prefix = ""};
    if (from) {
        s->opsets = from->opsets;
        s->env = from->env;
        s->prefix = from->prefix;
        s->depth = from->depth + 1;
    }
    lmn_map_init(&s->names, &x->engine->alloc);
    lmn_map_init(&s->hints, &x->engine->alloc);
    return true;
}

void lmn_onnx_scope_finish(lmn_onnx_scope *s)
{
    lmn_map_finish(&s->names);
    lmn_map_finish(&s->hints);
}

void lmn_onnx_bind(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n, lmn_span name,
                   lmn_vid v)
{
    uint64_t old;
    if (lmn_map_get(&s->names, name.p, name.n, &old)) {
        char shown[120];
        (void)lmn_format_name(shown, sizeof shown, name.p, name.n);
        (void)lmn_onnx_report(x, s, n, LAMINA_E_CORRUPT, "give every value a name of its own",
                              "\"%s\" is defined twice", shown);
        return;
    }
    if (!lmn_map_set(&s->names, name.p, name.n, v)) (void)lmn_onnx_nomem(x);
}

static void graph_fact(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_value_info *v,
                       lmn_fact *f)
{
    const char *why;
    if (lmn_onnx_fact(s->g->dims, v->type, f, &why)) return;
    char shown[120];
    (void)lmn_format_name(shown, sizeof shown, v->name.p, v->name.n);
    (void)lmn_onnx_report(x, s, NULL, LAMINA_E_UNSUPPORTED, NULL, "input \"%s\" has %s", shown,
                          why);
}

static void add_input(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_value_info *v)
{
    lmn_fact f;
    graph_fact(x, s, v, &f);
    lmn_vid id = lmn_graph_value(s->g, lmn_onnx_printable(&s->g->arena, v->name), &f);
    if (!id || !lmn_graph_add_input(s->g, id)) {
        (void)lmn_onnx_nomem(x);
        return;
    }
    lmn_onnx_bind(x, s, NULL, v->name, id);
}

/* Constant of the graph; with `as_input` also an input that callers may override. */
static void add_constant(lmn_onnx_import *x, lmn_onnx_scope *s, lmn_span name, lamina_tensor *t,
                         bool as_input)
{
    lmn_vid id = lmn_graph_constant(s->g, lmn_onnx_printable(&s->g->arena, name), t);
    x->m->weight_bytes += t->data_bytes;
    if (!id || (as_input && !lmn_graph_add_input(s->g, id)))
        (void)lmn_onnx_nomem(x);
    else
        lmn_onnx_bind(x, s, NULL, name, id);
    lamina_tensor_unref(t);
}

static void add_initialiser(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_graph *in,
                            size_t i, bool as_input)
{
    lamina_error why;
    lamina_tensor *t = NULL;
    const bool dense = i < in->n_inits;
    const lmn_span name = dense ? in->inits[i].name : in->sparse[i - in->n_inits].values.name;
    lamina_status st =
        dense ? lmn_onnx_tensor_make(&x->store, &in->inits[i], &t, &why)
              : lmn_onnx_sparse_make(&x->store, &in->sparse[i - in->n_inits], &t, &why);
    if (st == LAMINA_OK) {
        add_constant(x, s, name, t, as_input);
        return;
    }
    (void)lmn_onnx_report(x, s, NULL, st, NULL, "initialiser: %s", why.msg);
    lmn_vid id = lmn_graph_value(s->g, lmn_onnx_printable(&s->g->arena, name), NULL);
    if (id) lmn_onnx_bind(x, s, NULL, name, id); /* so that its readers do not complain as well */
}

/* Inputs that must be given, then constants; those that are inputs too are defaults since IR 4. */
static void import_ends(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_graph *in)
{
    lmn_map inits, inputs;
    lmn_map_init(&inits, &x->engine->alloc);
    lmn_map_init(&inputs, &x->engine->alloc);
    const size_t n = in->n_inits + in->n_sparse;
    bool ok = true;
    uint64_t v;
    for (size_t i = 0; ok && i < n; i++) {
        lmn_span name =
            i < in->n_inits ? in->inits[i].name : in->sparse[i - in->n_inits].values.name;
        ok = lmn_map_set(&inits, name.p, name.n, i);
    }
    for (size_t i = 0; ok && i < in->n_in && !x->stop; i++) {
        const lmn_span name = in->in[i].name;
        ok = lmn_map_set(&inputs, name.p, name.n, i);
        if (!lmn_map_get(&inits, name.p, name.n, &v)) add_input(x, s, &in->in[i]);
    }
    for (size_t i = 0; ok && i < n && !x->stop; i++) {
        lmn_span name =
            i < in->n_inits ? in->inits[i].name : in->sparse[i - in->n_inits].values.name;
        const bool both = lmn_map_get(&inputs, name.p, name.n, &v);
        add_initialiser(x, s, in, i, both && x->file.ir_version >= 4);
    }
    if (!ok) (void)lmn_onnx_nomem(x);
    lmn_map_finish(&inits);
    lmn_map_finish(&inputs);
}

/* Outer values come in as inputs; all captures of the node, so that its subgraphs share one list.
 */
static void import_captures(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_scope *outer,
                            const lmn_onnx_names *caps, const lmn_vid *vids)
{
    for (size_t i = 0; i < caps->n && !x->stop; i++) {
        const lmn_value *o = lmn_graph_v(outer->g, vids[i]);
        lmn_vid id = lmn_graph_value(s->g, o->name, &o->fact);
        if (!id || !lmn_graph_add_input(s->g, id)) {
            (void)lmn_onnx_nomem(x);
            return;
        }
        /* A constant stays one inside: canonical forms and shapes may depend on its data. */
        lmn_vid use =
            o->constant && !o->is_input ? lmn_graph_constant(s->g, o->name, o->constant) : id;
        uint64_t own;
        if (!use)
            (void)lmn_onnx_nomem(x);
        else if (!lmn_map_get(&s->names, caps->v[i].p, caps->v[i].n,
                              &own)) /* a formal input shadows */
            lmn_onnx_bind(x, s, NULL, caps->v[i], use);
    }
}

static void import_outputs(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_graph *in)
{
    for (size_t i = 0; i < in->n_out && !x->stop; i++) {
        const lmn_span name = in->out[i].name;
        const char *shown = lmn_onnx_printable(&s->g->arena, name);
        uint64_t v;
        if (!lmn_map_get(&s->names, name.p, name.n, &v) || v == 0) {
            (void)lmn_onnx_report(x, s, NULL, LAMINA_E_CORRUPT,
                                  "name an output of a node there, or drop it",
                                  "nothing computes the graph output \"%s\"", shown);
            v = lmn_graph_value(s->g, shown, NULL);
        }
        if (v == 0 || !lmn_graph_add_output(s->g, (lmn_vid)v, shown)) (void)lmn_onnx_nomem(x);
    }
}

static void note_cycle(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *nodes, size_t n,
                       const uint32_t *order, size_t n_order)
{
    bool *done = LMN_ARENA_ARRAY(&x->arena, bool, n);
    if (!done) {
        (void)lmn_onnx_nomem(x);
        return;
    }
    for (size_t i = 0; i < n_order; i++) done[order[i]] = true;
    size_t at = 0;
    while (done[at]) at++;
    (void)lmn_onnx_report(
        x, s, &nodes[at], LAMINA_E_CORRUPT, "break the circle: a value may not depend on itself",
        "it and %zu more nodes depend on each other in a circle or wait for it", n - n_order - 1);
    for (; at < n; at++) { /* their values exist, unknown, so that nobody complains again */
        for (size_t k = 0; !done[at] && k < nodes[at].out.n; k++) {
            const lmn_span name = nodes[at].out.v[k];
            lmn_vid id =
                name.n ? lmn_graph_value(s->g, lmn_onnx_printable(&s->g->arena, name), NULL) : 0;
            if (id) lmn_onnx_bind(x, s, &nodes[at], name, id);
        }
    }
}

void lmn_onnx_nodes_import(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *nodes,
                           size_t n)
{
    uint32_t *order;
    size_t n_order;
    if (!lmn_onnx_order(x, nodes, n, &order, &n_order)) {
        (void)lmn_onnx_nomem(x);
        return;
    }
    if (order)
        lmn_onnx_lint(x, "unsorted-nodes", "export the nodes in an order that others can run",
                      "the nodes are not in topological order; sorted at load");
    if (n_order < n) note_cycle(x, s, nodes, n, order, n_order);
    for (size_t i = 0; i < n_order && !x->stop; i++)
        lmn_onnx_node_import(x, s, &nodes[order ? order[i] : i]);
}

static void collect_hints(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_value_info *v,
                          size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (v[i].type.n &&
            !lmn_map_set(&s->hints, v[i].name.p, v[i].name.n, (uint64_t)(uintptr_t)&v[i]))
            (void)lmn_onnx_nomem(x);
}

void lmn_onnx_graph_import(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_graph *in,
                           const lmn_onnx_scope *outer, const lmn_onnx_names *caps,
                           const lmn_vid *cap_vids)
{
    import_ends(x, s, in);
    if (caps) import_captures(x, s, outer, caps, cap_vids);
    collect_hints(x, s, in->info, in->n_info);
    collect_hints(x, s, in->out, in->n_out);
    if (!x->stop) lmn_onnx_nodes_import(x, s, in->nodes, in->n_nodes);
    if (!x->stop) import_outputs(x, s, in);
}
