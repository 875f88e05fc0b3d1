/*
 * A depthwise convolution of bf16 images and the pointwise one behind it, which alone reads it,
 * become one ImageBlock, with the pointwise one in front if that makes more channels: what is
 * between them need then not leave the caches. Only where it is so large that it would. Same bits.
 */
#include "graph/passes/match.h"

#include <string.h>

enum { MAX_ATTRS = 16, N_IN = 8, BF16_BYTES = 2 };
static const int64_t least_bytes = 768 << 10; /* of the image that a depthwise convolution reads */

static bool is_image_conv(const lmn_gnode *n)
{
    return n && !n->dead && strcmp(n->op.def->domain, "lamina") == 0 &&
           strcmp(n->op.def->name, "ImageConv") == 0 && n->op.n_in >= 2 &&
           !lmn_attr_find(&n->op, "silu");
}

static lmn_vid input(const lmn_gnode *n, int32_t i)
{
    return i < n->op.n_in ? n->in[i] : 0;
}

/* Are all of the attribute's numbers v? */
static bool all_are(const lmn_gnode *n, const char *name, int64_t v)
{
    const int64_t *at;
    const int32_t count = lmn_attr_ints(&n->op, name, &at);
    for (int32_t i = 0; i < count; i++)
        if (at[i] != v) return false;
    return true;
}

/* By constant weights [M][C][1][1], pixel by pixel. */
static bool is_pointwise(const lmn_match *m, const lmn_gnode *n)
{
    if (!is_image_conv(n) || lmn_attr_i(&n->op, "group", 1) != 1) return false;
    const lamina_tensor *w = lmn_match_const(m, n->in[1]);
    return w && w->rank == 4 && w->dims[2] == 1 && w->dims[3] == 1 && all_are(n, "strides", 1) &&
           all_are(n, "pads", 0);
}

/* Of two axes, that reads an image of known extents, which is large. */
static bool is_deep(const lmn_match *m, const lmn_gnode *n)
{
    if (!is_image_conv(n) || lmn_attr_i(&n->op, "group", 1) == 1 || input(n, 3)) return false;
    const lamina_tensor *w = lmn_match_const(m, n->in[1]);
    const lmn_fact *x = &m->g->values[n->in[0]].fact;
    if (!w || w->rank != 4 || w->dims[1] != 1 || x->kind != LMN_FACT_TENSOR || x->rank != 4)
        return false;
    int64_t bytes = BF16_BYTES;
    for (int32_t a = 1; a < 4; a++) {
        if (!lmn_dim_is_const(x->dims[a]) || lmn_dim_value(x->dims[a]) > 1 << 16) return false;
        bytes *= lmn_dim_value(x->dims[a]);
    }
    return bytes >= least_bytes;
}

/* Bounds lo and hi of n, under other names. */
static int32_t bounds(const lmn_gnode *n, const char *lo, const char *hi, lmn_attr *out)
{
    int32_t count = 0;
    for (int32_t i = 0; i < n->op.n_attrs; i++) {
        const char *name = n->op.attrs[i].name;
        const bool low = strcmp(name, "lo") == 0;
        if (!low && strcmp(name, "hi") != 0) continue;
        out[count] = n->op.attrs[i];
        out[count++].name = low ? lo : hi;
    }
    return count;
}

static lamina_status become(lmn_match *m, const lmn_gnode *first, const lmn_gnode *deep,
                            lmn_gnode *last)
{
    const lmn_vid in[N_IN] = {first ? first->in[0] : deep->in[0],
                              deep->in[1],
                              input(deep, 2),
                              last->in[1],
                              input(last, 2),
                              first ? first->in[1] : 0,
                              first ? input(first, 2) : 0,
                              input(last, 3)};
    lmn_attr attrs[MAX_ATTRS + 6];
    int32_t n = 0;
    if (deep->op.n_attrs > MAX_ATTRS) return LAMINA_OK;
    for (int32_t i = 0; i < deep->op.n_attrs; i++) {
        const char *name = deep->op.attrs[i].name;
        if (strcmp(name, "lo") != 0 && strcmp(name, "hi") != 0) attrs[n++] = deep->op.attrs[i];
    }
    if (first) n += bounds(first, "lo1", "hi1", attrs + n);
    n += bounds(deep, "lo2", "hi2", attrs + n);
    n += bounds(last, "lo", "hi", attrs + n);
    const char *name = lmn_match_trace(m, &deep->op, &last->op);
    return lmn_match_become(m, last,
                            &(lmn_rewrite){.domain = "lamina",
                                           .op = "ImageBlock",
                                           .name = name,
                                           .opset = deep->op.opset,
                                           .in = in,
                                           .n_in = N_IN,
                                           .attrs = attrs,
                                           .n_attrs = n});
}

static lamina_status run(lmn_match *m)
{
    for (size_t i = 0; i < m->g->n_nodes; i++) {
        lmn_gnode *last = &m->g->nodes[i];
        if (last->dead || !is_pointwise(m, last) || !lmn_match_once(m, last->in[0])) continue;
        const lmn_gnode *deep = lmn_match_maker(m, last->in[0]);
        if (!deep || !is_deep(m, deep)) continue;
        const lmn_gnode *first = lmn_match_maker(m, deep->in[0]);
        const bool alone = first && lmn_match_once(m, deep->in[0]) && is_pointwise(m, first);
        LMN_TRY(become(m, alone && !input(first, 3) ? first : NULL, deep, last));
    }
    return LAMINA_OK;
}

lamina_status lmn_pass_image_blocks(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_image_blocks(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    if (!lmn_op_find("lamina", "ImageBlock")) return LAMINA_OK;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
