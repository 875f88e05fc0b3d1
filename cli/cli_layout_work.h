/*
 * What the steps of a layout share while it is made. Vertices below l->n are boxes, the others
 * waypoints; layer d holds order[first[d]] .. order[first[d + 1] - 1] from left to right.
 */
#ifndef LAMINA_CLI_LAYOUT_WORK_H
#define LAMINA_CLI_LAYOUT_WORK_H

#include "cli_layout.h"

typedef struct lay_seg {
    int u, v; /* upper and lower end, one layer apart */
} lay_seg;

typedef struct lay_work {
    layout *l;
    int n, n_layers, n_seg, longest;
    int *layer;        /* of a vertex */
    lay_edge **sorted; /* edges by (from, key) */
    lay_seg *seg;
    int *chain;               /* per edge: first waypoint of its group */
    int *up_first, *up;       /* neighbours above, by vertex */
    int *down_first, *down;   /* neighbours below */
    int *first, *order, *pos; /* layers, their order, place in the layer */
    double *x, *wide;         /* per vertex: centre, width */
    double *y, *tall;         /* per layer: top, height */
} lay_work;

/* Fill x, y, tall, wide and the boxes' places. */
bool layout_place(lay_work *k);

#endif
