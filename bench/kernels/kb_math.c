/*
 * Vector math, softmax and layer normalisation in f32, one thread, in L1 and beyond: beside MKL's
 * VML (its accurate mode), SLEEF (1 ulp) and oneDNN. An operation is an element. Peers that are not
 * here are left out; oneDNN is driven through the few functions of its C interface that this needs.
 */
#include "kb.h"

#include "kernels/elementwise/elementwise.h"
#include "kernels/kset.h"
#include "kernels/norm/norm.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum form { UNARY, SOFTMAX, LAYER } form;

/* What one case computes, and what each contender needs of it. */
typedef struct rows {
    form form;
    lmn_unary_kind kind;
    double (*exact)(double);
    int64_t rows, n;
    const float *x, *scale, *bias;
    float *y;
    const lmn_kset *set;
    void *fn;                 /* VML's, SLEEF's */
    void *pd, *prim, *mem[4]; /* oneDNN */
    int32_t n_mem;
} rows;

/* ---- right or wrong ------------------------------------------------------------------------- */

static void exact_row(const rows *r, const float *x, double *y)
{
    double sum = 0, square = 0, top = x[0];
    for (int64_t i = 0; i < r->n; i++) {
        sum += x[i];
        top = x[i] > top ? x[i] : top;
    }
    const double mean = sum / (double)r->n;
    double all = 0;
    for (int64_t i = 0; i < r->n; i++) {
        square += (x[i] - mean) * (x[i] - mean);
        all += exp(x[i] - top);
    }
    const double inverse = 1 / sqrt(square / (double)r->n + 1e-5);
    for (int64_t i = 0; i < r->n; i++) {
        if (r->form == UNARY)
            y[i] = r->exact(x[i]);
        else if (r->form == SOFTMAX)
            y[i] = exp(x[i] - top) / all;
        else
            y[i] = (x[i] - mean) * inverse * r->scale[i] + r->bias[i];
    }
}

/* The first row and the last, in units of 4e-5 of an element, or of the row's size where sums of
   both signs cancel. */
static double error(void *arg)
{
    const rows *r = arg;
    double *want = kb_alloc((size_t)r->n * sizeof *want), worst = 0;
    for (int64_t k = 0; k < 2; k++) {
        const int64_t at = k ? (r->rows - 1) * r->n : 0;
        exact_row(r, r->x + at, want);
        for (int64_t i = 0; i < r->n; i++) {
            const double size = fabs(want[i]) + (r->form == LAYER ? 1 : 0.05);
            const double off = fabs(r->y[at + i] - want[i]) / (4e-5 * size);
            if (!(off <= worst)) worst = off;
        }
    }
    free(want);
    memset(r->y, 0xff, (size_t)(r->rows * r->n) * sizeof *r->y); /* NaN, for the next contender */
    return worst;
}

/* ---- contenders ----------------------------------------------------------------------------- */

static void run_ours(void *arg)
{
    const rows *r = arg;
    const lmn_norm_block b = {.x = r->x,
                              .y = r->y,
                              .rows = r->rows,
                              .n = r->n,
                              .scale = r->scale,
                              .bias = r->bias,
                              .eps = 1e-5f,
                              .step = 1};
    if (r->form == UNARY)
        r->set->elementwise_f32->unary(
            &(lmn_unary_block){.kind = r->kind, .x = r->x, .y = r->y, .n = r->rows * r->n});
    else
        (r->form == SOFTMAX ? r->set->norm_f32->softmax : r->set->norm_f32->layer)(&b);
}

typedef void vml_fn(int n, const float *x, float *y, int64_t mode);
enum { VML_HA = 2 };

static void run_vml(void *arg)
{
    const rows *r = arg;
    vml_fn *fn;
    memcpy(&fn, &r->fn, sizeof fn);
    fn((int)(r->rows * r->n), r->x, r->y, VML_HA);
}

