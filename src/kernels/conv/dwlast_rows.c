/*
 * The table of dwlast rows, made from dwlast_variants.h, the order of packed weights, and the
 * portable row: the contract in its plainest form, sums in f64.
 */
#include "kernels/conv/dwlast.h"
#include "kernels/hgemm/hgemm_half.h"

#define X(dt, var, isa, prio, rest)                                      \
    lmn_dwlast_fn lmn_dwlast_##dt##_##var, lmn_dwlast_##dt##_max_##rest; \
    lmn_dwlast_planes_fn lmn_dwlast_##dt##_planes_##rest;                \
    lmn_dwlast_mean_fn lmn_dwlast_##dt##_mean_##rest;
#include "kernels/conv/dwlast_variants.h"
#undef X

const lmn_dwlast_row lmn_dwlast_bf16_rows[] = {
#define X(dt, var, isa, prio, rest)                                                               \
    {LMN_KROW(dwlast, dt, var, isa, prio), lmn_dwlast_##dt##_##var, lmn_dwlast_##dt##_max_##rest, \
     lmn_dwlast_##dt##_planes_##rest, lmn_dwlast_##dt##_mean_##rest},
#include "kernels/conv/dwlast_variants.h"
#undef X
};
const int32_t lmn_dwlast_bf16_n_rows = (int32_t)LMN_COUNT(lmn_dwlast_bf16_rows);

static int64_t packed_at(int64_t taps, int64_t t, int64_t c)
{
    enum { BLOCK = LMN_DWLAST_BLOCK };
    const int64_t at = c % BLOCK;
    return (c / BLOCK * taps + t) * BLOCK + (at % 2) * (BLOCK / 2) + at / 2;
}

void lmn_dwlast_prepack(const float *w, int64_t channels, int64_t taps, float *packed)
{
    for (int64_t c = 0; c < lmn_dwlast_blocks(channels) * LMN_DWLAST_BLOCK; c++) {
        for (int64_t t = 0; t < taps; t++)
            packed[packed_at(taps, t, c)] =
                c < channels ? hgemm_from_bf16(hgemm_to_bf16(w[c * taps + t])) : 0.0f;
    }
}

static double pixel_sum(const lmn_dwlast_block *b, int64_t line, int64_t ox, int64_t c)
{
    const lmn_conv_geom *g = b->g;
    const int64_t taps = g->kernel[1] * g->kernel[2], image = line / g->out[1];
    double sum = 0;
    for (int64_t t = 0; t < taps; t++) {
        const int64_t iy = lmn_conv_at(g, 1, line % g->out[1], t / g->kernel[2]);
        const int64_t ix = lmn_conv_at(g, 2, ox, t % g->kernel[2]);
        if (iy < 0 || iy >= g->in[1] || ix < 0 || ix >= g->in[2]) continue;
        const int64_t at = ((image * g->in[1] + iy) * g->in[2] + ix) * g->c_in + c;
        sum += (double)b->w[packed_at(taps, t, c)] * (double)hgemm_from_bf16(b->x[at]);
    }
    return b->bias ? sum + (double)b->bias[c] : sum;
}

void lmn_dwlast_bf16_ref(const lmn_dwlast_block *b)
{
    const lmn_conv_geom *g = b->g;
    for (int64_t l = b->line; l < b->line + b->n_lines; l++)
        for (int64_t i = 0; i < g->out[2] * g->c_in; i++) {
            float v = (float)pixel_sum(b, l, i / g->c_in, i % g->c_in);
            v = v < b->lo ? b->lo : v;
            v = v > b->hi ? b->hi : v;
            b->y[l * g->out[2] * g->c_in + i] = hgemm_to_bf16(v);
        }
}

static uint16_t pixel_max(const lmn_dwlast_block *b, int64_t line, int64_t ox, int64_t c)
{
    const lmn_conv_geom *g = b->g;
    uint16_t most = 0xff80; /* -inf */
    for (int64_t t = 0; t < g->kernel[1] * g->kernel[2]; t++) {
        const int64_t iy = lmn_conv_at(g, 1, line % g->out[1], t / g->kernel[2]);
        const int64_t ix = lmn_conv_at(g, 2, ox, t % g->kernel[2]);
        if (iy < 0 || iy >= g->in[1] || ix < 0 || ix >= g->in[2]) continue;
        const uint16_t x = b->x[((line / g->out[1] * g->in[1] + iy) * g->in[2] + ix) * g->c_in + c];
        if ((x & 0x7fff) > 0x7f80) return 0x7fc0;
        if (hgemm_from_bf16(x) > hgemm_from_bf16(most)) most = x;
    }
    return most;
}

void lmn_dwlast_bf16_max_ref(const lmn_dwlast_block *b)
{
    const lmn_conv_geom *g = b->g;
    for (int64_t l = b->line; l < b->line + b->n_lines; l++)
        for (int64_t i = 0; i < g->out[2] * g->c_in; i++)
            b->y[l * g->out[2] * g->c_in + i] = pixel_max(b, l, i / g->c_in, i % g->c_in);
}

void lmn_dwlast_bf16_planes_ref(const lmn_dwlast_planes *p)
{
    for (int64_t i = 0; i < p->n_pixels; i++)
        for (int64_t c = 0; c < p->channels; c++)
            p->y[i * p->channels + c] = hgemm_to_bf16(p->x[c * p->plane + i]);
}

void lmn_dwlast_bf16_mean_ref(const lmn_dwlast_mean *m)
{
    for (int64_t c = 0; c < m->channels; c++) {
        double sum = 0;
        for (int64_t i = 0; i < m->n_pixels; i++)
            sum += (double)hgemm_from_bf16(m->x[i * m->channels + c]);
        m->y[c] = (float)(sum / (double)m->n_pixels);
    }
}
