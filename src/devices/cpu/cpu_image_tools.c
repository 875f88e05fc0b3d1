/*
 * What stands between convolutions of bf16 images: NhwcMaxPool, ToImage and ImageMean on the dwlast
 * family, and Casts between f32 and bf16 on the conversions of the hgemm row. Same bits as the
 * reference but for the sums of a mean.
 */
#include "devices/cpu/cpu_last.h"
#include "devices/cpu/cpu_tools.h"
#include "kernels/conv/dwlast.h"
#include "kernels/hgemm/hgemm.h"

static const int64_t chunk_elems = 32 << 10; /* by the shape only */

static lamina_dtype type_of(const lamina_node *node)
{
    const lmn_fact *f = node->op->n_in > 0 ? node->in[0] : NULL;
    return f && f->kind == LMN_FACT_TENSOR ? f->dtype : LAMINA_DTYPE_NONE;
}

/* ---- maxima ------------------------------------------------------------------------------------
 */

typedef struct max_job {
    const lmn_dwlast_row *row;
    lmn_conv_geom g;
    lmn_dwlast_block all;
    int64_t per_chunk; /* lines */
} max_job;

static void max_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const max_job *j = arg;
    lmn_dwlast_block b = j->all;
    b.line = chunk * j->per_chunk;
    b.n_lines = lmn_min_i64(j->per_chunk, j->all.n_lines - b.line);
    j->row->max(&b);
}

static lamina_status run_max(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    max_job j = {.row = k->dev->kset.dwlast_bf16};
    lmn_cpu_window w;
    int64_t dims[4];
    if (!x || x->kind != LAMINA_KIND_TENSOR || x->dtype != LAMINA_BF16 || x->rank != 4 ||
        lmn_count(x) == 0 || !lmn_cpu_last_window(ec->node, x, NULL, &w, dims))
        return lmn_cpu_reference(ec);
    for (int i = 1; i < 3; i++) /* the reference skips taps that see nothing */
        if (w.kernel[i] > w.in[i] + 64) return lmn_cpu_reference(ec);
    w.groups = x->dims[3];
    j.g = lmn_cpu_geom(&w, x->dims[0], x->dims[3], x->dims[3]);
    dims[3] = x->dims[3];
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, 4, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    j.all = (lmn_dwlast_block){.g = &j.g, .x = x->data, .y = y->data};
    j.all.n_lines = j.g.n * j.g.out[1];
    j.per_chunk = lmn_max_i64(1, chunk_elems / (j.g.out[2] * j.g.c_in));
    lmn_par_for(ec->par, lmn_ceil_div_i64(j.all.n_lines, j.per_chunk), max_chunk, &j);
    return LAMINA_OK;
}

static bool names_row(const lmn_cpu_dev *dev, bool known, const char *not_of, char *text,
                      size_t cap)
{
    const lmn_krow *row = &dev->kset.dwlast_bf16->head;
    if (known)
        (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
    else
        (void)lmn_format(text, cap, "%s", not_of);
    return known;
}

static bool supports_max(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return names_row(dev, type_of(node) == LAMINA_BF16 && lmn_cpu_rank(node, 0) == 4,
                     "not of 8 bits, nor of bfloat16 over two axes", text, cap);
}

const lmn_cpu_binding lmn_cpu_image_max_pool = {
    .domain = "com.microsoft",
    .op = "NhwcMaxPool",
    .families = "dwlast.bf16",
    .supports = supports_max,
    .run = run_max,
};

/* ---- casts -------------------------------------------------------------------------------------
 */

typedef struct cast_job {
    const lmn_hgemm_row *row;
    const void *x;
    void *y;
    int64_t n;
    bool narrow;
} cast_job;

static void cast_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const cast_job *j = arg;
    const int64_t at = chunk * chunk_elems, n = lmn_min_i64(chunk_elems, j->n - at);
    if (j->narrow)
        j->row->narrow((uint16_t *)j->y + at, n, (const float *)j->x + at, n, 1, n);
    else
        j->row->widen(&(lmn_hgemm_rows){.dst = (float *)j->y + at,
                                        .src = (const uint16_t *)j->x + at,
                                        .m = 1,
                                        .k = n,
                                        .padded = n});
}

static bool is_pair(lamina_dtype a, lamina_dtype b)
{
    return (a == LAMINA_F32 && b == LAMINA_BF16) || (a == LAMINA_BF16 && b == LAMINA_F32);
}

