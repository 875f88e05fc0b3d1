/*
 * bf16 products with results in f32: squares, transformer layers, few rows, skinny and odd ones.
 * Peers: oneDNN's matmul with plain and with reordered weights, MKL's cblas_gemm_bf16bf16f32.
 */
#include "kb.h"

#include "base/alloc.h"
#include "kernels/hgemm/hgemm_half.h"
#include "kernels/hgemm/hgemm_plan.h"
#include "kernels/kset.h"
#include "sync/workpool.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct shape {
    const char *set;
    int32_t m, n, k;
    bool nt;
} shape;

static const shape shapes[] = {
    {"squares", 64, 64, 64, false},
    {"squares", 256, 256, 256, false},
    {"squares", 512, 512, 512, false},
    {"squares", 1024, 1024, 1024, false},
    {"squares", 2048, 2048, 2048, false},
    {"transformer", 128, 768, 768, false},
    {"transformer", 128, 3072, 768, false},
    {"transformer", 128, 768, 3072, false},
    {"transformer", 128, 768, 768, true},
    {"transformer", 128, 768, 3072, true},
    {"transformer", 512, 3072, 768, true},
    {"small NT", 1, 1024, 1024, true},
    {"small NT", 4, 1024, 1024, true},
    {"small NT", 16, 1024, 1024, true},
    {"small NT", 32, 1024, 1024, true},
    {"small NT", 1, 4096, 4096, true},
    {"small NT", 4, 4096, 4096, true},
    {"small NT", 16, 4096, 4096, true},
    {"small NT", 32, 4096, 4096, true},
    {"small NN", 1, 1024, 1024, false},
    {"small NN", 4, 1024, 1024, false},
    {"small NN", 16, 1024, 1024, false},
    {"small NN", 4, 4096, 4096, false},
    {"small NN", 16, 4096, 4096, false},
    {"skinny", 4096, 16, 4096, false},
    {"skinny", 4096, 4096, 16, false},
    {"edge", 17, 33, 65, false},
    {"edge", 31, 63, 127, false},
    {"edge", 127, 129, 131, false},
    {"edge", 513, 511, 257, false},
};

/* The product, and what each contender needs of it. */
typedef struct product {
    int64_t m, n, k;
    bool nt;
    uint16_t *a, *b;
    float *c;
    const kb_blas *blas;
    kb_dnn *dnn;
    const lmn_hgemm_row *row;
    lmn_workpool *pool;
    uint8_t *scratch;
    void *packed; /* our panels */
    lmn_hgemm_plan plan;
    int32_t threads;
} product;

/* The worst of some 2000 elements against sums in f64, in units of the bound of a chain of 2 k. */
static double error(void *arg)
{
    const product *p = arg;
    const int64_t all = p->m * p->n, step = all <= 2000 ? 1 : all / 1999;
    double worst = 0;
    for (int64_t e = 0; e < all; e += step) {
        const int64_t i = e / p->n, j = e % p->n;
        double sum = 0, size = 0;
        for (int64_t q = 0; q < p->k; q++) {
            const double b = hgemm_from_bf16(p->nt ? p->b[j * p->k + q] : p->b[q * p->n + j]);
            const double t = hgemm_from_bf16(p->a[i * p->k + q]) * b;
            sum += t, size += fabs(t);
        }
        const double bound = (double)(2 * p->k + 2) * 0x1p-24 * size + 1e-30;
        const double off = fabs(p->c[e] - sum) / bound;
        if (!(off <= worst)) worst = off;
    }
    memset(p->c, 0xff, sizeof *p->c * (size_t)all); /* NaN, for the next contender */
    return worst;
}

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112 };
typedef void gemm_bf16(int, int, int, int, int, int, float, const uint16_t *, int, const uint16_t *,
                       int, float, float *, int);

static void run_blas(void *arg)
{
    const product *p = arg;
    gemm_bf16 *fn;
    memcpy(&fn, &p->blas->bf16, sizeof fn);
    fn(ROW_MAJOR, NO_TRANS, p->nt ? TRANS : NO_TRANS, (int)p->m, (int)p->n, (int)p->k, 1, p->a,
       (int)p->k, p->b, (int)(p->nt ? p->k : p->n), 0, p->c, (int)p->n);
}

static void run_dnn(void *arg)
{
    kb_dnn_run(((product *)arg)->dnn);
}

static void our_chunk(void *arg, int64_t chunk, int32_t who)
{
    const product *p = arg;
    const lmn_hgemm_args args = {.a = p->a,
                                 .b = p->packed ? p->packed : p->b,
                                 .c = p->c,
                                 .lda = p->k,
                                 .ldb = p->nt ? p->k : p->n,
                                 .ldc = p->n};
    lmn_hgemm_chunk(&p->plan, &args, chunk,
                    p->scratch + (size_t)who * kb_apart(p->plan.scratch_bytes));
}

