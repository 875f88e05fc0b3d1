/*
 * ShortMatMul and ShortLayerNorm: products by weights in bf16 whose rows come in bf16 and may leave
 * so, and the rows that a normalisation hands to them. Weights are rounded and packed once a
 * session where they are constant, and once a run where not.
 */
#include "devices/cpu/cpu_fused.h"
#include "devices/cpu/cpu_last.h"
#include "kernels/hgemm/hgemm_plan.h"
#include "kernels/norm/norm.h"
#include "ops/shapes.h"

/* ---- ShortMatMul -------------------------------------------------------------------------------
 */

typedef struct product {
    lmn_hgemm_plan plan;
    lmn_hgemm_args args;
    lmn_cpu_scratch scratch;
} product;

static void product_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const product *p = arg;
    lmn_hgemm_chunk(&p->plan, &p->args, chunk, lmn_cpu_scratch_of(&p->scratch, worker));
}

static void pack(const void *row, int32_t flags, const lamina_tensor *w, void *dst)
{
    (void)flags;
    lmn_hgemm_prepack(row, LMN_HGEMM_B_F32, w->data, w->dims[1], w->dims[0], w->dims[1], dst);
}

/* What packing the weights is to do; false: they are none. */
static bool job_of(const lmn_hgemm_row *row, const lamina_tensor *w, lmn_pack_job *job)
{
    if (!row->rows_f32 || !lmn_cpu_is_f32(w) || w->rank != 2 || lmn_count(w) == 0 ||
        w->dims[0] >= LMN_CPU_EXTENT_MAX || w->dims[1] >= LMN_CPU_EXTENT_MAX)
        return false;
    const int64_t elems = lmn_hgemm_packed_elems(row, w->dims[0], w->dims[1]);
    *job = (lmn_pack_job){.w = w, .pack = pack, .row = row};
    job->bytes = (uint64_t)(elems * row->elem);
    return true;
}

static lamina_status init_product(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                                  lamina_error *err)
{
    const lmn_hgemm_row *row = dev->kset.hgemm_bf16;
    const lamina_tensor *w = node->op->n_in > 1 ? node->in_const[1] : NULL;
    lmn_pack_job job;
    if (!node->prepack || !job_of(row, w, &job)) return LAMINA_OK;
    return lmn_cpu_last_want(node, &job, row->nr, "short.1", state, err);
}

/* All rows of A are one product. */
static lamina_status run_product(const lamina_kernel *k, lmn_eval *ec)
{
    const lmn_hgemm_row *row = k->dev->kset.hgemm_bf16;
    const lamina_tensor *a = lmn_in(ec, 0), *w = lmn_in(ec, 1);
    const bool is_short = lmn_attr_i(ec->node, "short", 0) != 0;
    int64_t dims[LMN_MAX_RANK];
    lmn_pack_job job;
    lmn_epi epi = {0};
    product p = {0};
    if (!a || a->kind != LAMINA_KIND_TENSOR || a->dtype != LAMINA_BF16 || a->rank < 2 ||
        !job_of(row, w, &job) || a->dims[a->rank - 1] != w->dims[0])
        return lmn_cpu_reference(ec);
    for (int32_t i = 0; i < a->rank; i++) dims[i] = i + 1 < a->rank ? a->dims[i] : w->dims[1];
    const int64_t m = lmn_span_count(dims, 0, a->rank - 1);
    const lmn_cpu_layout layout = {a->rank, 0, a->rank - 1, dims};
    if (m >= LMN_CPU_EXTENT_MAX || !lmn_cpu_epilogue(ec, 2, &layout, &epi))
        return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, is_short ? LAMINA_BF16 : LAMINA_F32, a->rank, dims, &y));
    if (!y || m == 0) return LAMINA_OK;
    const void *panels;
    LMN_TRY(lmn_cpu_last_packed(ec, k->state, &job, &panels));
    const lmn_hgemm_shape s = {.m = m,
                               .n = w->dims[1],
                               .k = w->dims[0],
                               .n_batch = 1,
                               .flags = LMN_HGEMM_PACKED | (is_short ? 0 : LMN_HGEMM_C_F32),
                               .threads = lmn_par_width(ec->par)};
    lmn_hgemm_plan_make(row, &s, &p.plan);
    p.args = (lmn_hgemm_args){.a = a->data, .b = panels, .c = y->data, .lda = s.k, .ldc = s.n};
    p.args.epi = epi.n_ops ? &epi : NULL;
    LMN_TRY(lmn_cpu_worker_scratch(ec, p.plan.scratch_bytes, &p.scratch));
    lmn_par_for(ec->par, p.plan.n_chunks, product_chunk, &p);
    return LAMINA_OK;
}

