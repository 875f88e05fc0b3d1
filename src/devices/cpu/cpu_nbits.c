/*
 * MatMulNBits. Few rows of A are multiplied by the packed weights where they lie (nbits); for more
 * a block of weight rows is widened to f32 in a worker's scratch and multiplied while it lies in
 * the cache. With accuracy_level 4 the rows of A are rounded to 8 bits (nbdot), and constant
 * weights are packed once a session into panels (nbpanel), scales and zero points with them: what
 * they were made from is not read again. Chunks are blocks of output columns; their size depends on
 * the shape only. 16-bit A and results are converted whole.
 */
#include "base/checksum.h"
#include "base/os/os_memory.h"
#include "devices/cpu/cpu_tools.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/nbits/nbdot.h"
#include "kernels/nbits/nbits.h"
#include "kernels/nbits/nbpanel.h"
#include "ops/packbits.h"
#include "ops/wide.h"
#include "tensor/file_tensor.h"

#include <string.h>

/* Weight rows at once: few where every weight is used once, more where A has rows to use them. */
enum { COLS_ONE_ROW = 16, COLS_MANY_ROWS = 64 };

typedef struct nbits_job {
    lmn_packbits w;
    const float *a, *bias;
    float *y;
    int64_t m, cols; /* cols: weight rows a chunk */
    lmn_gemm_plan whole, last;
    lmn_nbits_expand_fn *expand; /* NULL: row by row as the reference does */
    lmn_cpu_scratch scratch;     /* a worker's: the weights, zero points, then the plan's own */
    size_t weights_bytes, zp_bytes;
} nbits_job;

static void widen(const nbits_job *j, int64_t row, float *dst, float *zp)
{
    const lmn_packbits *w = &j->w;
    if (!j->expand) {
        lmn_packbits_row(w, row, dst);
        return;
    }
    lmn_packbits_zero_points(w, row, zp);
    j->expand(dst, w->q + row * w->row_bytes, w->cols, w->block, w->scales + row * w->n_blocks, zp);
}

static void nbits_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const nbits_job *j = arg;
    const int64_t first = chunk * j->cols, n = lmn_min_i64(j->cols, j->w.rows - first);
    const int64_t k = j->w.cols, ld = j->w.rows;
    uint8_t *scratch = lmn_cpu_scratch_of(&j->scratch, worker);
    float *w = (float *)(void *)scratch;
    float *zp = (float *)(void *)(scratch + j->weights_bytes);
    for (int64_t i = 0; i < n; i++) widen(j, first + i, w + i * k, zp);
    const lmn_gemm_args args = {
        .a = j->a, .b = w, .c = j->y + first, .lda = k, .ldb = k, .ldc = ld};
    const lmn_gemm_plan *plan = n == j->cols ? &j->whole : &j->last;
    for (int64_t c = 0; c < plan->n_chunks; c++)
        lmn_gemm_f32_chunk(plan, &args, c, scratch + j->weights_bytes + j->zp_bytes);
    for (int64_t r = 0; j->bias && r < j->m; r++)
        for (int64_t i = first; i < first + n; i++) j->y[r * ld + i] += j->bias[i];
}

static lamina_status nbits_run(const lamina_kernel *k, lmn_eval *ec, nbits_job *j)
{
    j->cols = j->m == 1 ? COLS_ONE_ROW : COLS_MANY_ROWS;
    lmn_gemm_shape g = {
        .m = j->m, .n = j->cols, .k = j->w.cols, .n_batch = 1, .flags = LMN_GEMM_TRANS_B};
    lmn_gemm_f32_plan(k->dev->kset.gemm_f32, &g, &j->whole);
    g.n = j->w.rows % j->cols;
    lmn_gemm_f32_plan(k->dev->kset.gemm_f32, &g, &j->last);
    j->weights_bytes = lmn_align_up((size_t)(j->cols * j->w.cols) * sizeof(float), 64);
    j->zp_bytes = lmn_align_up((size_t)j->w.n_blocks * sizeof(float), 64);
    const lmn_nbits_row *row = k->dev->kset.nbits_f32;
    if (!j->w.group && j->w.block % 16 == 0)
        j->expand = j->w.bits == 4 ? row->expand4 : j->w.bits == 8 ? row->expand8 : NULL;
    const size_t own = j->whole.scratch_bytes > j->last.scratch_bytes ? j->whole.scratch_bytes
                                                                      : j->last.scratch_bytes;
    LMN_TRY(lmn_cpu_worker_scratch(ec, j->weights_bytes + j->zp_bytes + own, &j->scratch));
    lmn_par_for(ec->par, (j->w.rows + j->cols - 1) / j->cols, nbits_chunk, j);
    return LAMINA_OK;
}

