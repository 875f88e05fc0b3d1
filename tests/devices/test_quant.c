/*
 * Kernels of quantised operators against the reference evaluation, bit for bit: random shapes, both
 * signs of either operand, zero points {0, the middle, any} for a tensor, a row or a column, scales
 * for a tensor or a channel.
 */
#include "t.h"

#include <math.h>

#include "devices/device_list.h"
#include "ops/node.h"
#include "ops/prepack.h"
#include "ops/op_bench.h"

/* Element types and zero points of one draw. */
typedef struct draw {
    t_env *env;
    op_bench b;
    lamina_dtype x, w, y;
} draw;

static void begin_outs(draw *d, t_env *env, const char *domain, const char *op, int32_t n_out)
{
    static const lamina_dtype EITHER[2] = {LAMINA_U8, LAMINA_I8};
    d->env = env;
    op_begin(&d->b, env, "Relu", n_out);
    d->b.node.def = lmn_op_find(domain, op);
    if (!d->b.node.def) t_fail(__FILE__, __LINE__, "no operator %s", op);
    d->x = EITHER[t_rand_int(env, 0, 1)];
    d->w = EITHER[t_rand_int(env, 0, 1)];
    d->y = EITHER[t_rand_int(env, 0, 1)];
}

static void begin(draw *d, t_env *env, const char *domain, const char *op)
{
    begin_outs(d, env, domain, op, 1);
}

static void bytes(draw *d, lamina_dtype dt, int32_t rank, const int64_t *dims)
{
    const lamina_tensor *t = op_in(&d->b, dt, rank, dims, NULL);
    uint8_t *p = t->data;
    for (size_t i = 0; i < t->data_bytes; i++) p[i] = (uint8_t)t_rand(d->env);
}

/* n zero points; 1 is a scalar. */
static void zero_points(draw *d, lamina_dtype dt, int64_t n)
{
    const int64_t lo = dt == LAMINA_I8 ? -128 : 0, kind = t_rand_int(d->env, 0, 2);
    const lamina_tensor *t = op_in(&d->b, dt, n != 1, &n, NULL);
    for (int64_t i = 0; i < n; i++) {
        const int64_t any = lo + t_rand_int(d->env, 0, 255);
        ((uint8_t *)t->data)[i] = (uint8_t)(kind == 0 ? 0 : kind == 1 ? lo + 128 : any);
    }
}

static void scales(draw *d, int64_t n, double lo, double hi)
{
    const lamina_tensor *t = op_in(&d->b, LAMINA_F32, n != 1, &n, NULL);
    for (int64_t i = 0; i < n; i++) ((float *)t->data)[i] = (float)t_rand_real(d->env, lo, hi);
}

static void words(draw *d, int64_t n)
{
    const lamina_tensor *t = op_in(&d->b, LAMINA_I32, 1, &n, NULL);
    for (int64_t i = 0; i < n; i++)
        ((int32_t *)t->data)[i] = (int32_t)t_rand_int(d->env, -20000, 20000);
}

static int64_t one_or(draw *d, int64_t n)
{
    return t_rand_int(d->env, 0, 1) ? n : 1;
}

/* A session's store of packed weights that packs at once. */
typedef struct store {
    lmn_prepack door; /* first */
    lmn_packed packed;
    void *mem;
} store;

static lamina_status want(lmn_prepack *self, const lmn_pack_job *job, lmn_packed **out)
{
    store *s = (store *)(void *)self;
    s->mem = aligned_alloc(64, lmn_align_up((size_t)job->bytes, 64) + 64);
    if (!s->mem) return LAMINA_E_NOMEM;
    job->pack(job->row, job->flags, job->w, s->mem);
    lmn_atomic_store(&s->packed.data, (uintptr_t)s->mem, release);
    *out = &s->packed;
    return LAMINA_OK;
}

/* The CPU device's kernel on the bench, into its slots. Half of the time inputs are constants that
   it may pack. */
