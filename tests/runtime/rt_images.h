/*
 * Test helper: random models of images that go through convolutions, pools, sums and joins, so that
 * a plan takes some of them at a time through stretches of steps (graph/slices.h), which reshapes
 * and outputs end.
 */
#ifndef LMN_TESTS_RT_IMAGES_H
#define LMN_TESTS_RT_IMAGES_H

#include "runtime/rt_random.h"

/* An image is 256 bytes, that of twice the channels 512. */
enum { RI_C = 4, RI_SIDE = 4, RI_WEIGHTS = 10 };

static void ri_attrs(pb *node, const char *name, uint64_t v, int n)
{
    static pb a;
    a.n = 0;
    pb_str(&a, 1, name);
    for (int i = 0; i < n; i++) pb_int(&a, 8, v);
    pb_int(&a, 20, 7);
    pb_msg(node, 5, &a);
}

static void ri_window(rr_model *m, const char *op, const rr_value *x, const char *w,
                      const rr_value *y, uint64_t side)
{
    static pb n;
    n.n = 0;
    pb_str(&n, 1, x->name);
    if (*w) pb_str(&n, 1, w);
    pb_str(&n, 2, y->name), pb_str(&n, 3, y->name), pb_str(&n, 4, op);
    ri_attrs(&n, "kernel_shape", side, 2);
    ri_attrs(&n, "pads", side / 2, 4);
    pb_msg(&m->graph, 1, &n);
}

static void ri_conv(rr_model *m)
{
    float w[4 * RI_C * RI_C * 9];
    const rr_value x = *rr_pick(m);
    const int64_t side = rr_int(m, 0, 1) ? 3 : 1, n_out = rr_int(m, 1, 2) * RI_C;
    const int64_t dims[4] = {n_out, x.dims[1], side, side};
    const int64_t n = n_out * x.dims[1] * side * side;
    for (int64_t i = 0; i < n; i++) w[i] = (float)t_rand_real(m->env, -1, 1) / 8;
    if (x.dims[0] != RR_N || m->n_weights >= RI_WEIGHTS) return;
    const rr_value *y = rr_new(m, 4, (int64_t[]){RR_N, n_out, RI_SIDE, RI_SIDE});
    if (!y) return;
    const char *weights = rr_weight(m, LAMINA_F32, 4, dims, w, (size_t)n * sizeof *w);
    ri_window(m, "Conv", &x, weights, y, (uint64_t)side);
}

static void ri_pool(rr_model *m)
{
    const rr_value x = *rr_pick(m);
    const rr_value *y = rr_new(m, 4, x.dims);
    if (y) ri_window(m, rr_int(m, 0, 1) ? "MaxPool" : "AveragePool", &x, "", y, 3);
}

/* With one of the same channels, or with what is the same for all images. */
static void ri_binary(rr_model *m)
{
    const rr_value a = *rr_pick(m);
    const rr_value *b = &m->v[RR_INPUTS - 1];
    for (int i = 0; i < 6 && rr_int(m, 0, 3); i++) {
        const rr_value *c = rr_pick(m);
        if (c->dims[1] == a.dims[1]) b = c;
    }
    if (b->dims[1] != a.dims[1]) return;
    const rr_value other = *b;
    const bool all = a.dims[0] != RR_N && other.dims[0] == RR_N;
    const rr_value *y = rr_new(m, 4, all ? other.dims : a.dims);
    if (y) rr_node1(m, rr_int(m, 0, 1) ? "Add" : "Mul", &a, other.name, y, NULL);
}

static void ri_join(rr_model *m)
{
    static pb axis;
    const rr_value a = *rr_pick(m), b = *rr_pick(m);
    if (a.dims[0] != RR_N || b.dims[0] != RR_N || a.dims[1] + b.dims[1] != 2 * RI_C) return;
    const rr_value *y = rr_new(m, 4, (int64_t[]){RR_N, 2 * RI_C, RI_SIDE, RI_SIDE});
    rt_attr_int(&axis, "axis", 1);
    if (y) rr_node1(m, "Concat", &a, b.name, y, &axis);
}

/* The same shape again: a view that ends a stretch. */
static void ri_view(rr_model *m)
{
    const rr_value x = *rr_pick(m);
    const int64_t four = 4, dims[4] = {x.dims[0], x.dims[1], RI_SIDE, RI_SIDE};
    const char *shape = rr_weight(m, LAMINA_I64, 1, &four, dims, sizeof dims);
    const rr_value *y = rr_new(m, 4, x.dims);
    if (y) rr_node1(m, "Reshape", &x, shape, y, NULL);
}

/* As rr_make. */
LMN_UNUSED static void ri_make(t_env *env, rr_model *m, int steps)
{
    static void (*const make[])(rr_model *) = {ri_conv,  ri_conv,   ri_conv,   ri_pool, rr_unary,
                                               rr_unary, ri_binary, ri_binary, ri_join, ri_view};
    memset(m, 0, sizeof *m);
    m->env = env;
    m->symbolic = rr_int(m, 0, 1);
    for (int i = 0; i < RR_INPUTS; i++) {
        const bool all = i == RR_INPUTS - 1;
        const rr_value *v = rr_new(m, 4, (int64_t[]){all ? 1 : RR_N, RI_C, RI_SIDE, RI_SIDE});
        rr_port(&m->graph, 11, v->name, v, m->symbolic);
    }
    rt_port(&m->graph, 11, "cond", LAMINA_BOOL, "");
    pb_str(&m->graph, 2, "g");
    for (int i = 0; i < steps; i++) make[rr_int(m, 0, T_COUNT(make) - 1)](m);
    rr_outputs(m);
    pb_model(&m->bytes, &m->graph);
}

#endif
