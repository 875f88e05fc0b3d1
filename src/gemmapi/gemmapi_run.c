/*
 * One product: arguments checked, alpha and beta brought to what the kernels know, chunks handed to
 * the pool. The kernels add to C as it stands or start from nothing; another beta is applied to C
 * first, and with an alpha as well beta C goes into scratch that the epilogue adds.
 */
#include "gemmapi/gemmapi_int.h"

#include "base/fpenv.h"

_Static_assert((int)LAMINA_GEMM_LEAKYRELU == (int)LMN_EPI_LEAKYRELU,
               "operations keep their number");
_Static_assert((int)LAMINA_GEMM_LEAKYRELU == (int)LMN_EPI_KIND_COUNT - 1, "there is no other");
_Static_assert((int)LAMINA_GEMM_FULL == (int)LMN_EPI_FULL, "operands lie alike");
_Static_assert((int)LAMINA_GEMM_TRANS_A == (int)LMN_GEMM_TRANS_A, "flags are the same");
_Static_assert((int)LAMINA_GEMM_TRANS_B == (int)LMN_GEMM_TRANS_B, "flags are the same");

enum { NEAR_BYTES = 4096, SCALE_ELEMS = 65536 };
#define EXTENT_END ((int64_t)1 << 31)
#define ELEMS_END ((int64_t)1 << 60)

/* ---- Checks -----------------------------------------------------------------------------------
 */

lamina_status lmn_gemmapi_shape_check(const lamina_gemm_shape *s)
{
    LMN_CHECK(s->size == sizeof *s && s->flags < 4, LAMINA_E_INVALID);
    LMN_CHECK(s->dtype == LAMINA_F32, LAMINA_E_UNSUPPORTED);
    LMN_CHECK((s->m | s->n | s->k | s->n_batch) >= 0, LAMINA_E_INVALID);
    LMN_CHECK((s->m | s->n | s->k | s->n_batch) < EXTENT_END, LAMINA_E_RANGE);
    return LAMINA_OK;
}

/* A matrix of `rows` rows of `cols`, ld apart, one an item, items `batch` apart. */
typedef struct matrix {
    const void *p;
    int64_t rows, cols, ld, batch;
} matrix;

static lamina_status check_matrix(const matrix *x, int64_t n_batch)
{
    if (x->rows == 0 || x->cols == 0) return LAMINA_OK;
    LMN_CHECK(x->p && ((uintptr_t)x->p & (sizeof(float) - 1)) == 0, LAMINA_E_INVALID);
    LMN_CHECK(x->ld >= x->cols && x->batch >= 0, LAMINA_E_INVALID);
    if (LMN_LIKELY((x->ld | x->batch) < ELEMS_END >> 31)) return LAMINA_OK;
    int64_t rows, items, all;
    const bool fits = lmn_mul_i64(x->rows - 1, x->ld, &rows) &&
                      lmn_mul_i64(n_batch - 1, x->batch, &items) &&
                      !__builtin_add_overflow(rows, items, &all) && all < ELEMS_END - x->cols;
    return fits ? LAMINA_OK : LAMINA_E_RANGE;
}

lamina_status lmn_gemmapi_matrix_check(const void *p, int64_t rows, int64_t cols, int64_t ld)
{
    return check_matrix(&(matrix){p, rows, cols, ld, 0}, 1);
}

static lamina_status check_op(const lamina_gemm_shape *s, const lamina_gemm_op *op)
{
    LMN_CHECK(op->kind < LMN_EPI_KIND_COUNT && op->bcast <= LMN_EPI_FULL, LAMINA_E_INVALID);
    LMN_CHECK(!(op->reserved[0] | op->reserved[1] | op->reserved[2]), LAMINA_E_INVALID);
    if (op->kind > LMN_EPI_MUL || op->bcast == LMN_EPI_SCALAR) return LAMINA_OK;
    const bool full = op->bcast == LMN_EPI_FULL;
    const int64_t cols = op->bcast == LMN_EPI_ROW ? s->m : s->n;
    const matrix x = {op->x, full ? s->m : 1, cols, full ? op->ld : cols, op->batch};
    return check_matrix(&x, s->n_batch);
}

