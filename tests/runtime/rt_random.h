/*
 * Test helper: random models that are hard on a memory planner: views of views, elementwise chains
 * that may work in place, results read many times or never, nodes of several outputs, If and Loop
 * with captures, outputs that are inputs, constants or views. They follow from the test's seed.
 *
 * Every value has rank 1 to 4 and exactly one extent N, which the inputs decide (a test runs a
 * model with several N); no operator here reduces, cuts or joins along it, so shapes stay known to
 * the generator.
 */
#ifndef LMN_TESTS_RT_RANDOM_H
#define LMN_TESTS_RT_RANDOM_H

#include "runtime/rt_model.h"

#define RR_N (-1) /* the extent that the inputs decide */
#define RR_MAX_RANK 4
#define RR_MAX_VALUES 96
#define RR_MAX_ROW 24 /* product of all other extents */
#define RR_INPUTS 3

typedef struct rr_value {
    char name[12];
    int32_t rank;
    int64_t dims[RR_MAX_RANK];
} rr_value;

typedef struct rr_model {
    t_env *env;
    pb graph, bytes;
    rr_value v[RR_MAX_VALUES];
    size_t n, n_weights, n_out;
    bool symbolic; /* every dim of the inputs is declared by a name, not N alone */
} rr_model;

LMN_UNUSED static int64_t rr_int(rr_model *m, int64_t lo, int64_t hi)
{
    return t_rand_int(m->env, lo, hi);
}

static rr_value *rr_pick(rr_model *m)
{
    /* the newest often: chains; any: long lives and fan-out */
    const size_t n = m->n, recent = n < 4 ? n : 4;
    return &m->v[rr_int(m, 0, 2) ? n - 1 - (size_t)rr_int(m, 0, (int64_t)recent - 1)
                                 : (size_t)rr_int(m, 0, (int64_t)n - 1)];
}

static int64_t rr_row(const rr_value *v)
{
    int64_t row = 1;
    for (int32_t k = 0; k < v->rank; k++) row *= v->dims[k] == RR_N ? 1 : v->dims[k];
    return row;
}

/* Room for a new value of this shape, named; NULL: the model is full. */
static rr_value *rr_new(rr_model *m, int32_t rank, const int64_t *dims)
{
    if (m->n == RR_MAX_VALUES) return NULL;
    rr_value *v = &m->v[m->n];
    (void)snprintf(v->name, sizeof v->name, "v%zu", m->n++);
    v->rank = rank;
    memcpy(v->dims, dims, (size_t)rank * sizeof *dims);
    return v;
}

static const char *rr_weight(rr_model *m, lamina_dtype dt, int32_t rank, const int64_t *dims,
                             const void *data, size_t bytes)
{
    static char name[12];
    (void)snprintf(name, sizeof name, "w%zu", m->n_weights++);
    rt_weight(&m->graph, name, dt, rank, dims, data, bytes);
    return name;
}

static void rr_node1(rr_model *m, const char *op, const rr_value *x, const char *more,
                     const rr_value *y, const pb *attr)
{
    char ins[96];
    (void)snprintf(ins, sizeof ins, "%s%s%s", x->name, *more ? " " : "", more);
    rt_node(&m->graph, op, ins, y->name, attr);
}

/* AttributeProto of integers. */
static void rr_attr_ints(pb *a, const char *name, const int64_t *v, int32_t n)
{
    a->n = 0;
    pb_str(a, 1, name);
    for (int32_t i = 0; i < n; i++) pb_int(a, 8, (uint64_t)v[i]);
    pb_int(a, 20, 7);
}

