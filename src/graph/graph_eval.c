/*
 * One operator on the heap, outside any session: what constant folding and tests run.
 */
#include "graph/graph.h"

#include <string.h>

/* The inputs with copies in place of those at odd addresses; copies are noted in `own`. */
static lamina_status align_inputs(const lmn_graph *g, size_t n, lamina_tensor *const *in,
                                  lamina_tensor **use, lamina_tensor **own)
{
    for (size_t i = 0; i < n; i++) {
        use[i] = in[i];
        if (!in[i] || lmn_tensor_aligned(in[i])) continue;
        LMN_TRY(lmn_tensor_clone(g->engine, in[i], &own[i]));
        use[i] = own[i];
    }
    return LAMINA_OK;
}

static lamina_status eval_slots(const lmn_graph *g, const lmn_gnode *n, lamina_tensor *const *in,
                                lamina_tensor *slots, lamina_tensor **slot_ptrs,
                                lamina_tensor **out, const lmn_par *par, lamina_error *err)
{
    lmn_eval ec = {.node = &n->op,
                   .engine = g->engine,
                   .n_in = n->op.n_in,
                   .n_out = n->op.n_out,
                   .in = in,
                   .out = slot_ptrs,
                   .par = par,
                   .err = err};
    lamina_status st = n->op.def->eval(&ec);
    lmn_scratch_release(&ec);
    int32_t kept = 0;
    for (; st == LAMINA_OK && kept < n->op.n_out; kept++)
        if (slot_ptrs[kept]) st = lmn_keep(&ec, &slots[kept], &out[kept]);
    if (st != LAMINA_OK)
        for (int32_t i = 0; i < n->op.n_out; i++) {
            lamina_tensor_unref(out[i]);
            out[i] = NULL;
        }
    return st;
}

lamina_status lmn_graph_eval_node(const lmn_graph *g, const lmn_gnode *n, lamina_tensor *const *in,
                                  lamina_tensor **out, const lmn_par *par, lamina_error *err)
{
    const lamina_allocator *a = &g->engine->alloc;
    const size_t n_out = (size_t)n->op.n_out, n_in = (size_t)n->op.n_in;
    memset(out, 0, n_out * sizeof *out);
    if (!n->op.def->eval)
        return lmn_fail(err, LAMINA_E_UNSUPPORTED, "%s has no evaluation", n->op.def->name);
    lamina_tensor *slots = lmn_calloc(a, n_out, sizeof *slots, "eval");
    lamina_tensor **ptrs = lmn_calloc(a, n_out, sizeof *ptrs, "eval");
    lamina_tensor **use = lmn_calloc(a, 2 * n_in + 1, sizeof *use, "eval");
    lamina_status st = LAMINA_E_NOMEM;
    if (slots && ptrs && use) st = align_inputs(g, n_in, in, use, use + n_in);
    if (st == LAMINA_OK) {
        for (size_t i = 0; i < n_out; i++) {
            slots[i].kind = LAMINA_KIND_NONE;
            slots[i].engine = g->engine;
            if (n->out[i]) ptrs[i] = &slots[i];
        }
        st = eval_slots(g, n, use, slots, ptrs, out, par, err);
        for (size_t i = 0; i < n_out; i++) lmn_slot_clear(&slots[i]);
    }
    lmn_cfree(a, slots, n_out, sizeof *slots, "eval");
    lmn_cfree(a, ptrs, n_out, sizeof *ptrs, "eval");
    for (size_t i = 0; use && i < n_in; i++) lamina_tensor_unref(use[n_in + i]);
    lmn_cfree(a, use, 2 * n_in + 1, sizeof *use, "eval");
    return st;
}
