/*
 * QLinearSoftmax (com.microsoft, since 1): Softmax of a dequantised 8-bit tensor, quantised again.
 * Attribute opset says which Softmax: before 13 a line is everything from the axis (default 1) on,
 * later the axis alone (default -1).
 */
#include "ops/msqlinear.h"

static lamina_status canon_qlinearsoftmax(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const bool flat = lmn_attr_i(c->node, "opset", 13) < 13;
    const lmn_attr axis = lmn_map_i("axis", lmn_attr_i(c->node, "axis", flat ? 1 : -1));
    const lmn_attr last = lmn_map_i("axis", -1);
    const lmn_ref x = lmn_map_qlinear_in(&m);
    lmn_ref y;
    if (flat) {
        const lmn_ref lines = lmn_map_node(&m, "Flatten", &x, 1, &axis, 1);
        y = lmn_map_node(&m, "Softmax", &lines, 1, &last, 1);
        y = lmn_map_bin(&m, "Reshape", y, lmn_map_un(&m, "Shape", x));
    } else {
        y = lmn_map_node(&m, "Softmax", &x, 1, &axis, 1);
    }
    lmn_map_qlinear_out(&m, y);
    return lmn_map_end(&m);
}

LMN_MS_QLINEAR_PORTS;
static const lmn_attr_schema ATTRS[] = {
    {"axis", LMN_ATTR_INT, 0}, {"opset", LMN_ATTR_INT, LMN_ATTR_REQUIRED}, {0}};

LMN_MS_MAPPED(QLinearSoftmax, canon_qlinearsoftmax);
