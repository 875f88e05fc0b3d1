/*
 * QuickGelu (com.microsoft, since 1): x * sigmoid(alpha * x), that is Swish, with alpha 1.702.
 */
#include "ops/msmap.h"

static lamina_status canon_quickgelu(lmn_canon *c)
{
    c->op = "Swish";
    if (!lmn_attr_find(c->node, "alpha") && !lmn_canon_set_f(c, "alpha", 1.702f))
        return LAMINA_E_NOMEM;
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"alpha", LMN_ATTR_FLOAT, 0}, {0}};

LMN_MS_MAPPED(QuickGelu, canon_quickgelu);
