/*
 * FusedAttention, and in f32 Attention of ai.onnx without cache, window or cap: a chunk is a block
 * of queries of one head. Its queries are scaled into scratch, its scores stay in the cache between
 * the two products, and keys, values and the result are read and written where their heads lie.
 * Where a head has several blocks, a chunk takes up to GROUP_ROWS queries and packs the keys and
 * values for all its blocks once. All sizes depend on the shape alone, so the bits do not depend on
 * the number of threads.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/norm/norm.h"
#include "ops/fusedattn.h"

#include <math.h>
#include <string.h>

enum {
    ROWS_MIN = 16,
    ROWS_MAX = 128,
    SCORES = 64 << 10, /* of a block */
    GROUP_ROWS = 512,
    PACKED_MAX = 8 << 20, /* bytes of packed keys and values */
    KC = 384, /* k and columns of one pass over packed values: they stay in the caches */
    NC = 192
};

typedef struct attn_job {
    lmn_fattn f;
    const lmn_cpu_dev *dev;
    int64_t rows, blocks;  /* queries of a block, blocks of a head */
    int64_t group, chunks; /* blocks of a chunk, chunks of a head */
    bool packed, k_turned, v_turned;
    bool standard, causal;      /* Attention: a row that sees no key is 0, masks add -inf */
    lmn_gemm_plan qk[2], pv[2]; /* of a whole block and of the last one */
    int64_t ldk, ldv;
    uint8_t *scratch; /* a worker's: queries, scores, packed keys and values or the products' own */
    size_t step, queries_bytes, scores_bytes, keys_bytes;
} attn_job;

static void multiply(const lmn_gemm_plan *p, const lmn_gemm_args *args, void *scratch)
{
    for (int64_t c = 0; c < p->n_chunks; c++) lmn_gemm_f32_chunk(p, args, c, scratch);
}

/* Masks of Attention hide by adding -inf, so that a NaN stays one. Does the row see no key? */
static bool hide_row(const attn_job *j, const uint8_t *keep, int64_t step, int64_t i, float *s)
{
    const lmn_fattn *f = &j->f;
    bool blind = true;
    for (int64_t n = 0; keep && n < f->keys; n++) s[n] += keep[n * step] ? 0.0f : -INFINITY;
    for (int64_t n = i + 1; j->causal && n < f->keys; n++) s[n] += -INFINITY;
    for (int64_t n = 0; blind && n < f->keys; n++) blind = s[n] == -INFINITY;
    return blind;
}

/* Masks on one row of scores. A row that must become 0 is told; it is then all 0. */
static bool mask_row(const attn_job *job, int64_t b, int64_t h, int64_t i, float *s)
{
    const lmn_fattn *f = &job->f;
    const lmn_fattn_view *m = &f->keep, *a = &f->bias;
    const uint8_t *keep = m->data;
    if (keep) keep += b * m->step[0] + h * m->step[1] + i * m->step[2];
    for (int64_t j = 0; keep && !job->standard && j < f->keys; j++)
        s[j] = (keep[j * m->step[3]] != 0) == f->keep_if ? s[j] : f->fill;
    if (a->data) {
        const float *bias =
            (const float *)a->data + b * a->step[0] + h * a->step[1] + i * a->step[2];
        const lmn_binary_block add = {.kind = LMN_BIN_ADD, .a = s, .b = bias, .y = s, .n = f->keys};
        if (a->step[3] == 1)
            job->dev->kset.elementwise_f32->binary(&add);
        else
            for (int64_t j = 0; j < f->keys; j++) s[j] += bias[j * a->step[3]];
    }
    if (!job->standard || !hide_row(job, keep, m->step[3], i, s)) return false;
    memset(s, 0, (size_t)f->keys * sizeof *s);
    return true;
}

static void scale_queries(const lmn_fattn *f, const float *q, int64_t m, float *to)
{
    for (int64_t i = 0; i < m; i++) {
        const float *row = q + i * f->q.step[2];
        if (f->q.step[3] == 1)
            for (int64_t c = 0; c < f->d; c++) to[c] = row[c] * f->scale;
        else
            for (int64_t c = 0; c < f->d; c++) to[c] = row[c * f->q.step[3]] * f->scale;
        to += f->d;
    }
}

/* c = a b with b [k][n] in panels, pass by pass. */
static void multiply_packed(const attn_job *j, const lmn_gemm_args *args, int64_t m, int64_t n,
                            int64_t k)
{
    const lmn_gemm_row *row = j->dev->kset.gemm_f32;
    const int64_t nr = row->nr, nc = lmn_max_i64(1, NC / nr) * nr;
    for (int64_t k0 = 0; k0 < k; k0 += KC)
        for (int64_t j0 = 0; j0 < n; j0 += nc)
            row->block(&(lmn_gemm_block){.a = args->a + k0,
                                         .lda = args->lda,
                                         .b = args->b + j0 * k + k0 * nr,
                                         .ldb = nr,
                                         .b_panel = nr * k,
                                         .c = args->c + j0,
                                         .ldc = args->ldc,
                                         .m = m,
                                         .n = lmn_min_i64(nc, n - j0),
                                         .k = lmn_min_i64(KC, k - k0),
                                         .beta = k0 > 0});
}

