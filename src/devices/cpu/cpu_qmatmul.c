/*
 * Products of 8-bit integers on the qgemm family: MatMulInteger, QLinearMatMul, and of
 * com.microsoft QGemm and MatMulIntegerToFloat. Sums are exact whatever the zero points and signs
 * are, and are rounded in the kernel by the very steps of the reference. Constant weights are
 * packed once a session.
 */
#include "devices/cpu/cpu_quant.h"
#include "ops/qmatmul.h"
#include "tune/tune.h"

#include <string.h>

/* Of what pack() writes: another order of bytes is another number. */
#define LAYOUT_VERSION 1

enum { LEAST_K = 32, LEAST_N = 16 }; /* smaller weights gain nothing */

typedef struct weights {
    lmn_packed *packed; /* NULL: they are not constant, or there is no store */
} weights;

static void pack(const void *row, int32_t flags, const lamina_tensor *w, void *dst)
{
    (void)flags;
    lmn_qgemm_prepack(row, false, lmn_cpu_is_signed(w), w->data, w->dims[1], w->dims[0], w->dims[1],
                      dst);
}

/* Input ib, if it is a constant matrix. */
static lamina_status init_at(const lmn_cpu_dev *dev, const lamina_node *node, int32_t ib,
                             weights *s, lamina_error *err)
{
    const lmn_qgemm_row *row = dev->kset.qgemm_i8;
    const lamina_tensor *w = node->op->n_in > ib ? node->in_const[ib] : NULL;
    if (!node->prepack || row->head.isa == LMN_ISA_REF || !lmn_cpu_is_8bit(w) || w->rank != 2 ||
        w->dims[0] < LEAST_K || w->dims[1] < LEAST_N)
        return LAMINA_OK;
    const int64_t k = w->dims[0], n = w->dims[1];
    if (k >= LMN_CPU_EXTENT_MAX || n >= LMN_CPU_EXTENT_MAX) return LAMINA_OK;
    lmn_pack_job job = {.w = w, .pack = pack, .row = row};
    job.bytes = (uint64_t)lmn_qgemm_packed_bytes(row, k, n);
    (void)lmn_format(job.layout, sizeof job.layout, "%s.%s:%s.%d.%d kn %lldx%lld %c",
                     row->head.family, row->head.dtype, row->head.variant, LAYOUT_VERSION,
                     (int)row->nr, (long long)k, (long long)n, lmn_cpu_is_signed(w) ? 's' : 'u');
    if (node->prepack->want(node->prepack, &job, &s->packed) == LAMINA_OK) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for packed weights");
}

/* One or many products of one shape. Item t of `items` is found by its index over q.batch. */
typedef struct product {
    lmn_qmatmul q; /* shapes and steps only */
    lmn_qgemm_plan plan;
    lmn_qgemm_args args;
    lmn_cpu_scratch scratch;
} product;

static void product_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const product *p = arg;
    lmn_qgemm_args args = p->args;
    const int64_t item = chunk / p->plan.n_chunks;
    int64_t rest = item;
    for (int32_t i = p->q.batch_rank - 1; i >= 0; i--) {
        args.a += rest % p->q.batch[i] * p->q.a_step[i];
        args.b += rest % p->q.batch[i] * p->q.b_step[i];
        rest /= p->q.batch[i];
    }
    args.c =
        (uint8_t *)args.c + item * p->plan.m * p->plan.n * (args.out == LMN_QGEMM_BYTES ? 1 : 4);
    lmn_qgemm_chunk(&p->plan, &args, chunk % p->plan.n_chunks,
                    lmn_cpu_scratch_of(&p->scratch, worker));
}

/* A batch of A alone is more rows of one product. */
static void fold_batch(lmn_qmatmul *q)
{
    for (int32_t i = 0; i < q->batch_rank; i++)
        if (q->batch[i] > 1 && (q->a_step[i] == 0 || q->b_step[i] != 0)) return;
    q->m *= q->n_batch;
    q->n_batch = 1, q->batch_rank = 0;
}

static lamina_status product_run(const lamina_kernel *k, lmn_eval *ec, product *p, void *c)
{
    const lmn_qgemm_shape shape = {
        .m = p->q.m, .n = p->q.n, .k = p->q.k, .n_batch = 1, .threads = lmn_par_width(ec->par)};
    p->args.c = c;
    p->args.lda = p->q.k, p->args.ldb = p->args.ldc = p->q.n;
    const lmn_qgemm_row *row = k->dev->kset.qgemm_i8;
    const weights *s = k->state;
    lmn_tune_use use = {.problem = NULL};
    if (s->packed) {
        lmn_qgemm_shape packed = shape;
        packed.packed = true;
        lmn_qgemm_plan_make(row, &packed, &p->plan);
        p->args.b = lmn_packed_data(s->packed);
        if (!p->args.b) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of memory for weights");
    } else if (lmn_tune_wanted(k->site)) {
        const lmn_tune_around a = {.items = p->q.n_batch, .threads = lmn_par_width(ec->par)};
        const lmn_tune_key key = lmn_tune_key_qgemm(&shape, &a);
        lmn_tune_begin(k->site, &key, &k->dev->kset, &use);
        (void)lmn_qgemm_plan_as(row, &shape, &use.choice, &p->plan);
    } else {
        lmn_qgemm_plan_make(row, &shape, &p->plan);
    }
    LMN_TRY(lmn_cpu_worker_scratch(ec, p->plan.scratch_bytes, &p->scratch));
    const int64_t chunks = p->plan.n_chunks * p->q.n_batch;
    if (chunks > 0) lmn_par_for(ec->par, chunks, product_chunk, p);
    lmn_tune_end(&use);
    return LAMINA_OK;
}

