/*
 * QAttention (com.microsoft, since 1): Attention whose input and weights are 8-bit; the weights may
 * have a scale and zero point a column.
 */
#include "ops/mslinear.h"
#include "ops/msproject.h"

static lamina_status canon_qattention(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_map_qproduct q = {.a = lmn_map_in(&m, 0),
                                .a_scale = lmn_map_in(&m, 3),
                                .a_zp = lmn_map_in(&m, 6),
                                .b = lmn_map_in(&m, 1),
                                .b_scale = lmn_map_in(&m, 4),
                                .b_zp = lmn_map_in(&m, 7),
                                .bias = lmn_map_in(&m, 2)};
    const lmn_map_projected p = {
        .qkv = lmn_map_int_matmul(&m, &q), .mask = lmn_map_in(&m, 5), .past = lmn_map_in(&m, 8)};
    lmn_map_project(&m, &p);
    return lmn_map_end(&m);
}

#define OPT LMN_PORT_OPTIONAL
#define REAL (LMN_D_F32 | LMN_DBIT(LAMINA_F16))
static const lmn_port IN[] = {{"input", 'A', 0, LMN_D_8BIT},
                              {"weight", 'B', 0, LMN_D_8BIT},
                              {"bias", 'T', 0, REAL},
                              {"input_scale", 'T', 0, REAL},
                              {"weight_scale", 'T', 0, REAL},
                              {"mask_index", 0, OPT, LMN_D_I32},
                              {"input_zero_point", 'A', OPT, LMN_D_8BIT},
                              {"weight_zero_point", 'B', OPT, LMN_D_8BIT},
                              {"past", 'T', OPT, REAL},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, REAL}, {"present", 'T', OPT, REAL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"do_rotary", LMN_ATTR_INT, 0},
                                        {"mask_filter_value", LMN_ATTR_FLOAT, 0},
                                        {"num_heads", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {"past_present_share_buffer", LMN_ATTR_INT, 0},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {"unidirectional", LMN_ATTR_INT, 0},
                                        {0}};

LMN_MS_MAPPED(QAttention, canon_qattention);