static lamina_status run_cast(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    const lamina_dtype to = (lamina_dtype)lmn_attr_i(ec->node, "to", 0);
    if (!x || x->kind != LAMINA_KIND_TENSOR || !is_pair(x->dtype, to)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, to, x->rank, x->dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    cast_job j = {.row = k->dev->kset.hgemm_bf16, .x = x->data, .y = y->data, .n = lmn_count(x)};
    j.narrow = to == LAMINA_BF16;
    lmn_par_for(ec->par, lmn_ceil_div_i64(j.n, chunk_elems), cast_chunk, &j);
    return LAMINA_OK;
}

static bool supports_cast(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    const lmn_krow *row = &dev->kset.hgemm_bf16->head;
    if (is_pair(type_of(node), (lamina_dtype)lmn_attr_i(node->op, "to", 0))) {
        (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
        return true;
    }
    (void)lmn_format(text, cap, "not between float32 and bfloat16");
    return false;
}

const lmn_cpu_binding lmn_cpu_image_cast = {
    .domain = "",
    .op = "Cast",
    .families = "hgemm.bf16",
    .supports = supports_cast,
    .run = run_cast,
};

/* ---- in and out --------------------------------------------------------------------------------
 */

typedef struct planes_job {
    const lmn_dwlast_row *row;
    lmn_dwlast_planes all; /* of an image */
    int64_t per_chunk, n_chunks;
} planes_job;

static void planes_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const planes_job *j = arg;
    const int64_t image = chunk / j->n_chunks, at = chunk % j->n_chunks * j->per_chunk;
    const int64_t first = image * j->all.n_pixels * j->all.channels;
    lmn_dwlast_planes p = j->all;
    p.x += first + at, p.y += first + at * p.channels;
    p.n_pixels = lmn_min_i64(j->per_chunk, p.n_pixels - at);
    j->row->planes(&p);
}

static bool is_image(const lamina_tensor *x, lamina_dtype type)
{
    return x && x->kind == LAMINA_KIND_TENSOR && x->dtype == type && x->rank >= 3;
}

static lamina_status run_planes(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!is_image(x, LAMINA_F32)) return lmn_cpu_reference(ec);
    int64_t dims[LMN_MAX_RANK];
    for (int32_t i = 0; i < x->rank; i++)
        dims[i] = x->dims[i == 0 ? 0 : i + 1 < x->rank ? i + 1 : 1];
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_BF16, x->rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    planes_job j = {.row = k->dev->kset.dwlast_bf16, .all = {.x = x->data, .y = y->data}};
    j.all.channels = x->dims[1];
    j.all.n_pixels = j.all.plane = lmn_count(x) / x->dims[0] / x->dims[1];
    j.per_chunk = lmn_max_i64(1, chunk_elems / j.all.channels);
    j.n_chunks = lmn_ceil_div_i64(j.all.n_pixels, j.per_chunk);
    lmn_par_for(ec->par, x->dims[0] * j.n_chunks, planes_chunk, &j);
    return LAMINA_OK;
}

static bool supports_planes(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return names_row(dev, type_of(node) == LAMINA_F32, "not of float32", text, cap);
}

const lmn_cpu_binding lmn_cpu_to_image = {
    .domain = "lamina",
    .op = "ToImage",
    .families = "dwlast.bf16",
    .supports = supports_planes,
    .run = run_planes,
};

typedef struct mean_job {
    const lmn_dwlast_row *row;
    lmn_dwlast_mean all; /* of an image */
} mean_job;

static void mean_chunk(void *arg, int64_t image, int32_t worker)
{
    (void)worker;
    const mean_job *j = arg;
    lmn_dwlast_mean m = j->all;
    m.x += image * m.n_pixels * m.channels, m.y += image * m.channels;
    j->row->mean(&m);
}

static lamina_status run_mean(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!is_image(x, LAMINA_BF16) || lmn_count(x) == 0) return lmn_cpu_reference(ec);
    int64_t dims[LMN_MAX_RANK] = {x->dims[0], x->dims[x->rank - 1]};
    for (int32_t i = 2; i < x->rank; i++) dims[i] = 1;
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, dims, &y));
    if (!y) return LAMINA_OK;
    mean_job j = {.row = k->dev->kset.dwlast_bf16, .all = {.x = x->data, .y = y->data}};
    j.all.channels = dims[1], j.all.n_pixels = lmn_count(x) / dims[0] / dims[1];
    lmn_par_for(ec->par, dims[0], mean_chunk, &j);
    return LAMINA_OK;
}

static bool supports_mean(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return names_row(dev, type_of(node) == LAMINA_BF16, "not of bfloat16", text, cap);
}

const lmn_cpu_binding lmn_cpu_image_mean = {
    .domain = "lamina",
    .op = "ImageMean",
    .families = "dwlast.bf16",
    .supports = supports_mean,
    .run = run_mean,
};
