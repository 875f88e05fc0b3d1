/*
 * GridSample (ai.onnx, since 16): X [N, C, D1..Dr] sampled where grid [N, O1..Or, r] points, whose
 * last axis holds coordinates in [-1, 1] in reverse order of the axes. Any r, nearest (half to
 * even), linear, cubic (a = -0.75); outside the input zeros, the border or its reflection.
 * Coordinates are rounded to f32 where the grid is no wider. nearest moves elements and takes every
 * type; a NaN coordinate counts as -1.
 */
#include "ops/convgeom.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

#define R LMN_CONV_MAX_RANK
#define TAPS 4

enum { PAD_ZEROS, PAD_BORDER, PAD_REFLECTION };
enum { MODE_NEAREST, MODE_LINEAR, MODE_CUBIC };

static int32_t word(const lmn_opnode *n, const char *name, const char *def, const char *const *all)
{
    const char *s = lmn_attr_s(n, name, def);
    for (int32_t i = 0; i < 3; i++)
        if (strcmp(s, all[i]) == 0) return i;
    return -1;
}

static bool read_words(const lmn_opnode *n, int32_t *mode, int32_t *pad)
{
    static const char *const MODES[] = {"nearest", "linear", "cubic"};
    static const char *const PADS[] = {"zeros", "border", "reflection"};
    *mode = word(n, "mode", "linear", MODES);
    *pad = word(n, "padding_mode", "zeros", PADS);
    return *mode >= 0 && *pad >= 0;
}

static lamina_status infer_gridsample(lmn_infer *ic)
{
    int32_t mode, pad;
    if (!read_words(ic->node, &mode, &pad))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL,
                              "attribute \"mode\" or \"padding_mode\" holds an unknown word");
    LMN_TRY(lmn_infer_rank_in(ic, 0, 3, LMN_MAX_RANK));
    LMN_TRY(lmn_infer_rank_in(ic, 1, 3, LMN_MAX_RANK));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0), *g = lmn_infer_shape_of(ic, 1);
    if (!x && !g) return LAMINA_OK;
    const int32_t rank = x ? x->rank : g->rank;
    if (x && g && x->rank != g->rank)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "the grid has rank %d, the data have %d",
                              g->rank, x->rank);
    lmn_dim n = x ? x->dims[0] : g->dims[0];
    if (g)
        LMN_TRY(lmn_infer_equal(ic, g->dims[rank - 1], lmn_dim_c(rank - 2),
                                "the last extent of the grid and the spatial rank", NULL));
    if (x && g) LMN_TRY(lmn_infer_equal(ic, x->dims[0], g->dims[0], "batch extents", &n));
    lmn_fact *y = lmn_infer_ranked(ic, 0, rank);
    if (!y) return LAMINA_OK;
    y->dims[0] = n;
    y->dims[1] = x ? x->dims[1] : LMN_DIM_UNKNOWN;
    for (int32_t a = 2; a < rank; a++) y->dims[a] = g ? g->dims[a - 1] : LMN_DIM_UNKNOWN;
    return LAMINA_OK;
}

typedef struct job {
    int32_t rank, mode, pad; /* rank: spatial */
    bool align, narrow;      /* narrow: coordinates are rounded to f32 */
    int64_t in[R], n_in, n_out, channels, parts;
    const double *grid;
    const double *x; /* interpolation: [N, C, in..., parts] */
    double *y;
    int64_t *from; /* nearest: source position in the plane or -1, [N, n_out] */
} job;

/* Taps of one axis: positions (-1 = zero) and weights. */
typedef struct taps {
    int32_t n;
    int64_t at[TAPS];
    double w[TAPS];
} taps;

static double reflect(double v, double lo, double hi)
{
    const double range = hi - lo;
    if (v >= lo && v <= hi) return v;
    if (range <= 0.0) return lo;
    const double d = v < lo ? lo - v : v - hi, n = floor(d / range), r = d - n * range;
    const bool even = fmod(n, 2.0) == 0.0;
    return (v < lo) == even ? lo + r : hi - r;
}

static int64_t pixel(const job *j, int32_t a, double i, double lo, double hi)
{
    const double last = (double)(j->in[a] - 1);
    if (j->pad == PAD_ZEROS) return i >= 0.0 && i <= last ? (int64_t)i : -1;
    if (j->pad == PAD_REFLECTION) i = trunc(reflect(i, lo, hi));
    return (int64_t)(i < 0.0 ? 0.0 : i > last ? last : i);
}