static void run_kernel(draw *d, const char *what)
{
    op_bench *b = &d->b;
    const lmn_fact *in[OP_MAX];
    const lamina_tensor *data[OP_MAX] = {0};
    store packs = {.door = {.want = want}};
    const bool constant = t_rand_int(d->env, 0, 1);
    for (int32_t i = 0; i < OP_MAX; i++) {
        in[i] = b->has_fact[i] ? &b->facts[i] : NULL;
        if (constant && in[i]) data[i] = b->in[i];
    }
    const lamina_node node = {.op = &b->node,
                              .in = in,
                              .in_const = data,
                              .out = b->out_facts,
                              .precision = LAMINA_PRECISION_EXACT,
                              .prepack = constant ? &packs.door : NULL};
    void *self = NULL;
    lamina_kernel *k = NULL;
    if (!T_OK(lmn_device_cpu.open(d->env->engine, NULL, &self))) return;
    if (T_OK_ERR(lmn_device_cpu.compile(self, &node, &k, &b->err), &b->err)) {
        lmn_eval ec = {.node = &b->node,
                       .engine = d->env->engine,
                       .n_in = b->node.n_in,
                       .n_out = b->node.n_out,
                       .in = b->in,
                       .out = b->out,
                       .err = &b->err};
        if (!T_OK_ERR(lmn_device_cpu.execute(self, k, lmn_eval_call(&ec)), &b->err))
            t_fail(__FILE__, __LINE__, "%s", what);
        lmn_scratch_release(&ec);
        lmn_device_cpu.kernel_free(self, k);
    }
    lmn_device_cpu.close(self);
    free(packs.mem);
}

/* Both, all outputs compared; ends the bench. */
static void compare(draw *d, const char *what)
{
    lamina_tensor fast[OP_MAX], *slot[OP_MAX];
    const int32_t n = d->b.node.n_out;
    for (int32_t i = 0; i < n; i++) {
        fast[i] = (lamina_tensor){.kind = LAMINA_KIND_NONE, .engine = d->env->engine};
        slot[i] = d->b.out[i], d->b.out[i] = &fast[i];
    }
    run_kernel(d, what);
    for (int32_t i = 0; i < n; i++) d->b.out[i] = slot[i];
    const bool ran = T_OK_ERR(op_eval(&d->b), &d->b.err);
    for (int32_t i = 0; i < n; i++) {
        T_EQ(fast[i].dtype, slot[i]->dtype);
        T_EQ(fast[i].rank, slot[i]->rank);
        if (ran && (fast[i].data_bytes != slot[i]->data_bytes ||
                    memcmp(fast[i].data, slot[i]->data, slot[i]->data_bytes) != 0))
            t_fail(__FILE__, __LINE__, "%s: kernel and reference differ", what);
        lmn_slot_clear(&fast[i]);
    }
    op_end(&d->b);
}

/* Both, whose floats differ by at most `bound` (1 + |v|); ends the bench. */
static void compare_near(draw *d, double bound, const char *what)
{
    lamina_tensor fast = {.kind = LAMINA_KIND_NONE, .engine = d->env->engine};
    lamina_tensor *const slot = d->b.out[0];
    d->b.out[0] = &fast;
    run_kernel(d, what);
    d->b.out[0] = slot;
    if (T_OK_ERR(op_eval(&d->b), &d->b.err) && T_EQ(fast.data_bytes, slot->data_bytes)) {
        const float *x = fast.data, *y = slot->data;
        for (int64_t i = 0; i < lmn_count(slot); i++)
            if (!(fabsf(x[i] - y[i]) <= bound * (1 + fabsf(y[i]))))
                t_fail(__FILE__, __LINE__, "%s: %g, not %g, at %d", what, (double)x[i],
                       (double)y[i], (int)i);
    }
    lmn_slot_clear(&fast);
    op_end(&d->b);
}

typedef struct extents {
    int64_t m, n, k, batch, a[3], b[3];
    int32_t rank_a;
} extents;

