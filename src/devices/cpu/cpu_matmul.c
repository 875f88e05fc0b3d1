/*
 * MatMul, Gemm and their fused forms: f32 on the gemm family, 16 bits on hgemm, and f32 by weights
 * kept in bf16 where the session wants that. Batches that lie at a fixed stride
 * are one plan; a batch of A alone is more rows of one product. Other broadcasts run the plan of
 * one item for every item. Chunks depend on shapes only, so the bits do not depend on the number of
 * threads.
 */
#include "devices/cpu/cpu_fused.h"
#include "devices/cpu/cpu_half.h"
#include "devices/cpu/cpu_int8.h"
#include "devices/cpu/cpu_tools.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/hgemm/hgemm_plan.h"
#include "ops/packbits.h"
#include "tune/tune.h"

#include <string.h>

/* One or many products of one shape. Item t of `items` is found by its index over `batch`. */
typedef struct product {
    lmn_gemm_plan plan;
    lmn_gemm_args args;
    lmn_hgemm_plan half; /* where its row is set, this runs instead, from the same operands */
    lmn_hgemm_args half_args;
    int32_t n_axes; /* of the items; 0 = one item */
    int64_t batch[LMN_MAX_RANK], a_step[LMN_MAX_RANK], b_step[LMN_MAX_RANK];
    lmn_cpu_scratch scratch;
    lmn_tune_use use; /* until the product is done */
} product;

/* Elements to the operands of an item. */
static void item_at(const product *p, int64_t item, int64_t *a, int64_t *b)
{
    *a = *b = 0;
    for (int32_t i = p->n_axes - 1; i >= 0; i--) {
        *a += item % p->batch[i] * p->a_step[i];
        *b += item % p->batch[i] * p->b_step[i];
        item /= p->batch[i];
    }
}

static void half_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const product *p = arg;
    lmn_hgemm_args args = p->half_args;
    const int32_t flags = p->half.flags;
    const int64_t item = chunk / p->half.n_chunks;
    int64_t a, b;
    item_at(p, item, &a, &b);
    args.a = (const char *)args.a + a * (flags & LMN_HGEMM_A_F32 ? 4 : 2);
    args.b = (const char *)args.b + b * (flags & LMN_HGEMM_B_F32 ? 4 : 2);
    args.c = (char *)args.c + item * p->half.m * p->half.n * (flags & LMN_HGEMM_C_F32 ? 4 : 2);
    args.item0 = item;
    lmn_hgemm_chunk(&p->half, &args, chunk % p->half.n_chunks,
                    lmn_cpu_scratch_of(&p->scratch, worker));
}

static void product_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const product *p = arg;
    lmn_gemm_args args = p->args;
    const int64_t item = chunk / p->plan.n_chunks;
    int64_t a, b;
    item_at(p, item, &a, &b);
    args.a += a, args.b += b, args.c += item * p->plan.m * p->plan.n;
    args.item0 = item;
    lmn_gemm_f32_chunk(&p->plan, &args, chunk % p->plan.n_chunks,
                       lmn_cpu_scratch_of(&p->scratch, worker));
}

static lamina_status product_run(lmn_eval *ec, product *p)
{
    const bool half = LMN_KSET_SHORTENS && p->half.row != NULL;
    int64_t n = half ? p->half.n_chunks : p->plan.n_chunks;
    for (int32_t i = 0; i < p->n_axes; i++) n *= p->batch[i];
    const size_t bytes = half ? p->half.scratch_bytes : p->plan.scratch_bytes;
    LMN_TRY(lmn_cpu_worker_scratch(ec, bytes, &p->scratch));
    if (n > 0) lmn_par_for(ec->par, n, half ? half_chunk : product_chunk, p);
    lmn_tune_end(&p->use);
    p->use.problem = NULL;
    return LAMINA_OK;
}

/* Both operands of one type that is computed here. */
static bool same_types(const lmn_eval *ec)
{
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 1);
    if (lmn_cpu_is_f32(a) && lmn_cpu_is_f32(b)) return true;
    return a && b && a->kind == LAMINA_KIND_TENSOR && b->kind == LAMINA_KIND_TENSOR &&
           a->dtype == b->dtype && lmn_cpu_is_half(a->dtype) && ec->node->def->domain[0] == 0;
}

