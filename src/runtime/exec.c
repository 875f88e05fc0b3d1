/*
 * Steps: every node gets the kernel of the most preferred device that supports it, or its
 * reference.
 */
#include "runtime/exec.h"

#include "ops/node.h"

#include <string.h>

static void place(lmn_exec *x, lmn_step *step, const lamina_node *node)
{
    const lmn_devices *d = x->session->devices;
    if (x->session->opts.reference) {
        (void)lmn_format(step->reason, sizeof step->reason, "reference evaluation was asked for");
        return;
    }
    for (int32_t i = d->n - 1; i >= 0; i--) {
        char text[sizeof step->reason] = "";
        if (d->dev[i].vt->supports(d->dev[i].self, node, text, sizeof text)) {
            step->vt = d->dev[i].vt;
            step->self = d->dev[i].self;
            (void)lmn_format(step->kernel_name, sizeof step->kernel_name, "%.40s", text);
            step->reason[0] = 0;
            return;
        }
        if (!step->reason[0]) (void)lmn_format(step->reason, sizeof step->reason, "%s", text);
    }
}

static lamina_status compile_step(lmn_exec *x, lmn_step *step, lamina_error *err)
{
    const lmn_gnode *n = step->node;
    const lmn_graph *g = x->g;
    lmn_arena tmp;
    lmn_arena_init(&tmp, &g->engine->alloc, 0);
    const lmn_fact **in = LMN_ARENA_ARRAY(&tmp, const lmn_fact *, (size_t)n->op.n_in);
    const lamina_tensor **consts = LMN_ARENA_ARRAY(&tmp, const lamina_tensor *, (size_t)n->op.n_in);
    lmn_fact *out = LMN_ARENA_ARRAY(&tmp, lmn_fact, (size_t)n->op.n_out);
    lamina_status st = tmp.failed ? LAMINA_E_NOMEM : LAMINA_OK;
    if (st == LAMINA_OK) {
        for (int32_t i = 0; i < n->op.n_in; i++) {
            const lmn_value *v = &g->values[n->in[i]];
            in[i] = n->in[i] ? &v->fact : NULL;
            consts[i] = v->is_input ? NULL : v->constant;
        }
        for (int32_t i = 0; i < n->op.n_out; i++)
            out[i] = n->out[i] ? g->values[n->out[i]].fact : lmn_fact_unknown();
        const lamina_node node = {&n->op,
                                  in,
                                  consts,
                                  out,
                                  (lamina_precision)x->session->opts.precision,
                                  lmn_packs_door(x->session->packs),
                                  &step->site};
        step->site.tune = &x->session->tune;
        step->site.node = n->op.name;
        place(x, step, &node);
        if (step->vt)
            st = step->vt->compile(step->self, &node, &step->kernel, err);
        else if (x->session->opts.strict_placement)
            st = lmn_fail(err, LAMINA_E_UNSUPPORTED,
                          "node \"%s\" (%s): no device kernel serves it: %s; "
                          "allow the reference by leaving strict_placement off",
                          n->op.name, n->op.def->name, step->reason);
        else if (!n->op.def->eval)
            st = lmn_fail(err, LAMINA_E_UNSUPPORTED,
                          "node \"%s\" (%s, opset %d): the operator is known "
                          "but nothing here can run it",
                          n->op.name, n->op.def->name, n->op.opset);
    }
    lmn_arena_finish(&tmp);
    return st;
}

/* Constants at an odd address that the step cannot read there become copies, in this session. */
static lamina_status align_step(lmn_exec *x, const lmn_step *s)
{
    lmn_graph *g = (lmn_graph *)(uintptr_t)x->g; /* the session's own clone */
    for (int32_t i = 0; i < s->node->op.n_in; i++) {
        const lamina_tensor *t = g->values[s->node->in[i]].constant;
        if (!t || lmn_tensor_aligned(t)) continue;
        const lmn_port *p = lmn_gnode_port(s->node, i);
        const bool any = s->kernel ? s->vt->any_address && s->vt->any_address(s->self, s->kernel, i)
                                   : p && p->flags & LMN_PORT_BYTES;
        if (!any) LMN_TRY(lmn_graph_align(g, s->node->in[i]));
    }
    return LAMINA_OK;
}

static lamina_status align_constants(lmn_exec *x)
{
    lmn_graph *g = (lmn_graph *)(uintptr_t)x->g;
    for (size_t i = 0; i < g->n_nodes; i++) LMN_TRY(align_step(x, &x->steps[i]));
    for (size_t i = 0; i < g->n_inputs; i++) LMN_TRY(lmn_graph_align(g, g->inputs[i]));
    for (size_t i = 0; i < g->n_outputs; i++) LMN_TRY(lmn_graph_align(g, g->outputs[i]));
    return LAMINA_OK;
}

