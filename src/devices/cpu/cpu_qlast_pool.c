/*
 * Pools of 8-bit integers whose channels come last, on the qmap family: NhwcMaxPool and
 * QLinearGlobalAveragePool of com.microsoft. Maxima go down the lines of a window and then along
 * it. A mean sums what the integers stand for in f64, as the reference does; up to 2^20 such sums
 * are exact in any order, so the bits are the same.
 */
#include "devices/cpu/cpu_last.h"
#include "devices/cpu/cpu_quant.h"
#include "kernels/qmap/qmap.h"

static const int64_t chunk_elems = 32 << 10; /* of output; the grid depends on the shape only */
enum { EXACT_SUM = 1 << 20, MEAN_CHANNELS = 256 };

/* ---- maxima ------------------------------------------------------------------------------------
 */

typedef struct max_job {
    const lmn_qmap_row *row;
    lmn_conv_geom g;
    const uint8_t *x;
    uint8_t *y, flip;
    int64_t lines, per_chunk; /* lines of output pixels */
    lmn_cpu_scratch scratch;  /* a line of input a worker */
} max_job;

/* dst = the larger of dst and src, or src where nothing is there yet. */
static void take(const max_job *j, uint8_t *dst, const uint8_t *src, int64_t n, bool *any)
{
    if (*any)
        j->row->max(dst, src, n, 1, j->flip);
    else
        memcpy(dst, src, (size_t)n);
    *any = true;
}

static void max_line(const max_job *j, int64_t line, uint8_t *down)
{
    const lmn_conv_geom *g = &j->g;
    const int64_t c = g->c_in, n_in = g->in[2] * c;
    const int64_t oy = line % g->out[1], oz = line / g->out[1] % g->out[0];
    const uint8_t *x = j->x + line / g->out[1] / g->out[0] * lmn_conv_volume(g->in) * c;
    uint8_t *y = j->y + line * g->out[2] * c;
    bool any = false;
    for (int64_t t = 0; t < g->kernel[0] * g->kernel[1]; t++) {
        const int64_t iz = lmn_conv_at(g, 0, oz, t / g->kernel[1]);
        const int64_t iy = lmn_conv_at(g, 1, oy, t % g->kernel[1]);
        if (iz >= 0 && iz < g->in[0] && iy >= 0 && iy < g->in[1])
            take(j, down, x + (iz * g->in[1] + iy) * n_in, n_in, &any);
    }
    if (!any) memset(down, j->flip, (size_t)n_in);
    for (int64_t ox = 0; ox < g->out[2]; ox++, y += c) {
        any = false;
        for (int64_t t = 0; t < g->kernel[2]; t++) {
            const int64_t ix = lmn_conv_at(g, 2, ox, t);
            if (ix >= 0 && ix < g->in[2]) take(j, y, down + ix * c, c, &any);
        }
        if (!any) memset(y, j->flip, (size_t)c);
    }
}

static void max_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const max_job *j = arg;
    const int64_t end = lmn_min_i64(j->lines, (chunk + 1) * j->per_chunk);
    for (int64_t i = chunk * j->per_chunk; i < end; i++)
        max_line(j, i, lmn_cpu_scratch_of(&j->scratch, worker));
}

static lamina_status run_qlast_max_pool(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    max_job j = {.row = k->dev->kset.qmap_i8};
    lmn_cpu_window w;
    int64_t dims[LMN_MAX_RANK];
    if (!lmn_cpu_is_8bit(x) || lmn_count(x) == 0 ||
        !lmn_cpu_last_window(ec->node, x, NULL, &w, dims))
        return lmn_cpu_reference(ec);
    for (int i = 0; i < 3; i++) /* the reference skips taps that see nothing */
        if (w.kernel[i] > w.in[i] + 64) return lmn_cpu_reference(ec);
    w.groups = 1;
    j.g = lmn_cpu_geom(&w, x->dims[0], x->dims[x->rank - 1], x->dims[x->rank - 1]);
    dims[x->rank - 1] = j.g.c_in;
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    j.x = x->data, j.y = y->data, j.flip = lmn_cpu_is_signed(x) ? 0x80 : 0;
    j.lines = j.g.n * j.g.out[0] * j.g.out[1];
    j.per_chunk = lmn_max_i64(1, chunk_elems / (j.g.out[2] * j.g.c_in));
    LMN_TRY(lmn_cpu_worker_scratch(ec, (size_t)(j.g.in[2] * j.g.c_in), &j.scratch));
    lmn_par_for(ec->par, lmn_ceil_div_i64(j.lines, j.per_chunk), max_chunk, &j);
    return LAMINA_OK;
}

static bool supports(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    if (!lmn_cpu_takes_8bit(dev, node, 0, text, cap)) return false;
    const lmn_krow *row = &dev->kset.qmap_i8->head;
    (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
    return true;
}

const lmn_cpu_binding lmn_cpu_qlast_max_pool = {
    .domain = "com.microsoft",
    .op = "NhwcMaxPool",
    .families = "qmap.i8",
    .supports = supports,
    .run = run_qlast_max_pool,
};

/* ---- the mean of an image ----------------------------------------------------------------------
 */

typedef struct mean_job {
    const lmn_qmap_row *row;
    const uint8_t *x;
    uint8_t *y, flip;
    int64_t pixels, channels;
    lmn_qmap_side from, to;
} mean_job;

static void mean_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const mean_job *j = arg;
    const int64_t per_image = lmn_ceil_div_i64(j->channels, MEAN_CHANNELS);
    const int64_t image = chunk / per_image, c = chunk % per_image * MEAN_CHANNELS;
    const int64_t n = lmn_min_i64(MEAN_CHANNELS, j->channels - c);
    const uint8_t *x = j->x + image * j->pixels * j->channels + c;
    double sum[MEAN_CHANNELS] = {0};
    float mean[MEAN_CHANNELS];
    for (int64_t p = 0; p < j->pixels; p++)
        j->row->add_up(sum, x + p * j->channels, n, &j->from, j->flip);
    for (int64_t i = 0; i < n; i++) mean[i] = (float)(sum[i] / (double)j->pixels);
    j->row->quantize(j->y + image * j->channels + c, mean, n, &j->to, j->flip);
}

lamina_status lmn_cpu_qlast_mean(const lamina_kernel *k, lmn_eval *ec, const lmn_qmap_side side[2])
{
    const lamina_tensor *x = lmn_in(ec, 0);
    mean_job j = {.row = k->dev->kset.qmap_i8, .from = side[0], .to = side[1], .pixels = 1};
    int64_t dims[LMN_MAX_RANK];
    for (int32_t i = 0; i < x->rank; i++) {
        const bool inner = i > 0 && i + 1 < x->rank;
        dims[i] = inner ? 1 : x->dims[i];
        if (inner) j.pixels *= x->dims[i];
    }
    if (j.pixels == 0 || j.pixels > EXACT_SUM) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    j.x = x->data, j.y = y->data, j.flip = lmn_cpu_is_signed(x) ? 0x80 : 0;
    j.channels = x->dims[x->rank - 1];
    lmn_par_for(ec->par, x->dims[0] * lmn_ceil_div_i64(j.channels, MEAN_CHANNELS), mean_chunk, &j);
    return LAMINA_OK;
}
