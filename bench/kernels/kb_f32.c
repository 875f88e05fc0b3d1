/*
 * f32 products: squares, transformer layers, attention, few rows, skinny, odd and tiny ones. The
 * shapes are a sample of what models have; nothing in our kernels knows them.
 */
#include "kb.h"

#include "lamina/gemm.h"

#include "kernels/gemm/gemm_plan.h"
#include "kernels/kset.h"

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
    {"squares", 128, 128, 128, false},
    {"squares", 192, 192, 192, false},
    {"squares", 256, 256, 256, false},
    {"squares", 512, 512, 512, false},
    {"squares", 1024, 1024, 1024, false},
    {"squares", 2048, 2048, 2048, false},
    {"transformer", 128, 768, 768, true},
    {"transformer", 128, 3072, 768, true},
    {"transformer", 128, 768, 3072, true},
    {"transformer", 512, 768, 768, true},
    {"transformer", 512, 3072, 768, true},
    {"transformer", 512, 768, 3072, true},
    {"transformer", 128, 768, 768, false},
    {"transformer", 128, 768, 3072, false},
    {"attention", 128, 128, 64, true},
    {"attention", 512, 512, 64, true},
    {"attention", 128, 64, 128, false},
    {"attention", 512, 64, 512, false},
    {"small NT", 4, 1024, 1024, true},
    {"small NT", 8, 1024, 1024, true},
    {"small NT", 16, 1024, 1024, true},
    {"small NT", 32, 1024, 1024, true},
    {"small NT", 4, 3072, 768, true},
    {"small NT", 16, 3072, 768, true},
    {"small NT", 4, 4096, 4096, true},
    {"small NT", 8, 4096, 4096, true},
    {"small NT", 16, 4096, 4096, true},
    {"small NT", 32, 4096, 4096, true},
    {"small NN", 4, 1024, 1024, false},
    {"small NN", 16, 1024, 1024, false},
    {"small NN", 4, 4096, 4096, false},
    {"small NN", 16, 4096, 4096, false},
    {"vector", 1, 1024, 1024, true},
    {"vector", 1, 3072, 768, true},
    {"vector", 1, 4096, 4096, true},
    {"vector", 1, 1024, 1024, false},
    {"vector", 1, 4096, 4096, false},
    {"vector", 4096, 1, 4096, false},
    {"K = 16", 4096, 4096, 16, false},
    {"N = 16", 4096, 16, 4096, false},
    {"split K", 16, 16, 65536, false},
    {"edge", 7, 13, 17, false},
    {"edge", 17, 33, 65, false},
    {"edge", 31, 63, 127, false},
    {"edge", 100, 10, 784, false},
    {"edge", 127, 129, 131, false},
    {"edge", 513, 511, 257, false},
    {"edge", 1000, 1000, 1000, false},
    {"tiny", 4, 4, 4, false},
    {"tiny", 8, 8, 8, false},
    {"tiny", 16, 16, 16, false},
    {"tiny", 24, 24, 24, false},
    {"tiny", 32, 32, 32, false},
    {"first call", 1, 768, 768, true},
    {"first call", 64, 64, 64, false},
    {"first call", 128, 768, 768, true},
    {"first call", 512, 512, 512, false},
};

/* The product, and what each contender needs of it. */
typedef struct product {
    int64_t m, n, k;
    bool nt;
    float *a, *b, *c;
    const kb_blas *blas;
    kb_dnn *dnn;
    void *packed;
    lamina_gemm *gemm, *alone; /* alone: of one thread, where gemm has more */
    lamina_gemm_packed *ours;
    const lmn_gemm_row *row;
    kb_xsmm *xsmm;
    lmn_gemm_tiny tiny;
} product;

