/*
 * The text form of a graph: for tests, for golden files and for people. Printing gives numbers in
 * the order of appearance, so that equal graphs give equal text; parsing what was printed gives a
 * graph that prints the same.
 *
 *     graph "g" ids 2 {
 *     symbols "N"
 *     input %1 "x" float32[N,2]
 *     const %2 "w" float32[2] [1, 0.5]
 *     node %3 "y" float32[N,2] = Add "add" opset 14 id 0 (%1, %2)
 *     node %4 "z" float32[N,2] = LeakyRelu "act" opset 16 id 1 (%3) { alpha: float 0.1 }
 *     output %4 "z"
 *     }
 *
 * A value is numbered by its definition, from 1 without a gap; "_" stands for an absent input or an
 * output that nobody wants. Strings are quoted with \\, \" and \xNN. Tensors are a list of values
 * or, when long or of a type that has no exact decimal form, hex:<bytes>. By hand, names, opset, id
 * and caps of a node and the facts of its outputs may be left out. '#' starts a comment that ends
 * with the line.
 */
#ifndef LMN_GRAPH_GRAPH_TEXT_H
#define LMN_GRAPH_GRAPH_TEXT_H

#include "base/strbuf.h"
#include "graph/graph.h"

enum {
    /* Long tensors as "sha256:<digest>": for people and for comparing; not readable back. */
    LMN_TEXT_SUMMARY = 1
};

/* Append the text of g and its subgraphs. E_UNSUPPORTED for what has no text (constants that are
   sequences; attributes of lists of tensors or graphs); else the status of the buffer. */
lamina_status lmn_graph_print(const lmn_graph *g, uint32_t flags, lmn_strbuf *out);
/* Read a text back, without inference and without verification. Hostile text ends in E_CORRUPT,
   E_LIMIT or E_NOMEM with "line 3, column 14: ..."; operators must exist. */
lamina_status lmn_graph_parse(lamina_engine *e, const char *text, size_t n, lmn_graph **out,
                              lamina_error *err);

#endif