/* The same product on hgemm; weights instead of B where they are given. */
static void go_half(product *p, const lmn_hgemm_row *row, const lmn_gemm_shape *g,
                    const void *weights)
{
    _Static_assert((int)LMN_GEMM_TRANS_A == (int)LMN_HGEMM_TRANS_A &&
                       (int)LMN_GEMM_TRANS_B == (int)LMN_HGEMM_TRANS_B,
                   "flags pass through");
    const int32_t ours = LMN_HGEMM_A_F32 | LMN_HGEMM_C_F32 | LMN_HGEMM_PACKED;
    const int32_t flags = weights ? (g->flags & LMN_GEMM_TRANS_A) | ours : g->flags;
    const lmn_hgemm_shape s = {g->m, g->n, g->k, g->n_batch, flags, 0, g->threads};
    lmn_hgemm_plan_make(row, &s, &p->half);
    p->half_args = (lmn_hgemm_args){.a = p->args.a,
                                    .b = weights ? weights : p->args.b,
                                    .c = p->args.c,
                                    .lda = p->args.lda,
                                    .ldb = p->args.ldb,
                                    .ldc = p->args.ldc,
                                    .a_batch = p->args.a_batch,
                                    .b_batch = p->args.b_batch,
                                    .c_batch = p->args.c_batch,
                                    .epi = p->args.epi};
}

/* By what was tuned for this machine, if that is. */
static void plan_tuned(const lamina_kernel *k, product *p, const lmn_gemm_shape *s)
{
    const lmn_gemm_row *row = k->dev->kset.gemm_f32;
    if (s->flags & LMN_GEMM_PACKED_B || !lmn_tune_wanted(k->site)) {
        lmn_gemm_f32_plan(row, s, &p->plan);
        return;
    }
    lmn_tune_around a = {.epi = p->args.epi, .items = 1, .threads = s->threads};
    for (int32_t i = 0; i < p->n_axes; i++) a.items *= p->batch[i];
    const lmn_tune_key key = lmn_tune_key_gemm(s, &a);
    lmn_tune_begin(k->site, &key, &k->dev->kset, &p->use);
    (void)lmn_gemm_f32_plan_as(row, s, &p->use.choice, &p->plan);
}

/* In f32, on panels of B where there are some. */
static lamina_status go_f32(const lamina_kernel *k, product *p, const lmn_gemm_shape *g)
{
    lmn_gemm_shape s = *g;
    lamina_status st = LAMINA_OK;
    if (k->precision == LAMINA_PRECISION_STRICT) s.flags |= LMN_GEMM_CHAIN;
    const float *panels = lmn_cpu_panels(k->state, &s, &st);
    if (panels) {
        p->args.b = panels;
        s.flags = (s.flags & LMN_GEMM_TRANS_A) | LMN_GEMM_PACKED_B;
    }
    plan_tuned(k, p, &s);
    return st;
}

/* On the weights in bf16 or in 8 bits. */
static lamina_status run_short(const lamina_kernel *k, lmn_eval *ec, product *p,
                               const lmn_gemm_shape *g)
{
    const lmn_cpu_weights *w = k->state;
    if (w->int8) {
        const lmn_cpu_int8 all = {w,    p->args.a, p->args.c,  g->m,
                                  g->n, g->k,      g->n_batch, p->args.epi};
        return lmn_cpu_int8_run(k->dev, ec, &all);
    }
    const void *weights = lmn_packed_data(w->half);
    if (!weights) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of memory for weights in bf16");
    go_half(p, lmn_cpu_hgemm(k->dev, LAMINA_BF16), g, weights);
    return product_run(ec, p);
}

/* ---- long sums of few rows ---------------------------------------------------------------------
 */

/*
 * Few rows of A by [k][n] weights from memory. Threads that share the columns read alternate pieces
 * of every row, which memory serves hardly faster than it serves one; parts of k are whole rows,
 * one run for each thread. So such a product is PARTS products whose sums are added pairwise: the
 * shape alone says which, and the bits are those of any number of threads.
 */
enum { PARTS = 4, LONG_M = 3, LONG_N = 16384, LONG_BYTES = 1 << 20 };

static bool is_long(const lamina_kernel *k, const product *p, const lmn_gemm_shape *g)
{
    if (g->flags || g->n_batch != 1 || p->n_axes || k->precision == LAMINA_PRECISION_STRICT)
        return false;
    return g->m <= LONG_M && g->n <= LONG_N && g->k % PARTS == 0 &&
           g->k * g->n >= LONG_BYTES / (int64_t)sizeof(float);
}