#if defined(__x86_64__)
#include <immintrin.h>
typedef __m512 sleef_fn(__m512 x);

__attribute__((target("avx512f"))) static void run_sleef(void *arg)
{
    const rows *r = arg;
    sleef_fn *fn;
    memcpy(&fn, &r->fn, sizeof fn);
    for (int64_t i = 0; i + 16 <= r->rows * r->n; i += 16)
        _mm512_storeu_ps(r->y + i, fn(_mm512_loadu_ps(r->x + i)));
}
static bool have_sleef(void)
{
    return __builtin_cpu_supports("avx512f");
}
#else
static void run_sleef(void *arg)
{
    (void)arg;
}
static bool have_sleef(void)
{
    return false;
}
#endif

typedef struct dnn_arg {
    int arg;
    void *memory;
} dnn_arg;
enum { CPU = 1, IN_ORDER = 1, F32 = 3, INFERENCE = 96, ACCURATE = 0x30000, SCALE_SHIFT = 6 };
static const int dnn_args[4] = {1, 17, 51, 52}; /* source, destination, scale, shift */
static struct {
    void *engine, *stream;
    int (*engine_create)(void **, int, size_t);
    int (*stream_create)(void **, void *, unsigned);
    int (*md_strides)(void **, int, const int64_t *, int, const int64_t *);
    int (*md_destroy)(void *);
    int (*eltwise)(void **, void *, int, int, const void *, const void *, float, float,
                   const void *);
    int (*softmax)(void **, void *, int, int, const void *, const void *, int, const void *);
    int (*layer)(void **, void *, int, const void *, const void *, const void *, float, unsigned,
                 const void *);
    int (*create)(void **, const void *);
    int (*destroy)(void *);
    int (*pd_destroy)(void *);
    int (*memory_create)(void **, const void *, void *, void *);
    int (*memory_destroy)(void *);
    int (*execute)(const void *, void *, int, const dnn_arg *);
    int (*wait)(void *);
} dnn;

static bool open_dnn(void)
{
    void *lib = kb_dnn_open() ? dlopen("libdnnl.so.3", RTLD_NOW | RTLD_LOCAL) : NULL;
    return lib && kb_symbol(lib, "dnnl_engine_create", &dnn.engine_create) &&
           kb_symbol(lib, "dnnl_stream_create", &dnn.stream_create) &&
           kb_symbol(lib, "dnnl_memory_desc_create_with_strides", &dnn.md_strides) &&
           kb_symbol(lib, "dnnl_memory_desc_destroy", &dnn.md_destroy) &&
           kb_symbol(lib, "dnnl_eltwise_forward_primitive_desc_create", &dnn.eltwise) &&
           kb_symbol(lib, "dnnl_softmax_forward_primitive_desc_create", &dnn.softmax) &&
           kb_symbol(lib, "dnnl_layer_normalization_forward_primitive_desc_create", &dnn.layer) &&
           kb_symbol(lib, "dnnl_primitive_create", &dnn.create) &&
           kb_symbol(lib, "dnnl_primitive_destroy", &dnn.destroy) &&
           kb_symbol(lib, "dnnl_primitive_desc_destroy", &dnn.pd_destroy) &&
           kb_symbol(lib, "dnnl_memory_create", &dnn.memory_create) &&
           kb_symbol(lib, "dnnl_memory_destroy", &dnn.memory_destroy) &&
           kb_symbol(lib, "dnnl_primitive_execute", &dnn.execute) &&
           kb_symbol(lib, "dnnl_stream_wait", &dnn.wait) &&
           dnn.engine_create(&dnn.engine, CPU, 0) == 0 &&
           dnn.stream_create(&dnn.stream, dnn.engine, IN_ORDER) == 0;
}