static void plan_ours(product *p)
{
    const int32_t b = p->packed ? LMN_HGEMM_PACKED : p->nt ? LMN_HGEMM_TRANS_B : 0;
    const lmn_hgemm_shape s = {p->m, p->n, p->k, 1, LMN_HGEMM_C_F32 | b, 0, p->threads};
    lmn_hgemm_plan_make(p->row, &s, &p->plan);
}

static void room_for(product *p)
{
    plan_ours(p);
    p->scratch = kb_alloc(kb_apart(p->plan.scratch_bytes) * (size_t)p->threads);
}

static void run_ours(void *arg)
{
    product *p = arg;
    plan_ours(p);
    kb_chunks(p->pool, p->plan.n_chunks, our_chunk, p);
}

static void release(void *arg)
{
    product *p = arg;
    if (p->dnn) kb_dnn_release(p->dnn);
    free(p->scratch);
    free(p->packed);
    free(p);
}

static product *add(kb_case *c, const product *base, const char *name, kb_kind kind,
                    void (*run)(void *))
{
    kb_contender *k = kb_add(c, name, kind, run == run_ours);
    product *p = kb_alloc(sizeof *p);
    *p = *base;
    k->run = run, k->arg = p, k->release = release, k->error = error;
    return p;
}

static void add_peers(kb_case *c, const product *base)
{
    for (int32_t i = 0; i < kb_blas_count(); i++)
        if (kb_blas_at(i)->bf16)
            add(c, base, kb_blas_at(i)->name, KB_PLAIN, run_blas)->blas = kb_blas_at(i);
    kb_dnn_product d = {.m = base->m, .n = base->n, .k = base->k, .trans_b = base->nt};
    d.a_type = d.b_type = KB_DNN_BF16, d.c_type = KB_DNN_F32;
    d.a = base->a, d.b = base->b, d.c = base->c;
    for (int packed = 0; packed < 2; packed++) {
        d.packed = packed;
        kb_dnn *made = kb_dnn_make(&d);
        if (made) add(c, base, "oneDNN", packed ? KB_PACKED : KB_PLAIN, run_dnn)->dnn = made;
    }
}

static uint16_t *random_bf16(int64_t n, uint64_t seed)
{
    float *f = kb_alloc((size_t)n * sizeof *f);
    uint16_t *h = kb_alloc((size_t)n * sizeof *h);
    kb_random_f32(f, n, seed);
    for (int64_t i = 0; i < n; i++) h[i] = hgemm_to_bf16(f[i]);
    free(f);
    return h;
}

static void run_shape(kb_run *run, const shape *s, const lmn_hgemm_row *row, lmn_workpool *pool)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%dx%dx%d %s", s->m, s->n, s->k, s->nt ? "NT" : "NN");
    const double ops = 2.0 * s->m * s->n * s->k;
    if (!kb_wants(run, s->set, name, ops)) return;
    product p = {.m = s->m, .n = s->n, .k = s->k, .nt = s->nt, .row = row, .pool = pool};
    p.threads = run->threads;
    p.a = random_bf16(p.m * p.k, 1), p.b = random_bf16(p.k * p.n, 2);
    p.c = kb_alloc((size_t)(p.m * p.n) * sizeof(float));
    memset(p.c, 0xff, (size_t)(p.m * p.n) * sizeof(float));
    /* vdpbf16ps gives twice the FMA peak where it is worth using; tiles give more still. */
    kb_case c = {.domain = "bf16", .set = s->set, .name = name, .ops = ops, .peak = 2};
    for (int packed = 0; packed < 1 + (row->elem == 2); packed++) {
        product *ours = add(&c, &p, "lamina", packed ? KB_PACKED : KB_PLAIN, run_ours);
        if (packed) {
            ours->packed = kb_alloc(2 * (size_t)lmn_hgemm_packed_elems(row, p.k, p.n));
            lmn_hgemm_prepack(row, p.nt ? LMN_HGEMM_TRANS_B : 0, p.b, p.nt ? p.k : p.n, p.k, p.n,
                              ours->packed);
        }
        room_for(ours);
    }
    if (pool) {
        product *alone = add(&c, &p, "lamina", KB_ALONE, run_ours);
        alone->pool = NULL, alone->threads = 1;
        room_for(alone);
    }
    add_peers(&c, &p);
    kb_measure(run, &c);
    free(p.a);
    free(p.b);
    free(p.c);
}

void kb_bf16(kb_run *run)
{
    lmn_kset set;
    kb_choose(&set);
    lmn_workpool *pool = kb_pool(run->threads);
    for (size_t i = 0; i < LMN_COUNT(shapes); i++) run_shape(run, &shapes[i], set.hgemm_bf16, pool);
    kb_pool_release(pool);
}
