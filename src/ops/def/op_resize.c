/*
 * Resize (ai.onnx, since 10): resampling of any axes by nearest, (multi)linear or cubic
 * interpolation, with antialiasing, roi cropping and aspect policies. Separable: one pass an axis
 * in f64, rounded once at the end; into integers the result is truncated and saturated. nearest
 * moves bytes and takes every type, strings included; complex numbers are interpolated by parts.
 */
#include "ops/resizecore.h"
#include "ops/runs.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

#define T_ALL (LMN_D_NUM | LMN_D_BOOL | LMN_D_STRING | LMN_D_COMPLEX)

typedef uint32_t __attribute__((may_alias)) word;

typedef struct nearest_job {
    const lmn_resize *r;
    const lmn_taps *taps; /* one a rank */
    const lamina_tensor *x;
    lamina_tensor *y;
    size_t bytes; /* of an element */
    uint8_t fill[16];
    int64_t inner; /* output elements of a chunk: the extents after axis 1 */
    int64_t whole; /* elements that stay together: a last axis that is not resized, else 1 */
    bool plain_rows;
    bool doubled; /* along the last axis every element comes twice */
} nearest_job;

/* Source of output element o; -1 where it is extrapolated. */
static int64_t nearest_source(const nearest_job *j, int64_t o)
{
    int64_t flat = 0, step = 1;
    for (int32_t a = j->r->rank - 1; a >= 0; a--) {
        const int64_t out = j->r->axis[a].out, i = o % out;
        o /= out;
        if (j->taps[a].beyond && j->taps[a].beyond[i]) return -1;
        flat += j->taps[a].index[i] * step;
        step *= j->r->axis[a].in;
    }
    return flat;
}

/* n elements, each twice, to two rows (which may be the same one). */
static void put_twice(word *to, word *also, const word *from, int64_t n)
{
    typedef uint32_t four __attribute__((vector_size(16), aligned(4), may_alias));
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const four v = *(const four *)(from + i), low = __builtin_shufflevector(v, v, 0, 0, 1, 1),
                   high = __builtin_shufflevector(v, v, 2, 2, 3, 3);
        *(four *)(to + 2 * i) = low, *(four *)(to + 2 * i + 4) = high;
        *(four *)(also + 2 * i) = low, *(four *)(also + 2 * i + 4) = high;
    }
    for (; i < n; i++) to[2 * i] = to[2 * i + 1] = also[2 * i] = also[2 * i + 1] = from[i];
}

/* Four-byte elements, nothing extrapolated along the last axis: a row at a time. Rows that have the
   source of the row above are copied from it. */
static void nearest_rows(const nearest_job *j, int64_t first, word *to)
{
    const int32_t last = j->r->rank - 1;
    const int64_t *index = j->taps[last].index, n = j->r->axis[last].out;
    const int64_t *down = last == 3 ? j->taps[2].index : NULL; /* images: divides once a plane */
    const int64_t plane = nearest_source(j, first) - (down ? down[0] * j->r->axis[3].in : 0);
    int64_t before = -1;
    for (int64_t o = 0, row = 0; o < j->inner; o += n, to += n, row++) {
        const int64_t at =
            down ? plane + down[row] * j->r->axis[3].in : nearest_source(j, first + o);
        const word *from = (const word *)j->x->data + at - index[0];
        if (at == before) {
            lmn_run_copy((uint8_t *)to, (const uint8_t *)(to - n), (size_t)n * sizeof *to);
        } else if (j->doubled) {
            const bool pair = down && o + n < j->inner && down[row + 1] == down[row];
            put_twice(to, pair ? to + n : to, from, n / 2);
            if (pair) o += n, to += n, row++;
        } else {
            for (int64_t i = 0; i < n; i++) to[i] = from[index[i]];
        }
        before = at;
    }
}