static void run_dnn(void *arg)
{
    const rows *r = arg;
    dnn_arg args[4];
    for (int32_t i = 0; i < r->n_mem; i++) args[i] = (dnn_arg){dnn_args[i], r->mem[i]};
    (void)dnn.execute(r->prim, dnn.stream, r->n_mem, args);
    (void)dnn.wait(dnn.stream);
}

static void release(void *arg)
{
    rows *r = arg;
    for (int32_t i = 0; i < 4; i++)
        if (r->mem[i]) dnn.memory_destroy(r->mem[i]);
    if (r->prim) dnn.destroy(r->prim);
    if (r->pd) dnn.pd_destroy(r->pd);
    free(r);
}

/* The primitive of r's case; `algorithm` is that of an eltwise. */
static bool make_dnn(rows *r, int algorithm)
{
    const int64_t dims[2] = {r->rows, r->n}, steps[2] = {r->n, 1};
    void *md = NULL, *line = NULL;
    bool ok = dnn.md_strides(&md, 2, dims, F32, steps) == 0 &&
              dnn.md_strides(&line, 1, &r->n, F32, &steps[1]) == 0;
    r->n_mem = r->form == LAYER ? 4 : 2;
    if (ok && r->form == UNARY)
        ok = dnn.eltwise(&r->pd, dnn.engine, INFERENCE, algorithm, md, md,
                         r->kind == LMN_UN_SILU ? 1.0f : 0.0f, 0.0f, NULL) == 0;
    else if (ok && r->form == SOFTMAX)
        ok = dnn.softmax(&r->pd, dnn.engine, INFERENCE, ACCURATE, md, md, 1, NULL) == 0;
    else if (ok)
        ok = dnn.layer(&r->pd, dnn.engine, INFERENCE, md, md, NULL, 1e-5f, SCALE_SHIFT, NULL) == 0;
    ok = ok && dnn.create(&r->prim, r->pd) == 0;
    const void *data[4] = {r->x, r->y, r->scale, r->bias};
    for (int32_t i = 0; ok && i < r->n_mem; i++) {
        void *p;
        memcpy(&p, &data[i], sizeof p);
        ok = dnn.memory_create(&r->mem[i], i < 2 ? md : line, dnn.engine, p) == 0;
    }
    if (md) dnn.md_destroy(md);
    if (line) dnn.md_destroy(line);
    return ok;
}

static void add(kb_case *c, const rows *r, const char *name, bool ours, void (*run)(void *))
{
    rows *own = kb_alloc(sizeof *own);
    *own = *r;
    kb_contender *k = kb_add(c, name, KB_PLAIN, ours);
    k->run = run, k->arg = own, k->error = error, k->release = release;
}

