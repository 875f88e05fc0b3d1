/*
 * MatMulIntegerToFloat (com.microsoft, since 1): an exact 8-bit product, then * a_scale * b_scale,
 * then + bias. b's parameters may be one a column.
 */
#include "ops/mapeval.h"
#include "ops/mslinear.h"

static lamina_status canon_matmulintegertofloat(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_map_qproduct p = {.a = lmn_map_in(&m, 0),
                                .b = lmn_map_in(&m, 1),
                                .a_scale = lmn_map_in(&m, 2),
                                .b_scale = lmn_map_in(&m, 3),
                                .a_zp = lmn_map_in(&m, 4),
                                .b_zp = lmn_map_in(&m, 5),
                                .bias = lmn_map_in(&m, 6)};
    m.out[0] = lmn_map_int_matmul(&m, &p);
    return lmn_map_end(&m);
}

#define REAL (LMN_D_F32 | LMN_DBIT(LAMINA_F16))
static const lmn_port IN[] = {{"A", 'A', 0, LMN_D_8BIT},
                              {"B", 'B', 0, LMN_D_8BIT},
                              {"a_scale", 'T', 0, REAL},
                              {"b_scale", 'T', 0, REAL},
                              {"a_zero_point", 'A', LMN_PORT_OPTIONAL, LMN_D_8BIT},
                              {"b_zero_point", 'B', LMN_PORT_OPTIONAL, LMN_D_8BIT},
                              {"bias", 'T', LMN_PORT_OPTIONAL, REAL},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, REAL}, {0}};
#define ATTRS NULL

LMN_MS_WHOLE(MatMulIntegerToFloat, canon_matmulintegertofloat);
