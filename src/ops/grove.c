/*
 * Preparing and walking groves (see grove.h). Eight walks go side by side, since each one waits for
 * its own loads: eight rows in one tree, or for single rows eight trees. Votes are counted in the
 * order of the trees either way.
 */
#include "ops/grove.h"

#include <math.h>
#include <string.h>

#define LANES 8

/* ---- preparing ----------------------------------------------------------------------------------
 */

typedef struct builder {
    const lmn_forest *f;
    lmn_grove *g;
    int32_t *from; /* link of each new node in the forest: the queue of the walk in level order */
    int64_t cap, vote_cap;
} builder;

static bool add_leaf(builder *b, int64_t at, int64_t leaf)
{
    lmn_grove *g = b->g;
    const int64_t first = b->f->leaf_first[leaf], n = b->f->leaf_first[leaf + 1] - first;
    g->nodes[at] = (lmn_grove_node){INFINITY, LMN_GROVE_NAN_FIRST, (int32_t)at};
    if (n > b->vote_cap - g->n_votes) return false;
    if (n > 0) memcpy(g->votes + g->n_votes, b->f->votes + first, (size_t)n * sizeof *g->votes);
    g->n_votes += n;
    return true;
}

/* Every comparison becomes x <= split, for f32 x, with the children exchanged where need be. */
static bool add_inner(builder *b, int64_t at, const lmn_tree_node *n)
{
    lmn_grove *g = b->g;
    const bool less = n->mode == LMN_TREE_LEQ || n->mode == LMN_TREE_LT;
    const bool greater = n->mode == LMN_TREE_GT || n->mode == LMN_TREE_GTE;
    float split = (float)n->split;
    if ((!less && !greater) || (double)split != n->split || n->feature > INT32_MAX) return false;
    if (n->mode == LMN_TREE_LT || n->mode == LMN_TREE_GTE) {
        if (split == -INFINITY) return false;
        split = nextafterf(split, -INFINITY);
    }
    if (b->cap - g->n_nodes < 2) return false;
    const uint32_t nan = n->missing_yes != greater ? LMN_GROVE_NAN_FIRST : 0;
    g->nodes[at] = (lmn_grove_node){split, (uint32_t)n->feature | nan, (int32_t)g->n_nodes};
    b->from[g->n_nodes++] = greater ? n->no : n->yes;
    b->from[g->n_nodes++] = greater ? n->yes : n->no;
    return true;
}

static bool add_tree(builder *b, int64_t t)
{
    lmn_grove *g = b->g;
    int64_t at = g->n_nodes, level_end = at + 1;
    if (at >= b->cap) return false;
    g->roots[t] = (int32_t)at;
    g->depth[t] = 0;
    b->from[g->n_nodes++] = b->f->roots[t];
    for (; at < g->n_nodes; at++) {
        if (at == level_end) {
            g->depth[t]++;
            level_end = g->n_nodes;
        }
        const int64_t link = b->from[at];
        g->first[at] = (int32_t)g->n_votes;
        if (!(link < 0 ? add_leaf(b, at, ~link) : add_inner(b, at, &b->f->nodes[link])))
            return false;
    }
    return true;
}

bool lmn_grove_build(lmn_eval *ec, const lmn_forest *f, lmn_grove *g)
{
    /* A forest of proper trees visits a node once: more than all of them are cycles or sharing. */
    const int64_t cap = f->n_nodes + f->n_leaves, votes = f->leaf_first[f->n_leaves];
    if (f->n_nodes > INT32_MAX / 4 || f->n_leaves > INT32_MAX / 4 || votes > INT32_MAX)
        return false;
    *g = (lmn_grove){.info = f->info};
    builder b = {.f = f, .g = g, .cap = cap, .vote_cap = votes};
    b.from = lmn_scratch(ec, (size_t)cap * sizeof *b.from);
    g->nodes = lmn_scratch(ec, (size_t)cap * sizeof *g->nodes);
    g->roots = lmn_scratch(ec, (size_t)f->info.n_roots * sizeof *g->roots);
    g->depth = lmn_scratch(ec, (size_t)f->info.n_roots * sizeof *g->depth);
    g->first = lmn_scratch(ec, ((size_t)cap + 1) * sizeof *g->first);
    g->votes = lmn_scratch(ec, (size_t)votes * sizeof *g->votes);
    if (!b.from || !g->nodes || !g->roots || !g->depth || !g->first || !g->votes) return false;
    for (int64_t t = 0; t < f->info.n_roots; t++)
        if (!add_tree(&b, t)) return false;
    g->first[g->n_nodes] = (int32_t)g->n_votes;
    return true;
}

/* ---- one block ----------------------------------------------------------------------------------
 */

static size_t room(size_t n, size_t elem)
{
    return (n * elem + 63) / 64 * 64;
}

typedef struct layout {
    size_t nodes, roots, first, votes, base;
} layout;

static layout layout_of(const lmn_grove *g)
{
    return (layout){
        room((size_t)g->n_nodes, sizeof *g->nodes), room((size_t)g->info.n_roots, sizeof *g->roots),
        room((size_t)g->n_nodes + 1, sizeof *g->first), room((size_t)g->n_votes, sizeof *g->votes),
        g->info.base ? room((size_t)g->info.targets, sizeof *g->info.base) : 0};
}

size_t lmn_grove_bytes(const lmn_grove *g)
{
    const layout l = layout_of(g);
    return l.nodes + 2 * l.roots + l.first + l.votes + l.base;
}