static extents draw_product(t_env *env)
{
    extents e = {.m = t_rand_int(env, 1, 70), .n = t_rand_int(env, 1, 120)};
    e.k = t_rand_int(env, 1, 150), e.batch = t_rand_int(env, 1, 3);
    e.rank_a = e.batch > 1 ? 3 : 2;
    e.a[0] = e.batch, e.a[e.rank_a - 2] = e.m, e.a[e.rank_a - 1] = e.k;
    e.b[0] = e.k, e.b[1] = e.n;
    return e;
}

static void test_products(t_env *env)
{
    for (int i = 0; i < 60; i++) {
        const extents e = draw_product(env);
        draw d;
        begin(&d, env, "", i % 2 ? "QLinearMatMul" : "MatMulInteger");
        bytes(&d, d.x, e.rank_a, e.a);
        if (i % 2) {
            scales(&d, 1, 0.01, 0.1);
            zero_points(&d, d.x, e.batch == 1 ? one_or(&d, e.m) : 1);
            bytes(&d, d.w, 2, e.b);
            scales(&d, one_or(&d, e.n), 0.01, 0.1);
            zero_points(&d, d.w, one_or(&d, e.n));
            scales(&d, 1, 0.5, 5);
            zero_points(&d, d.y, 1);
        } else {
            bytes(&d, d.w, 2, e.b);
            zero_points(&d, d.x, one_or(&d, e.m));
            zero_points(&d, d.w, one_or(&d, e.n));
        }
        compare(&d, i % 2 ? "QLinearMatMul" : "MatMulInteger");
    }
}

static void test_ms_products(t_env *env)
{
    for (int i = 0; i < 60; i++) {
        const extents e = draw_product(env);
        const bool gemm = i % 2;
        draw d;
        begin(&d, env, "com.microsoft", gemm ? "QGemm" : "MatMulIntegerToFloat");
        bytes(&d, d.x, gemm ? 2 : e.rank_a, gemm ? (int64_t[]){e.m, e.k} : e.a);
        if (gemm) {
            scales(&d, 1, 0.01, 0.1);
            zero_points(&d, d.x, 1);
            bytes(&d, d.w, 2, e.b);
            scales(&d, one_or(&d, e.n), 0.01, 0.1);
            zero_points(&d, d.w, one_or(&d, e.n));
            if (i % 3)
                words(&d, e.n);
            else
                op_absent(&d.b);
            if (i % 4 == 1) {
                scales(&d, 1, 0.5, 5);
                zero_points(&d, d.y, 1);
            }
        } else {
            bytes(&d, d.w, 2, e.b);
            scales(&d, 1, 0.01, 0.1);
            scales(&d, one_or(&d, e.n), 0.01, 0.1);
            zero_points(&d, d.x, 1);
            zero_points(&d, d.w, one_or(&d, e.n));
            if (i % 3) {
                const lamina_tensor *t = op_in(&d.b, LAMINA_F32, 1, &e.n, NULL);
                for (int64_t j = 0; j < e.n; j++)
                    ((float *)t->data)[j] = (float)t_rand_real(env, -9, 9);
            }
        }
        compare(&d, gemm ? "QGemm" : "MatMulIntegerToFloat");
    }
}

/* Packed weights. At level 4 rows are rounded to 8 bits a group: integers of which one in every
   group is 127 times its scale lose nothing, so that both ways agree. Constant weights of 32 rows
   and more are packed into panels. */
