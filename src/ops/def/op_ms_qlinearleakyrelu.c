/*
 * QLinearLeakyRelu (com.microsoft, since 1): LeakyRelu of a dequantised 8-bit tensor, quantised
 * again.
 */
#include "ops/msqlinear.h"

static lamina_status canon_qlinearleakyrelu(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref x = lmn_map_qlinear_in(&m);
    const lmn_attr alpha = lmn_map_f("alpha", lmn_attr_f(c->node, "alpha", 0.01f));
    lmn_map_qlinear_out(&m, lmn_map_node(&m, "LeakyRelu", &x, 1, &alpha, 1));
    return lmn_map_end(&m);
}

LMN_MS_QLINEAR_PORTS;
static const lmn_attr_schema ATTRS[] = {{"alpha", LMN_ATTR_FLOAT, 0}, {0}};

LMN_MS_MAPPED(QLinearLeakyRelu, canon_qlinearleakyrelu);
