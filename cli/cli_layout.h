/*
 * Layered drawing of a directed graph (Sugiyama): layers by longest path, order by barycentres with
 * crossings counted, positions by weighted least squares under minimal distances. Long edges run
 * through empty places of the layers between, and edges of one value share their way.
 *
 * Edges go from a lower to a higher box number and stand in the order of `to`; boxes come with a
 * size and leave with a place.
 */
#ifndef LAMINA_CLI_LAYOUT_H
#define LAMINA_CLI_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct lay_box {
    double w, h; /* in */
    double x, y; /* out: left top corner */
} lay_box;

typedef struct lay_edge {
    int from, to;    /* box numbers, from < to */
    int key;         /* edges of one box with one key share their way */
    size_t first, n; /* out: points of the way */
} lay_edge;

typedef struct lay_point {
    double x, y;
} lay_point;

typedef struct layout {
    lay_box *box;
    int n;
    lay_edge *edge;
    int m;
    lay_point *point; /* out, owned: layout_free */
    size_t n_points;
    double w, h; /* out: of the whole drawing */
} layout;

/* False when memory runs out; the layout is then unusable but may be freed. */
bool layout_run(layout *l);
/* Releases what layout_run made; box and edge stay the caller's. */
void layout_free(layout *l);

#endif