static lamina_status check_args(const lamina_gemm_shape *s, const lamina_gemm_args *a)
{
    const bool ta = s->flags & LAMINA_GEMM_TRANS_A, tb = s->flags & LAMINA_GEMM_TRANS_B;
    LMN_CHECK(a->size == sizeof *a && a->reserved == 0, LAMINA_E_INVALID);
    LMN_CHECK(a->n_ops >= 0 && a->n_ops <= LAMINA_GEMM_OPS_MAX, LAMINA_E_INVALID);
    LMN_CHECK(a->n_ops == 0 || a->ops, LAMINA_E_INVALID);
    if (s->m == 0 || s->n == 0 || s->n_batch == 0) return LAMINA_OK;
    const matrix c = {a->c, s->m, s->n, a->ldc, a->c_batch};
    LMN_TRY(check_matrix(&c, s->n_batch));
    LMN_CHECK(s->n_batch == 1 || a->c_batch > 0, LAMINA_E_INVALID);
    for (int32_t i = 0; i < a->n_ops; i++) LMN_TRY(check_op(s, &a->ops[i]));
    if (a->alpha == 0) return LAMINA_OK;
    const matrix x = {a->a, ta ? s->k : s->m, ta ? s->m : s->k, a->lda, a->a_batch};
    LMN_TRY(check_matrix(&x, s->n_batch));
    if (a->packed) {
        LMN_CHECK(!ta, LAMINA_E_UNSUPPORTED);
        return a->packed->n == s->n && a->packed->k == s->k ? LAMINA_OK : LAMINA_E_SHAPE;
    }
    const matrix y = {a->b, tb ? s->n : s->k, tb ? s->k : s->n, a->ldb, a->b_batch};
    return check_matrix(&y, s->n_batch);
}

/* ---- beta -------------------------------------------------------------------------------------
 */

/* beta C into `to`, or into C itself where that is NULL; a chunk is some rows of one item. */
typedef struct scaling {
    const lamina_gemm_shape *s;
    float *c, *to; /* to: m n elements an item, without gaps */
    int64_t ldc, c_batch, rows, chunks;
    float beta;
} scaling;

static void scale_chunk(void *arg, int64_t chunk, int32_t who)
{
    (void)who;
    const scaling *t = arg;
    const int64_t item = chunk / t->chunks, n = t->s->n;
    const int64_t from = chunk % t->chunks * t->rows, end = lmn_min_i64(t->s->m, from + t->rows);
    for (int64_t i = from; i < end; i++) {
        float *c = t->c + item * t->c_batch + i * t->ldc;
        float *to = t->to ? t->to + (item * t->s->m + i) * n : c;
        for (int64_t j = 0; j < n; j++) to[j] = t->beta * c[j];
    }
}

static void run_chunks(const lamina_gemm *g, int64_t n, lmn_par_fn *fn, void *arg)
{
    if (n > 1 && g->pool) {
        lmn_workpool_for(g->pool, &(lmn_loop){.n_chunks = n, .fn = fn, .arg = arg});
        return;
    }
    for (int64_t i = 0; i < n; i++) fn(arg, i, 0);
}

static scaling scaling_of(const lamina_gemm_shape *s, const lamina_gemm_args *a, float *to)
{
    scaling t = {.s = s, .c = a->c, .to = to, .ldc = a->ldc, .c_batch = a->c_batch};
    t.beta = (float)a->beta;
    t.rows = lmn_max_i64(1, SCALE_ELEMS / s->n);
    t.chunks = lmn_ceil_div_i64(s->m, t.rows);
    return t;
}

static void scaling_run(const lamina_gemm *g, scaling *t)
{
    if (t) run_chunks(g, t->chunks * t->s->n_batch, scale_chunk, t);
}

/* ---- The product ------------------------------------------------------------------------------
 */

typedef struct product {
    const lmn_gemm_plan *plan;
    packed_plan packed; /* instead of it, if packed.w */
    lmn_gemm_args args;
    uint8_t *scratch;
    size_t scratch_step;
} product;

static void product_chunk(void *arg, int64_t chunk, int32_t who)
{
    const product *p = arg;
    if (p->packed.w) {
        lmn_gemmapi_packed_chunk(&p->packed, &p->args, chunk);
        return;
    }
    uint8_t *scratch = p->scratch ? p->scratch + (size_t)who * p->scratch_step : NULL;
    lmn_gemm_f32_chunk(p->plan, &p->args, chunk, scratch);
}

/* `first` is done when nothing can fail any more; NULL = none. */
static lamina_status run_plan(lamina_gemm *g, product *p, scaling *first)
{
    const int64_t n = p->packed.w ? p->packed.n_chunks : p->plan->n_chunks;
    const size_t bytes = p->packed.w ? 0 : p->plan->scratch_bytes;
    _Alignas(64) uint8_t near[NEAR_BYTES];
    if (bytes == 0 || (bytes <= sizeof near && n == 1)) {
        p->scratch = bytes ? near : NULL;
        scaling_run(g, first);
        run_chunks(g, n, product_chunk, p);
        return LAMINA_OK;
    }
    size_t all;
    p->scratch_step = lmn_align_up(bytes, 64);
    const size_t workers = (size_t)lmn_min_i64(g->pool ? g->width : 1, n);
    LMN_CHECK(lmn_mul_size(p->scratch_step, workers, &all), LAMINA_E_NOMEM);
    p->scratch = lmn_recycle_alloc(&g->recycle, &g->alloc, all, "gemm scratch");
    if (!p->scratch) return LAMINA_E_NOMEM;
    scaling_run(g, first);
    run_chunks(g, n, product_chunk, p);
    lmn_recycle_free(&g->recycle, &g->alloc, p->scratch, all, "gemm scratch");
    return LAMINA_OK;
}

