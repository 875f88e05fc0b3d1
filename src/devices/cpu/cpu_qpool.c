/*
 * Pools of 8-bit integers: MaxPool on the qmap family, and of com.microsoft QLinearAveragePool and
 * QLinearGlobalAveragePool. An average sums what the integers stand for in f64, as the reference
 * does; up to 2^20 such sums are exact in any order, so the bits are the same.
 */
#include "devices/cpu/cpu_geom.h"
#include "devices/cpu/cpu_quant.h"
#include "kernels/qmap/qmap.h"

static const int64_t chunk_elems = 32 << 10; /* of input; the grid depends on the shape only */
enum { EXACT_SUM = 1 << 20, RUN = 64 };

typedef struct qpool_job {
    const lmn_qmap_row *row;
    lmn_conv_geom g;
    const uint8_t *x;
    uint8_t *y;
    uint8_t flip;
    int64_t planes, per_chunk;
    /* averages */
    bool count_pad;
    double value[256]; /* of a byte */
    lmn_qmap_side from, to;
} qpool_job;

typedef void plane_fn(const qpool_job *j, const uint8_t *x, uint8_t *y);

/* Row iy of the input that tap (kz, ky) sees at output row (oz, oy); NULL in the padding. */
static const uint8_t *row_seen(const lmn_conv_geom *g, const uint8_t *x, const int64_t o[2],
                               int64_t kz, int64_t ky)
{
    const int64_t iz = lmn_conv_at(g, 0, o[0], kz), iy = lmn_conv_at(g, 1, o[1], ky);
    if (iz < 0 || iz >= g->in[0] || iy < 0 || iy >= g->in[1]) return NULL;
    return x + (iz * g->in[1] + iy) * g->in[2];
}

static void max_plane(const qpool_job *j, const uint8_t *x, uint8_t *y)
{
    const lmn_conv_geom *g = &j->g;
    const int64_t taps = lmn_conv_volume(g->kernel), n = g->out[2];
    memset(y, j->flip, (size_t)lmn_conv_volume(g->out));
    for (int64_t row = 0; row < g->out[0] * g->out[1]; row++, y += n) {
        const int64_t o[2] = {row / g->out[1], row % g->out[1]};
        for (int64_t t = 0; t < taps; t++) {
            const int64_t kx = t % g->kernel[2], ky = t / g->kernel[2] % g->kernel[1];
            const uint8_t *src = row_seen(g, x, o, t / g->kernel[2] / g->kernel[1], ky);
            int64_t lo, hi;
            if (!src) continue;
            lmn_conv_inside(g, 0, n, kx, &lo, &hi);
            if (lo == hi) continue;
            src += lmn_conv_at(g, 2, lo, kx);
            j->row->max(y + lo, src, hi - lo, g->stride[2], j->flip);
        }
    }
}

/* Positions of output o along an axis that count. */
static int64_t axis_taps(const qpool_job *j, int axis, int64_t o)
{
    const lmn_conv_geom *g = &j->g;
    const int64_t hi = g->in[axis] + (j->count_pad ? g->pad_end[axis] : 0);
    const int64_t lo = j->count_pad ? -g->pad[axis] : 0;
    int64_t n = 0;
    for (int64_t t = 0; t < g->kernel[axis]; t++) {
        const int64_t x = lmn_conv_at(g, axis, o, t);
        n += x >= lo && x < hi;
    }
    return n;
}

/* Sum of the row's part of the window at ox. */
static double row_sum(const qpool_job *j, const uint8_t *row, int64_t ox)
{
    const lmn_conv_geom *g = &j->g;
    double sum = 0;
    for (int64_t t = 0; t < g->kernel[2]; t++) {
        const int64_t ix = lmn_conv_at(g, 2, ox, t);
        if (ix >= 0 && ix < g->in[2]) sum += j->value[row[ix]];
    }
    return sum;
}

