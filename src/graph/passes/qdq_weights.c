/*
 * Constant weights as int8 and biases as int32 (qdq.h). Widening and shifting are exact. A bias
 * becomes a whole number of x_scale * w_scale, at most half of that away; it is refused where this
 * is more than half a step of the result, or where sums could leave 32 bits.
 */
#include "graph/passes/qdq.h"

#include <math.h>
#include <string.h>

/* ---- weights -----------------------------------------------------------------------------------
 */

/* The weights in t (int8), transposed if `swap`. */
static void widen(const lamina_tensor *from, int64_t shift, bool swap, lamina_tensor *t)
{
    int8_t *out = t->data;
    const int64_t n = lmn_count(from), rows = swap ? from->dims[0] : 1, cols = rows ? n / rows : 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t at = swap ? i % cols * rows + i / cols : i;
        out[at] = (int8_t)(lmn_get_i64(from, i) - shift);
    }
}

static lamina_status widened(lmn_match *m, const lamina_tensor *from, bool swap, lmn_qweights *w,
                             bool *ok)
{
    lamina_tensor *t;
    int64_t dims[LMN_MAX_RANK];
    memcpy(dims, from->dims, sizeof dims);
    if (swap) dims[0] = from->dims[1], dims[1] = from->dims[0];
    if (!lmn_qdq_afford(m, (size_t)lmn_count(from))) return *ok = false, LAMINA_OK;
    LMN_TRY(lamina_tensor_create(m->g->engine, LAMINA_I8, from->rank, dims, &t));
    widen(from, w->shift, swap, t);
    w->t = t;
    w->w = lmn_qdq_constant(m, t);
    return w->w ? LAMINA_OK : LAMINA_E_NOMEM;
}

/* One zero point for all where they agree, else one a channel. */
static lamina_status zero_points(lmn_match *m, const lmn_qside *s, lmn_qweights *w)
{
    const int64_t n = s->zp ? lmn_count(s->zp) : 1;
    bool same = true;
    for (int64_t i = 1; i < n; i++) same = same && lmn_qside_zp(s, i) == lmn_qside_zp(s, 0);
    if (same) {
        w->zp = lmn_qdq_scalar(m, LAMINA_I8, lmn_qside_zp(s, 0) - w->shift);
        return w->zp ? LAMINA_OK : LAMINA_E_NOMEM;
    }
    lamina_tensor *t;
    LMN_TRY(lamina_tensor_create(m->g->engine, LAMINA_I8, 1, &n, &t));
    for (int64_t i = 0; i < n; i++) lmn_set_i64(t, i, lmn_qside_zp(s, i) - w->shift);
    w->zp = lmn_qdq_constant(m, t);
    return w->zp ? LAMINA_OK : LAMINA_E_NOMEM;
}

lamina_status lmn_qweights_make(lmn_match *m, const lmn_qside *s, int32_t channel, bool swap,
                                lmn_qweights *out, bool *ok)
{
    static const lmn_dset types = LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U8) | LMN_DBIT(LAMINA_I4) |
                                  LMN_DBIT(LAMINA_U4) | LMN_DBIT(LAMINA_I2) | LMN_DBIT(LAMINA_U2);
    const lamina_tensor *from = lmn_match_const(m, s->data);
    *out = (lmn_qweights){.w = s->data, .scale = s->scale_v, .side = s, .t = from};
    *ok = from && (types & LMN_DBIT(from->dtype)) && s->block == 0 &&
          (s->axis < 0 || s->axis == channel) && (!swap || from->rank == 2);
    if (!*ok) return LAMINA_OK;
    out->shift = from->dtype == LAMINA_U8 ? 128 : 0;
    if (swap || from->dtype != LAMINA_I8) LMN_TRY(widened(m, from, swap, out, ok));
    return *ok ? zero_points(m, s, out) : LAMINA_OK;
}

/* ---- biases ------------------------------------------------------------------------------------
 */