static void add_ops(const lamina_gemm_args *a, lmn_epi *epi)
{
    for (int32_t i = 0; i < a->n_ops; i++) {
        const lamina_gemm_op *op = &a->ops[i];
        epi->op[epi->n_ops++] =
            (lmn_epi_op){op->kind, op->bcast, op->p0, op->p1, op->x, op->ld, op->batch};
    }
}

/* alpha and beta, neither 0, alpha not 1: beta C lies in scratch until the epilogue adds it. */
static lamina_status run_both(lamina_gemm *g, const lamina_gemm_shape *s, const lamina_gemm_args *a,
                              product *p)
{
    size_t elems, bytes;
    lmn_epi epi = {.n_ops = 2};
    LMN_CHECK(lmn_mul_size((size_t)s->m * (size_t)s->n, (size_t)s->n_batch, &elems) &&
                  lmn_mul_size(elems, sizeof(float), &bytes),
              LAMINA_E_NOMEM);
    float *to = lmn_recycle_alloc(&g->recycle, &g->alloc, bytes, "gemm scratch");
    if (!to) return LAMINA_E_NOMEM;
    scaling first = scaling_of(s, a, to);
    epi.op[0] = (lmn_epi_op){.kind = LMN_EPI_MUL, .p0 = (float)a->alpha};
    epi.op[1] = (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_FULL, .x = to, .ld = s->n};
    epi.op[1].batch = s->m * s->n;
    add_ops(a, &epi);
    p->args.epi = &epi;
    const lamina_status st = run_plan(g, p, &first);
    lmn_recycle_free(&g->recycle, &g->alloc, to, bytes, "gemm scratch");
    return st;
}

static lamina_status run_one(lamina_gemm *g, const lamina_gemm_shape *s, const lamina_gemm_args *a,
                             product *p)
{
    if (a->beta != 0 && a->alpha != 1) return run_both(g, s, a, p);
    lmn_epi epi = {0};
    if (a->alpha != 1)
        epi.op[epi.n_ops++] = (lmn_epi_op){.kind = LMN_EPI_MUL, .p0 = (float)a->alpha};
    add_ops(a, &epi);
    if (epi.n_ops) p->args.epi = &epi;
    p->args.beta = a->beta != 0;
    if (a->beta == 0 || a->beta == 1) return run_plan(g, p, NULL);
    scaling first = scaling_of(s, a, NULL);
    return run_plan(g, p, &first);
}

/* Checked arguments, and a plan of the shape. */
static lamina_status run(lamina_gemm *g, const lamina_gemm_shape *s, const lmn_gemm_plan *plan,
                         const lamina_gemm_args *a)
{
    if (plan->n_chunks == 0) return LAMINA_OK;
    product p = {.plan = plan};
    p.args = (lmn_gemm_args){a->a,   a->b,       a->c,       a->lda,     a->ldb,
                             a->ldc, a->a_batch, a->b_batch, a->c_batch, .item0 = 0};
    lmn_fpenv was;
    lmn_fpenv_enter(&was);
    lamina_status st;
    if (LMN_UNLIKELY(a->alpha == 0 || s->k == 0)) { /* A and B are not read, and may be NULL */
        lamina_gemm_shape none = *s;
        lamina_gemm_args plain = *a;
        none.k = 0, plain.alpha = 1;
        lmn_gemm_plan empty;
        lmn_gemm_f32_plan(plan->row, &(lmn_gemm_shape){s->m, s->n, 0, s->n_batch, 0}, &empty);
        p.plan = &empty;
        p.args.a = p.args.b = a->c;
        p.args.lda = p.args.ldb = p.args.a_batch = p.args.b_batch = 0;
        st = run_one(g, &none, &plain, &p);
    } else {
        if (a->packed) lmn_gemmapi_packed_plan(a->packed, s, &p.packed);
        st = run_one(g, s, a, &p);
    }
    lmn_fpenv_leave(&was);
    return st;
}

lamina_status lamina_gemm_once(lamina_gemm *g, const lamina_gemm_shape *shape,
                               const lamina_gemm_args *args)
{
    LMN_CHECK(g && shape && args, LAMINA_E_INVALID);
    LMN_TRY(lmn_gemmapi_shape_check(shape));
    LMN_TRY(check_args(shape, args));
    const lmn_gemm_shape s = {shape->m, shape->n, shape->k, shape->n_batch, (int32_t)shape->flags};
    lmn_gemm_plan plan;
    lmn_gemm_f32_plan(g->kset.gemm_f32, &s, &plan);
    return run(g, shape, &plan, args);
}

lamina_status lamina_gemm_run(const lamina_gemm_plan *plan, const lamina_gemm_args *args)
{
    LMN_CHECK(plan && args, LAMINA_E_INVALID);
    LMN_TRY(check_args(&plan->shape, args));
    return run(plan->g, &plan->shape, &plan->plan, args);
}