static float average_at(const qpool_job *j, const uint8_t *x, const int64_t o[2], int64_t ox)
{
    const lmn_conv_geom *g = &j->g;
    const int64_t n = axis_taps(j, 0, o[0]) * axis_taps(j, 1, o[1]) * axis_taps(j, 2, ox);
    double sum = 0;
    for (int64_t t = 0; t < g->kernel[0] * g->kernel[1]; t++) {
        const uint8_t *row = row_seen(g, x, o, t / g->kernel[1], t % g->kernel[1]);
        if (row) sum += row_sum(j, row, ox);
    }
    return n ? (float)(sum / (double)n) : 0.0f;
}

static void average_plane(const qpool_job *j, const uint8_t *x, uint8_t *y)
{
    const lmn_conv_geom *g = &j->g;
    float v[RUN];
    for (int64_t row = 0; row < g->out[0] * g->out[1]; row++, y += g->out[2]) {
        const int64_t o[2] = {row / g->out[1], row % g->out[1]};
        for (int64_t at = 0; at < g->out[2]; at += RUN) {
            const int64_t n = lmn_min_i64(RUN, g->out[2] - at);
            for (int64_t i = 0; i < n; i++) v[i] = average_at(j, x, o, at + i);
            j->row->quantize(y + at, v, n, &j->to, j->flip);
        }
    }
}

/* The plane is one window. */
static void global_plane(const qpool_job *j, const uint8_t *x, uint8_t *y)
{
    const int64_t n = j->g.in[2];
    double sum[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) sum[k] += j->value[x[i + k]];
    for (; i < n; i++) sum[0] += j->value[x[i]];
    const float v = (float)((sum[0] + sum[1] + sum[2] + sum[3]) / (double)n);
    j->row->quantize(y, &v, 1, &j->to, j->flip);
}

static void run_planes(const qpool_job *j, int64_t chunk, plane_fn *fn)
{
    const int64_t first = chunk * j->per_chunk;
    const int64_t end = lmn_min_i64(first + j->per_chunk, j->planes);
    for (int64_t i = first; i < end; i++)
        fn(j, j->x + i * lmn_conv_volume(j->g.in), j->y + i * lmn_conv_volume(j->g.out));
}
static void max_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    run_planes(arg, chunk, max_plane);
}
static void average_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    run_planes(arg, chunk, average_plane);
}
static void global_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    run_planes(arg, chunk, global_plane);
}

static lamina_status run_job(lmn_eval *ec, qpool_job *j, const int64_t *dims,
                             void (*fn)(void *, int64_t, int32_t))
{
    const lamina_tensor *x = lmn_in(ec, 0);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    j->x = x->data, j->y = y->data;
    j->planes = x->dims[0] * x->dims[1];
    j->per_chunk = lmn_max_i64(1, chunk_elems / lmn_conv_volume(j->g.in));
    lmn_par_for(ec->par, (j->planes + j->per_chunk - 1) / j->per_chunk, fn, j);
    return LAMINA_OK;
}

/* The window of the node over 8-bit x. Windows much wider than their input are left to the
   reference, which skips the taps that see nothing. */
static bool read_window(const lamina_kernel *k, lmn_eval *ec, qpool_job *j, int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    lmn_cpu_window w;
    if (!lmn_cpu_is_8bit(x) || x->rank < 3 || !lmn_cpu_window_of(ec->node, x, NULL, &w, dims + 2))
        return false;
    for (int i = 0; i < 3; i++)
        if (w.kernel[i] > w.in[i] + 64) return false;
    w.groups = 1;
    j->row = k->dev->kset.qmap_i8, j->g = lmn_cpu_geom(&w, 0, 0, 0);
    j->flip = lmn_cpu_is_signed(x) ? 0x80 : 0;
    dims[0] = x->dims[0], dims[1] = x->dims[1];
    return true;
}

