/*
 * Test helper: files of small models to be served, each written into the test's folder.
 */
#ifndef LMN_TESTS_SERVE_SERVED_MODELS_H
#define LMN_TESTS_SERVE_SERVED_MODELS_H

#include "runtime/rt_build.h"
#include "t.h"

/* y = x * w + b of rows of four; with `op` between x and the product. */
LMN_UNUSED static const char *mlp_file(t_env *env, const char *rows, const char *op, char *path,
                                       size_t cap)
{
    static pb g, bytes;
    float w[12], b[3] = {1, 2, 3};
    for (int i = 0; i < 12; i++) w[i] = (float)(i % 5) - 1.5f;
    char in[32], out[32];
    g.n = bytes.n = 0;
    if (op) rt_node(&g, op, "x", "h", NULL);
    rt_node(&g, "MatMul", op ? "h w" : "x w", "m", NULL);
    rt_node(&g, "Add", "m b", "y", NULL);
    pb_str(&g, 2, "g");
    rt_weight(&g, "w", LAMINA_F32, 2, (int64_t[]){4, 3}, w, sizeof w);
    rt_weight(&g, "b", LAMINA_F32, 1, (int64_t[]){3}, b, sizeof b);
    (void)snprintf(in, sizeof in, "%s 4", rows);
    (void)snprintf(out, sizeof out, "%s 3", rows);
    rt_port(&g, 11, "x", LAMINA_F32, in);
    rt_port(&g, 12, "y", LAMINA_F32, out);
    pb_model(&bytes, &g);
    return t_write(env, "mlp.onnx", bytes.p, bytes.n, path, cap);
}

/* y = factor * x, rows of four. */
LMN_UNUSED static void scale_model(pb *bytes, float factor)
{
    static pb g;
    g.n = bytes->n = 0;
    rt_node(&g, "Mul", "x f", "y", NULL);
    pb_str(&g, 2, "g");
    rt_weight(&g, "f", LAMINA_F32, 1, (int64_t[]){1}, &factor, sizeof factor);
    rt_port(&g, 11, "x", LAMINA_F32, "N 4");
    rt_port(&g, 12, "y", LAMINA_F32, "N 4");
    pb_model(bytes, &g);
}

/* y = table[i], so that an index out of range fails. */
LMN_UNUSED static const char *lookup_file(t_env *env, char *path, size_t cap)
{
    static pb g, bytes;
    float table[8] = {0, 10, 20, 30, 40, 50, 60, 70};
    g.n = bytes.n = 0;
    rt_node(&g, "Gather", "table i", "y", NULL);
    pb_str(&g, 2, "g");
    rt_weight(&g, "table", LAMINA_F32, 1, (int64_t[]){8}, table, sizeof table);
    rt_port(&g, 11, "i", LAMINA_I64, "N");
    rt_port(&g, 12, "y", LAMINA_F32, "N");
    pb_model(&bytes, &g);
    return t_write(env, "lookup.onnx", bytes.p, bytes.n, path, cap);
}

/* One node between x [x_dims] and y [y_dims]. */
LMN_UNUSED static const char *node_file(t_env *env, const char *op, lamina_dtype dt,
                                        const char *x_dims, const char *y_dims, char *path,
                                        size_t cap)
{
    static pb g, bytes;
    g.n = bytes.n = 0;
    rt_node(&g, op, "x", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", dt, x_dims);
    rt_port(&g, 12, "y", dt, y_dims);
    pb_model(&bytes, &g);
    return t_write(env, "node.onnx", bytes.p, bytes.n, path, cap);
}

/* x -> DynamicQuantizeLinear -> DequantizeLinear -> y: one scale for all rows. */
LMN_UNUSED static const char *dynamic_file(t_env *env, char *path, size_t cap)
{
    static pb g, bytes;
    g.n = bytes.n = 0;
    rt_node(&g, "DynamicQuantizeLinear", "x", "q s z", NULL);
    rt_node(&g, "DequantizeLinear", "q s z", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "N 4");
    rt_port(&g, 12, "y", LAMINA_F32, "N 4");
    pb_model(&bytes, &g);
    return t_write(env, "dynamic.onnx", bytes.p, bytes.n, path, cap);
}

/* x [N,4] taken through a loop of many turns. */
LMN_UNUSED static const char *loop_file(t_env *env, int64_t turns, char *path, size_t cap)
{
    static pb bytes;
    rt_looped(&bytes, turns, "Neg", "v_in", "N 4", NULL);
    return t_write(env, "loop.onnx", bytes.p, bytes.n, path, cap);
}

#endif
