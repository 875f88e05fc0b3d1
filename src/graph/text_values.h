/*
 * Reading facts and tensors in the text form of a graph: what graph_parse.c builds on.
 */
#ifndef LMN_GRAPH_TEXT_VALUES_H
#define LMN_GRAPH_TEXT_VALUES_H

#include "graph/graph.h"
#include "graph/text_lex.h"

#define LMN_TEXT_MAX_DEPTH 32 /* of subgraphs, and of parentheses in a dim */

typedef struct lmn_reader {
    lmn_lex x;
    lamina_engine *engine;
    int32_t depth;
} lmn_reader;

/* All fail with the error told and leave nothing owned. */
bool lmn_read_nomem(lmn_reader *p);
/* `?`, or dtype[dims] in an optional wrapper, then known elements, into the arena of g. */
bool lmn_read_fact(lmn_reader *p, lmn_graph *g, lmn_fact *f);
/* dtype[dims] values -> a new reference. */
bool lmn_read_tensor(lmn_reader *p, lamina_tensor **out);

#endif