/* Shapes and zero points of the product of inputs a and b; false leaves it to the reference. */
static bool product_read(lmn_eval *ec, int32_t ia, int32_t iazp, int32_t ib, int32_t ibzp,
                         product *p)
{
    const lamina_tensor *a = lmn_in(ec, ia), *b = lmn_in(ec, ib);
    lmn_qgemm_args *args = &p->args;
    if (!lmn_cpu_is_8bit(a) || !lmn_cpu_is_8bit(b) || a->rank < 1 || b->rank < 1) return false;
    args->a = a->data, args->a_signed = lmn_cpu_is_signed(a);
    args->b = b->data, args->b_signed = lmn_cpu_is_signed(b);
    const int64_t rows = a->rank > 1 ? a->dims[a->rank - 2] : -1;
    const int64_t cols = b->rank > 1 ? b->dims[b->rank - 1] : -1;
    return lmn_cpu_zero_point(ec, lmn_in(ec, iazp), args->a_signed, rows, &args->a_zp,
                              &args->a_zps) &&
           lmn_cpu_zero_point(ec, lmn_in(ec, ibzp), args->b_signed, cols, &args->b_zp,
                              &args->b_zps);
}

static bool product_fits(product *p)
{
    if (!p->args.a_zps) fold_batch(&p->q);
    const lmn_qmatmul *q = &p->q;
    return q->m < LMN_CPU_EXTENT_MAX && q->n < LMN_CPU_EXTENT_MAX && q->k < LMN_CPU_EXTENT_MAX;
}

static lamina_status run_matmul_integer(const lamina_kernel *k, lmn_eval *ec)
{
    product p = {0};
    if (!product_read(ec, 0, 2, 1, 3, &p)) return lmn_cpu_reference(ec);
    LMN_TRY(lmn_qmatmul_setup(ec, lmn_in(ec, 0), lmn_in(ec, 1), &p.q));
    if (!product_fits(&p)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_I32, p.q.rank, p.q.dims, &y));
    return y ? product_run(k, ec, &p, y->data) : LAMINA_OK;
}

/* Factors x * scale[j] / y of columns, or one of all; `y` 1 divides nothing. */
static bool column_factors(lmn_eval *ec, const lamina_tensor *scale, float x, float y, product *p)
{
    if (!lmn_cpu_is_f32(scale) || scale->rank > 1) return false;
    const int64_t n = lmn_count(scale);
    const float *s = scale->data;
    if (n == 1) {
        p->args.mul = x * s[0] / y;
        return true;
    }
    if (n != p->q.n || n == 0) return false;
    float *mul = lmn_scratch(ec, (size_t)n * sizeof *mul);
    for (int64_t j = 0; mul && j < n; j++) mul[j] = x * s[j] / y;
    p->args.col_mul = mul;
    return mul != NULL;
}

static bool matrices(const lmn_eval *ec, int32_t ia, int32_t ib)
{
    return lmn_in(ec, ia)->rank > 1 && lmn_in(ec, ib)->rank > 1;
}

static lamina_status run_qlinear_matmul(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *y_zp = lmn_in(ec, 7);
    product p = {.args = {.out = LMN_QGEMM_BYTES, .div = 1.0f}};
    float as, ys;
    if (!product_read(ec, 0, 2, 3, 5, &p)) return lmn_cpu_reference(ec);
    LMN_TRY(lmn_qmatmul_setup(ec, lmn_in(ec, 0), lmn_in(ec, 3), &p.q));
    if (!lmn_cpu_is_8bit(y_zp) || lmn_count(y_zp) != 1 || !lmn_cpu_scale(lmn_in(ec, 1), &as) ||
        !lmn_cpu_scale(lmn_in(ec, 6), &ys) || !matrices(ec, 0, 3) ||
        !column_factors(ec, lmn_in(ec, 4), as, ys, &p) || !product_fits(&p))
        return lmn_cpu_reference(ec);
    lmn_cpu_out_range(y_zp, &p.args.zp, &p.args.lo, &p.args.hi);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, y_zp->dtype, p.q.rank, p.q.dims, &y));
    return y ? product_run(k, ec, &p, y->data) : LAMINA_OK;
}

