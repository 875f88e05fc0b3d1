/*
 * The portable rows of im2col, dwconv and pool: their contracts in the plainest form, sums in f64.
 * Not fast on purpose.
 */
#include "kernels/conv/dwconv.h"
#include "kernels/conv/im2col.h"
#include "kernels/conv/pool.h"
#include "kernels/gemm/epi_ref.h"

lmn_im2col_fn lmn_im2col_f32_ref;
lmn_dwconv_fn lmn_dwconv_f32_ref;
lmn_pool_fn lmn_pool_f32_ref;

typedef struct vec3 {
    int64_t v[3];
} vec3;

static vec3 split(int64_t flat, const int64_t extent[3])
{
    return (vec3){{flat / extent[2] / extent[1], flat / extent[2] % extent[1], flat % extent[2]}};
}

/* Offset in the input plane of tap t at output o; -1 in the padding. */
static int64_t tap_offset(const lmn_conv_geom *g, vec3 o, vec3 t)
{
    int64_t at = 0;
    for (int i = 0; i < 3; i++) {
        int64_t x = lmn_conv_at(g, i, o.v[i], t.v[i]);
        if (x < 0 || x >= g->in[i]) return -1;
        at = at * g->in[i] + x;
    }
    return at;
}

void lmn_im2col_f32_ref(const lmn_im2col_block *b)
{
    const int64_t kvol = lmn_conv_volume(b->g->kernel), plane = lmn_conv_volume(b->g->in);
    for (int64_t j = 0; j < b->n; j++) {
        float *panel = b->packed + j / b->nr * b->nr * b->n_c * kvol + j % b->nr;
        for (int64_t r = 0; r < b->n_c * kvol; r++) {
            int64_t at =
                tap_offset(b->g, split(b->p0 + j, b->g->out), split(r % kvol, b->g->kernel));
            panel[r * b->nr] = at < 0 ? 0.0f : b->x[r / kvol * plane + at];
        }
    }
}

void lmn_dwconv_f32_ref(const lmn_dwconv_block *b)
{
    const lmn_conv_geom *g = b->g;
    const int64_t kvol = lmn_conv_volume(g->kernel), n_out = lmn_conv_volume(g->out);
    const int64_t plane = lmn_conv_volume(g->in), n_c = g->c_in / g->groups;
    for (int64_t c = b->c0; c < b->c0 + b->n_c; c++) {
        for (int64_t o = 0; o < n_out; o++) {
            double sum = 0;
            for (int64_t t = 0; t < n_c * kvol; t++) {
                const int64_t at = tap_offset(g, split(o, g->out), split(t % kvol, g->kernel));
                const int64_t from = c / (g->c_out / g->groups) * n_c + t / kvol;
                if (at >= 0) sum += (double)b->w[c * n_c * kvol + t] * b->x[from * plane + at];
            }
            float *y = b->y + c * n_out + o;
            *y = (float)sum;
            lmn_epi_block e = {y, 1, c, o, 1, 1, b->item};
            for (int32_t i = 0; b->epi && i < b->epi->n_ops; i++)
                *y = (float)epi_ref_at(&b->epi->op[i], &e, 0, 0, *y);
        }
    }
}

/* Taps of output o that lie in the input or its padding. */
static int64_t padded_taps(const lmn_conv_geom *g, vec3 o)
{
    int64_t n = 1;
    for (int i = 0; i < 3; i++) {
        int64_t inside = 0;
        for (int64_t t = 0; t < g->kernel[i]; t++)
            inside += lmn_conv_at(g, i, o.v[i], t) < g->in[i] + g->pad_end[i];
        n *= inside;
    }
    return n;
}

void lmn_pool_f32_ref(const lmn_pool_block *b)
{
    const lmn_conv_geom *g = b->g;
    const int64_t n_out = lmn_conv_volume(g->out), plane = lmn_conv_volume(g->in);
    for (int64_t i = 0; i < b->n_planes * n_out; i++) {
        const float *x = b->x + i / n_out * plane;
        vec3 o = split(i % n_out, g->out);
        double sum = 0, most = -INFINITY;
        int64_t n_inside = 0;
        for (int64_t t = 0; t < lmn_conv_volume(g->kernel); t++) {
            int64_t at = tap_offset(g, o, split(t, g->kernel));
            if (at < 0) continue;
            n_inside++, sum += x[at];
            if (x[at] > most || isnan(x[at]) || (x[at] == 0 && most == 0 && !signbit(x[at])))
                most = x[at];
        }
        if (b->kind == LMN_POOL_MAX)
            b->y[i] = (float)most;
        else
            b->y[i] =
                (float)(sum / (double)(b->kind == LMN_POOL_AVG ? n_inside : padded_taps(g, o)));
    }
}
