/*
 * Deep copy of a graph: value ids and node order stay the same, constants are shared by reference,
 * subgraphs are copied. Sessions work on a copy, so that a model can be shared; theirs borrows the
 * lists of attributes, which forests have by the megabyte.
 */
#include "graph/graph.h"

#include <string.h>

static lamina_status copy(const lmn_graph *g, lmn_graph *parent, bool lend, lmn_graph **out);

static bool clone_attr(lmn_graph *dst, const lmn_attr *src, bool lend, lmn_attr *out)
{
    lmn_arena *a = &dst->arena;
    *out = *src;
    if (!(out->name = lmn_arena_str(a, src->name))) return false;
    const size_t n = (size_t)src->n;
    const bool list =
        src->type == LMN_ATTR_FLOATS || src->type == LMN_ATTR_INTS || src->type == LMN_ATTR_STRINGS;
    if (lend && list) return true;
    switch (src->type) {
    case LMN_ATTR_STRING:
        out->u.s.p = lmn_arena_strn(a, src->u.s.p ? src->u.s.p : "", src->u.s.n);
        return out->u.s.p != NULL;
    case LMN_ATTR_TENSOR: lamina_tensor_ref(out->u.t); return true;
    case LMN_ATTR_GRAPH: out->u.g = NULL; return copy(src->u.g, dst, lend, &out->u.g) == LAMINA_OK;
    case LMN_ATTR_FLOATS: out->u.floats = lmn_arena_dup(a, src->u.floats, n * sizeof(float)); break;
    case LMN_ATTR_INTS: out->u.ints = lmn_arena_dup(a, src->u.ints, n * sizeof(int64_t)); break;
    case LMN_ATTR_STRINGS: {
        lmn_str *s = LMN_ARENA_ARRAY(a, lmn_str, n);
        for (size_t i = 0; s && i < n; i++) {
            const lmn_str *from = &src->u.strings[i];
            s[i] = (lmn_str){lmn_arena_strn(a, from->p ? from->p : "", from->n), from->n};
        }
        out->u.strings = s;
        break;
    }
    case LMN_ATTR_TYPE:
        out->u.type_fact = lmn_arena_dup(a, src->u.type_fact, sizeof(lmn_fact));
        break;
    default: break;
    }
    return !a->failed;
}

static bool clone_node(lmn_graph *dst, const lmn_gnode *n, bool lend)
{
    lmn_attr *attrs = LMN_ARENA_ARRAY(&dst->arena, lmn_attr, (size_t)n->op.n_attrs);
    if (!attrs) return false;
    int32_t done = 0;
    while (done < n->op.n_attrs && clone_attr(dst, &n->op.attrs[done], lend, &attrs[done])) done++;
    lmn_gnode *made = NULL;
    if (done == n->op.n_attrs) {
        lmn_opnode op = n->op;
        op.attrs = attrs;
        made = lmn_graph_node(dst, &op, n->in, n->out);
    }
    if (made) {
        made->op.id = n->op.id;
        return true;
    }
    for (int32_t i = 0; i < done; i++) { /* the graph did not take them over */
        if (attrs[i].type == LMN_ATTR_TENSOR) lamina_tensor_unref(attrs[i].u.t);
        if (attrs[i].type == LMN_ATTR_GRAPH) lmn_graph_destroy(attrs[i].u.g);
    }
    return false;
}

static bool clone_values(lmn_graph *dst, const lmn_graph *g)
{
    for (size_t v = 1; v < g->n_values; v++) {
        const lmn_value *src = &g->values[v];
        lmn_vid id = lmn_graph_value(dst, src->name, &src->fact);
        if (!id) return false;
        lmn_value *d = &dst->values[id];
        d->constant = lamina_tensor_ref(src->constant);
        if (src->fact.n_elems > 0 && src->fact.elems) {
            d->fact.elems = lmn_arena_dup(&dst->arena, src->fact.elems,
                                          (size_t)src->fact.n_elems * sizeof(lmn_dim));
            if (!d->fact.elems) return false;
        }
    }
    return true;
}

/* Symbols of one pool in another: `of` has the new one of each old one, 0 = not made yet. */
typedef struct renaming {
    const lmn_graph *from;
    lmn_graph *to;
    lmn_dim *of;
} renaming;

/* A top-level clone gets a pool of its own; its symbols are made anew, the rest becomes unknown.
 * The new pool is as large as the old one, so only memory can be missing for a symbol. */
static bool translate(const renaming *r, lmn_dim *d)
{
    if (lmn_dim_is_const(*d) || !lmn_dim_known(*d)) return true;
    const int64_t sym = lmn_dim_as_sym(r->from->dims, *d);
    *d = LMN_DIM_UNKNOWN;
    if (sym < 0) return true;
    const char *name = lmn_dim_sym_name(r->from->dims, (size_t)sym);
    if (!r->of[sym]) r->of[sym] = lmn_dim_sym(r->to->dims, *name ? name : NULL);
    *d = r->of[sym];
    return lmn_dim_known(*d);
}

static bool translate_facts(const lmn_graph *from, lmn_graph *to)
{
    if (from->dims == to->dims) return true;
    lmn_arena tmp;
    lmn_arena_init(&tmp, &to->engine->alloc, 0);
    renaming r = {from, to, LMN_ARENA_ARRAY(&tmp, lmn_dim, lmn_dim_sym_count(from->dims) + 1)};
    bool ok = r.of != NULL;
    for (size_t v = 1; ok && v < to->n_values; v++) {
        lmn_fact *f = &to->values[v].fact;
        for (int32_t i = 0; ok && i < f->rank; i++) ok = translate(&r, &f->dims[i]);
        for (int32_t i = 0; ok && i < f->n_elems; i++) ok = translate(&r, &f->elems[i]);
    }
    lmn_arena_finish(&tmp);
    return ok;
}

static lamina_status copy(const lmn_graph *g, lmn_graph *parent, bool lend, lmn_graph **out)
{
    lmn_graph *c = NULL;
    LMN_TRY(lmn_graph_create(g->engine, parent, &c));
    const char *name = lmn_arena_str(&c->arena, g->name);
    bool ok = name && clone_values(c, g);
    if (ok) c->name = name;
    for (size_t i = 0; ok && i < g->n_nodes; i++)
        if (!g->nodes[i].dead) ok = clone_node(c, &g->nodes[i], lend);
    for (size_t i = 0; ok && i < g->n_inputs; i++) ok = lmn_graph_add_input(c, g->inputs[i]);
    for (size_t i = 0; ok && i < g->n_outputs; i++)
        ok = lmn_graph_add_output(c, g->outputs[i], g->output_names[i]);
    if (!ok || !translate_facts(g, c)) {
        lmn_graph_destroy(c);
        return LAMINA_E_NOMEM;
    }
    c->next_node_id = g->next_node_id;
    *out = c;
    return LAMINA_OK;
}

lamina_status lmn_graph_clone(const lmn_graph *g, lmn_graph *parent, lmn_graph **out)
{
    return copy(g, parent, false, out);
}

lamina_status lmn_graph_clone_lent(const lmn_graph *g, lmn_graph **out)
{
    return copy(g, NULL, true, out);
}
