/*
 * Geometries of convolutions for the drivers of kcheck: random ones, those of benchmarks, their
 * taps, their text.
 */
#include "kcheck/kc_conv.h"

static void end_axis(lmn_conv_geom *g, int i)
{
    const int64_t reach = (g->kernel[i] - 1) * g->dilation[i] + 1;
    g->in[i] = lmn_max_i64(g->in[i], reach - g->pad[i] - g->pad_end[i]);
    g->out[i] = (g->in[i] + g->pad[i] + g->pad_end[i] - reach) / g->stride[i] + 1;
}

void kc_conv_axes(kc_ctx *kc, const kc_conv_sizes *s, lmn_conv_geom *g)
{
    for (int i = 0; i < 3; i++) {
        const bool one = s->pointwise || (i == 0 && s->flat);
        g->kernel[i] = one ? 1 : kc_int(kc, 1, i == 2 ? s->wide : s->high);
        g->stride[i] = one ? 1 : kc_int(kc, 1, 3);
        g->dilation[i] = one || kc_int(kc, 0, 2) ? 1 : 2;
        g->pad[i] = one ? 0 : kc_int(kc, 0, 4), g->pad_end[i] = one ? 0 : kc_int(kc, 0, 4);
        g->in[i] = i == 0 && s->flat ? 1 : kc_int(kc, 1, i == 0 ? s->depth : s->extent);
        end_axis(g, i);
    }
}

void kc_conv_long(kc_ctx *kc, lmn_conv_geom *g)
{
    g->in[1] = kc_int(kc, 1, 2), g->in[2] = g->stride[2] * kc_int(kc, 1030, 2200);
    end_axis(g, 1);
    end_axis(g, 2);
}

void kc_conv_short(kc_ctx *kc, lmn_conv_geom *g)
{
    for (int i = 1; i < 3; i++)
        g->kernel[i] = i, g->stride[i] = g->dilation[i] = 1, g->pad[i] = g->pad_end[i] = 0;
    g->in[1] = kc_int(kc, 1, 4), g->in[2] = kc_int(kc, 18, 23);
    end_axis(g, 1);
    end_axis(g, 2);
}

lmn_conv_geom kc_conv_square(int64_t size, int64_t kernel, int64_t stride)
{
    lmn_conv_geom g = {.n = 1, .groups = 1};
    g.in[0] = g.out[0] = g.kernel[0] = g.stride[0] = g.dilation[0] = 1;
    for (int a = 1; a < 3; a++) {
        g.in[a] = size, g.kernel[a] = kernel, g.stride[a] = stride, g.dilation[a] = 1;
        g.pad[a] = kernel / 2, g.out[a] = (size + 2 * (kernel / 2) - kernel) / stride + 1;
    }
    return g;
}

const char *kc_conv_text(const lmn_conv_geom *g)
{
    static char text[256];
    snprintf(text, sizeof text,
             "n%d c%d->%d/%d in %dx%dx%d out %dx%dx%d k %dx%dx%d s %d,%d,%d d %d,%d,%d p %d,%d,%d",
             (int)g->n, (int)g->c_in, (int)g->c_out, (int)g->groups, (int)g->in[0], (int)g->in[1],
             (int)g->in[2], (int)g->out[0], (int)g->out[1], (int)g->out[2], (int)g->kernel[0],
             (int)g->kernel[1], (int)g->kernel[2], (int)g->stride[0], (int)g->stride[1],
             (int)g->stride[2], (int)g->dilation[0], (int)g->dilation[1], (int)g->dilation[2],
             (int)g->pad[0], (int)g->pad[1], (int)g->pad[2]);
    return text;
}

int64_t kc_conv_tap(const lmn_conv_geom *g, int64_t pixel, int64_t t, bool *inside)
{
    const int64_t o[3] = {pixel / g->out[2] / g->out[1], pixel / g->out[2] % g->out[1],
                          pixel % g->out[2]};
    const int64_t k[3] = {t / g->kernel[2] / g->kernel[1], t / g->kernel[2] % g->kernel[1],
                          t % g->kernel[2]};
    int64_t at = 0;
    *inside = true;
    for (int i = 0; i < 3; i++) {
        int64_t x = o[i] * g->stride[i] + k[i] * g->dilation[i] - g->pad[i];
        if (x < 0 || x >= g->in[i]) *inside = false;
        at = at * g->in[i] + x;
    }
    return at;
}