static void test_packed(t_env *env)
{
    for (int i = 0; i < 80; i++) {
        const int64_t block = (int64_t)16 << t_rand_int(env, 0, 4), bits = i % 2 ? 4 : 8;
        const int64_t k = t_rand_int(env, 1, 13) * (i % 6 ? 32 : 31), n = t_rand_int(env, 1, 90);
        const int64_t blocks = (k + block - 1) / block, a[2] = {t_rand_int(env, 1, 20), k};
        const int64_t w[3] = {n, blocks, block * bits / 8}, per_row = (blocks * bits + 7) / 8;
        const int64_t zp[2] = {n, per_row}, n_scales = n * blocks;
        draw d;
        begin(&d, env, "com.microsoft", "MatMulNBits");
        float *x = op_in(&d.b, LAMINA_F32, 2, a, NULL)->data;
        for (int64_t e = 0; e < a[0] * k; e++)
            x[e] = e % k % 32              ? (float)t_rand_int(env, -126, 126)
                   : t_rand_int(env, 0, 1) ? 127
                                           : -127;
        bytes(&d, LAMINA_U8, 3, w);
        scales(&d, n_scales, 0.01, 0.1);
        if (i % 3)
            bytes(&d, LAMINA_U8, 2, zp);
        else
            op_absent(&d.b);
        op_absent(&d.b);
        if (i % 5)
            op_absent(&d.b);
        else
            scales(&d, n, -9, 9);
        op_attr_i(&d.b, "K", k);
        op_attr_i(&d.b, "N", n);
        op_attr_i(&d.b, "bits", bits);
        op_attr_i(&d.b, "block_size", block);
        op_attr_i(&d.b, "accuracy_level", i % 4 ? 4 : 0);
        compare_near(&d, 2e-5 * (double)k, "MatMulNBits");
    }
}

static void test_convolutions(t_env *env)
{
    for (int i = 0; i < 80; i++) {
        const bool integer = i % 4 == 0, depthwise = i % 3 == 0;
        const int64_t group = t_rand_int(env, 1, 3), side = t_rand_int(env, 1, 5);
        const int64_t c = depthwise ? 1 : t_rand_int(env, 1, 20);
        const int64_t m = group * t_rand_int(env, 1, depthwise ? 2 : 20);
        const int64_t pad = t_rand_int(env, 0, 2), stride = t_rand_int(env, 1, 2);
        const int64_t x[4] = {t_rand_int(env, 1, 2), group * c, side + t_rand_int(env, 0, 20),
                              side + t_rand_int(env, 0, 20)};
        const int64_t w[4] = {m, c, side, side}, pads[4] = {pad, pad, pad, pad};
        const int64_t strides[2] = {stride, stride};
        draw d;
        begin(&d, env, "", integer ? "ConvInteger" : "QLinearConv");
        bytes(&d, d.x, 4, x);
        if (integer) {
            bytes(&d, d.w, 4, w);
            zero_points(&d, d.x, 1);
            zero_points(&d, d.w, one_or(&d, m));
        } else {
            scales(&d, 1, 0.01, 0.1);
            zero_points(&d, d.x, 1);
            bytes(&d, d.w, 4, w);
            scales(&d, one_or(&d, m), 0.01, 0.1);
            zero_points(&d, d.w, one_or(&d, m));
            scales(&d, 1, 0.5, 5);
            zero_points(&d, d.y, 1);
            if (i % 2) words(&d, m);
        }
        op_attr_i(&d.b, "group", group);
        op_attr(&d.b, (lmn_attr){.name = "pads", .type = LMN_ATTR_INTS, .n = 4, .u.ints = pads});
        op_attr(&d.b,
                (lmn_attr){.name = "strides", .type = LMN_ATTR_INTS, .n = 2, .u.ints = strides});
        compare(&d, integer ? "ConvInteger" : "QLinearConv");
    }
}

