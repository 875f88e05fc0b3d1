/*
 * ScaledSiLU (com.microsoft, since 1): z * sigmoid(z) with z = scale * X; the scale is input 1, or
 * attribute alpha (default 1).
 */
#include "ops/msmap.h"

static lamina_status canon_scaledsilu(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref x = lmn_map_in(&m, 0);
    const lamina_dtype dt = lmn_map_fact(&m, x)->dtype;
    const lmn_ref scale = lmn_map_in(&m, 1)
                              ? lmn_map_cast(&m, lmn_map_in(&m, 1), dt)
                              : lmn_map_scalar(&m, dt, (double)lmn_attr_f(c->node, "alpha", 1.0f));
    const lmn_ref one = lmn_map_in(&m, 1) ? lmn_map_reshape(&m, scale, NULL, 0) : scale;
    m.out[0] = lmn_map_un(&m, "Swish", lmn_map_bin(&m, "Mul", x, one));
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {
    {"X", 'T', 0, LMN_D_FLOAT}, {"scale", 'M', LMN_PORT_OPTIONAL, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"alpha", LMN_ATTR_FLOAT, 0}, {0}};

LMN_MS_MAPPED(ScaledSiLU, canon_scaledsilu);