/* The worst of some 2000 elements against sums in f64, in units of the bound of a chain of k. */
static double error(void *arg)
{
    const product *p = arg;
    const int64_t all = p->m * p->n, step = all <= 2000 ? 1 : all / 1999;
    double worst = 0;
    for (int64_t e = 0; e < all; e += step) {
        const int64_t i = e / p->n, j = e % p->n;
        double sum = 0, size = 0;
        for (int64_t q = 0; q < p->k; q++) {
            const double b = p->nt ? p->b[j * p->k + q] : p->b[q * p->n + j];
            const double t = p->a[i * p->k + q] * b;
            sum += t, size += fabs(t);
        }
        const double bound = (double)(p->k + 2) * 0x1p-24 * size;
        const double off = fabs(p->c[e] - sum) / bound;
        if (!(off <= worst)) worst = off;
    }
    memset(p->c, 0xff, sizeof *p->c * (size_t)all); /* NaN, for the next contender */
    return worst;
}

enum { ROW_MAJOR = 101, NO_TRANS = 111, TRANS = 112, PACKED = 151, MATRIX_B = 162 };
typedef void sgemm32(int, int, int, int, int, int, float, const float *, int, const float *, int,
                     float, float *, int);
typedef void sgemm64(int, int, int, int64_t, int64_t, int64_t, float, const float *, int64_t,
                     const float *, int64_t, float, float *, int64_t);
typedef size_t pack_size32(int, int, int, int);
typedef void pack32(int, int, int, int, int, int, float, const float *, int, float *);
typedef void compute32(int, int, int, int, int, int, const float *, int, const float *, int, float,
                       float *, int);

static void run_blas(void *arg)
{
    const product *p = arg;
    const int tb = p->nt ? TRANS : NO_TRANS;
    const int64_t ldb = p->nt ? p->k : p->n;
    if (p->blas->wide) {
        sgemm64 *fn;
        memcpy(&fn, &p->blas->sgemm, sizeof fn);
        fn(ROW_MAJOR, NO_TRANS, tb, p->m, p->n, p->k, 1, p->a, p->k, p->b, ldb, 0, p->c, p->n);
        return;
    }
    sgemm32 *fn;
    memcpy(&fn, &p->blas->sgemm, sizeof fn);
    fn(ROW_MAJOR, NO_TRANS, tb, (int)p->m, (int)p->n, (int)p->k, 1, p->a, (int)p->k, p->b, (int)ldb,
       0, p->c, (int)p->n);
}

static void run_blas_packed(void *arg)
{
    const product *p = arg;
    compute32 *fn;
    memcpy(&fn, &p->blas->compute, sizeof fn);
    fn(ROW_MAJOR, NO_TRANS, PACKED, (int)p->m, (int)p->n, (int)p->k, p->a, (int)p->k, p->packed,
       (int)(p->nt ? p->k : p->n), 0, p->c, (int)p->n);
}

static void pack_blas(product *p)
{
    pack_size32 *size;
    pack32 *pack;
    memcpy(&size, &p->blas->pack_size, sizeof size);
    memcpy(&pack, &p->blas->pack, sizeof pack);
    p->packed = kb_alloc(size(MATRIX_B, (int)p->m, (int)p->n, (int)p->k));
    pack(ROW_MAJOR, MATRIX_B, p->nt ? TRANS : NO_TRANS, (int)p->m, (int)p->n, (int)p->k, 1, p->b,
         (int)(p->nt ? p->k : p->n), p->packed);
}

static void run_dnn(void *arg)
{
    kb_dnn_run(((product *)arg)->dnn);
}

static void run_dnn_sgemm(void *arg)
{
    const product *p = arg;
    const kb_dnn_product d = {
        .m = p->m, .n = p->n, .k = p->k, .trans_b = p->nt, .a = p->a, .b = p->b, .c = p->c};
    (void)kb_dnn_sgemm(&d);
}

static void run_roof(void *arg)
{
    const product *p = arg;
    const bool column = p->n == 1;
    kb_read_bytes(column ? p->a : p->b, (size_t)(p->k * (column ? p->m : p->n)) * sizeof(float));
}

