/*
 * What the forms of `lamina inspect` share: a model with its view, and sums per operator.
 */
#ifndef LAMINA_CLI_INSPECT_H
#define LAMINA_CLI_INSPECT_H

#include "cli.h"

typedef struct look {
    const char *path;
    lamina_engine *e;
    lamina_model *m;
    lamina_session *s; /* NULL unless the optimised graph is looked at */
    lamina_view *view;
    lamina_model_info info;
    lamina_view_stats stats;
} look;

/* One operator of the main graph, summed over its nodes. */
typedef struct look_op {
    const char *op, *domain;
    uint64_t nodes, params, param_bytes;
    double flops, bytes;
} look_op;

/* Rows sorted by FLOPs then nodes; NULL when memory runs out. free() it. */
look_op *look_ops(const look *k, size_t *n);
/* Constants read by a node. */
void look_params(const look *k, size_t node, const lamina_view_node *n, uint64_t *elems,
                 uint64_t *bytes);
/* The first output of a node that exists, -1 if none. */
int64_t look_output(const look *k, size_t node, const lamina_view_node *n);

/* The whole view as one JSON object; `extra`, if any, adds members before the end. */
void look_json(const look *k, FILE *f, bool (*extra)(const look *k, FILE *f));
/* The page with the picture. */
int look_html(const look *k, const char *path);
/* Members "boxes" and "edges" of the picture; false when memory runs out. */
bool look_drawing(const look *k, FILE *f);

#endif
