/*
 * Attention over a cache (attn.h).
 */
#include "ops/attn.h"
#include "ops/f64io.h"
#include "ops/rope.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

lmn_attn_rows lmn_attn_flat(const lamina_tensor *t, int64_t first, int64_t heads, int64_t size)
{
    return (lmn_attn_rows){.t = t,
                           .heads = heads,
                           .len = t->dims[1],
                           .size = size,
                           .off = first,
                           .sb = t->dims[1] * t->dims[2],
                           .sh = size,
                           .si = t->dims[2]};
}

lmn_attn_rows lmn_attn_bnsh(const lamina_tensor *t)
{
    return (lmn_attn_rows){.t = t,
                           .heads = t->dims[1],
                           .len = t->dims[2],
                           .size = t->dims[3],
                           .sb = t->dims[1] * t->dims[2] * t->dims[3],
                           .sh = t->dims[2] * t->dims[3],
                           .si = t->dims[3]};
}

lmn_attn_rows lmn_attn_parts(const lamina_tensor *t, int64_t which)
{
    const int64_t row = t->dims[2] * t->dims[3] * t->dims[4];
    return (lmn_attn_rows){.t = t,
                           .heads = t->dims[2],
                           .len = t->dims[1],
                           .size = t->dims[4],
                           .off = which * t->dims[4],
                           .sb = t->dims[1] * row,
                           .sh = t->dims[3] * t->dims[4],
                           .si = row};
}

/* ---- placing ------------------------------------------------------------------------------------
 */

static void normalise(double *v, int64_t n, const double *weight, double eps)
{
    double sum = 0.0;
    for (int64_t j = 0; j < n; j++) sum += v[j] * v[j];
    const double inv = 1.0 / sqrt(sum / (double)n + eps);
    for (int64_t j = 0; j < n; j++) v[j] *= inv * weight[j];
}

/* One row through bias, norm and rotation; tmp holds three rows behind it. */
static void prepare(const lmn_attn_rows *r, const lmn_attn_prep *p, int64_t h, int64_t position,
                    double *v)
{
    double *a = v + r->size, *c = a + r->size;
    if (p->bias) {
        lmn_f64_load(p->bias, p->bias_at + h * r->size, r->size, a);
        for (int64_t j = 0; j < r->size; j++) v[j] += a[j];
    }
    if (p->norm) {
        lmn_f64_load(p->norm, 0, r->size, a);
        normalise(v, r->size, a, p->norm_eps);
    }
    if (p->cos) {
        const int64_t half = p->cos->dims[1];
        lmn_f64_load(p->cos, position * half, half, a);
        lmn_f64_load(p->sin, position * half, half, c);
        lmn_rope_turn(v, 2 * half, p->interleaved, a, c);
    }
}

lamina_status lmn_attn_extents(lmn_eval *ec, const lmn_attn *a)
{
    const int64_t extent[] = {a->batch, a->heads, a->queries, a->capacity, a->d, a->dv};
    const int64_t scores[4] = {a->batch, a->heads, a->queries, a->capacity};
    const int64_t rows[4] = {a->batch, a->heads, a->capacity + a->queries, a->d + a->dv};
    int64_t n;
    bool ok = true;
    for (size_t i = 0; i < LMN_COUNT(extent); i++) ok = ok && extent[i] <= INT32_MAX;
    if (ok && lmn_dims_count(4, scores, &n) && lmn_dims_count(4, rows, &n)) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_LIMIT, "the extents of the attention are too large");
}

