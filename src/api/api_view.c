/*
 * Making a view: number the graphs, bind the dimensions given, infer once more, add up. Bound
 * symbols become constants, free ones keep their names in a pool of the view's own, because the
 * model's pool is shared and must not grow.
 */
#include "api/api_view.h"

#include "base/text.h"

#include <string.h>

/* ---- graphs -----------------------------------------------------------------------------------
 */

static lamina_status add_graph(lamina_view *v, const lmn_graph *g, int64_t parent, const char *attr,
                               int32_t n_caps)
{
    const lamina_allocator *a = &v->engine->alloc;
    LMN_TRY(lmn_grow(a, (void **)&v->graphs, &v->cap_graphs, v->n_graphs + 1, SIZE_MAX / 256,
                     sizeof *v->graphs, "view"));
    v->graphs[v->n_graphs++] = (view_graph){.g = g,
                                            .parent = parent,
                                            .attr = attr,
                                            .first_node = v->n_nodes,
                                            .first_value = v->n_values,
                                            .dims = g->dims,
                                            .n_caps = n_caps};
    v->n_nodes += g->n_nodes;
    v->n_values += g->n_values - 1;
    return LAMINA_OK;
}

/* Breadth first: graphs found while the list is walked join its end. */
static lamina_status number_graphs(lamina_view *v, const lmn_graph *top)
{
    LMN_TRY(add_graph(v, top, -1, "", 0));
    for (size_t k = 0; k < v->n_graphs; k++) {
        const view_graph vg = v->graphs[k];
        for (size_t i = 0; i < vg.g->n_nodes; i++) {
            const lmn_opnode *op = &vg.g->nodes[i].op;
            for (int32_t a = 0; a < op->n_attrs; a++)
                if (op->attrs[a].type == LMN_ATTR_GRAPH)
                    LMN_TRY(add_graph(v, op->attrs[a].u.g, (int64_t)(vg.first_node + i),
                                      op->attrs[a].name, op->n_caps));
        }
    }
    return LAMINA_OK;
}

/* ---- dimensions -------------------------------------------------------------------------------
 */

static bool entry_is(const char *entry, const char *name, int64_t *value)
{
    const size_t n = strlen(name);
    if (strncmp(entry, name, n) != 0 || entry[n] != '=') return false;
    return lmn_parse_i64(entry + n + 1, strlen(entry + n + 1), value) && *value >= 0 &&
           *value < LMN_DIM_MAX_CONST;
}

static view_symbol *find_symbol(lamina_view *v, const char *name)
{
    for (size_t i = 0; i < v->n_symbols; i++)
        if (strcmp(v->symbols[i].name, name) == 0) return &v->symbols[i];
    return NULL;
}

/* The symbol of a dim of an input: its name in the file, else INPUT.AXIS. */
static lamina_status symbol_of(lamina_view *v, const lmn_graph *g, lmn_vid in, int32_t axis,
                               const lamina_view_opts *o, view_symbol **out)
{
    const lmn_value *x = &g->values[in];
    const int64_t s = lmn_dim_as_sym(g->dims, x->fact.dims[axis]);
    const char *name = s >= 0 ? lmn_dim_sym_name(g->dims, (size_t)s) : "";
    char text[300];
    if (!*name) {
        (void)lmn_format(text, sizeof text, "%.250s.%d", x->name, axis);
        name = text;
    }
    if ((*out = find_symbol(v, name))) return LAMINA_OK;
    view_symbol *made = LMN_ARENA_ARRAY(&v->mem, view_symbol, v->n_symbols + 1);
    char *copy = lmn_arena_str(&v->mem, name);
    LMN_CHECK(made && copy, LAMINA_E_NOMEM);
    if (v->n_symbols) memcpy(made, v->symbols, v->n_symbols * sizeof *made);
    v->symbols = made;
    *out = &made[v->n_symbols++];
    **out = (view_symbol){copy, -1};
    for (size_t i = 0; i < o->n_dims; i++) (void)entry_is(o->dims[i], copy, &(*out)->value);
    return LAMINA_OK;
}

static lamina_status bind_inputs(lamina_view *v, const lamina_view_opts *o)
{
    view_graph *top = &v->graphs[0];
    const lmn_graph *g = top->g;
    for (size_t i = 0; i < g->n_inputs; i++) {
        lmn_fact f = g->values[g->inputs[i]].fact;
        f.n_elems = -1;
        for (int32_t k = 0; k < f.rank; k++) {
            view_symbol *s;
            if (lmn_dim_is_const(f.dims[k])) continue;
            LMN_TRY(symbol_of(v, g, g->inputs[i], k, o, &s));
            f.dims[k] = s->value >= 0 ? lmn_dim_c(s->value) : lmn_dim_sym(v->dims, s->name);
        }
        top->facts[g->inputs[i]] = f;
    }
    return LAMINA_OK;
}

