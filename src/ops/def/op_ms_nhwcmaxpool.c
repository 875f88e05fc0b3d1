/*
 * NhwcMaxPool (com.microsoft, since 1): MaxPool of 8-bit images with the channels last. Here of
 * bf16 as well, which passes make.
 */
#include "ops/mapeval.h"
#include "ops/mslinear.h"

static lamina_status canon_nhwcmaxpool(lmn_canon *c)
{
    static const char *const OWN[] = {"auto_pad", "ceil_mode", "dilations", "kernel_shape",
                                      "pads",     "strides",   NULL};
    lmn_map m = lmn_map_begin(c);
    const int64_t *kernel;
    lmn_attr attrs[6];
    const int32_t rank = lmn_attr_ints(c->node, "kernel_shape", &kernel) + 2;
    const int32_t n = lmn_map_copy(&m, OWN, attrs);
    const lmn_ref x = lmn_map_to_nchw(&m, lmn_map_in(&m, 0), rank);
    m.out[0] = lmn_map_to_nhwc(&m, lmn_map_node(&m, "MaxPool", &x, 1, attrs, n), rank);
    return lmn_map_end(&m);
}

enum { TYPES = LMN_D_8BIT | LMN_DBIT(LAMINA_BF16) };
static const lmn_port IN[] = {{"x", 'T', 0, TYPES}, {0}};
static const lmn_port OUT[] = {{"y", 'T', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {{"auto_pad", LMN_ATTR_STRING, 0},
                                        {"ceil_mode", LMN_ATTR_INT, 0},
                                        {"dilations", LMN_ATTR_INTS, 0},
                                        {"kernel_shape", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"pads", LMN_ATTR_INTS, 0},
                                        {"strides", LMN_ATTR_INTS, 0},
                                        {0}};

LMN_MS_WHOLE(NhwcMaxPool, canon_nhwcmaxpool);
