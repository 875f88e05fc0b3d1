/*
 * FusedAttention, and Attention of ai.onnx, on the attention driver. Keys, values and the
 * result are read and written where their heads lie; the masks of a block of scores are applied
 * while it is in L1. What Attention hides by position (causal, window, padding) is skipped; a mask
 * hides by adding -inf, so that a NaN stays one.
 */
#include "devices/cpu/cpu_attend.h"
#include "devices/cpu/cpu_half.h"
#include "kernels/elementwise/elementwise.h"
#include "ops/fusedattn.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

typedef struct attn_job {
    lmn_fattn f;
    const lmn_cpu_dev *dev;
    lmn_attention_shape shape;
    lmn_attention_args args;
    /* Attention: */
    float cap;
    int64_t masked; /* keys that the mask speaks of; the others are hidden */
    bool causal;
    int64_t left, right; /* window, -1 = open */
    int64_t past;
    const lamina_tensor *nonpad;
} attn_job;

/* Row i of a mask from key `key` on. */
static const float *bias_row(const lmn_fattn_view *v, const lmn_attention_scores *s, int64_t i)
{
    return (const float *)v->data + s->b * v->step[0] + s->h * v->step[1] +
           (s->i0 + i) * v->step[2] + s->key * v->step[3];
}

static const uint8_t *keep_row(const lmn_fattn_view *v, const lmn_attention_scores *s, int64_t i)
{
    return (const uint8_t *)v->data + s->b * v->step[0] + s->h * v->step[1] +
           (s->i0 + i) * v->step[2] + s->key * v->step[3];
}

static void add_bias(const lmn_cpu_dev *dev, const float *bias, int64_t step, float *s, int64_t n)
{
    const lmn_binary_block add = {.kind = LMN_BIN_ADD, .a = s, .b = bias, .y = s, .n = n};
    if (step == 1)
        dev->kset.elementwise_f32->binary(&add);
    else
        for (int64_t j = 0; j < n; j++) s[j] += bias[j * step];
}

static void edit_fused(const void *ctx, const lmn_attention_scores *s)
{
    const attn_job *job = ctx;
    const lmn_fattn *f = &job->f;
    for (int64_t i = 0; i < s->m; i++) {
        float *r = s->s + i * s->ld;
        lmn_fattn_round(f, r, s->n);
        if (f->keep.data) {
            const uint8_t *keep = keep_row(&f->keep, s, i);
            const int64_t step = f->keep.step[3];
            for (int64_t j = 0; j < s->n; j++)
                r[j] = (keep[j * step] != 0) == f->keep_if ? r[j] : f->fill;
        }
        if (!f->bias.data) continue;
        add_bias(job->dev, bias_row(&f->bias, s, i), f->bias.step[3], r, s->n);
        lmn_fattn_round(f, r, s->n);
    }
}

/* Can the products read v? The leading dimension, and whether rows and columns change places. An
   axis of one element may be given any step. */
static bool lies(const lmn_fattn_view *v, int64_t rows, bool *turned, int64_t *ld)
{
    const int64_t cols = v->dims[3], r = v->step[2], c = v->step[3];
    if (v->dims[2] != rows) return false; /* a repeated row */
    *turned = false;
    if (c == 1 || cols == 1) {
        *ld = rows == 1 ? cols : r;
        if (cols == 1 || *ld >= cols) return true;
    }
    *turned = true;
    *ld = cols == 1 ? rows : c;
    return (r == 1 || rows == 1) && *ld >= rows;
}

/* Shape and places out of f, which is complete. */
static bool read_views(attn_job *j)
{
    const lmn_fattn *f = &j->f;
    lmn_attention_shape *s = &j->shape;
    lmn_attention_args *a = &j->args;
    if (f->k_group <= 0 || f->v_group <= 0 || (f->dv != 1 && f->y_step[3] != 1) ||
        !lies(&f->k, f->keys, &s->k_turned, &a->ldk) ||
        !lies(&f->v, f->keys, &s->v_turned, &a->ldv))
        return false;
    s->batch = f->batch, s->heads = f->heads;
    s->k_heads = f->heads / f->k_group, s->v_heads = f->heads / f->v_group;
    s->queries = f->queries, s->keys = f->keys, s->d = f->d, s->dv = f->dv;
    a->q = f->q.data, a->k = f->k.data, a->v = f->v.data, a->y = f->y;
    for (int32_t i = 0; i < 4; i++) a->q_step[i] = f->q.step[i];
    for (int32_t i = 0; i < 3; i++) a->y_step[i] = f->y_step[i];
    for (int32_t i = 0; i < 2; i++) a->k_step[i] = f->k.step[i], a->v_step[i] = f->v.step[i];
    a->scale = f->scale;
    a->ctx = j;
    return lmn_cpu_attend_fits(s);
}