/* ValueInfoProto as field `field`: of the shape of x, or of any if that is NULL. */
static void rr_port(pb *graph, uint32_t field, const char *name, const rr_value *x, bool symbolic)
{
    static pb v, type, tensor, shape, dim;
    v.n = type.n = tensor.n = shape.n = 0;
    for (int32_t k = 0; x && k < x->rank; k++) {
        char sym[24] = "N";
        dim.n = 0;
        if (x->dims[k] != RR_N) (void)snprintf(sym, sizeof sym, "%s_%d", name, (int)k);
        if (symbolic || x->dims[k] == RR_N)
            pb_str(&dim, 2, sym);
        else
            pb_int(&dim, 1, (uint64_t)x->dims[k]);
        pb_msg(&shape, 1, &dim);
    }
    pb_int(&tensor, 1, LAMINA_F32);
    if (x) pb_msg(&tensor, 2, &shape);
    pb_msg(&type, 1, &tensor);
    pb_str(&v, 1, name);
    pb_msg(&v, 2, &type);
    pb_msg(graph, field, &v);
}

/* ---- one function a kind of node ---------------------------------------------------------------
 */

static void rr_unary(rr_model *m)
{
    static const char *const ops[] = {"Relu", "Neg", "Abs", "Sigmoid", "Tanh", "Identity", "Sqrt"};
    const rr_value x = *rr_pick(m);
    const rr_value *y = rr_new(m, x.rank, x.dims);
    if (y) rr_node1(m, ops[rr_int(m, 0, T_COUNT(ops) - 1)], &x, "", y, NULL);
}

/* Two operands of one shape where there are two, else of one value; at times a table of one row. */
static void rr_binary(rr_model *m)
{
    static const char *const ops[] = {"Add", "Sub", "Mul", "Max", "Min", "PRelu"};
    const rr_value a = *rr_pick(m);
    rr_value b = a;
    for (int i = 0; i < 12; i++) {
        const rr_value *c = rr_pick(m);
        if (c->rank == a.rank && !memcmp(c->dims, a.dims, (size_t)a.rank * sizeof *a.dims)) b = *c;
    }
    const char *other = b.name;
    const int64_t last = a.dims[a.rank - 1];
    if (rr_int(m, 0, 3) == 0 && last != RR_N) {
        float w[RR_MAX_ROW];
        for (int64_t i = 0; i < last; i++) w[i] = (float)t_rand_real(m->env, -1, 1);
        other = rr_weight(m, LAMINA_F32, 1, &last, w, (size_t)last * sizeof *w);
    }
    const rr_value *y = rr_new(m, a.rank, a.dims);
    if (y) rr_node1(m, ops[rr_int(m, 0, T_COUNT(ops) - 1)], &a, other, y, NULL);
}

/* Another factorisation of the row, with N anywhere. */
static void rr_reshape(rr_model *m)
{
    const rr_value x = *rr_pick(m);
    int64_t left = rr_row(&x), dims[RR_MAX_RANK];
    int32_t rank = 0;
    while (rank < RR_MAX_RANK - 2 && left > 1 && rr_int(m, 0, 3)) {
        int64_t f = rr_int(m, 1, left);
        while (left % f) f--;
        dims[rank++] = f;
        left /= f;
    }
    if (left > 1 || rank == 0) dims[rank++] = left;
    const int32_t at = (int32_t)rr_int(m, 0, rank);
    memmove(dims + at + 1, dims + at, (size_t)(rank - at) * sizeof *dims);
    dims[at] = RR_N;
    const int64_t n = ++rank;
    const char *shape = rr_weight(m, LAMINA_I64, 1, &n, dims, (size_t)n * sizeof *dims);
    const rr_value *y = rr_new(m, rank, dims);
    if (y) rr_node1(m, "Reshape", &x, shape, y, NULL);
}

/* Reshape to the shape of another value: Shape -> Reshape, which planning computes. */
static void rr_reshape_as(rr_model *m)
{
    const rr_value x = *rr_pick(m), s = *rr_pick(m);
    static pb allow;
    if (rr_row(&x) != rr_row(&s) || m->n + 2 > RR_MAX_VALUES) return;
    char shape[16];
    (void)snprintf(shape, sizeof shape, "s%zu", m->n);
    rt_node(&m->graph, "Shape", s.name, shape, NULL);
    const rr_value *y = rr_new(m, s.rank, s.dims);
    rt_attr_int(&allow, "allowzero", 1); /* N may be 0 */
    rr_node1(m, "Reshape", &x, shape, y, &allow);
}