lamina_status lmn_attn_place(lmn_eval *ec, const lmn_attn_rows *r, const lmn_attn_prep *p,
                             int64_t batch, const int64_t *first, int64_t capacity, void *dst)
{
    const lamina_dtype dt = r->t->dtype;
    const size_t es = lmn_dtype_bytes(dt);
    const bool changes = p && (p->bias || p->norm || p->cos);
    double *v;
    if (r->len == 0 || r->size == 0) return LAMINA_OK;
    LMN_TRY(lmn_f64_alloc(ec, 3 * r->size, &v));
    for (int64_t bh = 0; bh < batch * r->heads; bh++) {
        const int64_t b = bh / r->heads, h = bh % r->heads;
        uint8_t *to = (uint8_t *)dst + (size_t)((bh * capacity + first[b]) * r->size) * es;
        for (int64_t i = 0; i < r->len; i++, to += (size_t)r->size * es) {
            const int64_t at = r->off + b * r->sb + h * r->sh + i * r->si;
            if (!changes) {
                memcpy(to, (const uint8_t *)r->t->data + (size_t)at * es, (size_t)r->size * es);
                continue;
            }
            lmn_f64_load(r->t, at, r->size, v);
            prepare(r, p, h, p->cos ? p->positions[b * r->len + i] : 0, v);
            lmn_convert(dt, to, LAMINA_F64, v, r->size, false);
        }
    }
    return LAMINA_OK;
}

/* ---- running ------------------------------------------------------------------------------------
 */

