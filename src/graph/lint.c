/*
 * The lints of a graph, one after the other, and what they share: who reads a value, how one is
 * told. The lint that ran out of memory stops; the others and the model do not.
 */
#include "graph/lint.h"

#include <stdarg.h>
#include <string.h>

static const struct {
    const char *id;
    void (*run)(lmn_lint *l);
} LINTS[] = {
    {"qdq-zero-point", lmn_lint_zero_point},    {"vector-for-scalar", lmn_lint_scalar},
    {"cast-island", lmn_lint_cast_island},      {"unplanned-size", lmn_lint_size},
    {"duplicate-constant", lmn_lint_duplicate}, {"unused-constant", lmn_lint_unused},
};

bool lmn_lint_is(const lmn_gnode *n, const char *op)
{
    return !n->op.def->domain[0] && !strcmp(n->op.def->name, op);
}

void lmn_lint_say(lmn_lint *l, const lmn_gnode *n, const char *fix, const char *fmt, ...)
{
    char what[LAMINA_ERROR_MSG_BYTES], op[160] = "";
    if (l->n_told++ >= LMN_LINT_EACH) return;
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    lmn_diag_at at = {0};
    if (n) {
        const char *domain = n->op.def->domain;
        (void)lmn_format(op, sizeof op, "%s%s%s", domain, *domain ? ":" : "", n->op.def->name);
        at = (lmn_diag_at){n->op.name, op, n->op.opset};
    }
    lmn_diag_lint(l->diags, l->id, at, fix, "%s", what);
}

/* Readers of every value, as one list. */
static bool index_readers(lmn_lint *l)
{
    const lmn_graph *g = l->g;
    size_t total = 0;
    l->first = LMN_ARENA_ARRAY(&l->tmp, uint32_t, g->n_values + 2);
    if (!l->first) return false;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_in; k++, total++)
            l->first[g->nodes[i].in[k] + 2]++;
    if (total > UINT32_MAX || !(l->reader = LMN_ARENA_ARRAY(&l->tmp, uint32_t, total + 1)))
        return false;
    /* first[v + 1] is where the next reader of v goes; at the end it is where v + 1 begins. */
    for (size_t v = 2; v < g->n_values + 2; v++) l->first[v] += l->first[v - 1];
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_in; k++)
            l->reader[l->first[g->nodes[i].in[k] + 1]++] = (uint32_t)i;
    return true;
}

static bool lint_one(const lmn_graph *g, lmn_diags *diags)
{
    lmn_lint l = {.g = g, .diags = diags};
    lmn_arena_init(&l.tmp, &g->engine->alloc, 0);
    bool ok = index_readers(&l);
    for (size_t i = 0; ok && i < LMN_COUNT(LINTS); i++) {
        l.id = LINTS[i].id;
        l.n_told = 0;
        LINTS[i].run(&l);
        if (l.n_told > LMN_LINT_EACH)
            lmn_diag_lint(diags, l.id, (lmn_diag_at){0}, "as above", "%zu more of this kind",
                          l.n_told - LMN_LINT_EACH);
    }
    ok = ok && !l.tmp.failed;
    lmn_arena_finish(&l.tmp);
    return ok;
}

lamina_status lmn_graph_lint(const lmn_graph *g, lmn_diags *diags)
{
    bool ok = lint_one(g, diags);
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_attrs; k++) {
            const lmn_attr *a = &g->nodes[i].op.attrs[k];
            if (a->type == LMN_ATTR_GRAPH) ok &= lmn_graph_lint(a->u.g, diags) == LAMINA_OK;
        }
    return ok ? LAMINA_OK : LAMINA_E_NOMEM;
}
