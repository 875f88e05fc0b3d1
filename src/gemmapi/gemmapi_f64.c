/*
 * Products in f64. The kernels have no epilogue, so alpha and beta are passes over C: before the
 * product, after it, or, where both are needed, over the product in scratch and C together.
 */
#include "gemmapi/gemmapi_int.h"

enum { PASS_ELEMS = 32768 };

typedef struct product {
    const lmn_dgemm_plan *plan;
    lmn_dgemm_args args;
    workers w;
} product;

static void product_chunk(void *arg, int64_t chunk, int32_t who)
{
    const product *p = arg;
    lmn_dgemm_f64_chunk(p->plan, &p->args, chunk, lmn_gemmapi_scratch_of(&p->w, who));
}

/* C = alpha T + beta C; T without gaps, or NULL: then C = beta C. beta 0 does not read C. */
typedef struct pass {
    const lamina_gemm_shape *s;
    double *c;
    const double *t;
    int64_t ldc, c_batch, rows, chunks;
    double alpha, beta;
} pass;

static void pass_chunk(void *arg, int64_t chunk, int32_t who)
{
    (void)who;
    const pass *p = arg;
    const int64_t item = chunk / p->chunks, n = p->s->n;
    const int64_t from = chunk % p->chunks * p->rows, end = lmn_min_i64(p->s->m, from + p->rows);
    for (int64_t i = from; i < end; i++) {
        double *c = p->c + item * p->c_batch + i * p->ldc;
        if (p->t) {
            const double *t = p->t + (item * p->s->m + i) * n;
            for (int64_t j = 0; j < n; j++) c[j] = p->alpha * t[j] + p->beta * c[j];
        } else if (p->beta == 0) {
            for (int64_t j = 0; j < n; j++) c[j] = 0;
        } else {
            for (int64_t j = 0; j < n; j++) c[j] *= p->beta;
        }
    }
}

static void pass_run(const lamina_gemm *g, const lamina_gemm_shape *s, const lamina_gemm_args *a,
                     const double *t, double beta)
{
    pass p = {.s = s, .c = a->c, .t = t, .ldc = a->ldc, .c_batch = a->c_batch};
    p.alpha = a->alpha, p.beta = beta;
    p.rows = lmn_max_i64(1, PASS_ELEMS / s->n);
    p.chunks = lmn_ceil_div_i64(s->m, p.rows);
    lmn_gemmapi_chunks(g, p.chunks * s->n_batch, pass_chunk, &p);
}

/* alpha and beta both: the product goes into scratch. */
static lamina_status run_both(lamina_gemm *g, const lamina_gemm_shape *s, const lamina_gemm_args *a,
                              product *p)
{
    size_t elems, bytes;
    LMN_CHECK(lmn_mul_size((size_t)s->m * (size_t)s->n, (size_t)s->n_batch, &elems) &&
                  lmn_mul_size(elems, sizeof(double), &bytes),
              LAMINA_E_NOMEM);
    double *t = lmn_recycle_alloc(&g->recycle, &g->alloc, bytes, "gemm scratch");
    if (!t) return LAMINA_E_NOMEM;
    p->args.c = t, p->args.ldc = s->n, p->args.c_batch = s->m * s->n;
    lmn_gemmapi_chunks(g, p->plan->n_chunks, product_chunk, p);
    pass_run(g, s, a, t, a->beta);
    lmn_recycle_free(&g->recycle, &g->alloc, t, bytes, "gemm scratch");
    return LAMINA_OK;
}

lamina_status lmn_gemmapi_run_f64(lamina_gemm *g, const lamina_gemm_shape *s,
                                  const lmn_dgemm_plan *plan, const lamina_gemm_args *a)
{
    if (a->alpha == 0 || s->k == 0) { /* A and B are not read, and may be NULL */
        pass_run(g, s, a, NULL, a->beta);
        return LAMINA_OK;
    }
    product p = {.plan = plan};
    p.args = (lmn_dgemm_args){a->a,       a->b,       a->c,       a->lda, a->ldb, a->ldc,
                              a->a_batch, a->b_batch, a->c_batch, 0,      NULL,   0};
    LMN_TRY(lmn_gemmapi_workers_begin(g, plan->scratch_bytes, plan->n_chunks, &p.w));
    lamina_status st = LAMINA_OK;
    if (a->alpha != 1 && a->beta != 0) {
        st = run_both(g, s, a, &p);
    } else {
        if (a->beta != 0 && a->beta != 1) pass_run(g, s, a, NULL, a->beta);
        p.args.beta = a->beta != 0;
        lmn_gemmapi_chunks(g, plan->n_chunks, product_chunk, &p);
        if (a->alpha != 1) pass_run(g, s, a, NULL, a->alpha);
    }
    lmn_gemmapi_workers_end(g, &p.w);
    return st;
}