/* For each step the values that nobody reads after it; inputs, constants and outputs never die. */
static lamina_status find_deaths(lmn_exec *x, lmn_arena *keep)
{
    const lmn_graph *g = x->g;
    uint32_t *last = LMN_ARENA_ARRAY(keep, uint32_t, g->n_values); /* step + 1 */
    uint32_t *count = LMN_ARENA_ARRAY(keep, uint32_t, g->n_nodes + 1);
    if (!last || !count) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        for (int32_t k = 0; k < n->op.n_out; k++) last[n->out[k]] = (uint32_t)i + 1;
        for (int32_t k = 0; k < n->op.n_in; k++) last[n->in[k]] = (uint32_t)i + 1;
    }
    size_t total = 0;
    for (size_t v = 1; v < g->n_values; v++) {
        const lmn_value *x_ = &g->values[v];
        if (!last[v] || x_->is_output || x_->is_input || x_->constant ||
            x_->producer == LMN_NO_NODE) {
            last[v] = 0;
            continue;
        }
        count[last[v] - 1]++;
        total++;
    }
    lmn_vid *list = LMN_ARENA_ARRAY(keep, lmn_vid, total + 1);
    if (!list) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < g->n_nodes; i++) {
        x->steps[i].dies = list;
        list += count[i];
    }
    for (size_t v = 1; v < g->n_values; v++) {
        if (!last[v]) continue;
        lmn_step *s = &x->steps[last[v] - 1];
        ((lmn_vid *)(uintptr_t)s->dies)[s->n_dies++] = (lmn_vid)v;
    }
    return LAMINA_OK;
}

static lamina_status make_subs(lmn_exec *x, lamina_error *err)
{
    const lmn_graph *g = x->g;
    const lamina_allocator *a = &g->engine->alloc;
    size_t n = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_attrs; k++)
            n += g->nodes[i].op.attrs[k].type == LMN_ATTR_GRAPH;
    if (!n) return LAMINA_OK;
    x->subs = lmn_calloc(a, n, sizeof *x->subs, "exec");
    x->sub_graphs = lmn_calloc(a, n, sizeof *x->sub_graphs, "exec");
    x->n_subs = n;
    if (!x->subs || !x->sub_graphs) return LAMINA_E_NOMEM;
    n = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_attrs; k++) {
            const lmn_attr *at = &g->nodes[i].op.attrs[k];
            if (at->type != LMN_ATTR_GRAPH) continue;
            x->sub_graphs[n] = at->u.g;
            LMN_TRY(lmn_exec_create(x->session, at->u.g, &x->subs[n], err));
            n++;
        }
    return LAMINA_OK;
}

lamina_status lmn_exec_create(lamina_session *s, const lmn_graph *g, lmn_exec **out,
                              lamina_error *err)
{
    const lamina_allocator *a = &g->engine->alloc;
    lmn_exec *x = lmn_calloc(a, 1, sizeof *x, "exec");
    if (!x) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory preparing a graph");
    x->session = s;
    x->g = g;
    lamina_status st = LAMINA_OK;
    if (g->n_nodes) {
        x->steps = lmn_calloc(a, g->n_nodes, sizeof *x->steps, "exec");
        if (!x->steps) st = lmn_fail(err, LAMINA_E_NOMEM, "out of memory preparing a graph");
    }
    for (size_t i = 0; st == LAMINA_OK && i < g->n_nodes; i++) {
        x->steps[i].node = &g->nodes[i];
        st = compile_step(x, &x->steps[i], err);
    }
    /* the graph's arena outlives the exec: both belong to the session */
    if (st == LAMINA_OK) st = find_deaths(x, &((lmn_graph *)(uintptr_t)g)->arena);
    if (st == LAMINA_OK) lmn_spans_name_steps(x);
    if (st == LAMINA_OK) st = make_subs(x, err);
    if (st == LAMINA_OK && (st = align_constants(x)) != LAMINA_OK)
        st = lmn_fail(err, st, "out of memory for aligned weights");
    if (st != LAMINA_OK) {
        lmn_exec_destroy(x);
        return st;
    }
    *out = x;
    return LAMINA_OK;
}

void lmn_exec_destroy(lmn_exec *x)
{
    if (!x) return;
    const lamina_allocator *a = &x->g->engine->alloc;
    while (x->idle) {
        lmn_frame *f = x->idle;
        x->idle = f->next;
        lmn_frame_destroy(f);
    }
    for (size_t i = 0; x->steps && i < x->g->n_nodes; i++)
        if (x->steps[i].kernel) x->steps[i].vt->kernel_free(x->steps[i].self, x->steps[i].kernel);
    for (size_t i = 0; x->subs && i < x->n_subs; i++) lmn_exec_destroy(x->subs[i]);
    lmn_cfree(a, x->subs, x->n_subs, sizeof *x->subs, "exec");
    lmn_cfree(a, x->sub_graphs, x->n_subs, sizeof *x->sub_graphs, "exec");
    lmn_cfree(a, x->steps, x->g->n_nodes, sizeof *x->steps, "exec");
    lmn_cfree(a, x, 1, sizeof *x, "exec");
}