/* Channels last, with constant weights and without. */
static void test_channels_last(t_env *env)
{
    for (int i = 0; i < 60; i++) {
        const int64_t c = t_rand_int(env, 1, 70), m = t_rand_int(env, 1, 70);
        const int64_t side = t_rand_int(env, 1, 4), pad = t_rand_int(env, 0, 2);
        const int64_t stride = t_rand_int(env, 1, 2);
        const int64_t x[4] = {t_rand_int(env, 1, 2), side + t_rand_int(env, 0, 12),
                              side + t_rand_int(env, 0, 12), c};
        const int64_t w[4] = {m, c, side, side}, pads[4] = {pad, pad, pad, pad};
        const int64_t strides[2] = {stride, stride};
        draw d;
        begin(&d, env, "com.microsoft", "QLinearConv");
        bytes(&d, d.x, 4, x);
        scales(&d, 1, 0.01, 0.1);
        zero_points(&d, d.x, 1);
        bytes(&d, d.w, 4, w);
        scales(&d, one_or(&d, m), 0.01, 0.1);
        zero_points(&d, d.w, one_or(&d, m));
        scales(&d, 1, 0.5, 5);
        zero_points(&d, d.y, 1);
        if (i % 2) words(&d, m);
        op_attr_i(&d.b, "channels_last", 1);
        op_attr(&d.b, (lmn_attr){.name = "pads", .type = LMN_ATTR_INTS, .n = 4, .u.ints = pads});
        op_attr(&d.b,
                (lmn_attr){.name = "strides", .type = LMN_ATTR_INTS, .n = 2, .u.ints = strides});
        compare(&d, "QLinearConv, channels last");
    }
}

static void image(draw *d, int64_t dims[4])
{
    dims[0] = t_rand_int(d->env, 1, 2), dims[1] = t_rand_int(d->env, 1, 9);
    for (int i = 2; i < 4; i++) dims[i] = t_rand_int(d->env, 1, 40);
}

static void test_quantize(t_env *env)
{
    for (int i = 0; i < 40; i++) {
        const bool channels = t_rand_int(env, 0, 1);
        int64_t x[4];
        draw d;
        begin(&d, env, "", i % 2 ? "QuantizeLinear" : "DequantizeLinear");
        image(&d, x);
        if (i % 2) {
            const lamina_tensor *t = op_in(&d.b, LAMINA_F32, 4, x, NULL);
            for (int64_t e = 0; e < lmn_count(t); e++)
                ((float *)t->data)[e] = (float)t_rand_real(env, -300, 300);
        } else {
            bytes(&d, d.x, 4, x);
        }
        scales(&d, channels ? x[1] : 1, 0.1, 2);
        if (i % 3) zero_points(&d, i % 2 ? d.y : d.x, channels ? x[1] : 1);
        if (i % 3 == 0 && i % 2) op_attr_i(&d.b, "output_dtype", d.y);
        compare(&d, "QuantizeLinear, DequantizeLinear");
    }
}

/* All three results; a NaN, an infinity and nothing but zeros too. */
static void test_dynamic(t_env *env)
{
    for (int i = 0; i < 30; i++) {
        const int64_t x[2] = {t_rand_int(env, 1, 9), t_rand_int(env, 1, 5000)};
        draw d;
        begin_outs(&d, env, "", "DynamicQuantizeLinear", 3);
        const lamina_tensor *t = op_in(&d.b, LAMINA_F32, 2, x, NULL);
        float *p = t->data;
        const double lo = i % 3 ? -7 : 0;
        for (int64_t e = 0; e < lmn_count(t); e++)
            p[e] = i % 7 ? (float)t_rand_real(env, lo, 9) : 0.0f;
        if (i % 5 == 0) p[x[1] / 2] = i % 2 ? NAN : INFINITY;
        compare(&d, "DynamicQuantizeLinear");
    }
}

static void test_pairs(t_env *env)
{
    for (int i = 0; i < 60; i++) {
        int64_t x[4];
        draw d;
        begin(&d, env, "com.microsoft", i % 2 ? "QLinearAdd" : "QLinearMul");
        image(&d, x);
        const int32_t rank_a = (int32_t)(i % 3 ? 4 : t_rand_int(env, 1, 4));
        const int32_t rank_b = (int32_t)(i % 3 == 1 ? t_rand_int(env, 0, 4) : 4);
        bytes(&d, d.x, rank_a, x + 4 - rank_a);
        scales(&d, 1, 0.1, 2);
        zero_points(&d, d.x, 1);
        bytes(&d, d.x, rank_b, x + 4 - rank_b);
        scales(&d, 1, 0.1, 2);
        if (i % 5)
            zero_points(&d, d.x, 1);
        else
            op_absent(&d.b);
        scales(&d, 1, 0.1, 20);
        zero_points(&d, d.x, 1);
        compare(&d, i % 2 ? "QLinearAdd" : "QLinearMul");
    }
}

