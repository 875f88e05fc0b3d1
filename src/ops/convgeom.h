/*
 * Geometry of convolution and pooling in any spatial rank: from attributes and extents to output
 * extents and paddings, once for concrete numbers (evaluation, devices) and once for symbols
 * (inference). Everything from the file is bounded to 31 bits, so later products cannot overflow.
 */
#ifndef LMN_OPS_CONVGEOM_H
#define LMN_OPS_CONVGEOM_H

#include "ops/op.h"

#define LMN_CONV_MAX_RANK (LMN_MAX_RANK - 2)

typedef struct lmn_conv_geom_t {
    int32_t rank; /* spatial */
    int64_t group;
    int64_t in[LMN_CONV_MAX_RANK];
    int64_t kernel[LMN_CONV_MAX_RANK];
    int64_t out[LMN_CONV_MAX_RANK];
    int64_t stride[LMN_CONV_MAX_RANK];
    int64_t dilation[LMN_CONV_MAX_RANK];
    int64_t pad_begin[LMN_CONV_MAX_RANK]; /* resolved: auto_pad is already in them */
    int64_t pad_end[LMN_CONV_MAX_RANK];
    char why[112]; /* the reason, when a status came back */
} lmn_conv_geom_t;

/*
 * in_dims: spatial extents of the input; kernel: those of the weights, NULL = attribute
 * kernel_shape (pools). On failure out->why holds a clause. A kernel larger than its padded input
 * is E_SHAPE; an empty input may give an empty output.
 */
lamina_status lmn_conv_geom(const lmn_opnode *n, int spatial_rank, const int64_t *in_dims,
                            const int64_t *kernel, lmn_conv_geom_t *out);
/* With ceil_mode; windows that would start in the end padding do not exist (opset 22 wording). */
lamina_status lmn_pool_geom(const lmn_opnode *n, int spatial_rank, const int64_t *in_dims,
                            lmn_conv_geom_t *out);
/* ConvTranspose and MaxUnpool: output_padding, output_shape, auto_pad. */
lamina_status lmn_deconv_geom(const lmn_opnode *n, int spatial_rank, const int64_t *in_dims,
                              const int64_t *kernel, lmn_conv_geom_t *out);

/*
 * Symbolic forms: spatial dims in `in` (and `kernel`, NULL = attribute; entries may be unknown) to
 * `out`. Report on ic and fail only on what is provable.
 */
lamina_status lmn_conv_geom_infer(lmn_infer *ic, int spatial_rank, const lmn_dim *in,
                                  const lmn_dim *kernel, lmn_dim *out);
lamina_status lmn_pool_geom_infer(lmn_infer *ic, int spatial_rank, const lmn_dim *in, lmn_dim *out);
lamina_status lmn_deconv_geom_infer(lmn_infer *ic, int spatial_rank, const lmn_dim *in,
                                    const lmn_dim *kernel, lmn_dim *out);

/* The attributes of a convolution, of any kind but the transposed. */
#define LMN_CONV_ATTRS                                                                             \
    {"auto_pad", LMN_ATTR_STRING, 0}, {"dilations", LMN_ATTR_INTS, 0}, {"group", LMN_ATTR_INT, 0}, \
        {"kernel_shape", LMN_ATTR_INTS, 0}, {"pads", LMN_ATTR_INTS, 0},                            \
    {                                                                                              \
        "strides", LMN_ATTR_INTS, 0                                                                \
    }

/* Number of positions of a geometry's output, input, kernel. */
int64_t lmn_geom_count(int32_t rank, const int64_t *extents);

#endif
