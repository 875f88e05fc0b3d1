/*
 * QuantizeLinear (com.microsoft, since 1): ai.onnx QuantizeLinear, with 16-bit and 4-bit types from
 * the start; 16-bit floats are divided in f32.
 */
#include "ops/msmap.h"

static lamina_status canon_quantizelinear(lmn_canon *c)
{
    c->op = "ai.onnx:QuantizeLinear";
    return lmn_canon_set_i(c, "precision", LAMINA_F32) ? LAMINA_OK : LAMINA_E_NOMEM;
}

#define TYPES (LMN_D_8BIT | LMN_DBIT(LAMINA_I16) | LMN_DBIT(LAMINA_U16) | LMN_D_SUB)
#define REAL (LMN_D_F32 | LMN_DBIT(LAMINA_F16))
static const lmn_port IN[] = {{"x", 'T', 0, REAL},
                              {"y_scale", 'T', 0, REAL},
                              {"y_zero_point", 'Q', LMN_PORT_OPTIONAL, TYPES},
                              {0}};
static const lmn_port OUT[] = {{"y", 'Q', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

LMN_MS_MAPPED(QuantizeLinear, canon_quantizelinear);
