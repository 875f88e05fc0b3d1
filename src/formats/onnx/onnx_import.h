/*
 * Inside of the importer: what its files share while one model is built.
 *
 * A scope maps the raw bytes of names to values of one graph. Lookups never leave their scope: what
 * a subgraph captures is found beforehand (onnx_free.c) and entered as inputs, and a function body
 * sees its formal parameters only. Keys and messages are spans into the file.
 */
#ifndef LMN_FORMATS_ONNX_IMPORT_H
#define LMN_FORMATS_ONNX_IMPORT_H

#include "formats/onnx/onnx.h"

/* Attributes of a function call by the names that ref_attr_name uses. */
typedef struct lmn_onnx_env {
    const lmn_onnx_attr *v; /* none of them a reference any more */
    size_t n;
} lmn_onnx_env;

typedef struct lmn_onnx_scope {
    lmn_graph *g;
    lmn_map names; /* -> lmn_vid */
    lmn_map hints; /* -> lmn_onnx_value_info *: declared types of computed values */
    const lmn_onnx_opsets *opsets;
    lmn_onnx_env env;
    const char *prefix; /* of node names: the calls that lead here, "" at the top */
    uint32_t depth;     /* of subgraphs and calls */
} lmn_onnx_scope;

typedef struct lmn_onnx_import {
    lamina_engine *engine;
    const lamina_load_opts *limits;
    lmn_arena arena; /* messages, orders, lists: until the import is done */
    lmn_onnx_model file;
    lmn_onnx_store store;
    lamina_model *m;
    uint64_t nodes_left;
    bool stop; /* out of memory or of a limit: nothing further makes sense */
} lmn_onnx_import;

/* List of names in the importer's arena. */
typedef struct lmn_onnx_names {
    lmn_span *v;
    size_t n, cap;
} lmn_onnx_names;

/* Report an error about a node (n NULL: about the model). LIMIT and NOMEM also set `stop`. */
LMN_PRINTF(6, 7)
lamina_status lmn_onnx_report(lmn_onnx_import *x, const lmn_onnx_scope *s, const lmn_onnx_node *n,
                              lamina_status st, const char *fix, const char *fmt, ...);
lamina_status lmn_onnx_nomem(lmn_onnx_import *x);
/* A lint about the file; `id` and what it means: graph/lint.h. */
LMN_PRINTF(4, 5)
void lmn_onnx_lint(lmn_onnx_import *x, const char *id, const char *fix, const char *fmt, ...);
/* Printable zero-terminated copy in `a`; "" on exhaustion. */
const char *lmn_onnx_printable(lmn_arena *a, lmn_span s);

/* onnx_free.c: names that the graph attributes of a node use and do not define, in order. */
bool lmn_onnx_free_names(lmn_onnx_import *x, const lmn_onnx_node *n, lmn_onnx_names *out);
/* Order in which every value comes before its readers: NULL in *order if the file's order is one.
   Nodes in cycles are left out; *n_order says how many are in. False only when out of memory. */
bool lmn_onnx_order(lmn_onnx_import *x, const lmn_onnx_node *nodes, size_t n, uint32_t **order,
                    size_t *n_order);

/* onnx_type.c: TypeProto to fact; false with *why set when we do not have such types. */
bool lmn_onnx_fact(lmn_dim_pool *dims, lmn_span type, lmn_fact *out, const char **why);

/* onnx_attr.c: attributes of n, references resolved, into the graph's arena. Tensors carry a ref
   and subgraphs are owned by *attrs. Captures are vids of s->g. */
lamina_status lmn_onnx_attrs(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n,
                             const lmn_onnx_names *caps, const lmn_vid *cap_vids, lmn_attr **attrs,
                             int32_t *n_attrs);
void lmn_onnx_attrs_release(lmn_attr *attrs, int32_t n);
/* The attribute itself, or what a reference stands for in s; NULL = a reference to nothing. */
const lmn_onnx_attr *lmn_onnx_attr_resolve(const lmn_onnx_scope *s, const lmn_onnx_attr *a);

/* onnx_graph.c */
bool lmn_onnx_scope_init(lmn_onnx_import *x, lmn_onnx_scope *s, lmn_graph *g,
                         const lmn_onnx_scope *from);
void lmn_onnx_scope_finish(lmn_onnx_scope *s);
/* Inputs, constants, nodes and outputs of `in` into s->g. caps: names to enter as further inputs.
 */
void lmn_onnx_graph_import(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_graph *in,
                           const lmn_onnx_scope *outer, const lmn_onnx_names *caps,
                           const lmn_vid *cap_vids);
void lmn_onnx_nodes_import(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *nodes,
                           size_t n);
/* Bind a name; a second definition is reported. */
void lmn_onnx_bind(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n, lmn_span name,
                   lmn_vid v);

/* onnx_node.c */
/* Version of a domain in force, 0 = not imported. "" and "ai.onnx" are one domain. */
int64_t lmn_onnx_opset_of(const lmn_onnx_scope *s, lmn_span domain);
void lmn_onnx_node_import(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n);
/* onnx_function.c */
const lmn_onnx_function *lmn_onnx_function_find(const lmn_onnx_import *x, const lmn_onnx_node *n);
void lmn_onnx_function_inline(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n,
                              const lmn_onnx_function *fn, const lmn_vid *in, size_t n_in);

#endif
