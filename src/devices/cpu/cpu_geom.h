/*
 * A window in numbers (cpu_window.h) as the geometry that kernels take.
 */
#ifndef LMN_DEVICES_CPU_GEOM_H
#define LMN_DEVICES_CPU_GEOM_H

#include "devices/cpu/cpu_window.h"
#include "kernels/conv/conv_geom.h"

#include <string.h>

static inline lmn_conv_geom lmn_cpu_geom(const lmn_cpu_window *w, int64_t n, int64_t c_in,
                                         int64_t c_out)
{
    lmn_conv_geom g = {.n = n, .c_in = c_in, .c_out = c_out, .groups = w->groups};
    memcpy(g.in, w->in, sizeof g.in);
    memcpy(g.out, w->out, sizeof g.out);
    memcpy(g.kernel, w->kernel, sizeof g.kernel);
    memcpy(g.stride, w->stride, sizeof g.stride);
    memcpy(g.dilation, w->dilation, sizeof g.dilation);
    memcpy(g.pad, w->pad, sizeof g.pad);
    memcpy(g.pad_end, w->pad_end, sizeof g.pad_end);
    return g;
}

#endif