/* An entry that no dimension asked for is a slip of the pen: say what could have been given. */
static lamina_status check_entries(const lamina_view *v, const lamina_view_opts *o,
                                   lamina_error *err)
{
    char names[256] = "";
    size_t n = 0;
    for (size_t s = 0; s < v->n_symbols; s++)
        n += lmn_format(names + n, sizeof names - n, "%s%s", s ? ", " : "", v->symbols[s].name);
    for (size_t i = 0; i < o->n_dims; i++) {
        bool used = false;
        int64_t value;
        for (size_t s = 0; s < v->n_symbols; s++)
            used |= entry_is(o->dims[i], v->symbols[s].name, &value);
        if (!used)
            return lmn_fail(err, LAMINA_E_INVALID,
                            "dimension \"%.80s\" fits no free dimension of the model (%s)",
                            o->dims[i], v->n_symbols ? names : "it has none");
    }
    return LAMINA_OK;
}

/* Facts of a subgraph as import left them, with what was given put in. */
static lamina_status bind_subgraph(lamina_view *v, view_graph *vg)
{
    const lmn_graph *g = vg->g;
    const size_t n = lmn_dim_sym_count(g->dims);
    vg->facts = LMN_ARENA_ARRAY(&v->mem, lmn_fact, g->n_values);
    int64_t *values = LMN_ARENA_ARRAY(&v->mem, int64_t, n + 1);
    LMN_CHECK(vg->facts && values, LAMINA_E_NOMEM);
    for (size_t i = 0; i < n; i++) {
        const view_symbol *s = find_symbol(v, lmn_dim_sym_name(g->dims, i));
        values[i] = s ? s->value : -1;
    }
    for (size_t i = 0; i < g->n_values; i++) {
        lmn_fact f = g->values[i].fact;
        int64_t c;
        for (int32_t k = 0; k < f.rank; k++)
            if (lmn_dim_eval(g->dims, f.dims[k], values, &c)) f.dims[k] = lmn_dim_c(c);
        vg->facts[i] = f;
    }
    return LAMINA_OK;
}

static lamina_status infer_all(lamina_view *v, const lamina_view_opts *o, lamina_error *err)
{
    view_graph *top = &v->graphs[0];
    top->facts = LMN_ARENA_ARRAY(&v->mem, lmn_fact, top->g->n_values);
    LMN_CHECK(top->facts, LAMINA_E_NOMEM);
    top->dims = v->dims;
    LMN_TRY(bind_inputs(v, o));
    LMN_TRY(check_entries(v, o, err));
    lmn_diags diags;
    lmn_diags_init(&diags, &v->engine->alloc);
    lamina_status st = lmn_graph_infer_facts(top->g, v->dims, &v->mem, top->facts, &diags);
    if (st != LAMINA_OK && diags.n_errors) (void)lmn_diags_to_error(&diags, err);
    lmn_diags_finish(&diags);
    for (size_t k = 1; st == LAMINA_OK && k < v->n_graphs; k++)
        st = bind_subgraph(v, &v->graphs[k]);
    return st;
}

/* ---- totals -----------------------------------------------------------------------------------
 */

uint64_t lmn_view_bytes(const lmn_fact *f)
{
    int64_t dims[LMN_MAX_RANK], count;
    size_t bytes;
    if (f->kind != LMN_FACT_TENSOR || f->dtype == LAMINA_STRING || f->dtype == LAMINA_DTYPE_NONE ||
        !lmn_fact_static(f, dims) || !lmn_dims_count(f->rank, dims, &count) ||
        !lmn_dense_bytes(f->dtype, count, &bytes))
        return 0;
    return bytes;
}

static bool known(const lmn_fact *f)
{
    int64_t dims[LMN_MAX_RANK];
    return lmn_fact_static(f, dims);
}

bool lmn_view_cost(const view_graph *vg, const lmn_gnode *n, lmn_cost *out)
{
    enum { MOST = 64 };
    const lmn_fact *in[MOST];
    lmn_fact res[MOST];
    *out = (lmn_cost){0, 0};
    if (n->op.n_in > MOST || n->op.n_out > MOST) return false;
    bool exact = true;
    for (int32_t k = 0; k < n->op.n_in; k++) {
        in[k] = n->in[k] ? &vg->facts[n->in[k]] : NULL;
        exact &= !in[k] || known(in[k]);
    }
    for (int32_t k = 0; k < n->op.n_out; k++) {
        res[k] = n->out[k] ? vg->facts[n->out[k]] : lmn_fact_unknown();
        exact &= !n->out[k] || known(&res[k]);
    }
    lmn_op_cost(&n->op, in, res, out);
    return exact;
}

static uint64_t size_at_one(const lmn_fact *f)
{
    lmn_fact g = *f;
    for (int32_t k = 0; k < g.rank; k++)
        if (!lmn_dim_is_const(g.dims[k])) g.dims[k] = lmn_dim_c(1);
    return lmn_view_bytes(&g);
}

/* Bytes alive node by node: a value lives from its node to its last reader, a view with its root.
 */
