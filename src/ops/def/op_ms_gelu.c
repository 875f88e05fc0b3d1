/*
 * Gelu (com.microsoft, since 1): the exact form of ai.onnx Gelu.
 */
#include "ops/msmap.h"

static lamina_status canon_gelu(lmn_canon *c)
{
    c->op = "ai.onnx:Gelu";
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(Gelu, canon_gelu);
