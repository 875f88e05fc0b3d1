/*
 * DynamicQuantizeMatMul (com.microsoft, since 1): A is quantised to uint8 by its own range, then
 * multiplied as MatMulIntegerToFloat does.
 */
#include "ops/mapeval.h"
#include "ops/mslinear.h"

static lamina_status canon_dynamicquantizematmul(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref x = lmn_map_in(&m, 0);
    lmn_ref q[3];
    lmn_map_nodes(&m, "DynamicQuantizeLinear", &x, 1, NULL, 0, q, 3);
    const lmn_map_qproduct p = {.a = q[0],
                                .b = lmn_map_in(&m, 1),
                                .a_scale = q[1],
                                .b_scale = lmn_map_in(&m, 2),
                                .a_zp = q[2],
                                .b_zp = lmn_map_in(&m, 3),
                                .bias = lmn_map_in(&m, 4)};
    m.out[0] = lmn_map_int_matmul(&m, &p);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_F32},
                              {"B", 'B', 0, LMN_D_8BIT},
                              {"b_scale", 'T', 0, LMN_D_F32},
                              {"b_zero_point", 'B', LMN_PORT_OPTIONAL, LMN_D_8BIT},
                              {"bias", 'T', LMN_PORT_OPTIONAL, LMN_D_F32},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_F32}, {0}};
#define ATTRS NULL

LMN_MS_WHOLE(DynamicQuantizeMatMul, canon_dynamicquantizematmul);