static void *put(uint8_t **at, size_t bytes, const void *src, size_t n)
{
    void *p = *at;
    if (n > 0) memcpy(p, src, n);
    *at += bytes;
    return p;
}

void lmn_grove_copy(const lmn_grove *g, void *block, lmn_grove *out)
{
    const layout l = layout_of(g);
    const size_t roots = (size_t)g->info.n_roots * sizeof *g->roots;
    uint8_t *at = block;
    *out = *g;
    out->nodes = put(&at, l.nodes, g->nodes, (size_t)g->n_nodes * sizeof *g->nodes);
    out->roots = put(&at, l.roots, g->roots, roots);
    out->depth = put(&at, l.roots, g->depth, roots);
    out->first = put(&at, l.first, g->first, ((size_t)g->n_nodes + 1) * sizeof *g->first);
    out->votes = put(&at, l.votes, g->votes, (size_t)g->n_votes * sizeof *g->votes);
    if (g->info.base)
        out->info.base =
            put(&at, l.base, g->info.base, (size_t)g->info.targets * sizeof *g->info.base);
}

/* ---- walking ------------------------------------------------------------------------------------
 */

/* Lane i looks at x[feature * stride + i * step]. With `nan` values may be NaN. */
static inline void walk(const lmn_grove_node *n, const float *x, size_t stride, size_t step,
                        bool nan, int32_t depth, int32_t *at)
{
    for (int32_t d = 0; d < depth; d++) {
        int32_t moved = 0;
        for (size_t i = 0; i < LANES; i++) {
            const lmn_grove_node *m = &n[at[i]];
            const float v = x[(size_t)(m->feature & ~LMN_GROVE_NAN_FIRST) * stride + i * step];
            int32_t second = v > m->split;
            if (nan) second |= isnan(v) && !(m->feature & LMN_GROVE_NAN_FIRST);
            const int32_t next = m->kids + second;
            moved |= next ^ at[i];
            at[i] = next;
        }
        if ((d & 3) == 3 && !moved) return; /* all on leaves: trees that lean far to one side */
    }
}

static void count_votes(const lmn_grove *g, int32_t leaf, double *score, bool *hit)
{
    for (int32_t v = g->first[leaf]; v < g->first[leaf + 1]; v++)
        lmn_forest_vote(&g->info, &g->votes[v], score, hit);
}

/* Lanes of LANES rows each, transposed in work; the last n of them may be fewer. */
static void rows_in_tree(const lmn_grove *g, int64_t t, const float *work, bool nan, int64_t n,
                         double *score, bool *hit)
{
    int32_t at[LANES];
    const int64_t k = g->info.targets;
    for (int i = 0; i < LANES; i++) at[i] = g->roots[t];
    if (nan)
        walk(g->nodes, work, LANES, 1, true, g->depth[t], at);
    else
        walk(g->nodes, work, LANES, 1, false, g->depth[t], at);
    for (int64_t i = 0; i < n; i++) count_votes(g, at[i], score + i * k, hit + i * k);
}

static void trees_of_row(const lmn_grove *g, const float *x, bool nan, double *score, bool *hit)
{
    for (int64_t t = 0; t < g->info.n_roots; t += LANES) {
        const int64_t n = lmn_min_i64(LANES, g->info.n_roots - t);
        int32_t at[LANES], depth = 0;
        for (int64_t i = 0; i < LANES; i++) {
            const int64_t tree = t + (i < n ? i : 0);
            at[i] = g->roots[tree];
            if (g->depth[tree] > depth) depth = g->depth[tree];
        }
        if (nan)
            walk(g->nodes, x, 1, 0, true, depth, at);
        else
            walk(g->nodes, x, 1, 0, false, depth, at);
        for (int64_t i = 0; i < n; i++) count_votes(g, at[i], score, hit);
    }
}

static bool any_nan(const float *x, int64_t n)
{
    bool any = false;
    for (int64_t i = 0; i < n; i++) any |= isnan(x[i]);
    return any;
}

void lmn_grove_scores(const lmn_grove *g, const float *x, int64_t rows, int64_t cols, float *work,
                      double *score, bool *hit)
{
    const int64_t k = g->info.targets, blocks = (rows + LANES / 2) / LANES;
    const bool nan = any_nan(x, rows * cols);
    memset(score, 0, (size_t)(rows * k) * sizeof *score);
    memset(hit, 0, (size_t)(rows * k) * sizeof *hit);
    for (int64_t r = 0; r < blocks * LANES; r++) {
        const float *row = x + lmn_min_i64(r, rows - 1) * cols;
        float *to = work + r / LANES * LANES * cols + r % LANES;
        for (int64_t c = 0; c < cols; c++) to[c * LANES] = row[c];
    }
    for (int64_t t = 0; blocks > 0 && t < g->info.n_roots; t++)
        for (int64_t b = 0; b < blocks; b++)
            rows_in_tree(g, t, work + b * LANES * cols, nan, lmn_min_i64(LANES, rows - b * LANES),
                         score + b * LANES * k, hit + b * LANES * k);
    for (int64_t r = blocks * LANES; r < rows; r++)
        trees_of_row(g, x + r * cols, nan, score + r * k, hit + r * k);
    for (int64_t r = 0; r < rows; r++) lmn_forest_finish(&g->info, score + r * k);
}