/* The public interface, planned at every call: what a program of others would write. */
static void run_ours(void *arg)
{
    const product *p = arg;
    const lamina_gemm_shape s = {sizeof s, LAMINA_F32, p->nt ? LAMINA_GEMM_TRANS_B : 0, p->m, p->n,
                                 p->k,     1};
    const lamina_gemm_args a = {.size = sizeof a,
                                .a = p->a,
                                .b = p->b,
                                .c = p->c,
                                .packed = p->ours,
                                .lda = p->k,
                                .ldb = p->nt ? p->k : p->n,
                                .ldc = p->n,
                                .alpha = 1};
    (void)lamina_gemm_once(p->gemm, &s, &a);
}

/* Our kernel for small products, called as LIBXSMM's are. */
static void run_hot(void *arg)
{
    const product *p = arg;
    p->row->tiny(&p->tiny);
}

static void run_xsmm(void *arg)
{
    kb_xsmm_run(((product *)arg)->xsmm);
}

/* The first product of a shape: everything from the shape to the result, and back. */
static void first_ours(void *arg)
{
    product *p = arg, once = *p;
    const lamina_gemm_shape s = {sizeof s, LAMINA_F32, p->nt ? LAMINA_GEMM_TRANS_B : 0, p->m, p->n,
                                 p->k,     1};
    if (p->packed &&
        lamina_gemm_pack(p->gemm, &s, p->b, p->nt ? p->k : p->n, &once.ours) != LAMINA_OK)
        return;
    run_ours(&once);
    lamina_gemm_packed_destroy(once.ours);
}

static void first_dnn(void *arg)
{
    const product *p = arg;
    kb_dnn_product d = {.m = p->m, .n = p->n, .k = p->k, .trans_b = p->nt, .packed = p->packed};
    d.a_type = d.b_type = d.c_type = KB_DNN_F32;
    d.a = p->a, d.b = p->b, d.c = p->c;
    kb_dnn_forget();
    kb_dnn *made = kb_dnn_make(&d);
    if (!made) return;
    kb_dnn_run(made);
    kb_dnn_release(made);
}

static void release(void *arg)
{
    product *p = arg;
    if (p->dnn) kb_dnn_release(p->dnn);
    lamina_gemm_packed_destroy(p->ours);
    free(p->packed);
    free(p->xsmm);
    free(p);
}

static product *add(kb_case *c, const product *base, const char *name, kb_kind kind,
                    void (*run)(void *))
{
    kb_contender *k = kb_add(c, name, kind, false);
    product *p = kb_alloc(sizeof *p);
    *p = *base;
    k->ours = run == run_ours || run == run_hot || run == first_ours;
    k->run = run, k->arg = p, k->release = release;
    k->error = kind == KB_ROOF ? NULL : error;
    return p;
}

static void add_peers(kb_case *c, const product *base)
{
    for (int32_t i = 0; i < kb_blas_count(); i++) {
        const kb_blas *blas = kb_blas_at(i);
        add(c, base, blas->name, KB_PLAIN, run_blas)->blas = blas;
        if (!blas->pack || !blas->compute || !blas->pack_size) continue;
        product *p = add(c, base, blas->name, KB_PACKED, run_blas_packed);
        p->blas = blas;
        pack_blas(p);
    }
    kb_dnn_product d = {.m = base->m, .n = base->n, .k = base->k, .trans_b = base->nt};
    d.a_type = d.b_type = d.c_type = KB_DNN_F32;
    d.a = base->a, d.b = base->b, d.c = base->c;
    if (kb_dnn_sgemm(&d)) add(c, base, "oneDNN sgemm", KB_PLAIN, run_dnn_sgemm);
    for (int packed = 0; packed < 2; packed++) {
        d.packed = packed;
        kb_dnn *made = kb_dnn_make(&d);
        if (made) add(c, base, "oneDNN", packed ? KB_PACKED : KB_PLAIN, run_dnn)->dnn = made;
    }
}

static void add_ours(kb_case *c, const product *base)
{
    add(c, base, "lamina", KB_PLAIN, run_ours);
    if (base->alone) add(c, base, "lamina", KB_ALONE, run_ours)->gemm = base->alone;
    const lamina_gemm_shape s = {
        sizeof s, LAMINA_F32, base->nt ? LAMINA_GEMM_TRANS_B : 0, 0, base->n, base->k, 1};
    lamina_gemm_packed *packed = NULL;
    const int64_t ldb = base->nt ? base->k : base->n;
    if (lamina_gemm_pack(base->gemm, &s, base->b, ldb, &packed) != LAMINA_OK) return;
    add(c, base, "lamina", KB_PACKED, run_ours)->ours = packed;
}