static void cubic_weights(double t, double *w)
{
    const double a = -0.75, u = 1.0 - t;
    w[0] = ((a * (t + 1.0) - 5.0 * a) * (t + 1.0) + 8.0 * a) * (t + 1.0) - 4.0 * a;
    w[1] = ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0;
    w[2] = ((a + 2.0) * u - (a + 3.0)) * u * u + 1.0;
    w[3] = ((a * (u + 1.0) - 5.0 * a) * (u + 1.0) + 8.0 * a) * (u + 1.0) - 4.0 * a;
}

/* Normalised coordinate v of axis a to taps. */
static void axis_taps(const job *j, int32_t a, double v, taps *t)
{
    const double n = (double)j->in[a];
    const double lo = j->align ? 0.0 : -0.5, hi = j->align ? n - 1.0 : n - 0.5;
    if (isnan(v)) v = -1.0;
    double x = j->align ? (v + 1.0) / 2.0 * (n - 1.0) : ((v + 1.0) * n - 1.0) / 2.0;
    if (j->narrow) x = (double)(float)x;
    if (j->mode == MODE_NEAREST) x = rint(x);
    x = x < -1e9 ? -1e9 : x > 1e9 ? 1e9 : x;
    /* The border is applied tap by tap: a cubic point just outside still sees two inner pixels, as
       PyTorch and onnxruntime have it. */
    if (j->pad == PAD_REFLECTION) x = reflect(x, lo, hi);
    if (j->mode == MODE_NEAREST) {
        *t = (taps){.n = 1, .at = {pixel(j, a, trunc(x), lo, hi)}, .w = {1.0}};
        return;
    }
    const double base = floor(x);
    t->n = j->mode == MODE_CUBIC ? 4 : 2;
    const double first = j->mode == MODE_CUBIC ? base - 1.0 : base;
    if (j->mode == MODE_CUBIC) {
        cubic_weights(x - base, t->w);
    } else {
        t->w[0] = 1.0 - (x - base);
        t->w[1] = x - base;
    }
    for (int32_t k = 0; k < t->n; k++) t->at[k] = pixel(j, a, first + k, lo, hi);
}

/* Add the weighted taps of all axes for one output of every channel. */
static void blend(const job *j, const taps *t, const double *x, double *y)
{
    int32_t k[R] = {0};
    for (;;) {
        int64_t at = 0;
        double w = 1.0;
        bool inside = true;
        for (int32_t a = 0; a < j->rank; a++) {
            inside = inside && t[a].at[k[a]] >= 0;
            at = at * j->in[a] + t[a].at[k[a]];
            w *= t[a].w[k[a]];
        }
        for (int64_t c = 0; inside && c < j->channels; c++)
            for (int64_t p = 0; p < j->parts; p++)
                y[c * j->n_out * j->parts + p] += w * x[(c * j->n_in + at) * j->parts + p];
        int32_t a = j->rank - 1;
        while (a >= 0 && ++k[a] == t[a].n) k[a--] = 0;
        if (a < 0) return;
    }
}

/* One output position of one image: chunk = image * n_out + position. */
static void sample_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const job *j = arg;
    const int64_t image = chunk / j->n_out, o = chunk % j->n_out;
    const double *g = j->grid + chunk * j->rank;
    taps t[R];
    for (int32_t a = 0; a < j->rank; a++) axis_taps(j, a, g[j->rank - 1 - a], &t[a]);
    if (j->mode == MODE_NEAREST) {
        int64_t at = 0;
        for (int32_t a = 0; a < j->rank; a++)
            at = at < 0 || t[a].at[0] < 0 ? -1 : at * j->in[a] + t[a].at[0];
        j->from[chunk] = at;
        return;
    }
    double *y = j->y + (image * j->channels * j->n_out + o) * j->parts;
    for (int64_t c = 0; c < j->channels * j->parts; c++)
        y[c / j->parts * j->n_out * j->parts + c % j->parts] = 0.0;
    blend(j, t, j->x + image * j->channels * j->n_in * j->parts, y);
}

