/*
 * Which operator sets the file imports. Import rewrote old nodes to the form of the newest set, so
 * a file written with its old number would say something else: the number is the lowest one, not
 * below that of the file, in which every node has the form that it has here.
 */
#include "formats/onnx/onnx_write.h"

#include <string.h>

/* Operators whose form before `before` is rewritten to one that exists since `since`. Below OLDEST
   no file is written: all forms that end there have been rewritten. */
#define OLDEST 7
typedef struct form {
    const char *op;
    int32_t before, since;
} form;
static const form FORMS[] = {
    {"BatchNormalization", 14, 14},
    {"Cast", 9, 9},
    {"Clip", 11, 11},
    {"DFT", 20, 20},
    {"Dropout", 12, 12},
    {"GridSample", 20, 20},
    {"Hardmax", 13, 13},
    {"LogSoftmax", 13, 13},
    {"Pad", 11, 11},
    {"Resize", 11, 13}, /* without a region, which versions 11 and 12 insist on */
    {"RoiAlign", 16, 16},
    {"Slice", 10, 10},
    {"Softmax", 13, 13},
    {"Split", 13, 13},
    {"Squeeze", 13, 13},
    {"TopK", 10, 10},
    {"Unsqueeze", 13, 13},
    {NULL, 0, 0},
};

/* The set that the form of n needs, as far as it is not that of the file. */
static int32_t form_since(const lmn_gnode *n)
{
    const char *op = n->op.def->name;
    if (!strncmp(op, "Reduce", 6) && n->op.n_in > 1 && n->in[1])
        return strcmp(op, "ReduceSum") ? 18 : 13;
    for (const form *f = FORMS; f->op; f++)
        if (!strcmp(op, f->op) && n->op.opset < f->before) return f->since;
    return OLDEST;
}

static int32_t at_least(int32_t a, int32_t b)
{
    return a > b ? a : b;
}

/* Raises *opset to what the nodes of g need. */
static void lift(const lmn_graph *g, int32_t *opset)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (n->dead) continue;
        if (!*n->op.def->domain) {
            *opset = at_least(*opset, n->op.opset);
            *opset = at_least(*opset, n->op.def->since);
            *opset = at_least(*opset, form_since(n));
        }
        for (int32_t k = 0; k < n->op.n_attrs; k++)
            if (n->op.attrs[k].type == LMN_ATTR_GRAPH) lift(n->op.attrs[k].u.g, opset);
    }
}

/* Does each node still mean the same at the number that was chosen? */
static void check(lmn_onnx_out *w, const lmn_graph *g)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        const lmn_op_def *def = n->op.def;
        if (n->dead) continue;
        const bool onnx = !*def->domain;
        const bool scan = onnx && !strcmp(def->name, "Scan") && n->op.opset < 9 && w->opset >= 9;
        const bool group =
            onnx && !strcmp(def->name, "GroupNormalization") && n->op.opset < 21 && w->opset >= 21;
        if (scan || group || (onnx && def->until && w->opset > def->until))
            lmn_onnx_out_fail(w, LAMINA_E_UNSUPPORTED,
                              "node \"%s\": %s of operator set %d has no equal in set %d, which "
                              "other nodes need",
                              n->op.name, def->name, n->op.opset, w->opset);
        for (int32_t k = 0; k < n->op.n_attrs; k++)
            if (n->op.attrs[k].type == LMN_ATTR_GRAPH) check(w, n->op.attrs[k].u.g);
    }
}

void lmn_onnx_choose_opset(lmn_onnx_out *w, const lamina_model *m, const lmn_graph *g)
{
    w->opset = at_least(m->opset, OLDEST);
    /* A narrow weight is widened by a Cast, which knows bfloat16 since 13. */
    if (w->opts->weights == LAMINA_BF16) w->opset = at_least(w->opset, 13);
    lift(g, &w->opset);
    check(w, g);
}

int64_t lmn_onnx_domain_version(const lamina_model *m, const lmn_op_def *def)
{
    int64_t v = def->since > 1 ? def->since : 1;
    for (size_t i = 0; i < m->n_imports; i++)
        if (!strcmp(m->imports[i].domain, def->domain) && m->imports[i].version > v)
            v = m->imports[i].version;
    return v;
}