/* Products that a kernel may do at once, without looking at anything. */
static void add_hot(kb_case *c, const product *base)
{
    const bool small = base->m < 4096 && base->n < 4096 && base->k < 4096;
    if (base->nt || !small || !lmn_gemm_f32_is_tiny(base->m, base->n, base->k)) return;
    kb_xsmm *x = kb_xsmm_make(base->m, base->n, base->k, base->a, base->b, base->c);
    if (!x) return;
    add(c, base, "LIBXSMM", KB_HOT, run_xsmm)->xsmm = x;
    lmn_gemm_tiny *t = &add(c, base, "lamina", KB_HOT, run_hot)->tiny;
    *t = (lmn_gemm_tiny){.a = base->a, .b = base->b, .c = base->c, .lda = base->k, .ldb = base->n};
    t->ldc = base->n, t->m = base->m, t->n = base->n, t->k = base->k;
}

/* packed is only asked whether it is NULL, and freed. */
static void add_first(kb_case *c, const product *base)
{
    for (int packed = 0; packed < 2; packed++) {
        const kb_kind kind = packed ? KB_PACKED : KB_PLAIN;
        product *ours = add(c, base, "lamina", kind, first_ours),
                *dnn = add(c, base, "oneDNN", kind, first_dnn);
        if (packed) ours->packed = kb_alloc(1), dnn->packed = kb_alloc(1);
    }
}

static void run_shape(kb_run *run, const shape *s, lamina_gemm *gemm, lamina_gemm *alone,
                      const lmn_gemm_row *row)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%dx%dx%d %s", s->m, s->n, s->k, s->nt ? "NT" : "NN");
    const double ops = 2.0 * s->m * s->n * s->k;
    if (!kb_wants(run, s->set, name, ops)) return;
    product p = {.m = s->m, .n = s->n, .k = s->k, .nt = s->nt, .gemm = gemm, .row = row};
    p.alone = alone;
    p.a = kb_alloc((size_t)(p.m * p.k) * sizeof(float));
    p.b = kb_alloc((size_t)(p.k * p.n) * sizeof(float));
    p.c = kb_alloc((size_t)(p.m * p.n) * sizeof(float));
    kb_random_f32(p.a, p.m * p.k, 1);
    kb_random_f32(p.b, p.k * p.n, 2);
    memset(p.c, 0xff, (size_t)(p.m * p.n) * sizeof(float));
    kb_case c = {.domain = "f32", .set = s->set, .name = name, .ops = ops, .peak = 1};
    if (strcmp(s->set, "first call") == 0) {
        add_first(&c, &p);
    } else {
        add_ours(&c, &p);
        add_peers(&c, &p);
        add_hot(&c, &p);
    }
    if (p.m == 1 || p.n == 1) {
        c.bytes = (double)sizeof(float) * (double)(p.k * (p.m > p.n ? p.m : p.n));
        if (run->threads == 1) add(&c, &p, "read", KB_ROOF, run_roof);
    }
    kb_measure(run, &c);
    free(p.a);
    free(p.b);
    free(p.c);
}

void kb_f32(kb_run *run)
{
    const lamina_gemm_opts opts = {.size = sizeof opts, .n_threads = (uint32_t)run->threads};
    lamina_gemm *gemm = NULL, *alone = NULL;
    if (lamina_gemm_create(&opts, &gemm) != LAMINA_OK) return;
    const lamina_gemm_opts one = {.size = sizeof one, .n_threads = 1};
    if (run->threads > 1 && lamina_gemm_create(&one, &alone) != LAMINA_OK) exit(2);
    lmn_kset set;
    kb_choose(&set);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        run_shape(run, &shapes[i], gemm, alone, set.gemm_f32);
    lamina_gemm_destroy(alone);
    lamina_gemm_destroy(gemm);
}