static void nearest_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const nearest_job *j = arg;
    uint8_t *to = (uint8_t *)j->y->data + (size_t)(chunk * j->inner) * j->bytes;
    if (j->plain_rows) {
        nearest_rows(j, chunk * j->inner, (word *)(void *)to);
        return;
    }
    const size_t step = (size_t)j->whole * j->bytes;
    for (int64_t i = 0; i < j->inner; i += j->whole, to += step) {
        const int64_t at = nearest_source(j, chunk * j->inner + i);
        lmn_run_copy(to, at < 0 ? j->fill : (const uint8_t *)j->x->data + (size_t)at * j->bytes,
                     step);
    }
}

static lamina_status nearest_strings(lmn_eval *ec, const nearest_job *j)
{
    const lmn_str *s = j->x->data;
    const int64_t n = lmn_count(j->y);
    for (int64_t o = 0; o < n; o++) {
        const int64_t at = nearest_source(j, o);
        if (at < 0 || !s[at].p) continue;
        if (lamina_tensor_set_string(j->y, o, s[at].p, s[at].n) != LAMINA_OK)
            return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for a string");
    }
    return LAMINA_OK;
}

/* Elements of the last axis if nothing is resized along it and nothing extrapolated, else 1. */
static int64_t whole_axis(const lmn_resize *r, const lmn_taps *taps)
{
    if (r->rank < 3 || r->axis[r->rank - 1].in != r->axis[r->rank - 1].out) return 1;
    const int64_t n = r->axis[r->rank - 1].out;
    bool whole = true;
    for (int32_t a = 0; a < r->rank; a++) whole = whole && !taps[a].beyond;
    for (int64_t i = 0; whole && i < n; i++) whole = taps[r->rank - 1].index[i] == i;
    return whole ? n : 1;
}

static lamina_status run_nearest(lmn_eval *ec, const lmn_resize *r, const lmn_taps *taps,
                                 lamina_tensor *y)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    nearest_job j = {.r = r, .taps = taps, .x = x, .y = y, .bytes = lmn_dtype_bytes(x->dtype)};
    if (x->dtype == LAMINA_STRING) return nearest_strings(ec, &j);
    lmn_convert(x->dtype, j.fill, LAMINA_F64, &r->extrapolation, 1, true);
    const int64_t outer = r->rank > 1 ? r->axis[0].out * r->axis[1].out : 1;
    j.inner = lmn_count(y) / (outer ? outer : 1);
    j.whole = whole_axis(r, taps);
    j.plain_rows = j.bytes == sizeof(word) && r->rank > 2;
    for (int32_t a = 0; a < r->rank; a++)
        if (taps[a].beyond) j.plain_rows = false;
    if (j.plain_rows) { /* a scalar (rank 0) has no last axis */
        const lmn_resize_axis *last = &r->axis[r->rank - 1];
        j.doubled = last->out == 2 * last->in;
        for (int64_t i = 0; j.doubled && i < last->out; i++)
            j.doubled = taps[r->rank - 1].index[i] == i / 2;
    }
    lmn_par_for(ec->par, outer, nearest_chunk, &j);
    return LAMINA_OK;
}

/* ---- interpolation ----------------------------------------------------------------------------
 */

typedef struct pass {
    const lmn_taps *taps;
    int64_t in, out, inner; /* data are [outer, in, inner] */
    const double *x;
    double *y;
} pass;

/* One row of the result: chunk = outer * out + position. */
static void pass_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const pass *p = arg;
    const int64_t o = chunk % p->out, n = p->taps->n;
    const double *x = p->x + chunk / p->out * p->in * p->inner;
    double *y = p->y + chunk * p->inner;
    for (int64_t i = 0; i < p->inner; i++) y[i] = 0.0;
    for (int64_t t = 0; t < n; t++) {
        const double w = p->taps->weight[o * n + t];
        const double *row = x + p->taps->index[o * n + t] * p->inner;
        if (w == 0.0) continue; /* also keeps inf and NaN of unused taps out */
        for (int64_t i = 0; i < p->inner; i++) y[i] += w * row[i];
    }
}