static lamina_status run_long(const lamina_kernel *k, lmn_eval *ec, product *p,
                              const lmn_gemm_shape *g)
{
    const int64_t mn = g->m * g->n;
    float *sum = lmn_scratch(ec, (size_t)(PARTS * mn) * sizeof *sum), *c = p->args.c;
    if (!sum) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    const lmn_gemm_shape s = {g->m, g->n, g->k / PARTS, PARTS, 0, g->threads};
    product part = {.args = p->args};
    part.args.a_batch = s.k, part.args.b_batch = s.k * s.n, part.args.c_batch = mn;
    part.args.c = sum, part.args.epi = NULL;
    plan_tuned(k, &part, &s);
    LMN_TRY(product_run(ec, &part));
    for (int64_t i = 0; i < mn; i++)
        c[i] = (sum[i] + sum[mn + i]) + (sum[2 * mn + i] + sum[3 * mn + i]);
    const lmn_epi_block e = {.c = c, .ldc = g->n, .m = g->m, .n = g->n};
    if (p->args.epi) part.plan.row->epi(p->args.epi, &e);
    return LAMINA_OK;
}

static lamina_status run_f32(const lamina_kernel *k, lmn_eval *ec, product *p,
                             const lmn_gemm_shape *g)
{
    if (is_long(k, p, g)) return run_long(k, ec, p, g);
    if (go_f32(k, p, g) != LAMINA_OK)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of memory for packed weights");
    return product_run(ec, p);
}

/* All of the product into y, by the type of the operands and the session's precision. */
static lamina_status product_all(const lamina_kernel *k, lmn_eval *ec, product *p,
                                 lmn_gemm_shape *g, lamina_tensor *y)
{
    lmn_cpu_weights *w = k->state;
    g->threads = lmn_par_width(ec->par);
    const lmn_cpu_verdict verdict =
        y->dtype == LAMINA_F32 ? lmn_cpu_weights_verdict(w) : LMN_CPU_F32;
    p->args.c = y->data;
    if (verdict == LMN_CPU_SHORT) return run_short(k, ec, p, g);
    if (lmn_cpu_is_half(y->dtype)) {
        go_half(p, lmn_cpu_hgemm(k->dev, y->dtype), g, NULL);
        return product_run(ec, p);
    }
    LMN_TRY(run_f32(k, ec, p, g));
    if (verdict != LMN_CPU_UNTRIED) return LAMINA_OK;
    float *other = lmn_scratch(ec, y->data_bytes);
    if (!other) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    p->args.c = other;
    LMN_TRY(run_short(k, ec, p, g));
    lmn_cpu_trial_judge(&w->trial, y->data, other, lmn_count(y));
    return LAMINA_OK;
}

/* ---- MatMul -----------------------------------------------------------------------------------
 */

/* Both operands with rank >= 2 and batch axes aligned to the right; out dims as numpy says. */
typedef struct mm {
    int64_t m, n, k;
    int32_t n_batch, out_rank;
    int64_t a[LMN_MAX_RANK], b[LMN_MAX_RANK], out[LMN_MAX_RANK];
} mm;

static bool mm_shape(const lamina_tensor *a, const lamina_tensor *b, mm *s)
{
    memset(s, 0, sizeof *s);
    if (a->rank < 1 || b->rank < 1) return false;
    const int32_t na = a->rank > 2 ? a->rank - 2 : 0, nb = b->rank > 2 ? b->rank - 2 : 0;
    s->m = a->rank > 1 ? a->dims[a->rank - 2] : 1;
    s->k = a->dims[a->rank - 1];
    s->n = b->rank > 1 ? b->dims[b->rank - 1] : 1;
    if (s->k != (b->rank > 1 ? b->dims[b->rank - 2] : b->dims[0])) return false;
    s->n_batch = na > nb ? na : nb;
    for (int32_t i = 0; i < s->n_batch; i++) {
        const int32_t ia = i - (s->n_batch - na), ib = i - (s->n_batch - nb);
        s->a[i] = ia >= 0 ? a->dims[ia] : 1;
        s->b[i] = ib >= 0 ? b->dims[ib] : 1;
        if (s->a[i] != s->b[i] && s->a[i] != 1 && s->b[i] != 1) return false;
        s->out[s->out_rank++] = s->a[i] == 1 ? s->b[i] : s->a[i];
    }
    if (a->rank > 1) s->out[s->out_rank++] = s->m;
    if (b->rank > 1) s->out[s->out_rank++] = s->n;
    return true;
}