/* ---- com.microsoft ----------------------------------------------------------------------------
 */

/* C of QGemm: one a column, or none. */
static bool column_bias(const lamina_tensor *c, product *p)
{
    if (!c) return true;
    if (c->kind != LAMINA_KIND_TENSOR || c->dtype != LAMINA_I32 || c->rank != 1 ||
        c->dims[0] != p->q.n)
        return false;
    p->args.col_bias = c->data;
    return true;
}

/* How QGemm's result leaves: bytes of *dt, or f32 where nothing quantises it. */
static bool qgemm_out(const lmn_eval *ec, product *p, lamina_dtype *dt)
{
    const lamina_tensor *a = lmn_in(ec, 0), *scale = lmn_in(ec, 7), *zp = lmn_in(ec, 8);
    *dt = LAMINA_F32;
    p->args.out = LMN_QGEMM_F32;
    if (!scale) return !zp;
    p->args.out = LMN_QGEMM_BYTES;
    if (!lmn_cpu_scale(scale, &p->args.div) || scale->rank > 1) return false;
    if (zp && (!lmn_cpu_is_8bit(zp) || lmn_count(zp) != 1 || zp->rank > 1)) return false;
    *dt = zp ? zp->dtype : a->dtype;
    lmn_cpu_out_range(zp ? zp : a, &p->args.zp, &p->args.lo, &p->args.hi);
    if (!zp) p->args.zp = 0;
    return true;
}

static lamina_status run_qgemm(const lamina_kernel *k, lmn_eval *ec)
{
    const float alpha = lmn_attr_f(ec->node, "alpha", 1.0f);
    product p = {0};
    lamina_dtype dt;
    float as;
    if (alpha != 1.0f || lmn_attr_i(ec->node, "transA", 0) || lmn_attr_i(ec->node, "transB", 0) ||
        !product_read(ec, 0, 2, 3, 5, &p) || !matrices(ec, 0, 3))
        return lmn_cpu_reference(ec);
    LMN_TRY(lmn_qmatmul_setup(ec, lmn_in(ec, 0), lmn_in(ec, 3), &p.q));
    if (!lmn_cpu_scale(lmn_in(ec, 1), &as) || lmn_in(ec, 1)->rank > 1 ||
        !column_factors(ec, lmn_in(ec, 4), as, 1.0f, &p) || !column_bias(lmn_in(ec, 6), &p) ||
        !qgemm_out(ec, &p, &dt) || !product_fits(&p))
        return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, dt, p.q.rank, p.q.dims, &y));
    return y ? product_run(k, ec, &p, y->data) : LAMINA_OK;
}

static lamina_status run_to_float(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *bias = lmn_in(ec, 6);
    product p = {.args = {.out = LMN_QGEMM_F32}};
    float as;
    if (!product_read(ec, 0, 4, 1, 5, &p) || !matrices(ec, 0, 1)) return lmn_cpu_reference(ec);
    LMN_TRY(lmn_qmatmul_setup(ec, lmn_in(ec, 0), lmn_in(ec, 1), &p.q));
    if (!lmn_cpu_scale(lmn_in(ec, 2), &as) || lmn_in(ec, 2)->rank > 1 ||
        !column_factors(ec, lmn_in(ec, 3), as, 1.0f, &p) || !product_fits(&p))
        return lmn_cpu_reference(ec);
    if (bias && (!lmn_cpu_is_f32(bias) || bias->rank != 1 || bias->dims[0] != p.q.n))
        return lmn_cpu_reference(ec);
    if (bias) p.args.col_bias_f32 = bias->data;
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, p.q.rank, p.q.dims, &y));
    return y ? product_run(k, ec, &p, y->data) : LAMINA_OK;
}

static bool supports(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_8bit(dev, node, 0, text, cap);
}

#define BINDING(symbol, Domain, Op, at)                                                 \
    static lamina_status init_##symbol(const lmn_cpu_dev *dev, const lamina_node *node, \
                                       void *state, lamina_error *err)                  \
    {                                                                                   \
        return init_at(dev, node, at, state, err);                                      \
    }                                                                                   \
    const lmn_cpu_binding lmn_cpu_##symbol = {.domain = Domain,                         \
                                              .op = Op,                                 \
                                              .families = "qgemm.i8",                   \
                                              .supports = supports,                     \
                                              .state_bytes = sizeof(weights),           \
                                              .init = init_##symbol,                    \
                                              .run = run_##symbol}
BINDING(matmul_integer, "", "MatMulInteger", 1);
BINDING(qlinear_matmul, "", "QLinearMatMul", 3);
BINDING(qgemm, "com.microsoft", "QGemm", 3);
BINDING(to_float, "com.microsoft", "MatMulIntegerToFloat", 1);