static void rr_squeeze(rr_model *m)
{
    const rr_value x = *rr_pick(m);
    const int64_t one = 1;
    int64_t dims[RR_MAX_RANK], axis = -1;
    for (int32_t k = 0; k < x.rank; k++)
        if (x.dims[k] == 1) axis = k;
    const bool grow = axis < 0;
    if (grow ? x.rank == RR_MAX_RANK : x.rank == 1) return;
    if (grow) axis = rr_int(m, 0, x.rank);
    const int32_t rank = x.rank + (grow ? 1 : -1);
    for (int32_t k = 0, from = 0; k < rank; k++) {
        if (!grow && from == axis) from++;
        dims[k] = grow && k == axis ? 1 : x.dims[from++];
    }
    const char *axes = rr_weight(m, LAMINA_I64, 1, &one, &axis, sizeof axis);
    const rr_value *y = rr_new(m, rank, dims);
    if (y) rr_node1(m, grow ? "Unsqueeze" : "Squeeze", &x, axes, y, NULL);
}

static void rr_transpose(rr_model *m)
{
    static pb attr;
    const rr_value x = *rr_pick(m);
    int64_t perm[RR_MAX_RANK], dims[RR_MAX_RANK];
    for (int32_t k = 0; k < x.rank; k++) perm[k] = k;
    for (int32_t k = x.rank - 1; k > 0; k--) {
        const int64_t j = rr_int(m, 0, k), t = perm[k];
        perm[k] = perm[j], perm[j] = t;
    }
    for (int32_t k = 0; k < x.rank; k++) dims[k] = x.dims[perm[k]];
    rr_attr_ints(&attr, "perm", perm, x.rank);
    const rr_value *y = rr_new(m, x.rank, dims);
    if (y) rr_node1(m, "Transpose", &x, "", y, &attr);
}

/* An axis that is not N and at least `least` long, or -1. */
static int32_t rr_axis(rr_model *m, const rr_value *x, int64_t least)
{
    const int32_t from = (int32_t)rr_int(m, 0, x->rank - 1);
    for (int32_t i = 0; i < x->rank; i++) {
        const int32_t k = (from + i) % x->rank;
        if (x->dims[k] != RR_N && x->dims[k] >= least) return k;
    }
    return -1;
}

/* Slice, from some start to the end. */
static void rr_slice(rr_model *m)
{
    rr_value x = *rr_pick(m);
    const int32_t k = rr_axis(m, &x, 2);
    if (k < 0) return;
    const int64_t start = rr_int(m, 0, x.dims[k] - 1), end = rr_int(m, start + 1, x.dims[k]);
    const int64_t axis = k, one = 1;
    char more[40];
    size_t n = (size_t)snprintf(more, sizeof more, "%s ",
                                rr_weight(m, LAMINA_I64, 1, &one, &start, sizeof start));
    n += (size_t)snprintf(more + n, sizeof more - n, "%s ",
                          rr_weight(m, LAMINA_I64, 1, &one, &end, sizeof end));
    (void)snprintf(more + n, sizeof more - n, "%s",
                   rr_weight(m, LAMINA_I64, 1, &one, &axis, sizeof axis));
    const rr_value from = x;
    x.dims[k] = end - start;
    const rr_value *y = rr_new(m, x.rank, x.dims);
    if (y) rr_node1(m, "Slice", &from, more, y, NULL);
}

/* Two halves, of which one may stay unread. */
static void rr_split(rr_model *m)
{
    static pb attr;
    rr_value x = *rr_pick(m);
    const int32_t k = rr_axis(m, &x, 2);
    if (k < 0 || m->n + 2 > RR_MAX_VALUES) return;
    const rr_value from = x;
    const int64_t two = 2, sizes[2] = {x.dims[k] / 2, x.dims[k] - x.dims[k] / 2};
    const char *split = rr_weight(m, LAMINA_I64, 1, &two, sizes, sizeof sizes);
    char ins[32], outs[32];
    x.dims[k] = sizes[0];
    const rr_value *a = rr_new(m, x.rank, x.dims);
    x.dims[k] = sizes[1];
    const rr_value *b = rr_new(m, x.rank, x.dims);
    (void)snprintf(ins, sizeof ins, "%s %s", from.name, split);
    (void)snprintf(outs, sizeof outs, "%s %s", a->name, b->name);
    rt_attr_int(&attr, "axis", (uint64_t)k);
    rt_node(&m->graph, "Split", ins, outs, &attr);
}