static lamina_status find_peak(lamina_view *v)
{
    const view_graph *top = &v->graphs[0];
    const lmn_graph *g = top->g;
    uint32_t *uses = LMN_ARENA_ARRAY(&v->mem, uint32_t, g->n_values);
    lmn_vid *root = LMN_ARENA_ARRAY(&v->mem, lmn_vid, g->n_values);
    LMN_CHECK(uses && root, LAMINA_E_NOMEM);
    for (size_t i = 0; i < g->n_values; i++) root[i] = (lmn_vid)i;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if ((n->op.def->flags & LMN_OP_VIEW) && n->op.n_in && n->in[0] && n->out[0])
            root[n->out[0]] = root[n->in[0]];
        for (int32_t k = 0; k < n->op.n_in; k++) uses[root[n->in[k]]]++;
    }
    for (size_t i = 0; i < g->n_outputs; i++) uses[root[g->outputs[i]]]++;
    uint64_t alive = 0;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        for (int32_t k = 0; k < n->op.n_out; k++)
            if (root[n->out[k]] == n->out[k]) alive += size_at_one(&top->facts[n->out[k]]);
        if (alive > v->stats.peak_bytes) v->stats.peak_bytes = alive;
        for (int32_t k = 0; k < n->op.n_in; k++) {
            const lmn_vid r = root[n->in[k]];
            if (!r || --uses[r] || g->values[r].constant || g->values[r].is_input) continue;
            alive -= size_at_one(&top->facts[r]);
        }
    }
    return LAMINA_OK;
}

static lamina_status add_up(lamina_view *v)
{
    lamina_view_stats *s = &v->stats;
    const view_graph *top = &v->graphs[0];
    for (size_t i = 0; i < top->g->n_nodes; i++) {
        lmn_cost c;
        s->n_inexact += !lmn_view_cost(top, &top->g->nodes[i], &c);
        s->flops += c.flops;
        s->bytes += c.bytes;
    }
    for (size_t k = 0; k < v->n_graphs; k++) {
        const lmn_graph *g = v->graphs[k].g;
        for (size_t i = 1; i < g->n_values; i++) {
            if (!g->values[i].constant || g->values[i].constant->kind != LAMINA_KIND_TENSOR)
                continue;
            s->n_params += (uint64_t)lamina_tensor_count(g->values[i].constant);
            s->param_bytes += g->values[i].constant->data_bytes;
        }
    }
    s->n_graphs = v->n_graphs;
    s->n_nodes = v->n_nodes;
    s->n_values = v->n_values;
    s->n_symbols = v->n_symbols;
    s->n_opsets = v->model->n_imports;
    return find_peak(v);
}

/* ---- life -------------------------------------------------------------------------------------
 */

static lamina_status fill(lamina_view *v, const lmn_graph *g, const lamina_view_opts *o,
                          lamina_error *err)
{
    LMN_TRY(lmn_dim_pool_create(&v->engine->alloc, 0, &v->dims));
    LMN_TRY(number_graphs(v, g));
    if (v->session) v->graphs[0].x = v->session->x;
    LMN_TRY(infer_all(v, o, err));
    return add_up(v);
}

static lamina_status create(lamina_model *m, const lamina_session *s, const lamina_view_opts *opts,
                            lamina_view **out, lamina_error *err)
{
    lamina_view_opts o;
    if (err) *err = (lamina_error){0};
    if (lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK || (o.n_dims && !o.dims))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "the view options set a field this version does not know");
    const lamina_allocator *a = &m->engine->alloc;
    lamina_view *v = lmn_calloc(a, 1, sizeof *v, "view");
    if (!v) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory looking at a graph");
    v->engine = m->engine;
    v->model = lamina_model_ref(m);
    v->session = s;
    lmn_arena_init(&v->mem, a, 0);
    lamina_status st = fill(v, s ? s->g : m->graph, &o, err);
    if (st != LAMINA_OK) {
        lamina_view_destroy(v);
        if (err && !err->msg[0])
            return lmn_fail(err, st, "looking at the graph failed: %s", lamina_status_text(st));
        return st;
    }
    *out = v;
    return LAMINA_OK;
}

lamina_status lamina_view_model(lamina_model *model, const lamina_view_opts *opts,
                                lamina_view **out, lamina_error *err)
{
    if (!model || !out)
        return lmn_fail(err, LAMINA_E_INVALID, "a view needs a model and a place to go");
    return create(model, NULL, opts, out, err);
}

lamina_status lamina_view_session(const lamina_session *session, const lamina_view_opts *opts,
                                  lamina_view **out, lamina_error *err)
{
    if (!session || !out)
        return lmn_fail(err, LAMINA_E_INVALID, "a view needs a session and a place to go");
    return create(session->model, session, opts, out, err);
}

void lamina_view_destroy(lamina_view *v)
{
    if (!v) return;
    const lamina_engine *e = v->engine;
    lmn_free(&e->alloc, v->graphs, v->cap_graphs * sizeof *v->graphs, 16, "view");
    lmn_dim_pool_destroy(v->dims);
    lmn_arena_finish(&v->mem);
    lamina_model_unref(v->model);
    lmn_cfree(&e->alloc, v, 1, sizeof *v, "view");
}
