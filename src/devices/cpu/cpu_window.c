/*
 * From attributes to a window of three axes (cpu_window.h).
 */
#include "devices/cpu/cpu_window.h"

#include "ops/convgeom.h"

#include <string.h>

static bool window_of(const lmn_conv_geom_t *g, lmn_cpu_window *out, int64_t *dims)
{
    memset(out, 0, sizeof *out);
    out->groups = g->group;
    for (int32_t i = 0; i < 3; i++) {
        const int32_t a = i - (3 - g->rank);
        out->in[i] = a < 0 ? 1 : g->in[a];
        out->out[i] = a < 0 ? 1 : g->out[a];
        out->kernel[i] = a < 0 ? 1 : g->kernel[a];
        out->stride[i] = a < 0 ? 1 : g->stride[a];
        out->dilation[i] = a < 0 ? 1 : g->dilation[a];
        out->pad[i] = a < 0 ? 0 : g->pad_begin[a];
        out->pad_end[i] = a < 0 ? 0 : g->pad_end[a];
        if (out->pad[i] < 0 || out->pad_end[i] < 0 || out->in[i] < 1) return false;
        if (a >= 0) dims[a] = g->out[a];
    }
    return true;
}

bool lmn_cpu_window_of(const lmn_opnode *n, const lamina_tensor *x, const int64_t *kernel,
                       lmn_cpu_window *out, int64_t *dims)
{
    const int32_t rank = x->rank - 2;
    lmn_conv_geom_t g;
    if (rank < 1 || rank > 3) return false;
    const lamina_status st = kernel ? lmn_conv_geom(n, rank, x->dims + 2, kernel, &g)
                                    : lmn_pool_geom(n, rank, x->dims + 2, &g);
    return st == LAMINA_OK && window_of(&g, out, dims);
}

bool lmn_cpu_deconv_window_of(const lmn_opnode *n, const lamina_tensor *x, const int64_t *kernel,
                              lmn_cpu_window *out, int64_t *dims)
{
    const int32_t rank = x->rank - 2;
    lmn_conv_geom_t g;
    if (rank < 1 || rank > 3) return false;
    return lmn_deconv_geom(n, rank, x->dims + 2, kernel, &g) == LAMINA_OK &&
           window_of(&g, out, dims);
}
