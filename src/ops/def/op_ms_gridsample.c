/*
 * GridSample (com.microsoft, since 1): ai.onnx GridSample with the modes bilinear, nearest and
 * bicubic.
 */
#include "ops/msmap.h"
#include "ops/wide.h"

static lamina_status canon_gridsample(lmn_canon *c)
{
    const lmn_opnode *n = c->node;
    const char *mode = lmn_attr_is(n, "mode", "nearest", "bilinear")   ? "nearest"
                       : lmn_attr_is(n, "mode", "bicubic", "bilinear") ? "cubic"
                                                                       : "linear";
    c->op = "ai.onnx:GridSample";
    return lmn_canon_set_s(c, "mode", mode) ? LAMINA_OK : LAMINA_E_NOMEM;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ALL}, {"Grid", 'G', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"align_corners", LMN_ATTR_INT, 0},
                                        {"mode", LMN_ATTR_STRING, 0},
                                        {"padding_mode", LMN_ATTR_STRING, 0},
                                        {0}};

LMN_MS_MAPPED(GridSample, canon_gridsample);