static lamina_status run_fused(const lamina_kernel *k, lmn_eval *ec)
{
    attn_job j = {.dev = k->dev};
    const lmn_fattn *f = &j.f;
    LMN_TRY(lmn_fattn_read(ec, &j.f));
    if (!f->y) return LAMINA_OK;
    if (!read_views(&j)) return lmn_cpu_reference(ec);
    j.args.zero_empty = j.args.zero_nan = f->zero_blind;
    if (f->keep.data || f->bias.data || f->dt != LAMINA_F32) j.args.edit = edit_fused;
    LMN_TRY(lmn_cpu_attend(ec, k, LAMINA_F32, &j.shape, &j.args));
    lmn_fattn_done(f);
    return LAMINA_OK;
}

/* ---- Attention of ai.onnx ----------------------------------------------------------------------
 */

enum { FAR = INT32_MAX }; /* beyond every position */

static int64_t within(int64_t v)
{
    return lmn_max_i64(-(int64_t)FAR, lmn_min_i64(FAR, v));
}

static void edit_standard(const void *ctx, const lmn_attention_scores *s)
{
    const attn_job *j = ctx;
    const lmn_fattn *f = &j->f;
    const int64_t known = lmn_max_i64(0, lmn_min_i64(s->n, j->masked - s->key));
    if (j->cap > 0.0f) lmn_cpu_attend_cap(j->dev, s, j->cap);
    for (int64_t i = 0; i < s->m; i++) {
        float *r = s->s + i * s->ld;
        if (f->keep.data && known > 0) {
            const uint8_t *keep = keep_row(&f->keep, s, i);
            const int64_t step = f->keep.step[3];
            for (int64_t n = 0; n < known; n++) r[n] += keep[n * step] ? 0.0f : -INFINITY;
        }
        if (f->bias.data && known > 0)
            add_bias(j->dev, bias_row(&f->bias, s, i), f->bias.step[3], r, known);
        for (int64_t n = known; n < s->n; n++) r[n] += -INFINITY;
    }
}

/* The keys that causality, window and padding leave to query i. */
static void span_standard(const void *ctx, int64_t b, int64_t h, int64_t i, int64_t *lo,
                          int64_t *hi)
{
    const attn_job *j = ctx;
    const int64_t keys = j->f.keys, valid = j->nonpad ? within(lmn_get_i64(j->nonpad, b)) : keys,
                  own = i + (j->nonpad ? valid - j->f.queries : j->past);
    (void)h;
    *hi = lmn_min_i64(keys, valid);
    if (j->causal) *hi = lmn_min_i64(*hi, own + 1);
    if (j->right >= 0) *hi = lmn_min_i64(*hi, own + j->right + 1);
    *hi = lmn_max_i64(0, *hi);
    *lo = j->left >= 0 ? lmn_max_i64(0, own - j->left) : 0;
}

static bool is_of(const lamina_tensor *t, lamina_dtype dt)
{
    return t && t->kind == LAMINA_KIND_TENSOR && t->dtype == dt;
}

static bool view_of(const lamina_tensor *t, lamina_dtype dt, int32_t rank, int64_t heads,
                    lmn_fattn_view *v)
{
    if (!is_of(t, dt) || t->rank != rank || lmn_count(t) == 0) return false;
    *v = (lmn_fattn_view){.data = t->data};
    if (rank == 3 && (heads <= 0 || t->dims[2] % heads)) return false;
    const int64_t width = rank == 3 ? t->dims[2] / heads : t->dims[3],
                  len = rank == 3 ? t->dims[1] : t->dims[2];
    v->dims[0] = t->dims[0], v->dims[1] = rank == 3 ? heads : t->dims[1];
    v->dims[2] = len, v->dims[3] = width;
    v->step[0] = len * width * v->dims[1];
    v->step[1] = rank == 3 ? width : len * width;
    v->step[2] = rank == 3 ? width * heads : width;
    v->step[3] = 1;
    return true;
}

/* A mask over the keys, or the first of them, which broadcasts over what comes before. One of 16
   bits is widened by widen_mask. */
