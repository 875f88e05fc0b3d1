/*
 * Places along the layers. Each sweep gives every vertex a wish (where its neighbours are) and a
 * weight (waypoints pull hard, so long edges run straight), then finds the nearest places that keep
 * order and distance: isotonic regression by pooling neighbours that violate it, linear in the
 * layer.
 */
#include "cli_layout_work.h"

#include <math.h>
#include <stdlib.h>

#define GAP_BOX 26.0 /* between boxes of a layer */
#define GAP_WAY 12.0 /* beside a waypoint */
#define GAP_LAYER 34.0
#define ROUNDS 10

typedef struct pool {
    double wish, weight; /* weighted mean and total */
    int n;
} pool;

static bool is_way(const lay_work *k, int v)
{
    return v >= k->l->n;
}

static double distance(const lay_work *k, int a, int b)
{
    const double gap = is_way(k, a) || is_way(k, b) ? GAP_WAY : GAP_BOX;
    return (k->wide[a] + k->wide[b]) / 2 + gap;
}

/* Mean place of the neighbours, those along the same long edge counted more. */
static bool wish_of(const lay_work *k, int v, int side, double *wish, double *weight)
{
    double sum = 0, w = 0;
    for (int dir = 0; dir < 2; dir++) {
        if (side != 2 && side != dir) continue;
        const int *first = dir ? k->down_first : k->up_first, *list = dir ? k->down : k->up;
        for (int a = first[v]; a < first[v + 1]; a++) {
            const double pull = is_way(k, v) && is_way(k, list[a]) ? 8 : is_way(k, v) ? 2 : 1;
            sum += pull * k->x[list[a]];
            w += pull;
        }
    }
    if (w <= 0) return false;
    *wish = sum / w;
    *weight = is_way(k, v) ? 6 : 1;
    return true;
}

static void settle(lay_work *k, int d, int side, pool *tmp)
{
    const int *order = k->order + k->first[d];
    const int n = k->first[d + 1] - k->first[d];
    int top = 0;
    double offset = 0;
    for (int i = 0; i < n; i++) {
        double wish = k->x[order[i]], weight = 0.05;
        (void)wish_of(k, order[i], side, &wish, &weight);
        if (i) offset += distance(k, order[i - 1], order[i]);
        tmp[top++] = (pool){wish - offset, weight, 1};
        while (top > 1 && tmp[top - 2].wish > tmp[top - 1].wish) {
            pool *a = &tmp[top - 2];
            const pool b = tmp[top - 1];
            a->wish = (a->wish * a->weight + b.wish * b.weight) / (a->weight + b.weight);
            a->weight += b.weight;
            a->n += b.n;
            top--;
        }
    }
    offset = 0;
    for (int p = 0, i = 0; p < top; p++)
        for (int j = 0; j < tmp[p].n; j++, i++) {
            if (i) offset += distance(k, order[i - 1], order[i]);
            k->x[order[i]] = tmp[p].wish + offset;
        }
}

static void start_places(lay_work *k)
{
    for (int d = 0; d < k->n_layers; d++) {
        const int *order = k->order + k->first[d];
        const int n = k->first[d + 1] - k->first[d];
        double at = 0;
        for (int i = 0; i < n; i++) {
            if (i) at += distance(k, order[i - 1], order[i]);
            k->x[order[i]] = at;
        }
        for (int i = 0; i < n; i++) k->x[order[i]] -= at / 2;
    }
}

/* Heights of layers, and more room where edges run far sideways. */
static void stack_layers(lay_work *k)
{
    double y = 0;
    for (int d = 0; d < k->n_layers; d++) {
        double tall = 0, far = 0;
        for (int i = k->first[d]; i < k->first[d + 1]; i++) {
            const int v = k->order[i];
            if (!is_way(k, v) && k->l->box[v].h > tall) tall = k->l->box[v].h;
            for (int a = k->up_first[v]; a < k->up_first[v + 1]; a++)
                far = fmax(far, fabs(k->x[v] - k->x[k->up[a]]));
        }
        if (d) y += GAP_LAYER + fmin(far * 0.08, 80);
        k->y[d] = y;
        k->tall[d] = tall;
        y += tall;
    }
    k->l->h = y;
}

static void move_to_origin(lay_work *k)
{
    layout *l = k->l;
    double lo = INFINITY, hi = -INFINITY;
    for (int v = 0; v < k->n; v++) {
        lo = fmin(lo, k->x[v] - k->wide[v] / 2);
        hi = fmax(hi, k->x[v] + k->wide[v] / 2);
    }
    if (k->n == 0) lo = hi = 0;
    for (int v = 0; v < k->n; v++) k->x[v] -= lo;
    for (int v = 0; v < l->n; v++) {
        const int d = k->layer[v];
        l->box[v].x = k->x[v] - k->wide[v] / 2;
        l->box[v].y = k->y[d] + (k->tall[d] - l->box[v].h) / 2;
    }
    l->w = hi - lo;
}

bool layout_place(lay_work *k)
{
    k->x = calloc((size_t)k->n + 1, sizeof *k->x);
    k->wide = calloc((size_t)k->n + 1, sizeof *k->wide);
    k->y = calloc((size_t)k->n_layers + 1, sizeof *k->y);
    k->tall = calloc((size_t)k->n_layers + 1, sizeof *k->tall);
    pool *tmp = calloc((size_t)k->n + 1, sizeof *tmp);
    const bool ok = k->x && k->wide && k->y && k->tall && tmp;
    for (int v = 0; ok && v < k->l->n; v++) k->wide[v] = k->l->box[v].w;
    if (ok) start_places(k);
    for (int r = 0; ok && r < ROUNDS; r++) {
        for (int d = 1; d < k->n_layers; d++) settle(k, d, 0, tmp);
        for (int d = k->n_layers - 2; d >= 0; d--) settle(k, d, 1, tmp);
    }
    for (int r = 0; ok && r < 8; r++) {
        for (int d = 0; d < k->n_layers; d++) settle(k, d, 2, tmp);
        for (int d = k->n_layers - 1; d >= 0; d--) settle(k, d, 2, tmp);
    }
    if (ok) {
        stack_layers(k);
        move_to_origin(k);
    }
    free(tmp);
    return ok;
}