static bool supports(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    const lmn_hgemm_row *row = dev->kset.hgemm_bf16;
    (void)node;
    if (row->rows_f32)
        (void)lmn_format(text, cap, "%s.%s:%s", row->head.family, row->head.dtype,
                         row->head.variant);
    else
        (void)lmn_format(text, cap, "no pairs of bf16");
    return row->rows_f32 != NULL;
}

const lmn_cpu_binding lmn_cpu_short_matmul = {
    .domain = "lamina",
    .op = "ShortMatMul",
    .families = "hgemm.bf16",
    .supports = supports,
    .state_bytes = sizeof(lmn_cpu_last_weights),
    .init = init_product,
    .run = run_product,
};

/* ---- ShortLayerNorm ----------------------------------------------------------------------------
 */

enum { CHUNK_ELEMS = 16 << 10, STRIP_ELEMS = 4 << 10 };

typedef struct norm_job {
    lmn_norm_fn *fn;
    lmn_hgemm_narrow_fn *narrow;
    lmn_norm_block all; /* y NULL: the result is wanted in bf16 alone */
    uint16_t *out;
    int64_t chunk, strip; /* rows */
    lmn_cpu_scratch scratch;
} norm_job;

static void norm_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const norm_job *j = arg;
    const int64_t n = j->all.n, from = chunk * j->chunk;
    const int64_t to = lmn_min_i64(from + j->chunk, j->all.rows);
    for (int64_t i = from; i < to; i += j->strip) {
        lmn_norm_block b = j->all;
        b.rows = lmn_min_i64(j->strip, to - i);
        b.x += i * n;
        b.y = b.y ? b.y + i * n : (float *)(void *)lmn_cpu_scratch_of(&j->scratch, worker);
        j->fn(&b);
        j->narrow(j->out + i * n, n, b.y, n, b.rows, n);
    }
}

static lamina_status run_norm(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0), *scale = lmn_in(ec, 1), *bias = lmn_in(ec, 2);
    const int64_t axis = lmn_attr_i(ec->node, "axis", -1);
    const int64_t n = x && x->rank > 0 ? x->dims[x->rank - 1] : 0;
    if (!lmn_cpu_is_f32(x) || n == 0 || lmn_count(x) == 0 || (axis != -1 && axis != x->rank - 1) ||
        !lmn_cpu_is_f32(scale) || scale->rank != 1 || scale->dims[0] != n ||
        (bias && (!lmn_cpu_is_f32(bias) || bias->rank != 1 || bias->dims[0] != n)))
        return lmn_cpu_reference(ec);
    lamina_tensor *s, *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_BF16, x->rank, x->dims, &s));
    LMN_TRY(lmn_out(ec, 1, LAMINA_F32, x->rank, x->dims, &y));
    if (!s) return lmn_cpu_reference(ec);
    norm_job j = {.fn = k->dev->kset.norm_f32->layer,
                  .narrow = k->dev->kset.hgemm_bf16->narrow,
                  .out = s->data};
    j.all = (lmn_norm_block){.x = x->data, .y = y ? y->data : NULL, .n = n, .scale = scale->data};
    j.all.bias = bias ? bias->data : NULL;
    j.all.eps = lmn_attr_f(ec->node, "epsilon", 1e-5f);
    j.all.rows = lmn_count(x) / n;
    j.chunk = lmn_max_i64(1, CHUNK_ELEMS / n);
    j.strip = lmn_max_i64(1, STRIP_ELEMS / n);
    LMN_TRY(lmn_cpu_worker_scratch(ec, y ? 0 : (size_t)(j.strip * n) * sizeof(float), &j.scratch));
    lmn_par_for(ec->par, lmn_ceil_div_i64(j.all.rows, j.chunk), norm_chunk, &j);
    return LAMINA_OK;
}

static bool supports_norm(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.norm_f32->head, text, cap);
}

const lmn_cpu_binding lmn_cpu_short_layer_norm = {
    .domain = "lamina",
    .op = "ShortLayerNorm",
    .families = "norm.f32 hgemm.bf16",
    .supports = supports_norm,
    .run = run_norm,
};
