/*
 * What the QLinear operators of one input share (X, X_scale, X_zero_point, Y_scale, Y_zero_point)
 * and those of two: dequantise, compute in f32, quantise.
 */
#ifndef LMN_OPS_MSQLINEAR_H
#define LMN_OPS_MSQLINEAR_H

#include "ops/msmap.h"

/* X dequantised. */
static inline lmn_ref lmn_map_qlinear_in(lmn_map *m)
{
    return lmn_map_dequantize(m, lmn_map_in(m, 0), lmn_map_in(m, 1), lmn_map_in(m, 2));
}
/* y quantised into the type of X as the node's output. */
static inline void lmn_map_qlinear_out(lmn_map *m, lmn_ref y)
{
    m->out[0] = lmn_map_quantize(m, y, lmn_map_in(m, 3), lmn_map_in(m, 4),
                                 lmn_map_fact(m, lmn_map_in(m, 0))->dtype);
}

#define LMN_MS_QLINEAR_PORTS                                                            \
    static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_8BIT},                            \
                                  {"X_scale", 0, 0, LMN_D_F32},                         \
                                  {"X_zero_point", 'T', LMN_PORT_OPTIONAL, LMN_D_8BIT}, \
                                  {"Y_scale", 0, 0, LMN_D_F32},                         \
                                  {"Y_zero_point", 'T', LMN_PORT_OPTIONAL, LMN_D_8BIT}, \
                                  {0}};                                                 \
    static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_8BIT}, {0}}

/* A operation B of two such tensors with their scales and zero points, quantised by inputs 6, 7. */
static inline lamina_status lmn_qlinear_bin(lmn_canon *c, const char *op)
{
    lmn_map m = lmn_map_begin(c);
    const lamina_dtype dt = lmn_map_fact(&m, lmn_map_in(&m, 0))->dtype;
    const lmn_ref a =
        lmn_map_dequantize(&m, lmn_map_in(&m, 0), lmn_map_in(&m, 1), lmn_map_in(&m, 2));
    const lmn_ref b =
        lmn_map_dequantize(&m, lmn_map_in(&m, 3), lmn_map_in(&m, 4), lmn_map_in(&m, 5));
    const lmn_ref y = lmn_map_bin(&m, op, a, b);
    m.out[0] = lmn_map_quantize(&m, y, lmn_map_in(&m, 6), lmn_map_in(&m, 7), dt);
    return lmn_map_end(&m);
}

#define LMN_MS_QLINEAR_BIN_PORTS                                                        \
    static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_8BIT},                            \
                                  {"A_scale", 0, 0, LMN_D_F32},                         \
                                  {"A_zero_point", 'T', LMN_PORT_OPTIONAL, LMN_D_8BIT}, \
                                  {"B", 'T', 0, LMN_D_8BIT},                            \
                                  {"B_scale", 0, 0, LMN_D_F32},                         \
                                  {"B_zero_point", 'T', LMN_PORT_OPTIONAL, LMN_D_8BIT}, \
                                  {"C_scale", 0, 0, LMN_D_F32},                         \
                                  {"C_zero_point", 'T', LMN_PORT_OPTIONAL, LMN_D_8BIT}, \
                                  {0}};                                                 \
    static const lmn_port OUT[] = {{"C", 'T', 0, LMN_D_8BIT}, {0}}

#endif