/* All passes; parts = 2 for complex numbers. *out is the last buffer. */
static lamina_status interpolate(lmn_eval *ec, const lmn_resize *r, const lmn_taps *taps,
                                 int64_t parts, const double *x, const double **out)
{
    int64_t dims[LMN_MAX_RANK];
    for (int32_t a = 0; a < r->rank; a++) dims[a] = r->axis[a].in;
    for (int32_t a = 0; a < r->rank; a++) {
        if (taps[a].identity) continue;
        pass p = {&taps[a], r->axis[a].in, r->axis[a].out, parts, x, NULL};
        int64_t outer = 1, total;
        for (int32_t d = 0; d < r->rank; d++) {
            if (d < a) outer *= dims[d];
            if (d > a) p.inner *= dims[d];
        }
        if (!lmn_mul_i64(outer * p.out, p.inner, &total)) total = -1;
        p.y = lmn_wide_scratch(ec, total, sizeof *p.y);
        if (!p.y) return LAMINA_E_NOMEM;
        lmn_par_for(ec->par, outer * p.out, pass_chunk, &p);
        dims[a] = p.out;
        x = p.y;
    }
    *out = x;
    return LAMINA_OK;
}

static void extrapolate(const lmn_resize *r, const lmn_taps *taps, int64_t parts, double *y)
{
    int64_t n = 1;
    for (int32_t a = 0; a < r->rank; a++) n *= r->axis[a].out;
    for (int64_t e = 0; e < n; e++) {
        int64_t rest = e;
        bool beyond = false;
        for (int32_t a = r->rank - 1; a >= 0; a--) {
            beyond = beyond || (taps[a].beyond && taps[a].beyond[rest % r->axis[a].out]);
            rest /= r->axis[a].out;
        }
        for (int64_t p = 0; beyond && p < parts; p++) y[e * parts + p] = p ? 0.0 : r->extrapolation;
    }
}

/* Towards zero as a C conversion does, but not below an integer that f64 noise just missed. */
static double whole(double v, double lo, double hi)
{
    const double near = rint(v);
    v = fabs(v - near) < 1e-6 ? near : trunc(v);
    return !(v > lo) ? lo : v > hi ? hi : v;
}

static void saturate(lamina_dtype dt, double *y, int64_t n)
{
    const lmn_dclass c = lmn_dtype_class(dt);
    if (c != LMN_CLASS_SINT && c != LMN_CLASS_UINT) return;
    const double bits = (double)lamina_dtype_bits(dt);
    const double lo = c == LMN_CLASS_SINT ? -exp2(bits - 1.0) : 0.0;
    double hi = c == LMN_CLASS_SINT ? exp2(bits - 1.0) - 1.0 : exp2(bits) - 1.0;
    if (bits > 53.0) hi = nextafter(hi, 0.0); /* 2^63 - 1 is no double */
    for (int64_t i = 0; i < n; i++) y[i] = whole(y[i], lo, hi);
}

/* ---- f32 planes -------------------------------------------------------------------------------
 */

/* The last two axes of f32 in one go: the sums of the passes above, in their order, without
   tensors in between. */
enum { PLANE_WORK = 16384 }; /* elements of a chunk, about */

typedef struct plane_job {
    const lmn_taps *down, *along;
    int64_t h, w, out_h, out_w, rows; /* output rows of a chunk */
    const float *x;
    float *y;
    const int64_t *full; /* [out_w + 1]: ends of runs in which all weights, or not all, are used */
    double *row;         /* w of every worker */
} plane_job;

/* One input row in f64, summed over the taps of output row o. */
static void plane_down(const plane_job *j, const float *x, int64_t o, double *row)
{
    const int64_t n = j->down->n;
    bool fresh = true;
    for (int64_t t = 0; t < n; t++) {
        const double w = j->down->weight[o * n + t];
        const float *from = x + j->down->index[o * n + t] * j->w;
        if (w == 0.0) continue;
        if (fresh)
            for (int64_t i = 0; i < j->w; i++) row[i] = 0.0 + w * (double)from[i];
        else
            for (int64_t i = 0; i < j->w; i++) row[i] += w * (double)from[i];
        fresh = false;
    }
    for (int64_t i = 0; fresh && i < j->w; i++) row[i] = 0.0;
}