/* ---- packed weights where they lie ------------------------------------------------------------
 */

/* Bytes of weights that are worth a chunk, and as many as one should have. */
enum { LEAST_BYTES = 32 << 10, MOST_BYTES = 256 << 10, WANT_CHUNKS = 8 };

typedef struct packed_job {
    const lmn_nbits_row *exact;
    const lmn_nbdot_row *rounded; /* NULL: rows of A stay as they are */
    lmn_nbdot_block d;
    lmn_nbits_block e; /* of the whole product, where rows stay */
    const float *x;
    uint8_t *rows;         /* A's, in the order or form that the kernel takes */
    int64_t step, k, cols; /* step: bytes of them; cols: rows of weights a chunk */
} packed_job;

static void packed_row(void *arg, int64_t i, int32_t worker)
{
    const packed_job *j = arg;
    uint8_t *to = j->rows + i * j->step;
    (void)worker;
    if (j->rounded)
        j->rounded->pack(to, j->x + i * j->k, j->k, j->d.w.bits, j->d.m > 1);
    else
        lmn_nbits_halves((float *)(void *)to, j->x + i * j->k, j->e.groups);
}

static lmn_nbdot_weights weights_from(const lmn_nbdot_weights *w, int64_t row)
{
    lmn_nbdot_weights from = *w;
    from.q += row * w->row_bytes, from.scale += row * w->n_blocks;
    if (w->zp) from.zp += row * w->zp_bytes;
    return from;
}

static void packed_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const packed_job *j = arg;
    const int64_t first = chunk * j->cols, n = lmn_min_i64(j->cols, j->d.n - first);
    lmn_nbdot_block d = j->d;
    lmn_nbits_block e = j->e;
    (void)worker;
    d.w = e.w = weights_from(&j->d.w, first);
    d.n = e.n = n, d.y += first, e.y += first;
    if (d.bias) d.bias += first, e.bias += first;
    if (e.zp_f32) e.zp_f32 += first * e.w.n_blocks;
    if (j->rounded)
        j->rounded->run(&d);
    else
        j->exact->mul(&e);
}

/* Blocks of 32 << shift columns in order, 4 or 8 bits each. */
static bool packed_takes(const lmn_packbits *w)
{
    return (w->bits == 4 || w->bits == 8) && !w->group && (!w->zp || w->zp_bytes) &&
           w->block >= LMN_NBDOT_GROUP && (w->block & (w->block - 1)) == 0;
}