static void test_concat(t_env *env)
{
    for (int i = 0; i < 40; i++) {
        int64_t x[4];
        draw d;
        begin(&d, env, "com.microsoft", "QLinearConcat");
        image(&d, x);
        const int64_t axis = t_rand_int(env, 0, 3);
        scales(&d, 1, 0.1, 2);
        zero_points(&d, d.y, 1);
        for (int k = 0; k < 3; k++) {
            const lamina_dtype dt = k ? d.w : d.x;
            x[axis] = t_rand_int(env, 0, 9);
            bytes(&d, dt, 4, x);
            scales(&d, 1, 0.1, 2);
            zero_points(&d, dt, 1);
        }
        op_attr_i(&d.b, "axis", axis - (i % 2 ? 4 : 0));
        compare(&d, "QLinearConcat");
    }
}

static void test_pools(t_env *env)
{
    static const char *const OPS[4] = {"MaxPool", "QLinearAveragePool", "QLinearGlobalAveragePool",
                                       "NhwcMaxPool"};
    for (int i = 0; i < 100; i++) {
        const int op = i % 5 < 3 ? i % 5 : i % 5 == 3 ? 2 : 3;
        const bool last = i % 5 >= 3;
        const int64_t side = t_rand_int(env, 1, 4), stride = t_rand_int(env, 1, 3);
        const int64_t pad = t_rand_int(env, 0, side - 1), kernel[2] = {side, side};
        const int64_t strides[2] = {stride, stride}, pads[4] = {pad, pad, pad, pad};
        int64_t x[4];
        draw d;
        begin(&d, env, op ? "com.microsoft" : "", OPS[op]);
        image(&d, x);
        x[2] += side, x[last ? 1 : 3] += side;
        bytes(&d, d.x, 4, x);
        if (op == 1 || op == 2) {
            scales(&d, 1, 0.1, 2);
            zero_points(&d, d.x, 1);
            scales(&d, 1, 0.1, 2);
            zero_points(&d, d.x, 1);
        }
        if (op == 2 && last) op_attr_i(&d.b, "channels_last", 1);
        if (op != 2) {
            const lmn_attr ints = {.type = LMN_ATTR_INTS, .n = 2};
            lmn_attr a[3] = {ints, ints, ints};
            a[0].name = "kernel_shape", a[0].u.ints = kernel;
            a[1].name = "strides", a[1].u.ints = strides;
            a[2].name = "pads", a[2].u.ints = pads, a[2].n = 4;
            for (int k = 0; k < 3; k++) op_attr(&d.b, a[k]);
            op_attr_i(&d.b, "ceil_mode", t_rand_int(env, 0, 1));
            if (op == 1) op_attr_i(&d.b, "count_include_pad", t_rand_int(env, 0, 1));
        }
        compare(&d, OPS[op]);
    }
}

static void test_clip(t_env *env)
{
    for (int i = 0; i < 20; i++) {
        int64_t x[4];
        draw d;
        begin(&d, env, "", "Clip");
        image(&d, x);
        bytes(&d, d.x, 4, x);
        if (i % 3)
            zero_points(&d, d.x, 1);
        else
            op_absent(&d.b);
        if (i % 2) zero_points(&d, d.x, 1);
        compare(&d, "Clip");
    }
}

T_MAIN(T_TEST(test_products), T_TEST(test_ms_products), T_TEST(test_packed),
       T_TEST(test_convolutions), T_TEST(test_channels_last), T_TEST(test_quantize),
       T_TEST(test_dynamic), T_TEST(test_pairs), T_TEST(test_concat), T_TEST(test_pools),
       T_TEST(test_clip))
