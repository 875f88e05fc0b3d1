/*
 * DynamicQuantizeLinear on the qmap family: bounds of fixed runs of elements, their scale and zero
 * point by the very steps of the reference, then the runs in bytes. Data with a NaN, or too far
 * apart for a finite scale, are left to the reference.
 */
#include "devices/cpu/cpu_quant.h"
#include "kernels/qmap/qmap.h"

#include <math.h>

static const int64_t chunk_elems = 16 << 10;

typedef struct dynamic_job {
    const lmn_qmap_row *row;
    const float *x;
    int64_t n;
    float *bounds; /* two a chunk, and NaN twice where a chunk holds one */
    lmn_qmap_side side;
    uint8_t *y;
} dynamic_job;

static int64_t chunk_n(const dynamic_job *j, int64_t chunk)
{
    return lmn_min_i64(chunk_elems, j->n - chunk * chunk_elems);
}

static void bounds_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const dynamic_job *j = arg;
    float *at = j->bounds + 2 * chunk;
    at[0] = at[1] = 0.0f;
    if (!j->row->bounds(j->x + chunk * chunk_elems, chunk_n(j, chunk), at)) at[0] = at[1] = NAN;
}

static void bytes_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const dynamic_job *j = arg;
    const int64_t at = chunk * chunk_elems;
    j->row->quantize(j->y + at, j->x + at, chunk_n(j, chunk), &j->side, 0);
}

/* The side of all; false: not a number. */
static bool choose_side(dynamic_job *j, int64_t chunks)
{
    float lo = 0.0f, hi = 0.0f;
    for (int64_t i = 0; i < chunks; i++) {
        const float *at = j->bounds + 2 * i;
        if (isnan(at[0])) return false;
        lo = at[0] < lo ? at[0] : lo;
        hi = at[1] > hi ? at[1] : hi;
    }
    j->side.scale = (hi == lo ? 1.0f : hi - lo) / 255.0f;
    if (!isfinite(j->side.scale) || !(j->side.scale > 0.0f)) return false;
    const float zp = 0.0f - lo / j->side.scale;
    j->side.zp = (int32_t)rintf(zp < 0.0f ? 0.0f : zp > 255.0f ? 255.0f : zp);
    return true;
}

static lamina_status run_dynamic(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!lmn_cpu_is_f32(x) || lmn_count(x) == 0) return lmn_cpu_reference(ec);
    dynamic_job j = {.row = k->dev->kset.qmap_i8, .x = x->data, .n = lmn_count(x)};
    const int64_t chunks = lmn_ceil_div_i64(j.n, chunk_elems);
    j.bounds = lmn_scratch(ec, (size_t)chunks * 2 * sizeof *j.bounds);
    if (!j.bounds) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    lmn_par_for(ec->par, chunks, bounds_chunk, &j);
    if (!choose_side(&j, chunks)) return lmn_cpu_reference(ec);
    lamina_tensor *y, *scale, *zp;
    LMN_TRY(lmn_out(ec, 0, LAMINA_U8, x->rank, x->dims, &y));
    LMN_TRY(lmn_out(ec, 1, LAMINA_F32, 0, NULL, &scale));
    LMN_TRY(lmn_out(ec, 2, LAMINA_U8, 0, NULL, &zp));
    if (scale) *(float *)scale->data = j.side.scale;
    if (zp) *(uint8_t *)zp->data = (uint8_t)j.side.zp;
    if (!y) return LAMINA_OK;
    j.y = y->data;
    lmn_par_for(ec->par, chunks, bytes_chunk, &j);
    return LAMINA_OK;
}

static bool supports_dynamic(const lmn_cpu_dev *dev, const lamina_node *node, char *text,
                             size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.qmap_i8->head, text, cap);
}

const lmn_cpu_binding lmn_cpu_dynamic_quantize = {
    .domain = "",
    .op = "DynamicQuantizeLinear",
    .families = "qmap.i8",
    .supports = supports_dynamic,
    .run = run_dynamic,
};