/* The taps of a position that lie inside, as places and weights. */
enum { SPOTS = 64, SPOT_TAPS = 16 };
typedef struct spot {
    int64_t n, at[SPOT_TAPS];
    double w[SPOT_TAPS];
} spot;

/* In the order of blend(); all axes have at most SPOT_TAPS taps together. */
static void list_taps(const job *j, const taps *t, spot *s)
{
    int32_t k[R] = {0};
    s->n = 0;
    for (;;) {
        int64_t at = 0;
        double w = 1.0;
        bool inside = true;
        for (int32_t a = 0; a < j->rank; a++) {
            inside = inside && t[a].at[k[a]] >= 0;
            at = at * j->in[a] + t[a].at[k[a]];
            w *= t[a].w[k[a]];
        }
        if (inside) s->at[s->n] = at, s->w[s->n++] = w;
        int32_t a = j->rank - 1;
        while (a >= 0 && ++k[a] == t[a].n) k[a--] = 0;
        if (a < 0) return;
    }
}

/* n <= SPOTS positions of one image from `first` on: their taps once, then channel by channel. */
static void sample_spots(const job *j, int64_t first, int64_t n)
{
    const int64_t image = first / j->n_out, o = first % j->n_out;
    spot spots[SPOTS];
    for (int64_t i = 0; i < n; i++) {
        taps t[R];
        const double *g = j->grid + (first + i) * j->rank;
        for (int32_t a = 0; a < j->rank; a++) axis_taps(j, a, g[j->rank - 1 - a], &t[a]);
        list_taps(j, t, &spots[i]);
    }
    for (int64_t c = image * j->channels; c < (image + 1) * j->channels; c++) {
        const double *x = j->x + c * j->n_in;
        double *y = j->y + c * j->n_out + o;
        for (int64_t i = 0; i < n; i++) {
            const spot *s = &spots[i];
            double sum = 0.0;
            for (int64_t k = 0; k < s->n; k++) sum += s->w[k] * x[s->at[k]];
            y[i] = sum;
        }
    }
}

/* Images * n_out may be large and each position small: one chunk a row of positions. */
typedef struct rows {
    const job *j;
    int64_t n, per;
    bool spots; /* by sample_spots */
} rows;

static void rows_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const rows *r = arg;
    const int64_t end = lmn_min_i64(r->n, (chunk + 1) * r->per);
    for (int64_t i = chunk * r->per, n; r->spots && i < end; i += n) {
        n = lmn_min_i64(lmn_min_i64(SPOTS, end - i), r->j->n_out - i % r->j->n_out);
        sample_spots(r->j, i, n);
    }
    for (int64_t i = chunk * r->per; !r->spots && i < end; i++)
        sample_chunk((void *)(uintptr_t)r->j, i, worker);
}

static lamina_status move_nearest(lmn_eval *ec, const job *j, int64_t images, lamina_tensor *y)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    const size_t bytes = lmn_dtype_bytes(x->dtype);
    const int64_t planes = images * j->channels;
    for (int64_t p = 0; p < planes; p++) {
        const int64_t *from = j->from + p / j->channels * j->n_out;
        for (int64_t o = 0; o < j->n_out; o++) {
            const int64_t to = p * j->n_out + o, at = p * j->n_in + from[o];
            if (x->dtype == LAMINA_STRING) {
                const lmn_str *s = from[o] < 0 ? NULL : (const lmn_str *)x->data + at;
                if (s && s->p && lamina_tensor_set_string(y, to, s->p, s->n) != LAMINA_OK)
                    return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for a string");
            } else if (from[o] < 0) {
                memset((uint8_t *)y->data + (size_t)to * bytes, 0, bytes);
            } else {
                memcpy((uint8_t *)y->data + (size_t)to * bytes,
                       (const uint8_t *)x->data + (size_t)at * bytes, bytes);
            }
        }
    }
    return LAMINA_OK;
}

