/*
 * One product: arguments checked, alpha and beta brought to what the kernels know, chunks handed to
 * the pool. The kernels add to C as it stands or start from nothing; another beta is applied to C
 * first, and with an alpha as well beta C goes into scratch that the epilogue adds.
 */
#include "gemmapi/gemmapi_int.h"

#include <string.h>

#include "base/fpenv.h"

/* A tiny product takes less than a few calls: its way is one function, all else is beside it. */
#define HOT static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))

enum { NEAR_BYTES = 16384, SCALE_ELEMS = 65536, TINY_EXTENT = 4096 };

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
    if (t) lmn_gemmapi_chunks(g, t->chunks * t->s->n_batch, scale_chunk, t);
}

/* ---- The product ------------------------------------------------------------------------------
 */

typedef struct product {
    const any_plan *plan;
    lmn_gemm_args args;
    workers w;
} product;

static void product_chunk(void *arg, int64_t chunk, int32_t who)
{
    const product *p = arg;
    uint8_t *scratch = lmn_gemmapi_scratch_of(&p->w, who);
    const lmn_gemm_args *a = &p->args;
    if (p->plan->dtype == LAMINA_F32) {
        lmn_gemm_f32_chunk(&p->plan->f32, a, chunk, scratch);
        return;
    }
    const lmn_hgemm_args half = {.a = a->a,
                                 .b = a->b,
                                 .c = a->c,
                                 .lda = a->lda,
                                 .ldb = a->ldb,
                                 .ldc = a->ldc,
                                 .a_batch = a->a_batch,
                                 .b_batch = a->b_batch,
                                 .c_batch = a->c_batch,
                                 .epi = a->epi};
    lmn_hgemm_chunk(&p->plan->bf16, &half, chunk, scratch);
}

