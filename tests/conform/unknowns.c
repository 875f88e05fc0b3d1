/*
 * unknowns MODEL...: how much symbolic inference leaves open. Every dim of every input becomes a
 * symbol (one that the file names keeps its name, the others are all different), the graph is
 * inferred anew, and what is not even an expression is counted: values without a rank, and unknown
 * dims of the others (those that a later value shares count once). Prints "model RANKS DIMS VALUES
 * FILE" for each, or "error FILE: SENTENCE", and then for each operator that loses something all of
 * whose inputs were known "op RANKS DIMS NAME". Values of subgraphs are not counted, what leaves
 * them is.
 */
#include "graph/model.h"
#include "lamina/lamina.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct loss {
    const lmn_op_def *op;
    long ranks, dims;
} loss;
static loss lost[1024];
static size_t n_lost;

static loss *loss_of(const lmn_op_def *op)
{
    for (size_t i = 0; i < n_lost; i++)
        if (lost[i].op == op) return &lost[i];
    if (n_lost == sizeof lost / sizeof *lost) return lost;
    lost[n_lost].op = op;
    return &lost[n_lost++];
}

/* Symbols met so far. One that no input and no earlier value has was made where nothing is known:
   it counts as unknown there, and as known from there on. */
static bool met[65536];

static void meet(const lmn_graph *g, const lmn_fact *f)
{
    for (int32_t k = 0; k < f->rank; k++) {
        const int64_t sym = lmn_dim_is_const(f->dims[k]) ? -1 : lmn_dim_as_sym(g->dims, f->dims[k]);
        if (sym >= 0) met[sym % 65536] = true;
    }
}

static long unknown_dims(const lmn_graph *g, const lmn_fact *f)
{
    long n = 0;
    for (int32_t k = 0; k < f->rank; k++) {
        const lmn_dim d = f->dims[k];
        const int64_t sym =
            lmn_dim_is_const(d) || !lmn_dim_known(d) ? -1 : lmn_dim_as_sym(g->dims, d);
        n += !lmn_dim_known(d) || (sym >= 0 && !met[sym % 65536]);
    }
    return n;
}

/* Symbols for the inputs, and inference with nothing else to go by. */
static lamina_status make_symbolic(lmn_graph *g, lmn_diags *diags)
{
    for (size_t i = 0; i < g->n_inputs; i++) {
        lmn_value *v = lmn_graph_v(g, g->inputs[i]);
        for (int32_t k = 0; k < v->fact.rank; k++)
            if (lmn_dim_is_const(v->fact.dims[k]) || !lmn_dim_known(v->fact.dims[k]))
                v->fact.dims[k] = lmn_dim_sym(g->dims, NULL);
    }
    return lmn_graph_infer(g, diags);
}

static void count(const lmn_graph *g, const char *file)
{
    long ranks = 0, dims = 0, values = 0;
    memset(met, 0, sizeof met);
    for (size_t i = 0; i < g->n_inputs; i++) meet(g, &lmn_graph_v(g, g->inputs[i])->fact);
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        bool ranked = true;
        if (n->dead) continue;
        for (int32_t k = 0; k < n->op.n_in; k++)
            ranked &= !n->in[k] || lmn_graph_v(g, n->in[k])->fact.rank >= 0;
        for (int32_t k = 0; k < n->op.n_out; k++) {
            if (!n->out[k]) continue;
            const lmn_fact *f = &lmn_graph_v(g, n->out[k])->fact;
            const long open = unknown_dims(g, f);
            meet(g, f);
            values++;
            ranks += f->rank < 0;
            dims += open;
            if (!ranked || (f->rank >= 0 && !open)) continue;
            loss_of(n->op.def)->ranks += f->rank < 0;
            loss_of(n->op.def)->dims += open;
            if (!getenv("UNKNOWNS_TRACE")) continue;
            char text[200];
            (void)lmn_fact_format(g->dims, f, text, sizeof text);
            printf("trace %s %s %s\n", n->op.def->name, text, file);
        }
    }
    printf("model %ld %ld %ld %s\n", ranks, dims, values, file);
}

static int look_at(const char *file)
{
    lamina_engine *e = NULL;
    lamina_model *m = NULL;
    lamina_error err = {0};
    if (lamina_engine_create(NULL, &e) != LAMINA_OK) return 1;
    lamina_status st = lamina_model_load(e, file, NULL, &m, &err);
    if (st == LAMINA_OK) {
        lmn_diags diags;
        lmn_diags_init(&diags, &e->alloc);
        st = make_symbolic(m->graph, &diags);
        if (st != LAMINA_OK) (void)lmn_diags_to_error(&diags, &err);
        if (st == LAMINA_OK) count(m->graph, file);
        lmn_diags_finish(&diags);
    }
    if (st != LAMINA_OK) printf("error %s: %s\n", file, err.msg);
    lamina_model_unref(m);
    lamina_engine_destroy(e);
    return 0;
}

int main(int argc, char **argv)
{
    int failed = argc < 2;
    for (int i = 1; i < argc && !failed; i++) failed = look_at(argv[i]);
    for (size_t i = 0; i < n_lost; i++)
        printf("op %ld %ld %s%s%s\n", lost[i].ranks, lost[i].dims, lost[i].op->domain,
               *lost[i].op->domain ? "." : "", lost[i].op->name);
    return failed;
}