static lamina_status setup(lmn_eval *ec, job *j, int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, 0), *g = lmn_in(ec, 1);
    if (!read_words(ec->node, &j->mode, &j->pad))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "unknown mode");
    if (x->rank < 3 || g->rank != x->rank || g->dims[0] != x->dims[0] ||
        g->dims[g->rank - 1] != x->rank - 2)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the grid does not fit data of rank %d", x->rank);
    j->rank = x->rank - 2;
    j->align = lmn_attr_i(ec->node, "align_corners", 0) != 0;
    j->narrow = g->dtype != LAMINA_F64;
    j->channels = x->dims[1];
    j->parts = lmn_dtype_class(x->dtype) == LMN_CLASS_COMPLEX ? 2 : 1;
    j->n_in = j->n_out = 1;
    dims[0] = x->dims[0];
    dims[1] = x->dims[1];
    for (int32_t a = 0; a < j->rank; a++) {
        j->in[a] = x->dims[2 + a];
        dims[2 + a] = g->dims[1 + a];
        j->n_in *= j->in[a];
        j->n_out *= dims[2 + a];
    }
    return LAMINA_OK;
}

static lamina_status run_blend(lmn_eval *ec, job *j, const rows *r, lamina_tensor *y)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (x->dtype == LAMINA_STRING)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "strings can only be sampled by nearest");
    const lamina_dtype part = j->parts == 1            ? x->dtype
                              : x->dtype == LAMINA_C64 ? LAMINA_F32
                                                       : LAMINA_F64;
    const int64_t n_x = lmn_count(x) * j->parts, n_y = lmn_count(y) * j->parts;
    double *wide = lmn_wide_scratch(ec, n_x, sizeof *wide);
    j->y = lmn_wide_scratch(ec, n_y, sizeof *j->y);
    if (!wide || !j->y) return LAMINA_E_NOMEM;
    lmn_convert(LAMINA_F64, wide, part, x->data, n_x, true);
    j->x = wide;
    lmn_par_for(ec->par, (r->n + r->per - 1) / r->per, rows_chunk, (void *)(uintptr_t)r);
    lmn_convert(part, y->data, LAMINA_F64, j->y, n_y, true);
    return LAMINA_OK;
}

static lamina_status eval_gridsample(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *g = lmn_in(ec, 1);
    job j = {0};
    int64_t dims[LMN_MAX_RANK];
    LMN_TRY(setup(ec, &j, dims));
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    if (j.n_in == 0) return lmn_eval_fail(ec, LAMINA_E_SHAPE, "an empty input cannot be sampled");
    LMN_TRY(lmn_wide_in(ec, g, &j.grid));
    rows r = {&j, x->dims[0] * j.n_out, 256, j.mode != MODE_NEAREST && j.parts == 1};
    int64_t most = 1;
    for (int32_t a = 0; a < j.rank; a++) most *= j.mode == MODE_CUBIC ? 4 : 2;
    r.spots = r.spots && most <= SPOT_TAPS;
    if (j.mode != MODE_NEAREST) return run_blend(ec, &j, &r, y);
    j.from = lmn_wide_scratch(ec, r.n, sizeof *j.from);
    if (!j.from) return LAMINA_E_NOMEM;
    lmn_par_for(ec->par, (r.n + r.per - 1) / r.per, rows_chunk, (void *)(uintptr_t)&r);
    return move_nearest(ec, &j, x->dims[0], y);
}

static lamina_status canon_gridsample(lmn_canon *c)
{
    const char *mode = lmn_attr_s(c->node, "mode", "bilinear");
    if (c->opset >= 20) return LAMINA_OK;
    const char *now = strcmp(mode, "bilinear") == 0  ? "linear"
                      : strcmp(mode, "bicubic") == 0 ? "cubic"
                                                     : mode;
    return lmn_canon_set_s(c, "mode", now) ? LAMINA_OK : LAMINA_E_NOMEM;
}

static void cost_gridsample(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                            lmn_cost *c)
{
    (void)n;
    (void)in;
    for (int32_t a = 2; a < out[0].rank; a++) c->flops *= 3.0;
}

#define T_ALL (LMN_D_NUM | LMN_D_BOOL | LMN_D_STRING | LMN_D_COMPLEX)
static const lmn_port IN[] = {{"X", 'T', 0, T_ALL}, {"grid", 0, 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, T_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"align_corners", LMN_ATTR_INT, 0},
                                        {"mode", LMN_ATTR_STRING, 0},
                                        {"padding_mode", LMN_ATTR_STRING, 0},
                                        {0}};

const lmn_op_def lmn_op_GridSample = {
    .name = "GridSample",
    .domain = "",
    .since = 16,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_gridsample,
    .eval = eval_gridsample,
    .canon = canon_gridsample,
    .cost = cost_gridsample,
};
