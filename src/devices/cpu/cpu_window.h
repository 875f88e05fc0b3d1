/*
 * The geometry of a sliding window in numbers: what ops/convgeom.h resolves, in the layout of
 * kernels/conv/conv_geom.h. It stands between the two because both rooms call theirs by the same
 * names.
 */
#ifndef LMN_DEVICES_CPU_WINDOW_H
#define LMN_DEVICES_CPU_WINDOW_H

#include "ops/op.h"

/* Three spatial axes, lower ranks have 1 in front. */
typedef struct lmn_cpu_window {
    int64_t groups;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
} lmn_cpu_window;

/* False where the attributes or extents are wrong, unusual or of too high a rank: the reference
   then decides. kernel NULL = attribute kernel_shape of a pool. `dims` receives the spatial output
   extents. */
bool lmn_cpu_window_of(const lmn_opnode *n, const lamina_tensor *x, const int64_t *kernel,
                       lmn_cpu_window *out, int64_t *dims);
/* The same of a ConvTranspose. */
bool lmn_cpu_deconv_window_of(const lmn_opnode *n, const lamina_tensor *x, const int64_t *kernel,
                              lmn_cpu_window *out, int64_t *dims);

#endif