/* What a chunk works on: a head of its operands, and scratch. */
typedef struct attn_head {
    int64_t b, h;
    const float *k, *v; /* as they lie, or packed */
    float *q, *s;
    void *own;
} attn_head;

static void attn_block(const attn_job *j, const attn_head *t, int64_t block)
{
    const lmn_fattn *f = &j->f;
    const int64_t i0 = block * j->rows, m = lmn_min_i64(j->rows, f->queries - i0);
    const int32_t which = m < j->rows;
    scale_queries(
        f, (const float *)f->q.data + t->b * f->q.step[0] + t->h * f->q.step[1] + i0 * f->q.step[2],
        m, t->q);
    const lmn_gemm_args scores = {
        .a = t->q, .b = t->k, .c = t->s, .lda = f->d, .ldb = j->ldk, .ldc = f->keys};
    if (j->packed)
        multiply_packed(j, &scores, m, f->keys, f->d);
    else
        multiply(&j->qk[which], &scores, t->own);
    bool blind[ROWS_MAX] = {false};
    if (!j->standard) lmn_fattn_round(f, t->s, m * f->keys);
    for (int64_t i = 0; (f->bias.data || f->keep.data || j->causal) && i < m; i++)
        blind[i] = mask_row(j, t->b, t->h, i0 + i, t->s + i * f->keys);
    if (!j->standard && f->bias.data) lmn_fattn_round(f, t->s, m * f->keys);
    const lmn_norm_block rows = {.x = t->s, .y = t->s, .rows = m, .n = f->keys, .step = 1};
    j->dev->kset.norm_f32->softmax(&rows);
    for (int64_t i = 0; f->zero_blind && i < m; i++)
        if (lmn_fattn_is_blind(t->s[i * f->keys]))
            memset(t->s + i * f->keys, 0, (size_t)f->keys * sizeof *t->s);
    const lmn_gemm_args values = {.a = t->s,
                                  .b = t->v,
                                  .c = f->y + t->b * f->y_step[0] + t->h * f->y_step[1] +
                                       i0 * f->y_step[2],
                                  .lda = f->keys,
                                  .ldb = j->ldv,
                                  .ldc = f->y_step[2]};
    if (j->packed)
        multiply_packed(j, &values, m, f->dv, f->keys);
    else
        multiply(&j->pv[which], &values, t->own);
    for (int64_t i = 0; i < m; i++)
        if (blind[i]) memset(values.c + i * values.ldc, 0, (size_t)f->dv * sizeof(float));
}

static void attn_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const attn_job *j = arg;
    const lmn_fattn *f = &j->f;
    const lmn_gemm_row *row = j->dev->kset.gemm_f32;
    const int64_t first = chunk % j->chunks * j->group, head = chunk / j->chunks;
    uint8_t *scratch = j->scratch + (size_t)worker * j->step;
    attn_head t = {.b = head / f->heads, .h = head % f->heads};
    t.k = (const float *)f->k.data + t.b * f->k.step[0] + t.h / f->k_group * f->k.step[1];
    t.v = (const float *)f->v.data + t.b * f->v.step[0] + t.h / f->v_group * f->v.step[1];
    t.q = (float *)(void *)scratch;
    t.s = (float *)(void *)(scratch + j->queries_bytes);
    t.own = scratch + j->queries_bytes + j->scores_bytes;
    if (j->packed) {
        float *k = t.own, *v = (float *)(void *)((uint8_t *)t.own + j->keys_bytes);
        (j->k_turned ? row->pack_nn : row->pack_nt)(k, t.k, j->ldk, f->d, f->keys);
        (j->v_turned ? row->pack_nt : row->pack_nn)(v, t.v, j->ldv, f->keys, f->dv);
        t.k = k, t.v = v;
    }
    for (int64_t i = first; i < lmn_min_i64(first + j->group, j->blocks); i++) attn_block(j, &t, i);
}

/* Can the products read v, whose rows are `inner` wide? The leading dimension, and whether rows
   and columns change places. An axis of one element may be given any step. */
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

