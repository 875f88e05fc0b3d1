/*
 * QLinearAdd (com.microsoft, since 1): the sum of two dequantised 8-bit tensors (numpy broadcast),
 * quantised again.
 */
#include "ops/mapeval.h"
#include "ops/msmap.h"

static lamina_status canon_qlinearadd(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lamina_dtype dt = lmn_map_fact(&m, lmn_map_in(&m, 0))->dtype;
    const lmn_ref a =
        lmn_map_dequantize(&m, lmn_map_in(&m, 0), lmn_map_in(&m, 1), lmn_map_in(&m, 2));
    const lmn_ref b =
        lmn_map_dequantize(&m, lmn_map_in(&m, 3), lmn_map_in(&m, 4), lmn_map_in(&m, 5));
    const lmn_ref y = lmn_map_bin(&m, "Add", a, b);
    m.out[0] = lmn_map_quantize(&m, y, lmn_map_in(&m, 6), lmn_map_in(&m, 7), dt);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_8BIT},
                              {"A_scale", 0, 0, LMN_D_F32},
                              {"A_zero_point", 'T', LMN_PORT_OPTIONAL, LMN_D_8BIT},
                              {"B", 'T', 0, LMN_D_8BIT},
                              {"B_scale", 0, 0, LMN_D_F32},
                              {"B_zero_point", 'T', LMN_PORT_OPTIONAL, LMN_D_8BIT},
                              {"C_scale", 0, 0, LMN_D_F32},
                              {"C_zero_point", 'T', LMN_PORT_OPTIONAL, LMN_D_8BIT},
                              {0}};
static const lmn_port OUT[] = {{"C", 'T', 0, LMN_D_8BIT}, {0}};
#define ATTRS NULL

LMN_MS_WHOLE(QLinearAdd, canon_qlinearadd);