static bool mask_of(const lamina_tensor *t, attn_job *j)
{
    lmn_fattn *f = &j->f;
    const int64_t want[4] = {f->batch, f->heads, f->queries, f->keys};
    j->masked = f->keys;
    if (!t) return true;
    if (t->kind != LAMINA_KIND_TENSOR ||
        (t->dtype != LAMINA_F32 && t->dtype != LAMINA_BOOL && !lmn_cpu_is_half(t->dtype)) ||
        t->rank < 1 || t->rank > 4 || t->dims[t->rank - 1] > f->keys)
        return false;
    lmn_fattn_view *v = t->dtype == LAMINA_BOOL ? &f->keep : &f->bias;
    int64_t next = 1;
    for (int32_t i = 3; i >= 4 - t->rank; i--) {
        const int64_t d = t->dims[i - (4 - t->rank)];
        if (i < 3 && d != 1 && d != want[i]) return false;
        v->step[i] = i < 3 && d == 1 ? 0 : next;
        next *= d;
    }
    v->data = t->data;
    j->masked = t->dims[t->rank - 1];
    return true;
}

static lamina_status widen_mask(lmn_eval *ec, const attn_job *j, lmn_fattn_view *v)
{
    const lamina_tensor *t = lmn_in(ec, 3);
    if (!t || !lmn_cpu_is_half(t->dtype)) return LAMINA_OK;
    const int64_t n = lmn_count(t);
    float *wide = lmn_wide_scratch(ec, lmn_max_i64(1, n), sizeof *wide);
    if (!wide) return LAMINA_E_NOMEM;
    lmn_cpu_widen(lmn_cpu_hgemm(j->dev, t->dtype), wide, t->data, n);
    v->data = wide;
    return LAMINA_OK;
}

/* Keys or values of all heads with what is past before them, dense, in output o or in scratch. */
static lamina_status join_past(lmn_eval *ec, lamina_dtype dt, int32_t o, const lamina_tensor *past,
                               int64_t old, lmn_fattn_view *v)
{
    const int64_t elem = (int64_t)lmn_dtype_bytes(dt);
    const int64_t total = old + v->dims[2], width = v->dims[3],
                  dims[4] = {v->dims[0], v->dims[1], total, width};
    lamina_tensor *t = NULL;
    uint8_t *to;
    LMN_TRY(lmn_out(ec, o, dt, 4, dims, &t));
    if (!t && !past) return LAMINA_OK;
    size_t bytes;
    if (!lmn_dense_bytes(dt, dims[0] * dims[1] * total * width, &bytes))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "the extents of the attention are too large");
    to = t ? t->data : lmn_scratch(ec, bytes);
    if (!to) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    const int64_t row = width * elem;
    const uint8_t *from = v->data;
    for (int64_t g = 0; g < dims[0] * dims[1]; g++) {
        uint8_t *head = to + g * total * row;
        const uint8_t *rows = from + (g / dims[1] * v->step[0] + g % dims[1] * v->step[1]) * elem;
        if (old) memcpy(head, (const uint8_t *)past->data + g * old * row, (size_t)(old * row));
        for (int64_t i = 0; i < v->dims[2]; i++)
            memcpy(head + (old + i) * row, rows + i * v->step[2] * elem, (size_t)row);
    }
    *v = (lmn_fattn_view){.data = to,
                          .dims = {dims[0], dims[1], total, width},
                          .step = {dims[1] * total * width, total * width, width, 1}};
    return LAMINA_OK;
}

/* The past of keys or values: as long as told, with the heads of v. */
static bool past_fits(const lamina_tensor *t, lamina_dtype dt, const lmn_fattn_view *v,
                      int64_t past)
{
    return is_of(t, dt) && t->rank == 4 && t->dims[0] == v->dims[0] && t->dims[1] == v->dims[1] &&
           t->dims[2] == past && t->dims[3] == v->dims[3];
}

