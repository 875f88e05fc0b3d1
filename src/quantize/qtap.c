/*
 * Looking at values inside a model: a copy of it that has them as its outputs. Passes keep what is
 * an output, and drop what only the model's own outputs needed.
 */
#include "quantize/quantizer.h"

static lamina_status tapped(const lamina_model *m, const lmn_vid *ids, size_t n, lamina_model **out)
{
    lmn_graph *g;
    LMN_TRY(lmn_graph_clone(m->graph, NULL, &g));
    for (size_t i = 0; i < g->n_outputs; i++) g->values[g->outputs[i]].is_output = false;
    g->n_outputs = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = lmn_graph_add_output(g, ids[i], g->values[ids[i]].name);
    const lamina_status st = ok ? lmn_model_derive(m, g, out) : LAMINA_E_NOMEM;
    if (st != LAMINA_OK) lmn_graph_destroy(g);
    return st;
}

lamina_status lmn_qtap_open(const lamina_model *m, const lmn_vid *ids, size_t n, lmn_qtap *t,
                            lamina_error *err)
{
    lamina_model *view = NULL;
    lmn_qtap made = {.n = n, .n_inputs = m->graph->n_inputs};
    made.v = lmn_calloc(&m->engine->alloc, n, sizeof *made.v, "quantizer");
    lamina_status st = made.v ? tapped(m, ids, n, &view) : LAMINA_E_NOMEM;
    if (st == LAMINA_OK)
        st = lamina_session_create(view, NULL, &made.s, err);
    else
        st = lmn_fail(err, st, "out of memory copying the model");
    lamina_model_unref(view);
    if (st == LAMINA_OK)
        *t = made;
    else
        lmn_qtap_close(m->engine, &made);
    return st;
}

static void drop_values(lmn_qtap *t)
{
    for (size_t i = 0; t->v && i < t->n; i++) {
        lamina_tensor_unref(t->v[i]);
        t->v[i] = NULL;
    }
}

lamina_status lmn_qtap_run(lmn_qtap *t, const lamina_tensor *const *inputs, size_t n_inputs,
                           lamina_error *err)
{
    const lamina_run_opts o = {.size = sizeof o, .error = err};
    drop_values(t);
    return lamina_session_run(t->s, inputs, n_inputs, t->v, t->n, &o);
}

void lmn_qtap_close(lamina_engine *e, lmn_qtap *t)
{
    drop_values(t);
    if (t->v) lmn_cfree(&e->alloc, t->v, t->n, sizeof *t->v, "quantizer");
    lamina_session_destroy(t->s);
    *t = (lmn_qtap){0};
}