static lamina_status packed_run(const lamina_kernel *k, lmn_eval *ec, const nbits_job *n,
                                bool rounds)
{
    const lmn_packbits *w = &n->w;
    packed_job j = {.exact = k->dev->kset.nbits_f32, .x = n->a, .k = w->cols};
    if (rounds) j.rounded = k->dev->kset.nbdot_i8;
    j.d = (lmn_nbdot_block){.m = n->m, .n = w->rows, .bias = n->bias, .y = n->y, .ldy = w->rows};
    j.d.w = (lmn_nbdot_weights){.q = w->q,
                                .row_bytes = w->row_bytes,
                                .scale = w->scales,
                                .zp = w->zp,
                                .zp_bytes = w->zp_bytes,
                                .n_blocks = w->n_blocks,
                                .bits = w->bits};
    while (w->block > (int64_t)LMN_NBDOT_GROUP << j.d.w.shift) j.d.w.shift++;
    j.d.groups = lmn_nbdot_groups(j.k);
    j.e = (lmn_nbits_block){.zp_f32 = w->zp_f32, .a = n->a, .a_step = j.k, .m = n->m};
    j.e.groups = j.d.groups, j.e.bias = n->bias, j.e.y = n->y, j.e.ldy = w->rows;
    j.step = rounds ? lmn_nbdot_packed_bytes(j.k) : j.k * (int64_t)sizeof(float);
    if (rounds || w->bits == 4) {
        size_t bytes;
        if (!lmn_mul_size((size_t)n->m, (size_t)j.step, &bytes))
            return lmn_eval_fail(ec, LAMINA_E_LIMIT, "scratch memory overflows");
        j.rows = lmn_scratch(ec, bytes);
        if (!j.rows) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
        lmn_par_for(ec->par, n->m, packed_row, &j);
        j.d.a = j.rows, j.d.a_step = j.step, j.e.a = (const float *)(const void *)j.rows;
    }
    const int64_t row = w->row_bytes + w->n_blocks * (int64_t)sizeof(float);
    j.cols = lmn_min_i64(MOST_BYTES / row, lmn_ceil_div_i64(w->rows, WANT_CHUNKS));
    j.cols = lmn_round_up_i64(lmn_max_i64(j.cols, lmn_max_i64(1, LEAST_BYTES / row)), 4);
    lmn_par_for(ec->par, lmn_ceil_div_i64(w->rows, j.cols), packed_chunk, &j);
    return LAMINA_OK;
}

/* ---- panels -----------------------------------------------------------------------------------
 */

/* Of what pack() writes: another order of bytes is another number. */
#define LAYOUT_VERSION 3

typedef struct nbits_state {
    lmn_packed *panels; /* NULL: weights are read where they lie */
    lmn_nbpanels shape; /* of panels; p is set at a run */
    lmn_nbdot_weights from;
    int64_t n;
} nbits_state;

static void pack(const void *row, int32_t flags, const lamina_tensor *w, void *dst)
{
    const nbits_state *s = row;
    lmn_nbdot_weights from = s->from;
    (void)flags;
    from.q = w->data;
    lmn_nbpanel_make(dst, &s->shape, &from, s->n);
    if (lmn_buffer_origin(w->buf)) lmn_advise_idle(w->data, w->data_bytes);
}

static const lamina_tensor *const_in(const lamina_node *node, int32_t i)
{
    return i < node->op->n_in ? node->in_const[i] : NULL;
}

/* Constant weights, f32 scales and no zero points or packed constant ones: what panels are made of.
 */
static bool panels_of(const lamina_node *node, nbits_state *s)
{
    const lmn_opnode *op = node->op;
    const lamina_tensor *q = const_in(node, 1), *scale = const_in(node, 2), *zp = const_in(node, 3);
    const int64_t bits = lmn_attr_i(op, "bits", 4), n = lmn_attr_i(op, "N", 0);
    const int64_t k = lmn_attr_i(op, "K", 0), block = lmn_attr_i(op, "block_size", 0);
    if (!q || !scale || scale->dtype != LAMINA_F32 || q->dtype != LAMINA_U8) return false;
    if ((op->n_in > 3 && node->in[3] && (!zp || zp->dtype != LAMINA_U8)) ||
        (op->n_in > 4 && node->in[4]) || lmn_attr_i(op, "accuracy_level", 0) != 4 ||
        (bits != 4 && bits != 8))
        return false;
    if (n < LMN_NBPANEL_ROWS || n >= LMN_CPU_EXTENT_MAX || k <= 0 || k >= LMN_CPU_EXTENT_MAX ||
        block < LMN_NBDOT_GROUP || block >= LMN_CPU_EXTENT_MAX || (block & (block - 1)) != 0)
        return false;
    lmn_nbdot_weights *w = &s->from;
    w->bits = (int32_t)bits, w->n_blocks = lmn_ceil_div_i64(k, block);
    while (block > (int64_t)LMN_NBDOT_GROUP << w->shift) w->shift++;
    w->row_bytes = w->n_blocks * (block * bits / 8);
    w->zp_bytes = (w->n_blocks * bits + 7) / 8;
    w->scale = scale->data, w->zp = zp ? zp->data : NULL, s->n = n;
    s->shape = (lmn_nbpanels){
        .n_blocks = w->n_blocks, .bits = w->bits, .shift = w->shift, .zps = zp != NULL};
    return lmn_count(q) == n * w->row_bytes && lmn_count(scale) == n * w->n_blocks &&
           (!zp || lmn_count(zp) == n * w->zp_bytes);
}