typedef struct bias_source {
    const lamina_tensor *t;
    lmn_qside side; /* scale NULL: t is f32 */
} bias_source;

static bool find_source(const lmn_match *m, const lmn_qbias *b, bias_source *s)
{
    *s = (bias_source){.t = lmn_match_const(m, b->bias)};
    const bool quantised = !s->t && lmn_qside_from(m, b->bias, &s->side);
    if (quantised) s->t = lmn_match_const(m, s->side.data);
    return s->t && (quantised || s->t->dtype == LAMINA_F32) && s->t->rank >= 1 &&
           lmn_count(s->t) == b->n && s->t->dims[s->t->rank - 1] == b->n && s->side.block == 0 &&
           (!quantised || s->side.n == 1 || s->side.n == b->n);
}

static double source_at(const bias_source *s, int64_t i)
{
    if (!s->side.scale) return lmn_get_f64(s->t, i);
    return (double)(lmn_get_i64(s->t, i) - lmn_qside_zp(&s->side, i)) *
           lmn_qside_scale(&s->side, i);
}

/* Is element i in units of `unit` already? Then it stays, to the last bit. */
static bool source_in(const bias_source *s, int64_t i, double unit)
{
    return s->side.scale && lmn_qside_zp(&s->side, i) == 0 &&
           fabs(lmn_qside_scale(&s->side, i) - unit) <= 1e-6 * unit;
}

/* The largest sum that channel i can reach without its bias. */
static int64_t sum_bound(const lmn_qbias *b, int64_t i)
{
    const int8_t *w = b->w->t->data;
    const int64_t zp = lmn_qside_zp(b->w->side, i) - b->w->shift;
    const int64_t step = b->columns ? b->n : 1;
    int64_t sum = 0;
    w += b->columns ? i : i * b->k;
    for (int64_t k = 0; k < b->k; k++) {
        const int64_t v = w[k * step] - zp;
        sum += v < 0 ? -v : v;
    }
    return sum * 255;
}

/* Element i in whole units; false: not without an error that can be seen. */
static bool quantise_at(const lmn_qbias *b, const bias_source *s, int64_t i, int32_t *out)
{
    const double unit = lmn_qside_scale(b->x, 0) * lmn_qside_scale(b->w->side, i);
    const double step = b->to ? lmn_qside_scale(b->to, 0) : unit;
    const bool exact = source_in(s, i, unit);
    const double v = exact ? (double)lmn_get_i64(s->t, i) : rint(source_at(s, i) / unit);
    if (isnan(v) || (!exact && v != 0 && unit > step)) return false;
    double room = (double)(INT32_MAX - (int64_t)LMN_QDQ_MAX_K * 255 * 255);
    if (fabs(v) > room) room = (double)(INT32_MAX - sum_bound(b, i));
    if (fabs(v) > room) {
        /* Far beyond the range of the result nothing is lost at the end of ours. */
        if (!b->to || room / 2 * unit < 512 * step) return false;
        *out = (int32_t)(v < 0 ? -room : room);
        return true;
    }
    *out = (int32_t)v;
    return true;
}

lamina_status lmn_qbias_make(lmn_match *m, const lmn_qbias *b, lmn_vid *out)
{
    bias_source s;
    lamina_tensor *t;
    *out = 0;
    if (!find_source(m, b, &s)) return LAMINA_OK;
    LMN_TRY(lamina_tensor_create(m->g->engine, LAMINA_I32, 1, &b->n, &t));
    bool ok = true;
    for (int64_t i = 0; ok && i < b->n; i++) ok = quantise_at(b, &s, i, (int32_t *)t->data + i);
    if (ok) {
        *out = lmn_graph_constant(m->g, m->g->values[b->bias].name, t);
        if (!*out) ok = false;
    }
    lamina_tensor_unref(t);
    return ok || !*out ? LAMINA_OK : LAMINA_E_NOMEM;
}
