/*
 * QLinearGlobalAveragePool (com.microsoft, since 1): the mean of a dequantised 8-bit image over its
 * spatial axes (kept as 1), quantised again; the channels may come last.
 */
#include "ops/mapeval.h"
#include "ops/msqlinear.h"

static lamina_status canon_qlinearglobalaveragepool(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const bool last = lmn_attr_i(c->node, "channels_last", 0) != 0;
    const lmn_ref x = lmn_map_qlinear_in(&m);
    if (!last) {
        lmn_map_qlinear_out(&m, lmn_map_un(&m, "GlobalAveragePool", x));
        return lmn_map_end(&m);
    }
    const int32_t rank = lmn_map_rank(&m, lmn_map_in(&m, 0), "the input");
    int64_t axes[LMN_MAX_RANK];
    for (int32_t i = 0; i + 2 < rank; i++) axes[i] = i + 1;
    const lmn_ref over = lmn_map_i64s(&m, axes, rank > 2 ? rank - 2 : 0);
    const lmn_attr noop = lmn_map_i("noop_with_empty_axes", 1);
    lmn_map_qlinear_out(&m, lmn_map_node(&m, "ReduceMean", (lmn_ref[]){x, over}, 2, &noop, 1));
    return lmn_map_end(&m);
}

LMN_MS_QLINEAR_PORTS;
static const lmn_attr_schema ATTRS[] = {{"channels_last", LMN_ATTR_INT, 0}, {0}};

LMN_MS_WHOLE(QLinearGlobalAveragePool, canon_qlinearglobalaveragepool);
