/*
 * Operators that tie the rows of a batch to each other.
 */
#include "serve/served_ops.h"

#include "graph/model.h"

#include <string.h>

const char *lmn_model_coupling_op(const lamina_model *m)
{
    for (size_t i = 0; i < m->graph->n_nodes; i++) {
        const lmn_gnode *n = &m->graph->nodes[i];
        if (!n->dead && !strncmp(n->op.def->name, "DynamicQuantize", 15)) return n->op.def->name;
    }
    return NULL;
}
