/*
 * Rewriting a graph front to back: new nodes are appended and their places noted, what readers read
 * instead of a value stands in a map, and lmn_qedit_finish puts everything in order.
 *
 * The first failure sticks and every later call does nothing, so whoever edits looks once at the
 * end. Pointers to nodes do not survive lmn_qedit_node.
 */
#ifndef LMN_QUANTIZE_QEDIT_H
#define LMN_QUANTIZE_QEDIT_H

#include "graph/graph.h"

typedef struct lmn_qedit {
    lmn_graph *g;
    uint32_t *order; /* nodes in their order to be */
    size_t n_order, cap_order;
    lmn_vid *map; /* of the n_map values that existed at the start; 0 = itself */
    size_t n_map;
    lmn_arena tmp;
    lamina_status status;
} lmn_qedit;

void lmn_qedit_begin(lmn_qedit *ed, lmn_graph *g);
/* Old node i comes next; its inputs are mapped. */
void lmn_qedit_keep(lmn_qedit *ed, uint32_t i);
/* A dense tensor to fill; NULL after a failure. */
lamina_tensor *lmn_qedit_tensor(lmn_qedit *ed, lamina_dtype dtype, int32_t rank,
                                const int64_t *dims);
/* The filled tensor as a constant called "stem_suffix"; takes the reference over, NULL gives 0. */
lmn_vid lmn_qedit_const(lmn_qedit *ed, const char *stem, const char *suffix, lamina_tensor *t);
/* A copy of n floats as a constant, a scalar where n is 0. */
lmn_vid lmn_qedit_f32(lmn_qedit *ed, const char *stem, const char *suffix, int64_t n,
                      const float *v);
/* A value to be made by a node. 0 after a failure. */
lmn_vid lmn_qedit_value(lmn_qedit *ed, const char *stem, const char *suffix);
/* The next node, called "stem_op". Attributes have plain numbers only. */
typedef struct lmn_qnode {
    const char *domain, *op, *stem;
    const lmn_vid *in;
    int32_t n_in;
    const lmn_attr *attrs;
    int32_t n_attrs;
    const lmn_vid *out;
    int32_t n_out;
} lmn_qnode;
void lmn_qedit_node(lmn_qedit *ed, const lmn_qnode *n);
/* The next node, of the default domain, with one output of its own. */
lmn_vid lmn_qedit_one(lmn_qedit *ed, const char *op, const char *stem, const lmn_vid *in,
                      int32_t n_in);
/* What readers of old value v read. */
lmn_vid lmn_qedit_read(const lmn_qedit *ed, lmn_vid v);
/* Nodes in order, outputs of the graph mapped, facts inferred, invariants verified; the graph is
   unusable after a failure. */
lamina_status lmn_qedit_finish(lmn_qedit *ed, lamina_error *err);

#endif
