/*
 * What the com.microsoft forms of MatMul, Gemm and Conv share: operands transposed on the way in,
 * channels last, a residual and an activation on the way out.
 */
#ifndef LMN_OPS_MSLINEAR_H
#define LMN_OPS_MSLINEAR_H

#include "ops/msmap.h"

/* alpha * (a b) by the node's attributes transA, transB, transBatchA, transBatchB and alpha. */
lmn_ref lmn_map_matmul(lmn_map *m, lmn_ref a, lmn_ref b);
/* Conv of inputs 0 to 2, then + input 3, then the activation; channels last if nhwc. */
lmn_ref lmn_map_conv(lmn_map *m, bool nhwc);
/* The activation of attributes activation, activation_alpha, activation_beta. */
lmn_ref lmn_map_named_activation(lmn_map *m, lmn_ref x);
/* A B of 8-bit integers as f32 times a_scale * b_scale, plus the bias. Zero points and bias may be
   absent. The result has the type of b_scale. */
typedef struct lmn_map_qproduct {
    lmn_ref a, a_scale, a_zp, b, b_scale, b_zp, bias;
} lmn_map_qproduct;
lmn_ref lmn_map_int_matmul(lmn_map *m, const lmn_map_qproduct *p);

#define LMN_MS_CONV_ATTR_COUNT 6
/* The attributes of Conv that the node has. */
int32_t lmn_map_conv_attrs(const lmn_map *m, lmn_attr *out);

#define LMN_MS_MATMUL_ATTRS                                                                 \
    {"alpha", LMN_ATTR_FLOAT, 0}, {"transA", LMN_ATTR_INT, 0}, {"transB", LMN_ATTR_INT, 0}, \
        {"transBatchA", LMN_ATTR_INT, 0},                                                   \
    {                                                                                       \
        "transBatchB", LMN_ATTR_INT, 0                                                      \
    }

/* FusedConv in either layout: Conv of X, W, B, then + Z, then an activation. To be included with
   ops/convgeom.h. */
#define LMN_MS_FUSED_CONV(Name, channels_last)                                         \
    static lamina_status canon_op(lmn_canon *c)                                        \
    {                                                                                  \
        lmn_map m = lmn_map_begin(c);                                                  \
        m.out[0] = lmn_map_conv(&m, channels_last);                                    \
        return lmn_map_end(&m);                                                        \
    }                                                                                  \
    static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},                          \
                                  {"W", 'T', 0, LMN_D_FLOAT},                          \
                                  {"B", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},          \
                                  {"Z", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},          \
                                  {0}};                                                \
    static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};                   \
    static const lmn_attr_schema ATTRS[] = {LMN_CONV_ATTRS,                            \
                                            {"activation", LMN_ATTR_STRING, 0},        \
                                            {"activation_params", LMN_ATTR_FLOATS, 0}, \
                                            {0}};                                      \
    LMN_MS_MAPPED(Name, canon_op)

#endif