/* Batch extents into more rows (if `as_rows`), the plan's own batch, or a walk over items. */
static bool mm_batches(const mm *s, bool as_rows, product *p, lmn_gemm_shape *g)
{
    int64_t out = 1, a = 1, b = 1;
    for (int32_t i = 0; i < s->n_batch; i++) {
        out *= s->a[i] == 1 ? s->b[i] : s->a[i];
        a *= s->a[i];
        b *= s->b[i];
    }
    *g = (lmn_gemm_shape){.m = s->m, .n = s->n, .k = s->k, .n_batch = 1};
    if (as_rows && b == 1 && a == out) {
        g->m = s->m * out;
    } else if ((a == out || a == 1) && (b == out || b == 1)) {
        g->n_batch = out;
        p->args.a_batch = a == out ? s->m * s->k : 0;
        p->args.b_batch = b == out ? s->k * s->n : 0;
        p->args.c_batch = s->m * s->n;
    } else {
        int64_t a_step = s->m * s->k, b_step = s->k * s->n;
        p->n_axes = s->n_batch;
        for (int32_t i = s->n_batch - 1; i >= 0; i--) {
            p->batch[i] = s->a[i] == 1 ? s->b[i] : s->a[i];
            p->a_step[i] = s->a[i] == 1 ? 0 : a_step;
            p->b_step[i] = s->b[i] == 1 ? 0 : b_step;
            a_step *= s->a[i];
            b_step *= s->b[i];
        }
    }
    return g->m < LMN_CPU_EXTENT_MAX && g->n < LMN_CPU_EXTENT_MAX && g->k < LMN_CPU_EXTENT_MAX &&
           g->n_batch < LMN_CPU_EXTENT_MAX;
}

/* Batches and epilogue together: operands that do not follow all rows alike may follow items. */
static bool mm_setup(const lmn_eval *ec, const mm *s, product *p, lmn_gemm_shape *g, lmn_epi *epi)
{
    const int32_t rows = s->n_batch + (lmn_in(ec, 0)->rank > 1);
    for (int32_t attempt = 0; attempt < 2; attempt++) {
        memset(p, 0, sizeof *p);
        epi->n_ops = 0;
        if (!mm_batches(s, attempt == 0, p, g)) return false;
        const int32_t items = p->args.c_batch || p->n_axes ? s->n_batch : 0;
        const lmn_cpu_layout layout = {s->out_rank, items, rows, s->out};
        if (lmn_cpu_epilogue(ec, 2, &layout, epi)) return true;
    }
    return false;
}

static lamina_status run_matmul(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 1);
    mm s;
    lmn_gemm_shape g;
    product p;
    lmn_epi epi;
    if (!same_types(ec) || !mm_shape(a, b, &s) || !mm_setup(ec, &s, &p, &g, &epi))
        return lmn_cpu_reference(ec);
    lamina_tensor *c;
    LMN_TRY(lmn_out(ec, 0, a->dtype, s.out_rank, s.out, &c));
    if (!c) return LAMINA_OK;
    p.args.a = a->data, p.args.b = b->data;
    p.args.lda = s.k, p.args.ldb = p.args.ldc = s.n;
    p.args.epi = epi.n_ops ? &epi : NULL;
    return product_all(k, ec, &p, &g, c);
}

static bool supports_matmul(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_product(dev, node, &dev->kset.gemm_f32->head, text, cap);
}

/* B is packed or streamed by vector loads; portable C would read it float by float. */
static bool any_address(const lmn_cpu_dev *dev, int32_t i)
{
    return i == 1 && dev->kset.gemm_f32->head.isa != LMN_ISA_REF;
}

/* ---- Gemm -------------------------------------------------------------------------------------
 */

