/*
 * Names across graph borders: what a node's subgraphs capture, and an order of nodes in which every
 * value is computed before it is read.
 */
#include "formats/onnx/onnx_import.h"

#include <string.h>

static bool push(lmn_onnx_import *x, lmn_onnx_names *l, lmn_span s)
{
    if (l->n == l->cap) { /* the arena keeps the old halves: at most twice the final size */
        size_t cap = l->cap ? l->cap * 2 : 8;
        lmn_span *v = LMN_ARENA_ARRAY(&x->arena, lmn_span, cap);
        if (!v) return false;
        if (l->n) memcpy(v, l->v, l->n * sizeof *v);
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = s;
    return true;
}

/* Add s unless `seen` (names defined here or listed already) has it. */
static bool add(lmn_onnx_import *x, lmn_map *seen, lmn_onnx_names *out, lmn_span s)
{
    uint64_t v;
    if (s.n == 0 || lmn_map_get(seen, s.p, s.n, &v)) return true;
    return lmn_map_set(seen, s.p, s.n, 1) && push(x, out, s);
}

static bool define_all(lmn_map *seen, const lmn_onnx_graph *g)
{
    bool ok = true;
    for (size_t i = 0; i < g->n_in; i++)
        ok &= lmn_map_set(seen, g->in[i].name.p, g->in[i].name.n, 1);
    for (size_t i = 0; i < g->n_inits; i++)
        ok &= lmn_map_set(seen, g->inits[i].name.p, g->inits[i].name.n, 1);
    for (size_t i = 0; i < g->n_sparse; i++)
        ok &= lmn_map_set(seen, g->sparse[i].values.name.p, g->sparse[i].values.name.n, 1);
    for (size_t i = 0; i < g->n_nodes; i++)
        for (size_t k = 0; k < g->nodes[i].out.n; k++)
            ok &= lmn_map_set(seen, g->nodes[i].out.v[k].p, g->nodes[i].out.v[k].n, 1);
    return ok;
}

static bool graph_free(lmn_onnx_import *x, const lmn_onnx_graph *g, lmn_map *outer,
                       lmn_onnx_names *out)
{
    lmn_map seen;
    lmn_map_init(&seen, &x->engine->alloc);
    lmn_onnx_names mine = {0};
    bool ok = define_all(&seen, g);
    for (size_t i = 0; ok && i < g->n_nodes; i++) {
        const lmn_onnx_node *n = &g->nodes[i];
        for (size_t k = 0; ok && k < n->in.n; k++) ok = add(x, &seen, &mine, n->in.v[k]);
        for (size_t k = 0; ok && k < n->n_attrs; k++)
            if (n->attrs[k].g) ok = graph_free(x, n->attrs[k].g, &seen, &mine);
    }
    for (size_t i = 0; ok && i < g->n_out; i++) ok = add(x, &seen, &mine, g->out[i].name);
    lmn_map_finish(&seen);
    for (size_t i = 0; ok && i < mine.n; i++) ok = add(x, outer, out, mine.v[i]);
    return ok;
}

bool lmn_onnx_free_names(lmn_onnx_import *x, const lmn_onnx_node *n, lmn_onnx_names *out)
{
    *out = (lmn_onnx_names){0};
    lmn_map seen;
    lmn_map_init(&seen, &x->engine->alloc);
    bool ok = true;
    for (size_t k = 0; ok && k < n->n_attrs; k++)
        if (n->attrs[k].g) ok = graph_free(x, n->attrs[k].g, &seen, out);
    lmn_map_finish(&seen);
    return ok;
}

/* ---- order ------------------------------------------------------------------------------------
 */

typedef struct edges {
    lmn_onnx_import *x;
    const lmn_onnx_node *nodes;
    lmn_map producer; /* name -> node */
    uint32_t *from, *to;
    size_t n, cap;
    bool backward;
} edges;

static bool edge(edges *e, lmn_span name, size_t reader)
{
    uint64_t p;
    if (name.n == 0 || !lmn_map_get(&e->producer, name.p, name.n, &p)) return true;
    if (p >= reader) e->backward = true;
    if (e->n == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 64;
        uint32_t *v = LMN_ARENA_ARRAY(&e->x->arena, uint32_t, 2 * cap);
        if (!v) return false;
        if (e->n) memcpy(v, e->from, e->n * sizeof *v), memcpy(v + cap, e->to, e->n * sizeof *v);
        e->from = v;
        e->to = v + cap;
        e->cap = cap;
    }
    e->from[e->n] = (uint32_t)p;
    e->to[e->n++] = (uint32_t)reader;
    return true;
}

static bool collect(edges *e, size_t n)
{
    bool ok = true;
    for (size_t i = n; ok && i-- > 0;) /* backwards: the first definition of a name counts */
        for (size_t k = 0; ok && k < e->nodes[i].out.n; k++)
            ok = lmn_map_set(&e->producer, e->nodes[i].out.v[k].p, e->nodes[i].out.v[k].n, i);
    for (size_t i = 0; ok && i < n; i++) {
        const lmn_onnx_node *node = &e->nodes[i];
        lmn_onnx_names caps = {0};
        for (size_t k = 0; ok && k < node->in.n; k++) ok = edge(e, node->in.v[k], i);
        ok = ok && lmn_onnx_free_names(e->x, node, &caps);
        for (size_t k = 0; ok && k < caps.n; k++) ok = edge(e, caps.v[k], i);
    }
    return ok;
}

/* Kahn's algorithm over the edge list, grouped by source. */
static bool kahn(edges *e, size_t n, uint32_t **order, size_t *n_order)
{
    lmn_arena *a = &e->x->arena;
    uint32_t *start = LMN_ARENA_ARRAY(a, uint32_t, n + 2), *waits = LMN_ARENA_ARRAY(a, uint32_t, n);
    uint32_t *readers = LMN_ARENA_ARRAY(a, uint32_t, e->n),
             *queue = LMN_ARENA_ARRAY(a, uint32_t, n);
    if (!start || !waits || !readers || !queue) return false;
    for (size_t i = 0; i < e->n; i++) start[e->from[i] + 2]++, waits[e->to[i]]++;
    for (size_t i = 2; i < n + 2; i++) start[i] += start[i - 1];
    for (size_t i = 0; i < e->n; i++) readers[start[e->from[i] + 1]++] = e->to[i];
    size_t head = 0, tail = 0;
    for (size_t i = 0; i < n; i++)
        if (!waits[i]) queue[tail++] = (uint32_t)i;
    for (; head < tail; head++)
        for (uint32_t k = start[queue[head]]; k < start[queue[head] + 1]; k++)
            if (--waits[readers[k]] == 0) queue[tail++] = readers[k];
    *order = queue;
    *n_order = tail;
    return true;
}

bool lmn_onnx_order(lmn_onnx_import *x, const lmn_onnx_node *nodes, size_t n, uint32_t **order,
                    size_t *n_order)
{
    edges e = {.x = x, .nodes = nodes};
    lmn_map_init(&e.producer, &x->engine->alloc);
    *order = NULL;
    *n_order = n;
    bool ok = collect(&e, n);
    lmn_map_finish(&e.producer);
    return ok && (!e.backward || kahn(&e, n, order, n_order));
}