/* A value joined with others of its shape where there are some, else with itself. */
static void rr_concat(rr_model *m)
{
    static pb attr;
    rr_value x = *rr_pick(m);
    const rr_value from = x;
    const int32_t k = rr_axis(m, &x, 1);
    const int64_t n = rr_int(m, 2, 4);
    if (k < 0 || n * rr_row(&x) > RR_MAX_ROW) return;
    char more[64] = "";
    for (int64_t i = 1, o = 0; i < n; i++) {
        const rr_value *other = &from;
        for (int t = 0; t < 8; t++) {
            const rr_value *c = rr_pick(m);
            const size_t bytes = (size_t)x.rank * sizeof *x.dims;
            if (c->rank == x.rank && !memcmp(c->dims, from.dims, bytes)) other = c;
        }
        o += snprintf(more + o, sizeof more - (size_t)o, "%s%s", o ? " " : "", other->name);
    }
    x.dims[k] *= n;
    rt_attr_int(&attr, "axis", (uint64_t)k);
    const rr_value *y = rr_new(m, x.rank, x.dims);
    if (y) rr_node1(m, "Concat", &from, more, y, &attr);
}

static void rr_reduce(rr_model *m)
{
    const rr_value x = *rr_pick(m);
    rr_value r = x;
    const int64_t axis = rr_axis(m, &x, 2), one = 1;
    if (axis < 0) return;
    r.dims[axis] = 1;
    const char *axes = rr_weight(m, LAMINA_I64, 1, &one, &axis, sizeof axis);
    const rr_value *y = rr_new(m, r.rank, r.dims);
    if (y) rr_node1(m, "ReduceSum", &x, axes, y, NULL);
}

/* Where(x > y, x, y) through a value of one byte an element. */
static void rr_where(rr_model *m)
{
    const rr_value x = *rr_pick(m);
    char cond[16], ins[48];
    if (m->n + 2 > RR_MAX_VALUES) return;
    (void)snprintf(cond, sizeof cond, "c%zu", m->n);
    const float half = 0.25f;
    const char *w = rr_weight(m, LAMINA_F32, 0, NULL, &half, sizeof half);
    (void)snprintf(ins, sizeof ins, "%s %s", x.name, w);
    rt_node(&m->graph, "Greater", ins, cond, NULL);
    const rr_value *y = rr_new(m, x.rank, x.dims);
    (void)snprintf(ins, sizeof ins, "%s %s %s", cond, x.name, w);
    rt_node(&m->graph, "Where", ins, y->name, NULL);
}

static void rr_matmul(rr_model *m)
{
    rr_value x = *rr_pick(m);
    const rr_value from = x;
    const int64_t k = x.dims[x.rank - 1], n = rr_int(m, 1, 5), dims[2] = {k, n};
    float w[RR_MAX_ROW * 5];
    if (x.rank < 2 || k == RR_N || rr_row(&x) / k * n > RR_MAX_ROW) return;
    for (int64_t i = 0; i < k * n; i++) w[i] = (float)t_rand_real(m->env, -1, 1);
    x.dims[x.rank - 1] = n;
    const char *name = rr_weight(m, LAMINA_F32, 2, dims, w, (size_t)(k * n) * sizeof *w);
    const rr_value *y = rr_new(m, x.rank, x.dims);
    if (y) rr_node1(m, "MatMul", &from, name, y, NULL);
}

