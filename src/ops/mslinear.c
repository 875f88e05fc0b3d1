/*
 * com.microsoft products and convolutions as canonical nodes (mslinear.h).
 */
#include "ops/mslinear.h"

/*
 * transBatch moves the first axis before the last: [b0, b1, .., m, k] to [b1, .., m, b0, k]; trans
 * then swaps the last two. Vectors are never transposed.
 */
static lmn_ref transposed(lmn_map *m, lmn_ref x, const char *trans, const char *batch)
{
    const bool swap = lmn_attr_i(m->c->node, trans, 0) != 0,
               roll = lmn_attr_i(m->c->node, batch, 0) != 0;
    int64_t perm[LMN_MAX_RANK];
    if (!swap && !roll) return x;
    const int32_t rank = lmn_map_rank(m, x, "a transposed operand");
    if (!lmn_map_ok(m) || rank < 2) return x;
    for (int32_t i = 0; i < rank; i++) perm[i] = i;
    for (int32_t i = 0; roll && i + 2 < rank; i++) perm[i] = i + 1;
    if (roll) perm[rank - 2] = 0;
    if (swap) {
        const int64_t last = perm[rank - 1];
        perm[rank - 1] = perm[rank - 2];
        perm[rank - 2] = last;
    }
    return lmn_map_transpose(m, x, perm, rank);
}

lmn_ref lmn_map_matmul(lmn_map *m, lmn_ref a, lmn_ref b)
{
    if (!lmn_map_ok(m)) return 0;
    const lamina_dtype dt = lmn_map_fact(m, a)->dtype;
    const float alpha = lmn_attr_f(m->c->node, "alpha", 1.0f);
    a = transposed(m, a, "transA", "transBatchA");
    b = transposed(m, b, "transB", "transBatchB");
    const lmn_ref y = lmn_map_bin(m, "MatMul", a, b);
    return alpha == 1.0f ? y : lmn_map_bin(m, "Mul", y, lmn_map_scalar(m, dt, (double)alpha));
}

int32_t lmn_map_conv_attrs(const lmn_map *m, lmn_attr *out)
{
    static const char *const OWN[LMN_MS_CONV_ATTR_COUNT + 1] = {
        "auto_pad", "dilations", "group", "kernel_shape", "pads", "strides", NULL};
    return lmn_map_copy(m, OWN, out);
}

lmn_ref lmn_map_conv(lmn_map *m, bool nhwc)
{
    lmn_attr attrs[LMN_MS_CONV_ATTR_COUNT];
    const float *params;
    lmn_ref x = lmn_map_in(m, 0), z = lmn_map_in(m, 3);
    int32_t rank = 0;
    if (nhwc) {
        rank = lmn_map_rank(m, lmn_map_in(m, 1), "the weights");
        x = lmn_map_to_nchw(m, x, rank);
        if (z) z = lmn_map_to_nchw(m, z, rank);
    }
    lmn_ref y = lmn_map_node(m, "Conv", (lmn_ref[]){x, lmn_map_in(m, 1), lmn_map_in(m, 2)}, 3,
                             attrs, lmn_map_conv_attrs(m, attrs));
    y = lmn_map_add(m, y, z);
    const int32_t n = lmn_attr_floats(m->c->node, "activation_params", &params);
    y = lmn_map_activation(m, y, lmn_attr_s(m->c->node, "activation", NULL), params, n);
    return nhwc ? lmn_map_to_nhwc(m, y, rank) : y;
}

lmn_ref lmn_map_named_activation(lmn_map *m, lmn_ref x)
{
    const lmn_opnode *n = m->c->node;
    const bool alpha = lmn_attr_find(n, "activation_alpha"),
               beta = lmn_attr_find(n, "activation_beta");
    const float p[2] = {lmn_attr_f(n, "activation_alpha", 0.0f),
                        lmn_attr_f(n, "activation_beta", 0.0f)};
    return lmn_map_activation(m, x, lmn_attr_s(n, "activation", NULL), p, beta ? 2 : alpha ? 1 : 0);
}

lmn_ref lmn_map_int_matmul(lmn_map *m, const lmn_map_qproduct *p)
{
    const lamina_dtype dt = lmn_map_fact(m, p->b_scale)->dtype;
    const lmn_ref acc =
        lmn_map_node(m, "MatMulInteger", (lmn_ref[]){p->a, p->b, p->a_zp, p->b_zp}, 4, NULL, 0);
    const lmn_ref scale = lmn_map_bin(m, "Mul", lmn_map_cast(m, p->a_scale, LAMINA_F32),
                                      lmn_map_cast(m, p->b_scale, LAMINA_F32));
    const lmn_ref y = lmn_map_bin(m, "Mul", lmn_map_cast(m, acc, LAMINA_F32), scale);
    const lmn_ref sum = p->bias ? lmn_map_add(m, y, lmn_map_cast(m, p->bias, LAMINA_F32)) : y;
    return dt == LAMINA_F32 || !dt ? sum : lmn_map_cast(m, sum, dt);
}
