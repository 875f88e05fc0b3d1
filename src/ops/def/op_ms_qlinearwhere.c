/*
 * QLinearWhere (com.microsoft, since 1): Where between two dequantised 8-bit tensors, quantised
 * again.
 */
#include "ops/msmap.h"

static lamina_status canon_qlinearwhere(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref x =
        lmn_map_dequantize(&m, lmn_map_in(&m, 1), lmn_map_in(&m, 2), lmn_map_in(&m, 3));
    const lmn_ref y =
        lmn_map_dequantize(&m, lmn_map_in(&m, 4), lmn_map_in(&m, 5), lmn_map_in(&m, 6));
    const lmn_ref z = lmn_map_node(&m, "Where", (lmn_ref[]){lmn_map_in(&m, 0), x, y}, 3, NULL, 0);
    m.out[0] = lmn_map_quantize(&m, z, lmn_map_in(&m, 7), lmn_map_in(&m, 8), LAMINA_DTYPE_NONE);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"condition", 0, 0, LMN_D_BOOL},
                              {"X", 'T', 0, LMN_D_8BIT},
                              {"x_scale", 0, 0, LMN_D_F32},
                              {"x_zero_point", 'T', 0, LMN_D_8BIT},
                              {"Y", 'T', 0, LMN_D_8BIT},
                              {"y_scale", 0, 0, LMN_D_F32},
                              {"y_zero_point", 'T', 0, LMN_D_8BIT},
                              {"z_scale", 0, 0, LMN_D_F32},
                              {"z_zero_point", 'T', 0, LMN_D_8BIT},
                              {0}};
static const lmn_port OUT[] = {{"Z", 'T', 0, LMN_D_8BIT}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(QLinearWhere, canon_qlinearwhere);
