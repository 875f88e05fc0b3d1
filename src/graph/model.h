/*
 * A loaded model: its graph and what the file says about itself. Built by formats, consumed by the
 * runtime; opaque to users as lamina_model.
 */
#ifndef LMN_GRAPH_MODEL_H
#define LMN_GRAPH_MODEL_H

#include "graph/graph.h"
#include "lamina/model.h"

typedef struct lmn_meta {
    const char *key, *value;
} lmn_meta;

/* One opset_import entry. */
typedef struct lmn_import {
    const char *domain; /* printable; "" = ai.onnx */
    int64_t version;
} lmn_import;

struct lamina_model {
    lmn_atomic(int32_t) refs;
    lamina_engine *engine;
    lmn_graph *graph;
    lmn_diags diags; /* lints and errors found at import */
    /* below: strings in graph->arena */
    const char *producer_name, *producer_version, *domain, *doc, *graph_name, *graph_doc;
    int64_t ir_version, model_version;
    int32_t opset;  /* of the default domain */
    lmn_meta *meta; /* metadata_props */
    size_t n_meta;
    lmn_import *imports;
    size_t n_imports;
    uint64_t weight_bytes; /* dense bytes of all initialisers */
    size_t n_file_nodes;   /* nodes in the file, functions not inlined */
    lmn_buffer *file;      /* the mapped file; constants may point into it */
};

/* An empty model with one reference, an empty graph and no diagnostics. */
lamina_status lmn_model_create(lamina_engine *e, lamina_model **out);
/* A model around g, which says of itself what `from` says. On success it owns g. */
lamina_status lmn_model_derive(const lamina_model *from, lmn_graph *g, lamina_model **out);
/* Release everything, whatever the count says: the end of the last unref, and of a failed import.
 */
void lmn_model_destroy(lamina_model *m);

#endif
