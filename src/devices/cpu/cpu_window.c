/*
 * From attributes to a window of three axes (cpu_window.h).
 */
#include "devices/cpu/cpu_window.h"

#include "ops/convgeom.h"

#include <string.h>

/* Nothing slides along axis a. */
static bool is_still(const lmn_conv_geom_t *g, int32_t a)
{
    return g->in[a] == 1 && g->out[a] == 1 && g->kernel[a] == 1 && g->pad_begin[a] == 0;
}

/* Axes that do not slide are left out, wherever they are: columns become lines. */
static bool window_of(const lmn_conv_geom_t *g, lmn_cpu_window *out, int64_t *dims)
{
    memset(out, 0, sizeof *out);
    memcpy(dims, g->out, (size_t)g->rank * sizeof *dims);
    out->groups = g->group;
    int32_t a = g->rank - 1;
    for (int32_t i = 2; i >= 0; i--, a--) {
        while (a >= 0 && is_still(g, a)) a--;
        out->in[i] = out->out[i] = out->kernel[i] = out->stride[i] = out->dilation[i] = 1;
        if (a < 0) continue;
        out->in[i] = g->in[a], out->out[i] = g->out[a], out->kernel[i] = g->kernel[a];
        out->stride[i] = g->stride[a], out->dilation[i] = g->dilation[a];
        out->pad[i] = g->pad_begin[a], out->pad_end[i] = g->pad_end[a];
        if (out->pad[i] < 0 || out->pad_end[i] < 0 || out->in[i] < 1) return false;
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
