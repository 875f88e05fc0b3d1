/*
 * Model-local functions: their bodies are inlined at each call. Depth and the total of nodes are
 * bounded, so neither recursion nor doubling at each level gets far.
 */
#include "formats/onnx/onnx_import.h"

#include <string.h>

const lmn_onnx_function *lmn_onnx_function_find(const lmn_onnx_import *x, const lmn_onnx_node *n)
{
    for (size_t i = 0; i < x->file.n_functions; i++) {
        const lmn_onnx_function *fn = &x->file.functions[i];
        if (lmn_span_eq(fn->name, n->op) && lmn_span_eq(fn->domain, n->domain) &&
            lmn_span_eq(fn->overload, n->overload))
            return fn;
    }
    return NULL;
}

/* Attributes of the call, then the defaults of those not given. */
static bool make_env(lmn_onnx_import *x, const lmn_onnx_scope *s, const lmn_onnx_node *n,
                     const lmn_onnx_function *fn, lmn_onnx_env *env)
{
    lmn_onnx_attr *v = LMN_ARENA_ARRAY(&x->arena, lmn_onnx_attr, n->n_attrs + fn->n_defaults);
    if (!v) return false;
    size_t k = 0;
    for (size_t i = 0; i < n->n_attrs; i++) {
        const lmn_onnx_attr *a = lmn_onnx_attr_resolve(s, &n->attrs[i]);
        if (!a) continue;
        v[k] = *a;
        v[k++].name = n->attrs[i].name;
    }
    for (size_t i = 0; i < fn->n_defaults; i++) {
        bool given = false;
        for (size_t j = 0; j < n->n_attrs; j++)
            given |= lmn_span_eq(n->attrs[j].name, fn->defaults[i].name);
        if (!given) v[k++] = fn->defaults[i];
    }
    *env = (lmn_onnx_env){v, k};
    return true;
}

static bool enter(lmn_onnx_import *x, lmn_onnx_scope *in, lmn_onnx_scope *s, const lmn_onnx_node *n,
                  const lmn_onnx_function *fn)
{
    (void)lmn_onnx_scope_init(x, in, s->g, s);
    in->opsets = &fn->opsets;
    char prefix[120];
    size_t at = lmn_format(prefix, sizeof prefix, "%s", s->prefix);
    const lmn_span label = n->name.n ? n->name : n->op;
    if (at < 70) { /* deeper calls add nothing readable */
        at += lmn_format_name(prefix + at, 40, label.p, label.n);
        (void)lmn_format(prefix + at, sizeof prefix - at, "/");
    }
    in->prefix = lmn_arena_str(&x->arena, prefix);
    return in->prefix && make_env(x, s, n, fn, &in->env);
}

static void bind_outputs(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_scope *in,
                         const lmn_onnx_node *n, const lmn_onnx_function *fn)
{
    for (size_t i = 0; i < n->out.n && !x->stop; i++) {
        const lmn_span name = n->out.v[i];
        uint64_t v = 0;
        if (name.n == 0) continue;
        const char *shown = lmn_onnx_printable(&s->g->arena, name);
        const bool has =
            i < fn->out.n && lmn_map_get(&in->names, fn->out.v[i].p, fn->out.v[i].n, &v) && v;
        if (!has) {
            (void)lmn_onnx_report(x, s, n, LAMINA_E_CORRUPT,
                                  "drop that output, or let a node of the function compute it",
                                  "its function computes no output %zu (\"%s\")", i, shown);
            v = lmn_graph_value(s->g, shown, NULL);
        } else if (lmn_graph_v(s->g, (lmn_vid)v)->producer != LMN_NO_NODE) {
            lmn_graph_v(s->g, (lmn_vid)v)->name = shown; /* the caller's name says more */
        }
        lmn_onnx_bind(x, s, n, name, (lmn_vid)v);
    }
}

void lmn_onnx_function_inline(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n,
                              const lmn_onnx_function *fn, const lmn_vid *in, size_t n_in)
{
    if (s->depth >= x->limits->max_depth) {
        (void)lmn_onnx_report(x, s, n, LAMINA_E_LIMIT,
                              "break the circle; raise max_depth if there is none",
                              "functions call each other deeper than max_depth, or in a circle");
        return;
    }
    if (n_in > fn->in.n)
        (void)lmn_onnx_report(
            x, s, n, LAMINA_E_CORRUPT, "drop the inputs that the function does not declare",
            "it gives %zu inputs to a function of %zu parameters", n_in, fn->in.n);
    lmn_onnx_scope body;
    if (!enter(x, &body, s, n, fn)) {
        (void)lmn_onnx_nomem(x);
    } else {
        for (size_t i = 0; i < fn->in.n; i++)
            lmn_onnx_bind(x, &body, n, fn->in.v[i], i < n_in ? in[i] : 0);
        if (!x->stop) lmn_onnx_nodes_import(x, &body, fn->nodes, fn->n_nodes);
        bind_outputs(x, s, &body, n, fn);
    }
    lmn_onnx_scope_finish(&body);
}