/* Outputs lo .. hi - 1 of a row; `all`: no weight of theirs is 0. */
static void plane_along(const plane_job *j, const double *row, float *y, int64_t lo, int64_t hi,
                        bool all)
{
    const int64_t n = j->along->n, *at = j->along->index;
    const double *w = j->along->weight;
    if (all && n == 2) {
        for (int64_t i = lo; i < hi; i++)
            y[i] = (float)(0.0 + w[2 * i] * row[at[2 * i]] + w[2 * i + 1] * row[at[2 * i + 1]]);
        return;
    }
    for (int64_t i = lo; i < hi; i++) {
        double sum = 0.0;
        for (int64_t t = i * n; t < (i + 1) * n; t++)
            if (all || w[t] != 0.0) sum += w[t] * row[at[t]];
        y[i] = (float)sum;
    }
}

static void plane_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const plane_job *j = arg;
    const int64_t per_plane = (j->out_h + j->rows - 1) / j->rows;
    const int64_t plane = chunk / per_plane, first = chunk % per_plane * j->rows;
    const int64_t end = lmn_min_i64(j->out_h, first + j->rows);
    double *row = j->row + worker * j->w;
    for (int64_t o = first; o < end; o++) {
        float *y = j->y + (plane * j->out_h + o) * j->out_w;
        bool all = true;
        plane_down(j, j->x + plane * j->h * j->w, o, row);
        for (int64_t lo = 0, k = 0; lo < j->out_w; lo = j->full[k++], all = !all)
            plane_along(j, row, y, lo, j->full[k], all);
    }
}

/* Ends of runs of outputs whose weights are all used and of those that skip some, in turn. */
static void find_runs(const lmn_taps *t, int64_t out, int64_t *full)
{
    bool all = true;
    int64_t n = 0;
    for (int64_t i = 0; i < out; i++) {
        bool used = true;
        for (int64_t k = 0; k < t->n; k++) used = used && t->weight[i * t->n + k] != 0.0;
        if (used != all) full[n++] = i, all = used;
    }
    full[n] = out;
}

/* Are these planes of f32, of which no other axis changes? Then *done says that y is filled. */
static lamina_status run_planes(lmn_eval *ec, const lmn_resize *r, const lmn_taps *taps,
                                lamina_tensor *y, bool *done)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    const int32_t last = r->rank - 1;
    *done = false;
    if (x->dtype != LAMINA_F32 || last < 1 || r->coord == LMN_COORD_TF_CROP_AND_RESIZE ||
        taps[last].identity || taps[last - 1].identity)
        return LAMINA_OK;
    int64_t planes = 1;
    for (int32_t a = 0; a < last - 1; a++) {
        if (!taps[a].identity) return LAMINA_OK;
        planes *= r->axis[a].in;
    }
    plane_job j = {.down = &taps[last - 1], .along = &taps[last], .x = x->data, .y = y->data};
    j.h = r->axis[last - 1].in, j.out_h = r->axis[last - 1].out;
    j.w = r->axis[last].in, j.out_w = r->axis[last].out;
    const int64_t work = lmn_max_i64(1, lmn_max_i64(j.w, j.out_w));
    j.rows = lmn_max_i64(1, lmn_min_i64(j.out_h, PLANE_WORK / work));
    j.row = lmn_wide_scratch(ec, j.w * lmn_par_width(ec->par), sizeof *j.row);
    int64_t *full = lmn_wide_scratch(ec, j.out_w + 1, sizeof *full);
    if (!j.row || !full) return LAMINA_E_NOMEM;
    find_runs(j.along, j.out_w, full);
    j.full = full;
    lmn_par_for(ec->par, planes * ((j.out_h + j.rows - 1) / j.rows), plane_chunk, &j);
    *done = true;
    return LAMINA_OK;
}