/* Panels are known by the weights and, here, by the scales and zero points: where they lie is
   enough for a session, what they are for a file. */
static uint64_t others_of(const lamina_node *node)
{
    uint64_t by[2] = {0};
    for (int32_t i = 0; i < 2; i++) {
        const lamina_tensor *t = const_in(node, 2 + i);
        if (t)
            by[i] = node->prepack->kept ? lmn_checksum(t->data, t->data_bytes)
                                        : (uint64_t)(uintptr_t)t->data;
    }
    return lmn_checksum(by, sizeof by);
}

static lamina_status init_nbits(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                                lamina_error *err)
{
    nbits_state *s = state;
    (void)dev;
    if (!node->prepack || !panels_of(node, s)) return LAMINA_OK;
    lmn_pack_job job = {.w = node->in_const[1], .pack = pack, .row = s};
    job.bytes = (uint64_t)(lmn_nbpanel_strips(s->n) * lmn_nbpanel_strip_bytes(&s->shape));
    (void)lmn_format(job.layout, sizeof job.layout, "nbpanel.i8.%d %d.%d nk %lldx%lld %c %llx",
                     LAYOUT_VERSION, (int)s->shape.bits, (int)s->shape.shift, (long long)s->n,
                     (long long)s->shape.n_blocks, s->shape.zps ? 'z' : '-',
                     (unsigned long long)others_of(node));
    if (node->prepack->want(node->prepack, &job, &s->panels) == LAMINA_OK) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for packed weights");
}

typedef struct panel_job {
    const lmn_nbpanel_fns *f;
    lmn_nbpanel_block b;
    const float *x;
    uint8_t *rows;     /* A's records */
    int64_t k, places; /* places of strips a chunk */
} panel_job;

static void panel_row(void *arg, int64_t i, int32_t worker)
{
    const panel_job *j = arg;
    (void)worker;
    lmn_nbpanel_pack(j->f, j->rows, j->x + i * j->k, j->b.m, i, j->k, &j->b.w);
}

static void panel_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const panel_job *j = arg;
    lmn_nbpanel_block b = j->b;
    (void)worker;
    b.first = chunk * j->places;
    b.end = lmn_min_i64(b.first + j->places, lmn_nbpanel_places(&b));
    j->f->run(&b);
}

static lamina_status panel_run(const lamina_kernel *k, lmn_eval *ec, const nbits_job *n)
{
    const nbits_state *s = k->state;
    panel_job j = {.f = lmn_nbpanel_of(k->dev->kset.nbdot_i8), .x = n->a, .k = n->w.cols};
    j.b = (lmn_nbpanel_block){
        .w = s->shape, .m = n->m, .n = s->n, .bias = n->bias, .y = n->y, .ldy = s->n};
    j.b.groups = lmn_nbdot_groups(j.k);
    j.b.w.p = lmn_packed_data(s->panels);
    if (!j.b.w.p) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of memory for weights");
    const int64_t bytes = lmn_nbpanel_a_bytes(j.f->tile_m, n->m, j.k, j.b.w.bits);
    j.rows = lmn_scratch(ec, (size_t)bytes);
    if (!j.rows) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    j.b.a = j.rows;
    lmn_par_for(ec->par, n->m, panel_row, &j);
    const int64_t strip = lmn_nbpanel_strip_bytes(&j.b.w), places = lmn_nbpanel_places(&j.b);
    const int64_t want = lmn_ceil_div_i64(places, WANT_CHUNKS);
    j.places =
        lmn_max_i64(lmn_min_i64(MOST_BYTES / strip, want), lmn_max_i64(1, LEAST_BYTES / strip));
    /* one strip of every run, where there are enough for all */
    if (n->m == 1 && want >= LMN_NBPANEL_RUNS)
        j.places = lmn_round_up_i64(j.places, LMN_NBPANEL_RUNS);
    lmn_par_for(ec->par, lmn_ceil_div_i64(places, j.places), panel_chunk, &j);
    return LAMINA_OK;
}