/* ---- cases ---------------------------------------------------------------------------------- */

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double silu(double x)
{
    return x / (1 + exp(-x));
}
static double gelu(double x)
{
    return 0.5 * x * erfc(-x * 0.70710678118654752440);
}
static double gelu_tanh(double x)
{
    return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

static const struct {
    const char *name;
    lmn_unary_kind kind;
    double (*exact)(double);
    const char *vml, *sleef;
    int dnn; /* number of the algorithm, 0 = none */
    float low, high;
} functions[] = {
    {"exp", LMN_UN_EXP, exp, "vmsExp", "Sleef_expf16_u10", 0x2a, -10, 10},
    {"log", LMN_UN_LOG, log, "vmsLn", "Sleef_logf16_u10", 0x2d, 0.01f, 1000},
    {"tanh", LMN_UN_TANH, tanh, "vmsTanh", "Sleef_tanhf16_u10", 0x21, -4, 4},
    {"erf", LMN_UN_ERF, erf, "vmsErf", "Sleef_erff16_u10", 0, -3, 3},
    {"sin", LMN_UN_SIN, sin, "vmsSin", "Sleef_sinf16_u10", 0, -30, 30},
    {"cos", LMN_UN_COS, cos, "vmsCos", "Sleef_cosf16_u10", 0, -30, 30},
    {"sigmoid", LMN_UN_SIGMOID, sigmoid, NULL, NULL, 0x29, -8, 8},
    {"silu", LMN_UN_SILU, silu, NULL, NULL, 0x2c, -8, 8},
    {"gelu", LMN_UN_GELU, gelu, NULL, NULL, 0x31, -4, 4},
    {"gelu_tanh", LMN_UN_GELU_TANH, gelu_tanh, NULL, NULL, 0x2b, -4, 4},
};

typedef struct peers {
    void *mkl, *sleef;
    bool dnn;
} peers;

static void run_case(kb_run *run, const peers *p, rows *r, size_t f, const char *set,
                     const char *name, float low, float high)
{
    const int64_t all = r->rows * r->n;
    if (!kb_wants(run, set, name, (double)all)) return;
    float *x = kb_alloc((size_t)all * sizeof *x);
    kb_random_f32(x, all, 1);
    for (int64_t i = 0; i < all; i++) x[i] = low + (x[i] + 1) * 0.5f * (high - low);
    r->x = x, r->y = kb_alloc((size_t)all * sizeof *x);
    float *scale = kb_alloc((size_t)r->n * sizeof *x), *bias = kb_alloc((size_t)r->n * sizeof *x);
    kb_random_f32(scale, r->n, 2), kb_random_f32(bias, r->n, 3);
    r->scale = scale, r->bias = bias;
    kb_case c = {.domain = "math", .set = set, .name = name, .ops = (double)all, .peak = 1};
    add(&c, r, "lamina", true, run_ours);
    rows peer = *r;
    if (r->form == UNARY && functions[f].vml && p->mkl &&
        kb_symbol(p->mkl, functions[f].vml, &peer.fn))
        add(&c, &peer, "VML HA", false, run_vml);
    if (r->form == UNARY && functions[f].sleef && p->sleef &&
        kb_symbol(p->sleef, functions[f].sleef, &peer.fn))
        add(&c, &peer, "SLEEF u10", false, run_sleef);
    peer = *r;
    if (p->dnn && (r->form != UNARY || functions[f].dnn) &&
        make_dnn(&peer, r->form == UNARY ? functions[f].dnn : 0))
        add(&c, &peer, "oneDNN", false, run_dnn);
    kb_measure(run, &c);
    free(x), free(r->y), free(scale), free(bias);
}

void kb_math(kb_run *run)
{
    static const struct {
        int32_t rows, n;
    } shapes[] = {{4, 768},   {64, 128},    {128, 768}, {128, 1024},
                  {32, 4096}, {1024, 4096}, {4, 50257}};
    lmn_kset set;
    if (run->threads != 1) return;
    kb_choose(&set);
    const peers p = {.mkl = dlopen("libmkl_rt.so.3", RTLD_NOW | RTLD_LOCAL),
                     .sleef = have_sleef() ? dlopen("libsleef.so.3", RTLD_NOW | RTLD_LOCAL) : NULL,
                     .dnn = open_dnn()};
    for (size_t f = 0; f < LMN_COUNT(functions); f++) {
        rows r = {.form = UNARY, .kind = functions[f].kind, .exact = functions[f].exact};
        r.rows = 1, r.n = 3072, r.set = &set;
        run_case(run, &p, &r, f, "functions", functions[f].name, functions[f].low,
                 functions[f].high);
    }
    for (size_t i = 0; i < 2 * LMN_COUNT(shapes); i++) {
        rows r = {.form = i % 2 ? LAYER : SOFTMAX, .set = &set};
        char name[64];
        r.rows = shapes[i / 2].rows, r.n = shapes[i / 2].n;
        (void)snprintf(name, sizeof name, "%s %dx%d", i % 2 ? "layer" : "softmax", (int)r.rows,
                       (int)r.n);
        run_case(run, &p, &r, 0, i % 2 ? "layer norm" : "softmax", name, -4, 4);
    }
}
