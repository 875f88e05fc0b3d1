/*
 * The graph: SSA values and nodes in topological order, one arena. What every reader builds, every
 * pass rewrites and the runtime executes.
 *
 * Invariants (lmn_graph_verify): value 0 is "absent"; a value has at most one producer and it comes
 * before all its readers; graph inputs and constants have none; captures of a subgraph are
 * explicit: a node with graph attributes lists the captured outer values as its last `n_caps`
 * inputs, and every such subgraph's inputs are its formal inputs followed by all those captures in
 * the same order. Dead nodes are marked (`dead`), and leave on lmn_graph_compact().
 */
#ifndef LMN_GRAPH_GRAPH_H
#define LMN_GRAPH_GRAPH_H

#include "ops/op.h"

typedef uint32_t lmn_vid; /* 0 = absent */
#define LMN_NO_NODE UINT32_MAX

typedef struct lmn_value {
    const char *name;        /* as in the file, printable form; "" if made by a pass */
    lmn_fact fact;           /* best known; elems live in the graph's arena */
    uint32_t producer;       /* node index or LMN_NO_NODE */
    uint32_t producer_out;   /* which output of the producer */
    lamina_tensor *constant; /* ref held; non-NULL: an initialiser or folded value */
    bool is_input; /* graph input (also when `constant` gives it an overridable default) */
    bool is_output;
} lmn_value;

typedef struct lmn_gnode {
    lmn_opnode op; /* op.n_in, op.n_out, op.attrs ... as operators see it */
    lmn_vid *in;   /* op.n_in, 0 = absent */
    lmn_vid *out;  /* op.n_out, 0 = not wanted */
    bool dead;
} lmn_gnode;

typedef struct lmn_graph lmn_graph;
struct lmn_graph {
    lamina_engine *engine;
    lmn_graph *parent; /* enclosing graph of a subgraph, NULL at the top */
    lmn_arena arena;
    lmn_dim_pool *dims; /* of the top graph, shared by its subgraphs */
    const char *name;
    lmn_value *values; /* [0] is the absent value */
    size_t n_values, cap_values;
    lmn_gnode *nodes;
    size_t n_nodes, cap_nodes;
    lmn_vid *inputs, *outputs;
    size_t n_inputs, n_outputs, cap_inputs, cap_outputs;
    const char *
        *output_names; /* n_outputs: names as in the file, also when a value is passed through */
    size_t cap_output_names;
    uint32_t next_node_id; /* top graph only */
};

/* Bounds on what a graph may hold; every growth checks them. */
#define LMN_GRAPH_MAX_VALUES (1u << 24)
#define LMN_GRAPH_MAX_NODES (1u << 23)

lamina_status lmn_graph_create(lamina_engine *e, lmn_graph *parent, lmn_graph **out);
void lmn_graph_destroy(lmn_graph *g); /* NULL is fine; destroys subgraphs in attributes too */

/* All builders return 0 / NULL on exhaustion or past a bound; names are copied. */
lmn_vid lmn_graph_value(lmn_graph *g, const char *name, const lmn_fact *fact);
/* Takes a new ref of t. */
lmn_vid lmn_graph_constant(lmn_graph *g, const char *name, lamina_tensor *t);
bool lmn_graph_add_input(lmn_graph *g, lmn_vid v);
bool lmn_graph_add_output(lmn_graph *g, lmn_vid v, const char *name);
/*
 * Append a node. `attrs` is copied shallowly (strings and lists must already live in the arena,
 * tensors carry a ref that the graph takes over, graphs are taken over). in/out are copied. Sets
 * producers.
 */
lmn_gnode *lmn_graph_node(lmn_graph *g, const lmn_opnode *op, const lmn_vid *in,
                          const lmn_vid *out);
static inline lmn_value *lmn_graph_v(const lmn_graph *g, lmn_vid v)
{
    return &g->values[v];
}

/* Constants at an odd address stay there if all who read them take weights from afar
   (LMN_PORT_FAR); the others become copies. After import, subgraphs included. */
lamina_status lmn_graph_settle(lmn_graph *g);
/* Replace the constant of v by a copy if its address is odd. */
lamina_status lmn_graph_align(lmn_graph *g, lmn_vid v);
/* Port i of the node, the variadic one for all that follow; NULL for captures and beyond. */
const lmn_port *lmn_gnode_port(const lmn_gnode *n, int32_t i);

/* Check the invariants above; NULL diags allowed. */
lamina_status lmn_graph_verify(const lmn_graph *g, lmn_diags *diags);
/* (Re)run inference over all nodes in order, into value facts, subgraphs included. Collects every
   problem in diags; returns the first error. */
lamina_status lmn_graph_infer(lmn_graph *g, lmn_diags *diags);
/* Inference of a graph as a function, facts of inputs to facts of outputs, writing nothing into g.
   Facts are lent by `arena`. */
lamina_status lmn_graph_infer_call(const lmn_graph *g, lmn_dim_pool *dims, lmn_arena *arena,
                                   const lmn_fact *const *in, size_t n_in, lmn_fact *out,
                                   size_t n_out, lmn_diags *diags);
/* As above for the whole value table: facts[n_values], those of inputs filled by the caller. */
lamina_status lmn_graph_infer_facts(const lmn_graph *g, lmn_dim_pool *dims, lmn_arena *arena,
                                    lmn_fact *facts, lmn_diags *diags);
/* One node with explicit facts by port; `in` and `in_const` have op.n_in entries, out op.n_out. */
lamina_status lmn_graph_infer_node(lmn_dim_pool *dims, lmn_arena *arena, const lmn_gnode *n,
                                   const lmn_fact *const *in, const lamina_tensor *const *in_const,
                                   lmn_fact *out, lmn_diags *diags);
/* Replace every use of `from` (outputs of the graph included) by `to`. */
void lmn_graph_replace(lmn_graph *g, lmn_vid from, lmn_vid to);
/* Drop dead nodes; keeps order and value ids. */
void lmn_graph_compact(lmn_graph *g);
/* Number of readers of each value (graph outputs count one): array of n_values in `arena`. */
uint32_t *lmn_graph_uses(const lmn_graph *g, lmn_arena *arena);
/* Deep copy; constants are shared by ref. */
lamina_status lmn_graph_clone(const lmn_graph *g, lmn_graph *parent, lmn_graph **out);
/* The same of a top-level graph, but lists of attributes are lent: g must outlive the copy. */
lamina_status lmn_graph_clone_lent(const lmn_graph *g, lmn_graph **out);
/*
 * Add a node at import: canonicalises it (def->canon), infers it and appends what comes out. `op`
 * is the node as in the file (def, name, opset, n_in, n_caps, n_out, attrs). Reports to diags;
 * returns the first error; on an error the outputs still exist, with unknown facts, so that a
 * collecting reader goes on.
 */
lamina_status lmn_graph_import_node(lmn_graph *g, const lmn_opnode *op, const lmn_vid *in,
                                    const lmn_vid *out, lmn_diags *diags);

/* Run one operator on the heap: used by folding and by tests. `out` receives op.n_out refs (NULL
   for outputs nobody wants). No subgraphs. */
lamina_status lmn_graph_eval_node(const lmn_graph *g, const lmn_gnode *n, lamina_tensor *const *in,
                                  lamina_tensor **out, const lmn_par *par, lamina_error *err);

#endif