/* If on an input: each branch a chain over a captured value, or that value itself. */
static void rr_if(rr_model *m)
{
    static pb branch[2], attrs[2], node;
    static const char *const last[] = {"Mul", "Add", "Identity"};
    const rr_value x = *rr_pick(m);
    char ins[32];
    for (int k = 0; k < 2; k++) {
        const int64_t which = rr_int(m, 0, 2);
        branch[k].n = 0;
        rt_node(&branch[k], k ? "Abs" : "Neg", x.name, "b_h", NULL);
        (void)snprintf(ins, sizeof ins, "%s%s", which < 2 ? "b_h " : "", x.name);
        rt_node(&branch[k], last[which], ins, k ? "b_else" : "b_then", NULL);
        pb_str(&branch[k], 2, "branch");
        rr_port(&branch[k], 12, k ? "b_else" : "b_then", NULL, false);
        rt_attr_graph(&attrs[k], k ? "else_branch" : "then_branch", &branch[k]);
    }
    const rr_value *y = rr_new(m, x.rank, x.dims);
    if (!y) return;
    node.n = 0;
    pb_str(&node, 1, "cond");
    pb_str(&node, 2, y->name);
    pb_str(&node, 4, "If");
    for (int k = 0; k < 2; k++) pb_msg(&node, 5, &attrs[k]);
    pb_msg(&m->graph, 1, &node);
}

/* Loop of two turns: v = tanh(v) + captured, or v stays; it leaves as a row of a scan output too.
 */
static void rr_loop(rr_model *m)
{
    static pb body, attr;
    const rr_value x = *rr_pick(m);
    if (m->n + 2 > RR_MAX_VALUES || x.rank == RR_MAX_RANK || 2 * rr_row(&x) > RR_MAX_ROW) return;
    int64_t dims[RR_MAX_RANK] = {2};
    memcpy(dims + 1, x.dims, (size_t)x.rank * sizeof *dims);
    char ins[64], outs[32];
    body.n = 0;
    rt_node(&body, "Identity", "l_c", "l_more", NULL);
    rt_node(&body, "Tanh", "l_v", "l_h", NULL);
    const bool stays = rr_int(m, 0, 3) == 0;
    (void)snprintf(ins, sizeof ins, stays ? "l_v" : "l_h %s", x.name);
    rt_node(&body, stays ? "Identity" : "Add", ins, "l_out", NULL);
    rt_node(&body, "Identity", "l_out", "l_row", NULL);
    pb_str(&body, 2, "body");
    rt_port(&body, 11, "l_i", LAMINA_I64, "");
    rt_port(&body, 11, "l_c", LAMINA_BOOL, "");
    rr_port(&body, 11, "l_v", NULL, false);
    rt_port(&body, 12, "l_more", LAMINA_BOOL, "");
    rr_port(&body, 12, "l_out", NULL, false);
    rr_port(&body, 12, "l_row", NULL, false);
    rt_attr_graph(&attr, "body", &body);
    const int64_t turns = 2;
    const uint8_t yes = 1;
    size_t n = (size_t)snprintf(ins, sizeof ins, "%s ",
                                rr_weight(m, LAMINA_I64, 0, NULL, &turns, sizeof turns));
    n += (size_t)snprintf(ins + n, sizeof ins - n, "%s ",
                          rr_weight(m, LAMINA_BOOL, 0, NULL, &yes, 1));
    (void)snprintf(ins + n, sizeof ins - n, "%s", x.name);
    const rr_value *v = rr_new(m, x.rank, x.dims), *rows = rr_new(m, x.rank + 1, dims);
    (void)snprintf(outs, sizeof outs, "%s %s", v->name, rows->name);
    rt_node(&m->graph, "Loop", ins, outs, &attr);
}

/* ---- models ------------------------------------------------------------------------------------
 */

static void rr_output(rr_model *m, const char *name)
{
    rr_port(&m->graph, 12, name, NULL, false);
    m->n_out++;
}