static bool fits(const lmn_fattn *f)
{
    return f->keys > 0 && f->d > 0 && f->keys <= LMN_CPU_EXTENT_MAX && f->d <= LMN_CPU_EXTENT_MAX &&
           f->dv <= LMN_CPU_EXTENT_MAX && f->queries <= LMN_CPU_EXTENT_MAX &&
           (f->dv == 1 || f->y_step[3] == 1);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Plans of the products of whole blocks and of the last one; the scratch they want. */
static size_t plan_products(attn_job *j)
{
    const lmn_fattn *f = &j->f;
    size_t own = 0;
    for (int32_t i = 0; i < 2; i++) {
        const int64_t m = i ? f->queries - (j->blocks - 1) * j->rows : j->rows;
        const lmn_gemm_shape qk = {.m = m,
                                   .n = f->keys,
                                   .k = f->d,
                                   .n_batch = 1,
                                   .flags = j->k_turned ? 0 : LMN_GEMM_TRANS_B};
        const lmn_gemm_shape pv = {.m = m,
                                   .n = f->dv,
                                   .k = f->keys,
                                   .n_batch = 1,
                                   .flags = j->v_turned ? LMN_GEMM_TRANS_B : 0};
        lmn_gemm_f32_plan(j->dev->kset.gemm_f32, &qk, &j->qk[i]);
        lmn_gemm_f32_plan(j->dev->kset.gemm_f32, &pv, &j->pv[i]);
        own = larger(own, larger(j->qk[i].scratch_bytes, j->pv[i].scratch_bytes));
    }
    return own;
}

/* Several blocks a head: are their keys and values worth packing, in how many bytes? */
static bool plan_packed(attn_job *j, size_t *own)
{
    const lmn_fattn *f = &j->f;
    const int64_t nr = j->dev->kset.gemm_f32->nr, wide = (f->keys + nr - 1) / nr * nr,
                  deep = (f->dv + nr - 1) / nr * nr;
    size_t k, v;
    if (j->blocks < 2 || !lmn_dense_bytes(LAMINA_F32, wide * f->d, &k) ||
        !lmn_dense_bytes(LAMINA_F32, f->keys * deep, &v) || k > PACKED_MAX || v > PACKED_MAX)
        return false;
    j->group = lmn_max_i64(1, GROUP_ROWS / j->rows);
    j->keys_bytes = lmn_align_up(k, 64);
    *own = j->keys_bytes + v;
    return true;
}

/* As many queries as leave the scores in the cache, in whole register tiles. */
static int64_t block_rows(int64_t mr, int64_t keys)
{
    const int64_t most = lmn_max_i64(ROWS_MIN, lmn_min_i64(ROWS_MAX, SCORES / keys));
    return lmn_max_i64(1, most / mr) * mr;
}

static lamina_status run_job(lmn_eval *ec, attn_job *j)
{
    const lmn_fattn *f = &j->f;
    if (!fits(f) || !lies(&f->k, f->keys, &j->k_turned, &j->ldk) ||
        !lies(&f->v, f->keys, &j->v_turned, &j->ldv))
        return lmn_cpu_reference(ec);
    j->group = 1;
    size_t own, q_bytes, s_bytes;
    j->rows = lmn_min_i64(block_rows(j->dev->kset.gemm_f32->mr, f->keys), f->queries);
    j->blocks = (f->queries + j->rows - 1) / j->rows;
    if (!lmn_dense_bytes(LAMINA_F32, j->rows * f->d, &q_bytes) ||
        !lmn_dense_bytes(LAMINA_F32, j->rows * f->keys, &s_bytes))
        return lmn_cpu_reference(ec);
    j->packed = plan_packed(j, &own);
    if (!j->packed) own = plan_products(j);
    j->chunks = (j->blocks + j->group - 1) / j->group;
    j->queries_bytes = lmn_align_up(q_bytes, 64);
    j->scores_bytes = lmn_align_up(s_bytes, 64);
    LMN_TRY(lmn_cpu_worker_scratch(ec, j->queries_bytes + j->scores_bytes + own, &j->scratch,
                                   &j->step));
    lmn_par_for(ec->par, f->batch * f->heads * j->chunks, attn_chunk, j);
    lmn_fattn_done(f);
    return LAMINA_OK;
}

static lamina_status run_fused(const lamina_kernel *k, lmn_eval *ec)
{
    attn_job j = {.dev = k->dev};
    LMN_TRY(lmn_fattn_read(ec, &j.f));
    return j.f.y ? run_job(ec, &j) : LAMINA_OK;
}

/* ---- Attention of ai.onnx ----------------------------------------------------------------------
 */

static bool view_of(const lamina_tensor *t, int32_t rank, int64_t heads, lmn_fattn_view *v)
{
    if (!lmn_cpu_is_f32(t) || t->rank != rank || lmn_count(t) == 0) return false;
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

/* A mask as long as the keys, which broadcasts over what comes before. */
static bool mask_of(const lamina_tensor *t, lmn_fattn *f)
{
    const int64_t want[4] = {f->batch, f->heads, f->queries, f->keys};
    if (!t) return true;
    if (t->kind != LAMINA_KIND_TENSOR || (t->dtype != LAMINA_F32 && t->dtype != LAMINA_BOOL) ||
        t->rank < 1 || t->rank > 4 || t->dims[t->rank - 1] != f->keys)
        return false;
    lmn_fattn_view *v = t->dtype == LAMINA_BOOL ? &f->keep : &f->bias;
    int64_t next = 1;
    for (int32_t i = 3; i >= 4 - t->rank; i--) {
        const int64_t d = t->dims[i - (4 - t->rank)];
        if (d != 1 && d != want[i]) return false;
        v->step[i] = d == 1 ? 0 : next;
        next *= d;
    }
    v->data = t->data;
    return true;
}

static bool read_standard(const lmn_eval *ec, attn_job *j)
{
    const lmn_opnode *n = ec->node;
    lmn_fattn *f = &j->f;
    const lamina_tensor *q = lmn_in(ec, 0);
    const int64_t kv_heads = lmn_attr_i(n, "kv_num_heads", 0);
    const int32_t rank = q ? q->rank : 0;
    if ((rank != 3 && rank != 4) || lmn_in(ec, 4) || lmn_in(ec, 5) || lmn_in(ec, 6) ||
        lmn_out_wanted(ec, 1) || lmn_out_wanted(ec, 2) || lmn_out_wanted(ec, 3) ||
        lmn_attr_i(n, "left_window_size", -1) >= 0 || lmn_attr_i(n, "right_window_size", -1) >= 0 ||
        lmn_attr_f(n, "softcap", 0.0f) != 0.0f)
        return false;
    if (!view_of(q, rank, lmn_attr_i(n, "q_num_heads", 0), &f->q) ||
        !view_of(lmn_in(ec, 1), rank, kv_heads, &f->k) ||
        !view_of(lmn_in(ec, 2), rank, kv_heads, &f->v))
        return false;
    f->batch = f->q.dims[0], f->heads = f->q.dims[1], f->queries = f->q.dims[2];
    f->keys = f->k.dims[2], f->d = f->q.dims[3], f->dv = f->v.dims[3];
    if (f->k.dims[0] != f->batch || f->v.dims[0] != f->batch || f->k.dims[3] != f->d ||
        f->v.dims[2] != f->keys || f->v.dims[1] != f->k.dims[1] || f->heads % f->k.dims[1])
        return false;
    f->k_group = f->v_group = f->heads / f->k.dims[1];
    f->scale = lmn_attr_f(n, "scale", (float)(1.0 / sqrt((double)f->d)));
    j->causal = lmn_attr_i(n, "is_causal", 0) != 0;
    return mask_of(lmn_in(ec, 3), f);
}

static lamina_status run_attention(const lamina_kernel *k, lmn_eval *ec)
{
    attn_job j = {.dev = k->dev, .standard = true};
    lmn_fattn *f = &j.f;
    if (!read_standard(ec, &j)) return lmn_cpu_reference(ec);
    const bool flat = lmn_in(ec, 0)->rank == 3;
    const int64_t y3[3] = {f->batch, f->queries, f->heads * f->dv},
                  y4[4] = {f->batch, f->heads, f->queries, f->dv};
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, flat ? 3 : 4, flat ? y3 : y4, &y));
    if (!y) return LAMINA_OK;
    f->y = y->data;
    f->y_step[0] = f->heads * f->queries * f->dv;
    f->y_step[1] = flat ? f->dv : f->queries * f->dv;
    f->y_step[2] = flat ? f->heads * f->dv : f->dv;
    f->y_step[3] = 1;
    return run_job(ec, &j);
}

static bool supports_attn(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.gemm_f32->head, text, cap);
}

/* Half precision as well: lmn_fattn_read widens it. */
static bool supports_fused(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    const lmn_krow *row = &dev->kset.gemm_f32->head;
    const lmn_fact *f = node->op->n_in > 0 ? node->in[0] : NULL;
    if (!f || (f->dtype != LAMINA_F16 && f->dtype != LAMINA_BF16))
        return lmn_cpu_takes_f32(node, 0, row, text, cap);
    (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
    return true;
}

const lmn_cpu_binding lmn_cpu_fused_attention = {
    .domain = "lamina",
    .op = "FusedAttention",
    .families = "gemm.f32 elementwise.f32 norm.f32",
    .supports = supports_fused,
    .run = run_fused,
};
const lmn_cpu_binding lmn_cpu_attention = {
    .domain = "",
    .op = "Attention",
    .families = "gemm.f32 elementwise.f32 norm.f32",
    .supports = supports_attn,
    .run = run_attention,
};
