/*
 * Trilu (com.microsoft, since 1): the same as ai.onnx Trilu.
 */
#include "ops/msmap.h"

static lamina_status canon_trilu(lmn_canon *c)
{
    c->op = "ai.onnx:Trilu";
    return LAMINA_OK;
}

static const lmn_port IN[] = {
    {"X", 'T', 0, LMN_D_ALL}, {"k", 0, LMN_PORT_OPTIONAL, LMN_D_I64}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"upper", LMN_ATTR_INT, 0}, {0}};

LMN_MS_MAPPED(Trilu, canon_trilu);
