/*
 * Layers, order and the ways of edges; places along a layer are found in cli_layout_place.c.
 *
 * A vertex is a box or a waypoint of a long edge. Waypoints of one (box, key) form a chain, so a
 * value read in many layers costs one waypoint a layer.
 */
#include "cli_layout_work.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WAYPOINTS 200000
#define SWEEPS 14

static void *zeros(size_t n, size_t size)
{
    return calloc(n + 1, size);
}

/* ---- layers -----------------------------------------------------------------------------------
 */

static bool find_layers(lay_work *k)
{
    const layout *l = k->l;
    bool *floats = zeros((size_t)l->n, sizeof *floats);
    int *next = zeros((size_t)l->n, sizeof *next);
    if (!floats || !next) return free(floats), free(next), false;
    for (int i = 0; i < l->n; i++) floats[i] = true;
    for (int i = 0; i < l->n; i++) next[i] = -1;
    /* Edges are in the order of `to`: one pass settles the longest path. */
    for (int e = 0; e < l->m; e++) {
        const lay_edge *d = &l->edge[e];
        if (k->layer[d->to] < k->layer[d->from] + 1) k->layer[d->to] = k->layer[d->from] + 1;
    }
    /* What no input reaches moves down to where it is read first. */
    if (l->m) floats[l->edge[0].from] = false;
    for (int e = 0; e < l->m; e++)
        if (!floats[l->edge[e].from]) floats[l->edge[e].to] = false;
    for (int e = l->m - 1; e >= 0; e--) {
        const lay_edge *d = &l->edge[e];
        if (!floats[d->from]) continue;
        if (next[d->from] < 0 || k->layer[d->to] < next[d->from]) next[d->from] = k->layer[d->to];
        k->layer[d->from] = next[d->from] - 1;
    }
    for (int i = 0; i < l->n; i++)
        if (k->layer[i] >= k->n_layers) k->n_layers = k->layer[i] + 1;
    free(floats);
    free(next);
    return true;
}

/* ---- waypoints --------------------------------------------------------------------------------
 */

static int by_source(const void *a, const void *b)
{
    const lay_edge *x = *(lay_edge *const *)a, *y = *(lay_edge *const *)b;
    if (x->from != y->from) return x->from < y->from ? -1 : 1;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return (x->to > y->to) - (x->to < y->to);
}

/* Edges of one (from, key) from at[i] on: their end in the list, and the lowest layer they reach.
 */
static int group_end(const lay_work *k, int i, int *deepest)
{
    const lay_edge *first = k->sorted[i];
    *deepest = 0;
    for (; i < k->l->m; i++) {
        const lay_edge *e = k->sorted[i];
        if (e->from != first->from || e->key != first->key) break;
        const int depth = k->layer[e->to];
        if (depth - k->layer[e->from] <= k->longest && depth > *deepest) *deepest = depth;
    }
    return i;
}

/* The longest span that still gets waypoints, so that their number stays bounded. */
static size_t bound_span(lay_work *k)
{
    size_t total = 0;
    for (k->longest = k->n_layers;; k->longest /= 2) {
        total = 0;
        for (int i = 0, deep, end; i < k->l->m; i = end) {
            end = group_end(k, i, &deep);
            const int from = k->layer[k->sorted[i]->from];
            if (deep > from + 1) total += (size_t)(deep - from - 1);
        }
        if (total <= MAX_WAYPOINTS || k->longest <= 1) return total;
    }
}

static void add_segment(lay_work *k, int u, int v)
{
    k->seg[k->n_seg++] = (lay_seg){u, v};
}

static bool make_waypoints(lay_work *k)
{
    const layout *l = k->l;
    k->sorted = zeros((size_t)l->m, sizeof(*k->sorted));
    if (!k->sorted) return false;
    for (int i = 0; i < l->m; i++) k->sorted[i] = &l->edge[i];
    qsort(k->sorted, (size_t)l->m, sizeof *k->sorted, by_source);
    const size_t extra = bound_span(k), all = (size_t)l->n + extra;
    int *layer = realloc(k->layer, (all + 1) * sizeof *layer);
    if (layer) k->layer = layer;
    k->seg = zeros(extra + (size_t)l->m, sizeof *k->seg);
    k->chain = zeros((size_t)l->m, sizeof *k->chain);
    if (!layer || !k->seg || !k->chain) return false;
    k->n = l->n;
    for (int i = 0, deep, end; i < l->m; i = end) {
        end = group_end(k, i, &deep);
        const int from = k->sorted[i]->from, start = k->layer[from], head = k->n;
        for (int d = start + 1; d < deep; d++) {
            k->layer[k->n] = d;
            add_segment(k, d == start + 1 ? from : k->n - 1, k->n);
            k->n++;
        }
        for (int e = i; e < end; e++) {
            const int to = k->sorted[e]->to, depth = k->layer[to];
            k->chain[k->sorted[e] - l->edge] = head;
            if (depth - start > k->longest) continue; /* drawn straight */
            add_segment(k, depth == start + 1 ? from : head + depth - start - 2, to);
        }
    }
    return true;
}