static lamina_status run_qmax_pool(const lamina_kernel *k, lmn_eval *ec)
{
    qpool_job j = {.count_pad = false};
    int64_t dims[LMN_MAX_RANK];
    if (lmn_out_wanted(ec, 1) || !read_window(k, ec, &j, dims)) return lmn_cpu_reference(ec);
    return run_job(ec, &j, dims, max_chunk);
}

/* Parameters of x and y, inputs 1 .. 4. */
static bool read_sides(const lmn_eval *ec, qpool_job *j)
{
    const lamina_dtype dt = lmn_in(ec, 0)->dtype;
    const lamina_tensor *zps[2] = {lmn_in(ec, 2), lmn_in(ec, 4)};
    float scale;
    int32_t zp[2] = {j->flip, j->flip};
    for (int i = 0; i < 2; i++) {
        if (!zps[i]) continue;
        if (!lmn_cpu_is_8bit(zps[i]) || zps[i]->dtype != dt || lmn_count(zps[i]) != 1) return false;
        zp[i] = *(const uint8_t *)zps[i]->data ^ j->flip;
    }
    if (!lmn_cpu_scale(lmn_in(ec, 1), &scale) || !lmn_cpu_scale(lmn_in(ec, 3), &j->to.scale))
        return false;
    for (int32_t b = 0; b < 256; b++)
        j->value[b] = (double)((float)((b ^ j->flip) - zp[0]) * scale);
    j->from = (lmn_qmap_side){scale, zp[0]}, j->to.zp = zp[1];
    return true;
}

static lamina_status run_qlinear_average_pool(const lamina_kernel *k, lmn_eval *ec)
{
    qpool_job j = {.count_pad = lmn_attr_i(ec->node, "count_include_pad", 0) != 0};
    int64_t dims[LMN_MAX_RANK];
    if (lmn_attr_i(ec->node, "channels_last", 0) || !read_window(k, ec, &j, dims) ||
        lmn_conv_volume(j.g.kernel) > EXACT_SUM || !read_sides(ec, &j))
        return lmn_cpu_reference(ec);
    return run_job(ec, &j, dims, average_chunk);
}

static lamina_status run_qlinear_global_pool(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    int64_t dims[LMN_MAX_RANK], n = 1;
    const bool last = lmn_attr_i(ec->node, "channels_last", 0) != 0;
    if (!lmn_cpu_is_8bit(x) || x->rank < 3) return lmn_cpu_reference(ec);
    for (int32_t d = 0; d < x->rank; d++) {
        dims[d] = d < 2 ? x->dims[d] : 1;
        if (d >= 2) n *= x->dims[d];
    }
    qpool_job j = {.row = k->dev->kset.qmap_i8, .flip = lmn_cpu_is_signed(x) ? 0x80 : 0};
    if (n == 0 || (!last && n > EXACT_SUM) || !read_sides(ec, &j)) return lmn_cpu_reference(ec);
    if (last) return lmn_cpu_qlast_mean(k, ec, (lmn_qmap_side[2]){j.from, j.to});
    j.g.in[0] = j.g.in[1] = j.g.out[0] = j.g.out[1] = j.g.out[2] = 1;
    j.g.in[2] = n;
    return run_job(ec, &j, dims, global_chunk);
}

static bool supports(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    if (node->op->n_out > 1) {
        (void)lmn_format(text, cap, "the fast pool does not compute Indices");
        return false;
    }
    if (!lmn_cpu_takes_8bit(dev, node, 0, text, cap)) return false;
    const lmn_krow *row = &dev->kset.qmap_i8->head;
    (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
    return true;
}

#define BINDING(symbol, Domain, Op)                                  \
    const lmn_cpu_binding lmn_cpu_##symbol = {.domain = Domain,      \
                                              .op = Op,              \
                                              .families = "qmap.i8", \
                                              .supports = supports,  \
                                              .run = run_##symbol}
BINDING(qmax_pool, "", "MaxPool");
BINDING(qlinear_average_pool, "com.microsoft", "QLinearAveragePool");
BINDING(qlinear_global_pool, "com.microsoft", "QLinearGlobalAveragePool");
