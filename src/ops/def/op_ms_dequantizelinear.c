/*
 * DequantizeLinear (com.microsoft, since 1): ai.onnx DequantizeLinear, with 16-bit and 4-bit types
 * from the start.
 */
#include "ops/msmap.h"

static lamina_status canon_dequantizelinear(lmn_canon *c)
{
    c->op = "ai.onnx:DequantizeLinear";
    return LAMINA_OK;
}

#define TYPES (LMN_D_8BIT | LMN_DBIT(LAMINA_I16) | LMN_DBIT(LAMINA_U16) | LMN_D_I32 | LMN_D_SUB)
#define REAL (LMN_D_F32 | LMN_DBIT(LAMINA_F16))
static const lmn_port IN[] = {{"x", 'Q', 0, TYPES},
                              {"x_scale", 'T', 0, REAL},
                              {"x_zero_point", 'Q', LMN_PORT_OPTIONAL, TYPES},
                              {0}};
static const lmn_port OUT[] = {{"y", 'T', 0, REAL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

LMN_MS_MAPPED(DequantizeLinear, canon_dequantizelinear);