/* ---- neighbours -------------------------------------------------------------------------------
 */

static bool index_segments(lay_work *k, bool up, int **first, int **list)
{
    *first = zeros((size_t)k->n + 1, sizeof **first);
    *list = zeros((size_t)k->n_seg, sizeof **list);
    if (!*first || !*list) return false;
    for (int i = 0; i < k->n_seg; i++) (*first)[(up ? k->seg[i].v : k->seg[i].u) + 1]++;
    for (int i = 0; i < k->n; i++) (*first)[i + 1] += (*first)[i];
    int *at = zeros((size_t)k->n, sizeof *at);
    if (!at) return false;
    for (int i = 0; i < k->n_seg; i++) {
        const int key = up ? k->seg[i].v : k->seg[i].u;
        (*list)[(*first)[key] + at[key]++] = up ? k->seg[i].u : k->seg[i].v;
    }
    free(at);
    return true;
}

static bool fill_layers(lay_work *k)
{
    k->first = zeros((size_t)k->n_layers + 1, sizeof *k->first);
    k->order = zeros((size_t)k->n, sizeof *k->order);
    k->pos = zeros((size_t)k->n, sizeof *k->pos);
    int *at = zeros((size_t)k->n_layers, sizeof *at);
    if (!k->first || !k->order || !k->pos || !at) return free(at), false;
    for (int i = 0; i < k->n; i++) k->first[k->layer[i] + 1]++;
    for (int d = 0; d < k->n_layers; d++) k->first[d + 1] += k->first[d];
    for (int i = 0; i < k->n; i++) {
        const int d = k->layer[i];
        k->pos[i] = at[d];
        k->order[k->first[d] + at[d]++] = i;
    }
    free(at);
    return true;
}

/* ---- order ------------------------------------------------------------------------------------
 */

typedef struct ranked {
    double rank;
    int vertex, pos;
} ranked;

static int by_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->rank < y->rank) return -1;
    if (x->rank > y->rank) return 1;
    return x->pos - y->pos;
}

static void order_layer(lay_work *k, int d, bool up, ranked *tmp)
{
    const int *first = up ? k->up_first : k->down_first, *list = up ? k->up : k->down;
    const int from = k->first[d], n = k->first[d + 1] - from;
    for (int i = 0; i < n; i++) {
        const int v = k->order[from + i];
        double sum = 0;
        for (int a = first[v]; a < first[v + 1]; a++) sum += k->pos[list[a]];
        const int deg = first[v + 1] - first[v];
        const int other = k->layer[v] + (up ? -1 : 1);
        /* Without neighbours a vertex keeps its place, measured on the scale of the other layer. */
        double scale = 1;
        if (!deg && other >= 0 && other < k->n_layers && n > 0)
            scale = (double)(k->first[other + 1] - k->first[other]) / n;
        tmp[i] = (ranked){deg ? sum / deg : i * scale, v, i};
    }
    qsort(tmp, (size_t)n, sizeof *tmp, by_rank);
    for (int i = 0; i < n; i++) {
        k->order[from + i] = tmp[i].vertex;
        k->pos[tmp[i].vertex] = i;
    }
}

static int by_ends(const void *a, const void *b)
{
    const lay_seg *x = a, *y = b;
    return x->u != y->u ? x->u - y->u : x->v - y->v;
}

/* Crossings between layers d - 1 and d: inversions of the far ends, by a tree of counters. */
static long long crossings_at(const lay_work *k, int d, lay_seg *tmp, int *tree)
{
    const int n = k->first[d + 1] - k->first[d];
    int m = 0;
    long long cross = 0;
    for (int i = k->first[d]; i < k->first[d + 1]; i++) {
        const int v = k->order[i];
        for (int a = k->up_first[v]; a < k->up_first[v + 1]; a++)
            tmp[m++] = (lay_seg){k->pos[k->up[a]], k->pos[v]};
    }
    qsort(tmp, (size_t)m, sizeof *tmp, by_ends);
    memset(tree, 0, (size_t)(n + 1) * sizeof *tree);
    for (int i = 0; i < m; i++) {
        int before = 0;
        for (int j = tmp[i].v + 1; j > 0; j -= j & -j) before += tree[j];
        cross += i - before;
        for (int j = tmp[i].v + 1; j <= n; j += j & -j) tree[j]++;
    }
    return cross;
}

