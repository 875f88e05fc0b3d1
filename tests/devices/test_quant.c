/*
 * Kernels of quantised products and convolutions against the reference evaluation, bit for bit:
 * random shapes, weights packed or not, channels first and last.
 */
#include "devices/quant_draw.h"

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

T_MAIN(T_TEST(test_products), T_TEST(test_ms_products), T_TEST(test_packed),
       T_TEST(test_convolutions), T_TEST(test_channels_last))