static lamina_status product_run(const lamina_kernel *k, lmn_eval *ec, nbits_job *j)
{
    if (((const nbits_state *)k->state)->panels) return panel_run(k, ec, j);
    if (packed_takes(&j->w)) {
        if (lmn_attr_i(ec->node, "accuracy_level", 0) == 4 && !j->w.zp_f32)
            return packed_run(k, ec, j, true);
        if (j->m <= k->dev->kset.nbits_f32->mul_m && j->w.cols % LMN_NBDOT_GROUP == 0)
            return packed_run(k, ec, j, false);
    }
    return nbits_run(k, ec, j);
}

static lamina_status run_nbits(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *a = lmn_in(ec, 0), *bias = lmn_in(ec, 5);
    nbits_job j = {0};
    LMN_TRY(lmn_eval_ready(ec)); /* types, before their bytes are read */
    if (a->rank < 1) return lmn_cpu_reference(ec);
    LMN_TRY(lmn_packbits_read(ec, &j.w));
    const int64_t n = j.w.rows, count = lmn_count(a);
    if (a->dims[a->rank - 1] != j.w.cols || (bias && lmn_count(bias) != n) ||
        count / j.w.cols >= LMN_CPU_EXTENT_MAX)
        return lmn_cpu_reference(ec);
    int64_t dims[LMN_MAX_RANK];
    lamina_tensor *y;
    memcpy(dims, a->dims, sizeof dims);
    dims[a->rank - 1] = n;
    LMN_TRY(lmn_out(ec, 0, a->dtype, a->rank, dims, &y));
    j.m = count / j.w.cols;
    if (!y || j.m == 0) return LAMINA_OK;
    LMN_TRY(lmn_f32_in(ec, a, &j.a));
    if (bias) LMN_TRY(lmn_f32_in(ec, bias, &j.bias));
    if (y->dtype == LAMINA_F32) {
        j.y = y->data;
        return product_run(k, ec, &j);
    }
    j.y = lmn_scratch(ec, (size_t)(j.m * n) * sizeof(float));
    if (!j.y) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    LMN_TRY(product_run(k, ec, &j));
    lmn_convert(y->dtype, y->data, LAMINA_F32, j.y, j.m * n, false);
    return LAMINA_OK;
}

static bool supports_nbits(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    const int64_t bits = lmn_attr_i(node->op, "bits", 4);
    if (bits != 2 && bits != 4 && bits != 8) {
        (void)lmn_format(text, cap, "%lld bits", (long long)bits);
        return false;
    }
    const bool rounds = bits != 2 && lmn_attr_i(node->op, "accuracy_level", 0) == 4 &&
                        lmn_attr_i(node->op, "block_size", 0) >= LMN_NBDOT_GROUP;
    const lmn_krow *row = rounds ? &dev->kset.nbdot_i8->head : &dev->kset.gemm_f32->head;
    (void)lmn_format(text, cap, "%s%s.%s:%s", rounds ? "" : "nbits+", row->family, row->dtype,
                     row->variant);
    return true;
}

const lmn_cpu_binding lmn_cpu_matmul_nbits = {
    .domain = "com.microsoft",
    .op = "MatMulNBits",
    .families = "nbits.f32 gemm.f32 nbdot.i8",
    .supports = supports_nbits,
    .state_bytes = sizeof(nbits_state),
    .init = init_nbits,
    .run = run_nbits,
};