static bool find_order(lay_work *k)
{
    ranked *tmp = zeros((size_t)k->n, sizeof *tmp);
    lay_seg *segs = zeros((size_t)k->n_seg, sizeof *segs);
    int *tree = zeros((size_t)k->n + 1, sizeof *tree);
    int *best = zeros((size_t)k->n, sizeof *best);
    bool ok = tmp && segs && tree && best;
    long long least = -1;
    for (int s = 0; ok && s < SWEEPS && least != 0; s++) {
        if (s % 2 == 0)
            for (int d = 1; d < k->n_layers; d++) order_layer(k, d, true, tmp);
        else
            for (int d = k->n_layers - 2; d >= 0; d--) order_layer(k, d, false, tmp);
        long long cross = 0;
        for (int d = 1; d < k->n_layers; d++) cross += crossings_at(k, d, segs, tree);
        if (least >= 0 && cross >= least) continue;
        least = cross;
        memcpy(best, k->order, (size_t)k->n * sizeof *best);
    }
    if (ok) memcpy(k->order, best, (size_t)k->n * sizeof *best);
    free(tmp);
    free(segs);
    free(tree);
    free(best);
    return ok;
}

/* ---- ways -------------------------------------------------------------------------------------
 */

static void put(layout *l, double x, double y)
{
    l->point[l->n_points++] = (lay_point){x, y};
}

static void route(lay_work *k, lay_edge *e)
{
    layout *l = k->l;
    const lay_box *a = &l->box[e->from], *b = &l->box[e->to];
    const int start = k->layer[e->from], depth = k->layer[e->to];
    e->first = l->n_points;
    put(l, a->x + a->w / 2, a->y + a->h);
    if (depth - start <= k->longest) {
        const int head = k->chain[e - l->edge];
        for (int d = start + 1; d < depth; d++) {
            const int v = head + d - start - 1;
            put(l, k->x[v], k->y[d]);
            put(l, k->x[v], k->y[d] + k->tall[d]);
        }
    }
    put(l, b->x + b->w / 2, b->y);
    e->n = l->n_points - e->first;
}

/* Edges that meet at a box arrive side by side, in the order they come from. */
static void spread_arrivals(layout *l)
{
    for (int i = 0, end; i < l->m; i = end) {
        for (end = i; end < l->m && l->edge[end].to == l->edge[i].to;) end++;
        const lay_box *b = &l->box[l->edge[i].to];
        const double step = fmin(18, b->w * 0.8 / (end - i));
        for (int e = i; e < end; e++) {
            const lay_edge *mine = &l->edge[e];
            const double x = l->point[mine->first + mine->n - 2].x;
            int before = 0;
            for (int o = i; o < end; o++) {
                const double other = l->point[l->edge[o].first + l->edge[o].n - 2].x;
                before += other < x || (!(other > x) && o < e);
            }
            l->point[mine->first + mine->n - 1].x += step * (before - (end - i - 1) / 2.0);
        }
    }
}

static bool find_ways(lay_work *k)
{
    layout *l = k->l;
    size_t need = 0;
    for (int i = 0; i < l->m; i++) {
        const int span = k->layer[l->edge[i].to] - k->layer[l->edge[i].from];
        need += span <= k->longest ? 2 * (size_t)span : 2;
    }
    l->point = zeros(need, sizeof *l->point);
    if (!l->point) return false;
    for (int i = 0; i < l->m; i++) route(k, &l->edge[i]);
    spread_arrivals(l);
    return true;
}

bool layout_run(layout *l)
{
    lay_work k = {.l = l, .n_layers = 1};
    l->point = NULL;
    l->n_points = 0;
    k.layer = zeros((size_t)l->n, sizeof *k.layer);
    const bool ok = k.layer && find_layers(&k) && make_waypoints(&k) &&
                    index_segments(&k, true, &k.up_first, &k.up) &&
                    index_segments(&k, false, &k.down_first, &k.down) && fill_layers(&k) &&
                    find_order(&k) && layout_place(&k) && find_ways(&k);
    void *const all[] = {k.layer, k.sorted,     k.seg,  k.chain, k.up_first,
                         k.up,    k.down_first, k.down, k.first, k.order,
                         k.pos,   k.x,          k.y,    k.tall,  k.wide};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
    return ok;
}

void layout_free(layout *l)
{
    free(l->point);
    l->point = NULL;
}