/* beta * C as an epilogue operation; false if C does not broadcast to m x n. */
static bool gemm_bias(lmn_eval *ec, const lamina_tensor *c, int64_t m, int64_t n, lmn_epi_op *op,
                      lamina_status *st)
{
    const float beta = lmn_attr_f(ec->node, "beta", 1.0f);
    const float *x;
    const int64_t cm = c->rank == 2 ? c->dims[0] : 1, cn = c->rank ? c->dims[c->rank - 1] : 1;
    if (c->rank > 2 || (cm != m && cm != 1) || (cn != n && cn != 1)) return false;
    *st = lmn_f32_in(ec, c, &x);
    if (*st) return true;
    *op = (lmn_epi_op){.kind = LMN_EPI_ADD, .ld = n};
    if (cm == 1 && cn == 1) {
        op->bcast = LMN_EPI_SCALAR;
        op->p0 = beta * x[0];
        return true;
    }
    op->bcast = cm == 1 ? LMN_EPI_COL : cn == 1 ? LMN_EPI_ROW : LMN_EPI_FULL;
    op->x = x;
    if (beta == 1.0f) return true;
    float *scaled = lmn_scratch(ec, (size_t)(cm * cn) * sizeof *scaled);
    if (!scaled) {
        *st = lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
        return true;
    }
    for (int64_t i = 0; i < cm * cn; i++) scaled[i] = beta * x[i];
    op->x = scaled;
    return true;
}

static bool gemm_shape(const lmn_eval *ec, lmn_gemm_shape *g)
{
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 1);
    if (!same_types(ec) || a->rank != 2 || b->rank != 2) return false;
    const bool ta = lmn_attr_i(ec->node, "transA", 0) != 0,
               tb = lmn_attr_i(ec->node, "transB", 0) != 0;
    g->flags = (ta ? LMN_GEMM_TRANS_A : 0) | (tb ? LMN_GEMM_TRANS_B : 0);
    g->m = a->dims[ta], g->k = a->dims[!ta], g->n = b->dims[!tb], g->n_batch = 1;
    return b->dims[tb] == g->k && g->m < LMN_CPU_EXTENT_MAX && g->n < LMN_CPU_EXTENT_MAX &&
           g->k < LMN_CPU_EXTENT_MAX && g->m > 0 && g->n > 0;
}

static lamina_status run_gemm(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *bias = lmn_in(ec, 2);
    lmn_gemm_shape g;
    if (!gemm_shape(ec, &g)) return lmn_cpu_reference(ec);
    const lamina_dtype dt = lmn_in(ec, 0)->dtype;
    if (bias && (bias->kind != LAMINA_KIND_TENSOR || bias->dtype != dt))
        return lmn_cpu_reference(ec);
    lmn_epi epi = {0};
    const float alpha = lmn_attr_f(ec->node, "alpha", 1.0f),
                beta = lmn_attr_f(ec->node, "beta", 1.0f);
    if (alpha != 1.0f)
        epi.op[epi.n_ops++] =
            (lmn_epi_op){.kind = LMN_EPI_MUL, .bcast = LMN_EPI_SCALAR, .p0 = alpha};
    lamina_status st = LAMINA_OK;
    if (bias && beta != 0.0f && !gemm_bias(ec, bias, g.m, g.n, &epi.op[epi.n_ops++], &st))
        return lmn_cpu_reference(ec);
    LMN_TRY(st);
    const lmn_cpu_layout layout = {2, 0, 1, (int64_t[]){g.m, g.n}};
    if (!lmn_cpu_epilogue(ec, 3, &layout, &epi)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, dt, 2, (int64_t[]){g.m, g.n}, &y));
    if (!y) return LAMINA_OK;
    product p = {0};
    p.args.a = lmn_in(ec, 0)->data, p.args.b = lmn_in(ec, 1)->data;
    p.args.lda = g.flags & LMN_GEMM_TRANS_A ? g.m : g.k;
    p.args.ldb = g.flags & LMN_GEMM_TRANS_B ? g.k : g.n;
    p.args.ldc = g.n;
    p.args.epi = epi.n_ops ? &epi : NULL;
    return product_all(k, ec, &p, &g, y);
}

/* ---- bindings ---------------------------------------------------------------------------------
 */

#define BINDING(symbol, Domain, Op, call)                             \
    const lmn_cpu_binding lmn_cpu_##symbol = {                        \
        .domain = Domain,                                             \
        .op = Op,                                                     \
        .families = "gemm.f32 hgemm.bf16 hgemm.f16 qgemm.i8 qmap.i8", \
        .state_bytes = sizeof(lmn_cpu_weights),                       \
        .init = lmn_cpu_weights_init,                                 \
        .finish = lmn_cpu_weights_finish,                             \
        .supports = supports_matmul,                                  \
        .run = call,                                                  \
        .any_address = any_address}
BINDING(matmul, "", "MatMul", run_matmul);
BINDING(gemm, "", "Gemm", run_gemm);
BINDING(fused_matmul, "lamina", "FusedMatMul", run_matmul);
BINDING(fused_gemm, "lamina", "FusedGemm", run_gemm);