static double dot(const double *x, const double *y, int64_t n)
{
    double s[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) s[k] += x[i + k] * y[i + k];
    for (; i < n; i++) s[0] += x[i] * y[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static void softmax(double *s, int64_t n, const double *sink)
{
    double top = sink ? *sink : -INFINITY, sum = 0.0;
    for (int64_t j = 0; j < n; j++) top = s[j] > top ? s[j] : top;
    for (int64_t j = 0; j < n; j++) sum += s[j] = exp(s[j] - top);
    if (sink) sum += exp(*sink - top);
    for (int64_t j = 0; j < n; j++) s[j] /= sum;
}

/* The whole line of qk, keys that are not seen included. */
static void store_scores(const lmn_attn *a, int64_t line, int64_t lo, int64_t hi, const double *s)
{
    const double none = a->qk_after ? 0.0 : a->qk_unseen;
    for (int64_t j = 0; j < a->qk_keys; j++)
        lmn_f64_store(a->qk, line * a->qk_keys + j, 1, j < lo || j >= hi ? &none : &s[j]);
}

typedef struct work {
    double *k, *v, *s, *bias, *q, *y;
} work;

static work carve(const lmn_attn *a, int32_t worker)
{
    work w = {.k = a->area + worker * a->area_n};
    w.v = w.k + a->capacity * a->d;
    w.s = w.v + a->capacity * a->dv;
    w.bias = w.s + a->capacity;
    w.q = w.bias + a->capacity;
    w.y = w.q + a->d;
    return w;
}

static void run_row(const lmn_attn *a, const work *w, int64_t b, int64_t h, int64_t i)
{
    const int64_t line = (b * a->heads + h) * a->queries + i;
    const size_t es = lmn_dtype_bytes(a->dt);
    int64_t lo = 0, hi = a->capacity;
    memset(w->bias, 0, (size_t)a->capacity * sizeof *w->bias);
    a->row(a, b, h, i, &lo, &hi, w->bias);
    lmn_convert(LAMINA_F64, w->q, a->dt, (const uint8_t *)a->q + (size_t)(line * a->d) * es, a->d,
                false);
    for (int64_t j = lo; j < hi; j++) {
        double s = a->scale * dot(w->q, w->k + j * a->d, a->d);
        if (a->softcap > 0.0) s = a->softcap * tanh(s / a->softcap);
        w->s[j] = s + w->bias[j];
    }
    if (a->qk && !a->qk_after) store_scores(a, line, lo, hi, w->s);
    softmax(w->s + lo, hi - lo, a->sink ? &a->sink[h] : NULL);
    if (a->qk && a->qk_after) store_scores(a, line, lo, hi, w->s);
    if (!a->y) return;
    for (int64_t e = 0; e < a->dv; e++) w->y[e] = 0.0;
    for (int64_t j = lo; j < hi; j++)
        for (int64_t e = 0; e < a->dv; e++) w->y[e] += w->s[j] * w->v[j * a->dv + e];
    lmn_f64_store(a->y, ((b * a->queries + i) * a->heads + h) * a->dv, a->dv, w->y);
}

static void run_group(void *arg, int64_t chunk, int32_t worker)
{
    const lmn_attn *a = arg;
    const int64_t b = chunk / a->kv_heads, group = a->heads / a->kv_heads;
    const int64_t first = chunk % a->kv_heads * group, rows = a->capacity;
    const size_t es = lmn_dtype_bytes(a->dt);
    const work w = carve(a, worker);
    lmn_convert(LAMINA_F64, w.k, a->dt, (const uint8_t *)a->k + (size_t)(chunk * rows * a->d) * es,
                rows * a->d, false);
    lmn_convert(LAMINA_F64, w.v, a->dt, (const uint8_t *)a->v + (size_t)(chunk * rows * a->dv) * es,
                rows * a->dv, false);
    for (int64_t h = first; h < first + group; h++)
        for (int64_t i = 0; i < a->queries; i++) run_row(a, &w, b, h, i);
}

lamina_status lmn_attn_run(lmn_eval *ec, lmn_attn *a, const void *dev)
{
    (void)dev;
    if ((!a->y || lmn_count(a->y) == 0) && (!a->qk || lmn_count(a->qk) == 0)) return LAMINA_OK;
    a->area_n = a->capacity * (a->d + a->dv + 2) + a->d + a->dv;
    LMN_TRY(lmn_f64_alloc(ec, a->area_n * lmn_par_width(ec->par), &a->area));
    lmn_par_for(ec->par, a->batch * a->kv_heads, run_group, a);
    return LAMINA_OK;
}

void lmn_attn_add_bias(const lamina_tensor *t, int64_t b, int64_t h, int64_t i, int64_t lo,
                       int64_t hi, double *bias)
{
    const int64_t keys = t->dims[3], eb = t->dims[0] == 1 ? 0 : b, eh = t->dims[1] == 1 ? 0 : h;
    const int64_t line = ((eb * t->dims[1] + eh) * t->dims[2] + i) * keys;
    for (int64_t j = lo; j < hi; j++) bias[j - lo] += lmn_get_f64(t, line + j);
}

bool lmn_attn_bias_fits(const lamina_tensor *t, int64_t batch, int64_t heads, int64_t queries,
                        int64_t keys)
{
    if (!t) return true;
    return t->rank == 4 && (t->dims[0] == 1 || t->dims[0] == batch) &&
           (t->dims[1] == 1 || t->dims[1] == heads) && t->dims[2] == queries && t->dims[3] >= keys;
}

lamina_status lmn_attn_scratch(lmn_eval *ec, lamina_dtype dt, int64_t n, void **out)
{
    *out = lmn_wide_scratch(ec, n > 0 ? n : 1, lmn_dtype_bytes(dt));
    if (!*out) return LAMINA_E_NOMEM;
    memset(*out, 0, (size_t)(n > 0 ? n : 1) * lmn_dtype_bytes(dt));
    return LAMINA_OK;
}

lmn_dim lmn_attn_dim(const lmn_infer *ic, int32_t i, int32_t d)
{
    const lmn_fact *f = lmn_infer_shape_of(ic, i);
    return f && d < f->rank ? f->dims[d] : LMN_DIM_UNKNOWN;
}

void lmn_attn_set4(lmn_infer *ic, int32_t o, lmn_dim a, lmn_dim b, lmn_dim c, lmn_dim d)
{
    lmn_fact *f = lmn_infer_ranked(ic, o, 4);
    if (f) f->dims[0] = a, f->dims[1] = b, f->dims[2] = c, f->dims[3] = d;
}

void lmn_attn_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, lmn_cost *c)
{
    (void)in;
    if (n->n_out < 2 || out[1].rank != 4 || !lmn_dim_is_const(out[1].dims[2])) return;
    c->flops *= 4.0 * (double)lmn_dim_value(out[1].dims[2]);
}