static bool read_standard(const lmn_eval *ec, attn_job *j)
{
    const lmn_opnode *n = ec->node;
    lmn_fattn *f = &j->f;
    const lamina_tensor *q = lmn_in(ec, 0), *pk = lmn_in(ec, 4), *pv = lmn_in(ec, 5);
    const int64_t kv_heads = lmn_attr_i(n, "kv_num_heads", 0);
    const int32_t rank = q ? q->rank : 0;
    j->nonpad = lmn_in(ec, 6);
    f->dt = q ? q->dtype : LAMINA_DTYPE_NONE;
    if ((f->dt != LAMINA_F32 && !lmn_cpu_is_half(f->dt)) || (rank != 3 && rank != 4) ||
        lmn_out_wanted(ec, 3) || !pk != !pv || (pk && j->nonpad))
        return false;
    if (!view_of(q, f->dt, rank, lmn_attr_i(n, "q_num_heads", 0), &f->q) ||
        !view_of(lmn_in(ec, 1), f->dt, rank, kv_heads, &f->k) ||
        !view_of(lmn_in(ec, 2), f->dt, rank, kv_heads, &f->v))
        return false;
    j->past = pk && pk->rank == 4 ? pk->dims[2] : 0;
    if (pk && (!past_fits(pk, f->dt, &f->k, j->past) || !past_fits(pv, f->dt, &f->v, j->past)))
        return false;
    f->batch = f->q.dims[0], f->heads = f->q.dims[1], f->queries = f->q.dims[2];
    f->keys = f->k.dims[2] + j->past, f->d = f->q.dims[3], f->dv = f->v.dims[3];
    if (f->k.dims[0] != f->batch || f->v.dims[0] != f->batch || f->k.dims[3] != f->d ||
        f->v.dims[2] != f->k.dims[2] || f->v.dims[1] != f->k.dims[1] || f->heads % f->k.dims[1])
        return false;
    if (j->nonpad && (j->nonpad->kind != LAMINA_KIND_TENSOR || j->nonpad->dtype != LAMINA_I64 ||
                      lmn_count(j->nonpad) != f->batch))
        return false;
    f->k_group = f->v_group = f->heads / f->k.dims[1];
    f->scale = lmn_attr_f(n, "scale", (float)(1.0 / sqrt((double)f->d)));
    j->cap = lmn_attr_f(n, "softcap", 0.0f);
    j->causal = lmn_attr_i(n, "is_causal", 0) != 0;
    j->left = within(lmn_attr_i(n, "left_window_size", -1));
    j->right = within(lmn_attr_i(n, "right_window_size", -1));
    return mask_of(lmn_in(ec, 3), j);
}

static lamina_status run_attention(const lamina_kernel *k, lmn_eval *ec)
{
    attn_job j = {.dev = k->dev};
    lmn_fattn *f = &j.f;
    if (!read_standard(ec, &j)) return lmn_cpu_reference(ec);
    const bool flat = lmn_in(ec, 0)->rank == 3;
    const int64_t y3[3] = {f->batch, f->queries, f->heads * f->dv},
                  y4[4] = {f->batch, f->heads, f->queries, f->dv};
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, f->dt, flat ? 3 : 4, flat ? y3 : y4, &y));
    LMN_TRY(join_past(ec, f->dt, 1, lmn_in(ec, 4), j.past, &f->k));
    LMN_TRY(join_past(ec, f->dt, 2, lmn_in(ec, 5), j.past, &f->v));
    if (!y) return LAMINA_OK;
    LMN_TRY(widen_mask(ec, &j, &f->bias));
    f->y = y->data;
    f->y_step[0] = f->heads * f->queries * f->dv;
    f->y_step[1] = flat ? f->dv : f->queries * f->dv;
    f->y_step[2] = flat ? f->heads * f->dv : f->dv;
    f->y_step[3] = 1;
    if (!read_views(&j)) return lmn_cpu_reference(ec);
    j.args.zero_empty = true;
    if (j.causal || j.left >= 0 || j.right >= 0 || j.nonpad) j.args.span = span_standard;
    if (f->keep.data || f->bias.data || j.masked < f->keys || j.cap > 0.0f)
        j.args.edit = edit_standard;
    return lmn_cpu_attend(ec, k, f->dt, &j.shape, &j.args);
}

/* Half precision as well: lmn_fattn_read widens it. */
static bool supports_fused(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    const lmn_krow *row = &dev->kset.attention_f32->head;
    const lmn_fact *f = node->op->n_in > 0 ? node->in[0] : NULL;
    if (!f || (f->dtype != LAMINA_F16 && f->dtype != LAMINA_BF16))
        return lmn_cpu_attend_takes(dev, node, text, cap);
    (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
    return true;
}

const lmn_cpu_binding lmn_cpu_fused_attention = {
    .domain = "lamina",
    .op = "FusedAttention",
    .families = "attention.f32 gemm.f32 elementwise.f32 hgemm.bf16",
    .state_bytes = sizeof(lmn_cpu_trial),
    .init = lmn_cpu_attend_init,
    .supports = supports_fused,
    .run = run_fused,
};
const lmn_cpu_binding lmn_cpu_attention = {
    .domain = "",
    .op = "Attention",
    .families = "attention.f32 gemm.f32 elementwise.f32 hgemm.bf16 hgemm.f16",
    .state_bytes = sizeof(lmn_cpu_trial),
    .init = lmn_cpu_attend_init,
    .supports = lmn_cpu_attend_takes,
    .run = run_attention,
};
