/*
 * QLinearAveragePool (com.microsoft, since 1): AveragePool of a dequantised 8-bit image, quantised
 * again; the channels may come last.
 */
#include "ops/mapeval.h"
#include "ops/msqlinear.h"

static lamina_status canon_qlinearaveragepool(lmn_canon *c)
{
    static const char *const OWN[] = {
        "auto_pad", "ceil_mode", "count_include_pad", "kernel_shape", "pads", "strides", NULL};
    lmn_map m = lmn_map_begin(c);
    const bool last = lmn_attr_i(c->node, "channels_last", 0) != 0;
    const int64_t *kernel;
    lmn_attr attrs[6];
    const int32_t rank = lmn_attr_ints(c->node, "kernel_shape", &kernel) + 2;
    const int32_t n = lmn_map_copy(&m, OWN, attrs);
    lmn_ref x = lmn_map_qlinear_in(&m);
    if (last) x = lmn_map_to_nchw(&m, x, rank);
    x = lmn_map_node(&m, "AveragePool", &x, 1, attrs, n);
    if (last) x = lmn_map_to_nhwc(&m, x, rank);
    lmn_map_qlinear_out(&m, x);
    return lmn_map_end(&m);
}

LMN_MS_QLINEAR_PORTS;
static const lmn_attr_schema ATTRS[] = {{"auto_pad", LMN_ATTR_STRING, 0},
                                        {"ceil_mode", LMN_ATTR_INT, 0},
                                        {"channels_last", LMN_ATTR_INT, 0},
                                        {"count_include_pad", LMN_ATTR_INT, 0},
                                        {"kernel_shape", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"pads", LMN_ATTR_INTS, 0},
                                        {"strides", LMN_ATTR_INTS, 0},
                                        {0}};

LMN_MS_WHOLE(QLinearAveragePool, canon_qlinearaveragepool);