static lamina_status run_interpolation(lmn_eval *ec, const lmn_resize *r, const lmn_taps *taps,
                                       lamina_tensor *y)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (x->dtype == LAMINA_STRING)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "strings can only be resized by nearest");
    bool planes;
    LMN_TRY(run_planes(ec, r, taps, y, &planes));
    if (planes) return LAMINA_OK;
    const bool complex = lmn_dtype_class(x->dtype) == LMN_CLASS_COMPLEX;
    const int64_t parts = complex ? 2 : 1, n_in = lmn_count(x) * parts;
    const int64_t n_out = lmn_count(y) * parts;
    const lamina_dtype part = !complex                 ? x->dtype
                              : x->dtype == LAMINA_C64 ? LAMINA_F32
                                                       : LAMINA_F64;
    double *wide = lmn_wide_scratch(ec, n_in, sizeof *wide);
    const double *done;
    if (!wide) return LAMINA_E_NOMEM;
    lmn_convert(LAMINA_F64, wide, part, x->data, n_in, true);
    LMN_TRY(interpolate(ec, r, taps, parts, wide, &done));
    double *result = (double *)(uintptr_t)done; /* always scratch of this run */
    if (r->coord == LMN_COORD_TF_CROP_AND_RESIZE) extrapolate(r, taps, parts, result);
    saturate(part, result, n_out);
    lmn_convert(part, y->data, LAMINA_F64, result, n_out, true);
    return LAMINA_OK;
}

static lamina_status eval_resize(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0);
    lmn_resize r;
    lmn_taps taps[LMN_MAX_RANK];
    int64_t dims[LMN_MAX_RANK];
    LMN_TRY(lmn_resize_setup(ec, &r));
    for (int32_t a = 0; a < r.rank; a++) dims[a] = r.axis[a].out;
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, r.rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    if (lmn_count(x) == 0)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "an empty input cannot grow elements");
    for (int32_t a = 0; a < r.rank; a++) LMN_TRY(lmn_resize_taps(ec, &r, a, &taps[a]));
    return r.mode == LMN_RESIZE_NEAREST ? run_nearest(ec, &r, taps, y)
                                        : run_interpolation(ec, &r, taps, y);
}

static lamina_status canon_resize(lmn_canon *c)
{
    return c->opset < 11 ? lmn_resize_canon_legacy(c) : LAMINA_OK;
}

static void cost_resize(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                        lmn_cost *c)
{
    (void)in;
    (void)out;
    if (!lmn_attr_is(n, "mode", "nearest", "nearest")) c->flops *= 8.0;
}

#define ROI (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F64) | LMN_DBIT(LAMINA_F16))
static const lmn_port IN[] = {{"X", 'T', 0, T_ALL},
                              {"roi", 0, LMN_PORT_OPTIONAL, ROI},
                              {"scales", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_F32)},
                              {"sizes", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, T_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"antialias", LMN_ATTR_INT, 0},
                                        {"axes", LMN_ATTR_INTS, 0},
                                        {"coordinate_transformation_mode", LMN_ATTR_STRING, 0},
                                        {"cubic_coeff_a", LMN_ATTR_FLOAT, 0},
                                        {"exclude_outside", LMN_ATTR_INT, 0},
                                        {"extrapolation_value", LMN_ATTR_FLOAT, 0},
                                        {"keep_aspect_ratio_policy", LMN_ATTR_STRING, 0},
                                        {"mode", LMN_ATTR_STRING, 0},
                                        {"nearest_mode", LMN_ATTR_STRING, 0},
                                        {0}};

const lmn_op_def lmn_op_Resize = {
    .name = "Resize",
    .domain = "",
    .since = 10,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_resize_infer,
    .eval = eval_resize,
    .canon = canon_resize,
    .cost = cost_resize,
};