/* `first` is done when nothing can fail any more; NULL = none. */
static lamina_status run_plan(lamina_gemm *g, product *p, scaling *first)
{
    const int64_t n = p->plan->n_chunks;
    const size_t bytes = p->plan->scratch_bytes;
    _Alignas(64) uint8_t near[NEAR_BYTES];
    if (bytes == 0 || (bytes <= sizeof near && n == 1)) {
        p->w.scratch = bytes ? near : NULL;
        scaling_run(g, first);
        lmn_gemmapi_chunks(g, n, product_chunk, p);
        return LAMINA_OK;
    }
    LMN_TRY(lmn_gemmapi_workers_begin(g, bytes, n, &p->w));
    scaling_run(g, first);
    lmn_gemmapi_chunks(g, n, product_chunk, p);
    lmn_gemmapi_workers_end(g, &p->w);
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

/* alpha and beta, neither 0 and not for the kernel: beta C lies in scratch until the epilogue adds
   it. */
static lamina_status run_both(lamina_gemm *g, const lamina_gemm_shape *s, const lamina_gemm_args *a,
                              product *p)
{
    size_t elems, bytes;
    lmn_epi epi;
    epi.n_ops = 2;
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
    if (a->beta != 0 && (a->alpha != 1 || s->dtype == LAMINA_BF16)) return run_both(g, s, a, p);
    lmn_epi epi;
    epi.n_ops = 0;
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
static lamina_status run(lamina_gemm *g, const lamina_gemm_shape *s, const any_plan *plan,
                         const lamina_gemm_args *a)
{
    if (plan->n_chunks == 0) return LAMINA_OK;
    product p = {.plan = plan};
    p.args = (lmn_gemm_args){a->a,   a->b,       a->c,       a->lda,     a->ldb,
                             a->ldc, a->a_batch, a->b_batch, a->c_batch, .item0 = 0};
    lmn_fpenv was;
    lmn_fpenv_enter(&was);
    lamina_status st;
    if (s->dtype == LAMINA_F64) {
        st = lmn_gemmapi_run_f64(g, s, &plan->f64, a);
    } else if (LMN_UNLIKELY(a->alpha == 0 ||
                            s->k == 0)) { /* A and B are not read, and may be NULL */
        lamina_gemm_shape none = *s;
        lamina_gemm_args plain = *a;
        none.k = 0, plain.alpha = 1;
        any_plan empty;
        none.dtype = LAMINA_F32, none.flags = 0;
        lmn_gemmapi_plan(g, &none, &empty);
        p.plan = &empty;
        p.args.a = p.args.b = a->c;
        p.args.lda = p.args.ldb = p.args.a_batch = p.args.b_batch = 0;
        st = run_one(g, &none, &plain, &p);
    } else {
        any_plan packed;
        if (a->packed) {
            lamina_gemm_shape of = *s;
            of.flags = a->packed->in_place ? 0 : LMN_GEMM_PACKED_B;
            lmn_gemmapi_plan(g, &of, &packed);
            p.plan = &packed;
            p.args.b = a->packed->panels, p.args.ldb = s->n, p.args.b_batch = 0;
        }
        st = run_one(g, s, a, &p);
    }
    lmn_fpenv_leave(&was);
    return st;
}

/* A double as the bits it has. */
HOT uint64_t bits_of(double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

/* B where it lies, transposed or not. */
typedef struct operand {
    const float *p;
    int64_t ld;
    uint32_t flags; /* of the shape */
} operand;

/* Is there nothing to do but A times B? Looked at in one go: whatever is not 0 says no. */
HOT bool plain_args(const lamina_gemm_shape *s, const lamina_gemm_args *a, operand b)
{
    const uint64_t one = bits_of(1), beta = bits_of(a->beta);
    const int64_t b_cols = b.flags ? s->k : s->n;
    uint64_t odd = (a->size ^ sizeof *a) | (bits_of(a->alpha) ^ one);
    odd |= (uint64_t)(uint32_t)a->n_ops | a->reserved;
    odd |= (uint64_t)((beta != 0) & (beta != one));
    odd |= ((uintptr_t)a->a | (uintptr_t)b.p | (uintptr_t)a->c) % sizeof(float);
    odd |= (uint64_t)(!a->a | !b.p | !a->c);
    odd |= (uint64_t)(a->lda | b.ld | a->ldc) / (uint64_t)EXTENT_END;
    odd |= (uint64_t)((a->lda - s->k) | (b.ld - b_cols) | (a->ldc - s->n)) >> 63;
    return odd == 0;
}

/* Is it a row-major product of floats that takes nanoseconds, not empty? */
HOT bool is_tiny(const lamina_gemm_shape *s, uint32_t flags)
{
    const uint64_t m = (uint64_t)s->m - 1, n = (uint64_t)s->n - 1, k = (uint64_t)s->k - 1;
    uint64_t odd = (m | n | k) / TINY_EXTENT | (s->size ^ sizeof *s) | (uint64_t)(s->n_batch ^ 1);
    odd |= (uint64_t)(s->dtype ^ LAMINA_F32) | (flags & ~(uint32_t)LAMINA_GEMM_TRANS_B);
    if (odd) return false;
    return flags || lmn_gemm_f32_is_tiny(s->m, s->n, s->k);
}

bool lmn_gemmapi_is_tiny(const lamina_gemm_shape *s)
{
    return is_tiny(s, s->flags);
}

/* One whose B is transposed; false: too large after all, and nothing is done. */
static NOINLINE bool run_tiny_nt(const lamina_gemm *g, const lamina_gemm_shape *s,
                                 const lamina_gemm_args *a)
{
    const lmn_gemm_shape t = {s->m, s->n, s->k, 1, (int32_t)s->flags, 1};
    const lmn_gemm_args args = {
        a->a, a->b, a->c, a->lda, a->ldb, a->ldc, .beta = a->beta != 0, .epi = NULL};
    lmn_fpenv was;
    lmn_fpenv_enter_vector(&was);
    const bool done = lmn_gemm_f32_tiny(g->kset.gemm_f32, &t, &args);
    lmn_fpenv_leave(&was);
    return done;
}

/* Such a product with plain operands; false: not plain, or too large after all, and nothing is
   done. */
HOT bool run_tiny(const lamina_gemm *g, const lamina_gemm_shape *s, const lamina_gemm_args *a,
                  operand b)
{
    if (!plain_args(s, a, b)) return false;
    if (LMN_UNLIKELY(b.flags != 0)) return run_tiny_nt(g, s, a);
    const lmn_gemm_tiny t = {.a = a->a,
                             .b = b.p,
                             .c = a->c,
                             .lda = a->lda,
                             .ldb = b.ld,
                             .ldc = a->ldc,
                             .m = s->m,
                             .n = s->n,
                             .k = s->k,
                             .beta = a->beta != 0};
    lmn_fpenv was;
    lmn_fpenv_enter_vector(&was);
    g->kset.gemm_f32->tiny(&t);
    lmn_fpenv_leave(&was);
    return true;
}

/* One by packed weights; false: they are panels, or not of this shape, or as above. */
static NOINLINE bool run_tiny_packed(const lamina_gemm *g, const lamina_gemm_shape *s,
                                     const lamina_gemm_args *a)
{
    const lamina_gemm_packed *w = a->packed;
    const uint32_t flags = s->flags & ~(uint32_t)LAMINA_GEMM_TRANS_B;
    if (a->size != sizeof *a || s->size != sizeof *s) return false; /* w is none */
    if (!w->in_place || w->n != s->n || w->k != s->k || !is_tiny(s, flags)) return false;
    return run_tiny(g, s, a, (operand){w->panels, s->n, flags});
}

/* One by any B. */
HOT bool run_at_once(const lamina_gemm *g, const lamina_gemm_shape *s, const lamina_gemm_args *a)
{
    if (LMN_UNLIKELY(a->packed != NULL)) return run_tiny_packed(g, s, a);
    return run_tiny(g, s, a, (operand){a->b, a->ldb, s->flags});
}

static NOINLINE lamina_status plan_and_run(lamina_gemm *g, const lamina_gemm_shape *shape,
                                           const lamina_gemm_args *args)
{
    LMN_TRY(lmn_gemmapi_shape_check(shape));
    LMN_TRY(lmn_gemmapi_args_check(shape, args));
    any_plan plan;
    lmn_gemmapi_plan(g, shape, &plan);
    return run(g, shape, &plan, args);
}

lamina_status lamina_gemm_once(lamina_gemm *g, const lamina_gemm_shape *shape,
                               const lamina_gemm_args *args)
{
    LMN_CHECK(g && shape && args, LAMINA_E_INVALID);
    if (is_tiny(shape, shape->flags) && run_at_once(g, shape, args)) return LAMINA_OK;
    return plan_and_run(g, shape, args);
}

static NOINLINE lamina_status check_and_run(const lamina_gemm_plan *plan,
                                            const lamina_gemm_args *args)
{
    LMN_CHECK(plan->shape.size, LAMINA_E_INVALID); /* one of 8-bit integers */
    LMN_TRY(lmn_gemmapi_args_check(&plan->shape, args));
    return run(plan->g, &plan->shape, &plan->plan, args);
}

lamina_status lamina_gemm_run(const lamina_gemm_plan *plan, const lamina_gemm_args *args)
{
    LMN_CHECK(plan && args, LAMINA_E_INVALID);
    if (plan->tiny && run_at_once(plan->g, &plan->shape, args)) return LAMINA_OK;
    return check_and_run(plan, args);
}
