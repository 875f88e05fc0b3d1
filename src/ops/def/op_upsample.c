/*
 * Upsample (ai.onnx, 1 to 9): the old Resize, with scales as attributes (1, 7) or as input 1 (9);
 * asymmetric coordinates, nearest by floor. Rewritten to Resize at import.
 */
#include "ops/resizecore.h"

static lamina_status canon_upsample(lmn_canon *c)
{
    c->op = "Resize";
    return lmn_resize_canon_legacy(c);
}

#define T_ALL (LMN_D_NUM | LMN_D_BOOL | LMN_D_STRING | LMN_D_COMPLEX)
static const lmn_port IN[] = {
    {"X", 'T', 0, T_ALL}, {"scales", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, T_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"height_scale", LMN_ATTR_FLOAT, 0},
                                        {"mode", LMN_ATTR_STRING, 0},
                                        {"scales", LMN_ATTR_FLOATS, 0},
                                        {"width_scale", LMN_ATTR_FLOAT, 0},
                                        {0}};

const lmn_op_def lmn_op_Upsample = {
    .name = "Upsample",
    .domain = "",
    .since = 1,
    .until = 9,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .canon = canon_upsample,
};
