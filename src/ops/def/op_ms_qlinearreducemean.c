/*
 * QLinearReduceMean (com.microsoft, since 1): ReduceMean of a dequantised 8-bit tensor, quantised
 * again.
 */
#include "ops/msqlinear.h"

static lamina_status canon_qlinearreducemean(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const int64_t *axes;
    const int32_t n = lmn_attr_ints(c->node, "axes", &axes);
    const lmn_attr keep = lmn_map_i("keepdims", lmn_attr_i(c->node, "keepdims", 1));
    const lmn_ref x = lmn_map_qlinear_in(&m), over = lmn_map_i64s(&m, axes, n);
    lmn_map_qlinear_out(&m, lmn_map_node(&m, "ReduceMean", (lmn_ref[]){x, over}, 2, &keep, 1));
    return lmn_map_end(&m);
}

LMN_MS_QLINEAR_PORTS;
static const lmn_attr_schema ATTRS[] = {
    {"axes", LMN_ATTR_INTS, LMN_ATTR_REQUIRED}, {"keepdims", LMN_ATTR_INT, LMN_ATTR_REQUIRED}, {0}};

LMN_MS_MAPPED(QLinearReduceMean, canon_qlinearreducemean);
