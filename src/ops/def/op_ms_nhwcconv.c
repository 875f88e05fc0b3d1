/*
 * NhwcConv (com.microsoft, since 1): Conv on images with the channels last; the weights are
 * [M, k..., C / group].
 */
#include "ops/convgeom.h"
#include "ops/mslinear.h"

static lamina_status canon_nhwcconv(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    lmn_attr attrs[LMN_MS_CONV_ATTR_COUNT];
    const int32_t rank = lmn_map_rank(&m, lmn_map_in(&m, 1), "the weights");
    const lmn_ref in[3] = {lmn_map_to_nchw(&m, lmn_map_in(&m, 0), rank),
                           lmn_map_to_nchw(&m, lmn_map_in(&m, 1), rank), lmn_map_in(&m, 2)};
    const lmn_ref y = lmn_map_node(&m, "Conv", in, 3, attrs, lmn_map_conv_attrs(&m, attrs));
    m.out[0] = lmn_map_to_nhwc(&m, y, rank);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"W", 'T', 0, LMN_D_FLOAT},
                              {"B", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_CONV_ATTRS, {0}};

LMN_MS_MAPPED(NhwcConv, canon_nhwcconv);