/* The total of half of the values: they are read, the others only if something else does. */
static void rr_total(rr_model *m)
{
    static pb keep;
    char ins[RR_MAX_VALUES * 6] = "", sum[24];
    size_t at = 0;
    rt_attr_int(&keep, "keepdims", 0);
    for (size_t i = 0; i < m->n; i++) {
        if (rr_int(m, 0, 1)) continue;
        (void)snprintf(sum, sizeof sum, "t%zu", i);
        rt_node(&m->graph, "ReduceSum", m->v[i].name, sum, &keep);
        at += (size_t)snprintf(ins + at, sizeof ins - at, "%s%s", at ? " " : "", sum);
    }
    if (!at) return;
    rt_node(&m->graph, "Sum", ins, "total", NULL);
    rr_output(m, "total");
}

/* Outputs: some values, the last one, at times an input, a constant, an input passed through. */
static void rr_outputs(rr_model *m)
{
    const float w[2] = {0.5f, -2};
    const int64_t two = 2;
    uint64_t taken[2] = {0};
    m->n_out = 0;
    for (int64_t i = rr_int(m, 1, 4); i >= 0; i--) {
        const size_t k = i ? (size_t)rr_int(m, 0, (int64_t)m->n - 1) : m->n - 1;
        if (taken[k / 64] >> k % 64 & 1) continue;
        taken[k / 64] |= (uint64_t)1 << k % 64;
        rr_output(m, m->v[k].name);
    }
    if (rr_int(m, 0, 3) == 0) rr_output(m, rr_weight(m, LAMINA_F32, 1, &two, w, sizeof w));
    rr_total(m);
    if (rr_int(m, 0, 3) == 0) {
        rt_node(&m->graph, "Identity", m->v[0].name, "same", NULL);
        rr_output(m, "same");
    }
}

/* A model of `steps` random nodes on RR_INPUTS inputs and the scalar "cond"; its bytes are in m. */
LMN_UNUSED static void rr_make(t_env *env, rr_model *m, int steps)
{
    static void (*const make[])(rr_model *) = {
        rr_unary,   rr_unary,      rr_unary,   rr_binary,  rr_binary,    rr_binary,    rr_reshape,
        rr_reshape, rr_reshape_as, rr_squeeze, rr_squeeze, rr_transpose, rr_transpose, rr_slice,
        rr_split,   rr_concat,     rr_reduce,  rr_where,   rr_matmul,    rr_if,        rr_loop};
    memset(m, 0, sizeof *m);
    m->env = env;
    m->symbolic = rr_int(m, 0, 1);
    for (int i = 0; i < RR_INPUTS; i++) {
        int64_t dims[RR_MAX_RANK];
        const int32_t rank = (int32_t)rr_int(m, 1, RR_MAX_RANK);
        for (int32_t k = 0; k < rank; k++) dims[k] = rr_int(m, 1, rank < 3 ? 4 : 2);
        dims[rr_int(m, 0, rank - 1)] = RR_N;
        const rr_value *v = rr_new(m, rank, dims);
        rr_port(&m->graph, 11, v->name, v, m->symbolic);
    }
    rt_port(&m->graph, 11, "cond", LAMINA_BOOL, "");
    pb_str(&m->graph, 2, "g");
    for (int i = 0; i < steps; i++) make[rr_int(m, 0, T_COUNT(make) - 1)](m);
    rr_outputs(m);
    pb_model(&m->bytes, &m->graph);
}

/* Inputs of the model with this N; refs of the caller. */
LMN_UNUSED static void rr_feed(rr_model *m, int64_t n, lamina_tensor *in[RR_INPUTS + 1])
{
    for (int i = 0; i < RR_INPUTS; i++) {
        int64_t dims[RR_MAX_RANK];
        for (int32_t k = 0; k < m->v[i].rank; k++)
            dims[k] = m->v[i].dims[k] == RR_N ? n : m->v[i].dims[k];
        in[i] = rt_floats(m->env, m->v[i].rank, dims);
    }
    T_OK(lamina_tensor_create(m->env->engine, LAMINA_BOOL, 0, NULL, &in[RR_INPUTS]));
    *(uint8_t *)lamina_tensor_mutable_data(in[RR_INPUTS]) = (uint8_t)rr_int(m, 0, 1);
}

#endif
