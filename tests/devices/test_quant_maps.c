/*
 * Kernels of quantised operators that multiply no matrices (quantise, pairs, joins, pools, clips)
 * against the reference evaluation, bit for bit, over random shapes and both signs.
 */
#include "devices/quant_draw.h"

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

T_MAIN(T_TEST(test_quantize), T_TEST(test_dynamic), T_TEST(test_pairs), T_TEST(test_concat),
       T_TEST(test_pools), T_TEST(test_clip))
