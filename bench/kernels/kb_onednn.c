/*
 * oneDNN 3.x without its headers: the few functions and numbers that a matrix product and a
 * convolution need, as the C interface declares them. With 2.x, whose descriptors differ, it counts
 * as absent.
 */
#include "kb.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct dnn_arg {
    int arg;
    void *memory;
} dnn_arg;
typedef struct dnn_version {
    int major, minor, patch;
    const char *hash;
    unsigned cpu_runtime, gpu_runtime;
} dnn_version;

enum { CPU = 1, IN_ORDER = 1, FORMAT_ANY = 1, INFERENCE = 96, CONV_AUTO = 3 };
enum { QUERY_SRC = 129, QUERY_WEIGHTS = 131, QUERY_DST = 133 };
enum { ARG_SRC = 1, ARG_DST = 17, ARG_WEIGHTS = 33, ARG_BIAS = 41, ARG_FROM = 1, ARG_TO = 17 };
enum { SRC, WEIGHTS, DST, BIAS, OPERANDS };
enum { ARG_SCALES = 4096 };

static struct {
    void *engine, *stream;
    char version[32];
    int (*sgemm)(char, char, int64_t, int64_t, int64_t, float, const float *, int64_t,
                 const float *, int64_t, float, float *, int64_t);
    int (*engine_create)(void **, int, size_t);
    int (*stream_create)(void **, void *, unsigned);
    int (*stream_wait)(void *);
    int (*md_strides)(void **, int, const int64_t *, int, const int64_t *);
    int (*md_tag)(void **, int, const int64_t *, int, int);
    int (*md_destroy)(void *);
    size_t (*md_size)(const void *);
    const void *(*pd_query)(const void *, int, int);
    int (*pd_destroy)(void *);
    int (*matmul)(void **, void *, const void *, const void *, const void *, const void *,
                  const void *);
    int (*attr_create)(void **);
    int (*attr_scales)(void *, int, int);
    int (*attr_destroy)(void *);
    int (*conv)(void **, void *, int, int, const void *, const void *, const void *, const void *,
                const int64_t *, const int64_t *, const int64_t *, const int64_t *, const void *);
    int (*reorder)(void **, const void *, void *, const void *, void *, const void *);
    int (*create)(void **, const void *);
    int (*destroy)(void *);
    int (*memory_create)(void **, const void *, void *, void *);
    int (*memory_destroy)(void *);
    int (*cache)(int);
    int (*execute)(const void *, void *, int, const dnn_arg *);
} dnn;

struct kb_dnn {
    void *pd, *prim, *md[OPERANDS], *mem[OPERANDS]; /* md: as the user has them */
    void *own[OPERANDS];                            /* copies in an order of the primitive's */
    void *result;                                   /* the user's, where DST is such a copy */
    void *scale, *scale_md;                         /* of the sums; NULL = none */
    float factor;
};

bool kb_dnn_open(void)
{
    void *lib = dlopen("libdnnl.so.3", RTLD_NOW | RTLD_LOCAL);
    if (!lib) return false;
    const dnn_version *(*version)(void) = NULL;
    bool all = kb_symbol(lib, "dnnl_version", &version) &&
               kb_symbol(lib, "dnnl_sgemm", &dnn.sgemm) &&
               kb_symbol(lib, "dnnl_engine_create", &dnn.engine_create) &&
               kb_symbol(lib, "dnnl_stream_create", &dnn.stream_create) &&
               kb_symbol(lib, "dnnl_stream_wait", &dnn.stream_wait) &&
               kb_symbol(lib, "dnnl_memory_desc_create_with_strides", &dnn.md_strides) &&
               kb_symbol(lib, "dnnl_memory_desc_create_with_tag", &dnn.md_tag) &&
               kb_symbol(lib, "dnnl_memory_desc_destroy", &dnn.md_destroy) &&
               kb_symbol(lib, "dnnl_memory_desc_get_size", &dnn.md_size) &&
               kb_symbol(lib, "dnnl_primitive_desc_query_md", &dnn.pd_query) &&
               kb_symbol(lib, "dnnl_primitive_desc_destroy", &dnn.pd_destroy) &&
               kb_symbol(lib, "dnnl_matmul_primitive_desc_create", &dnn.matmul) &&
               kb_symbol(lib, "dnnl_primitive_attr_create", &dnn.attr_create) &&
               kb_symbol(lib, "dnnl_primitive_attr_set_scales_mask", &dnn.attr_scales) &&
               kb_symbol(lib, "dnnl_primitive_attr_destroy", &dnn.attr_destroy) &&
               kb_symbol(lib, "dnnl_convolution_forward_primitive_desc_create", &dnn.conv) &&
               kb_symbol(lib, "dnnl_reorder_primitive_desc_create", &dnn.reorder) &&
               kb_symbol(lib, "dnnl_primitive_create", &dnn.create) &&
               kb_symbol(lib, "dnnl_primitive_destroy", &dnn.destroy) &&
               kb_symbol(lib, "dnnl_memory_create", &dnn.memory_create) &&
               kb_symbol(lib, "dnnl_memory_destroy", &dnn.memory_destroy) &&
               kb_symbol(lib, "dnnl_set_primitive_cache_capacity", &dnn.cache) &&
               kb_symbol(lib, "dnnl_primitive_execute", &dnn.execute);
    if (!all || version()->major != 3) return false;
    const dnn_version *v = version();
    (void)snprintf(dnn.version, sizeof dnn.version, "%d.%d.%d", v->major, v->minor, v->patch);
    return dnn.engine_create(&dnn.engine, CPU, 0) == 0 &&
           dnn.stream_create(&dnn.stream, dnn.engine, IN_ORDER) == 0;
}

const char *kb_dnn_version(void)
{
    return dnn.version;
}

void kb_dnn_forget(void)
{
    if (!dnn.engine) return;
    (void)dnn.cache(0);
    (void)dnn.cache(1024);
}

static bool reorder(void *from_md, void *from, const void *to_md, void *to)
{
    void *pd = NULL, *prim = NULL;
    bool ok = dnn.reorder(&pd, from_md, dnn.engine, to_md, dnn.engine, NULL) == 0 &&
              dnn.create(&prim, pd) == 0;
    const dnn_arg args[] = {{ARG_FROM, from}, {ARG_TO, to}};
    ok = ok && dnn.execute(prim, dnn.stream, 2, args) == 0 && dnn.stream_wait(dnn.stream) == 0;
    if (prim) dnn.destroy(prim);
    if (pd) dnn.pd_destroy(pd);
    return ok;
}

/* Operand i into the order that the primitive wants, in memory of ours. */
static bool bring(kb_dnn *d, int i, int query)
{
    const void *want = dnn.pd_query(d->pd, query, 0);
    void *to = NULL;
    d->own[i] = kb_alloc(dnn.md_size(want));
    const bool ok = dnn.memory_create(&to, want, dnn.engine, d->own[i]) == 0 &&
                    (i == DST || reorder(d->md[i], d->mem[i], want, to));
    if (i == DST)
        d->result = d->mem[i];
    else
        dnn.memory_destroy(d->mem[i]);
    d->mem[i] = to;
    return ok;
}

/* A factor of the sums, given as that of the source. */
static bool scaled(kb_dnn *d, float factor, void **attr)
{
    const int64_t one = 1;
    d->factor = factor;
    return dnn.attr_create(attr) == 0 && dnn.attr_scales(*attr, ARG_SRC, 0) == 0 &&
           dnn.md_strides(&d->scale_md, 1, &one, KB_DNN_F32, &one) == 0 &&
           dnn.memory_create(&d->scale, d->scale_md, dnn.engine, &d->factor) == 0;
}

kb_dnn *kb_dnn_make(const kb_dnn_product *p)
{
    if (!dnn.engine) return NULL;
    kb_dnn *d = kb_alloc(sizeof *d);
    *d = (kb_dnn){0};
    const int64_t a[2] = {p->m, p->k}, b[2] = {p->k, p->n}, c[2] = {p->m, p->n};
    const int64_t as[2] = {p->k, 1}, cs[2] = {p->n, 1};
    const int64_t bs[2] = {p->trans_b ? 1 : p->n, p->trans_b ? p->k : 1};
    void *any = NULL;
    bool ok = dnn.md_strides(&d->md[0], 2, a, p->a_type, as) == 0 &&
              dnn.md_strides(&d->md[1], 2, b, p->b_type, bs) == 0 &&
              dnn.md_strides(&d->md[2], 2, c, p->c_type, cs) == 0 &&
              (!p->packed || dnn.md_tag(&any, 2, b, p->b_type, FORMAT_ANY) == 0);
    void *attr = NULL;
    ok = ok && (p->factor == 0 || scaled(d, p->factor, &attr));
    ok = ok &&
         dnn.matmul(&d->pd, dnn.engine, d->md[0], any ? any : d->md[1], NULL, d->md[2], attr) == 0;
    if (attr) dnn.attr_destroy(attr);
    ok = ok && dnn.create(&d->prim, d->pd) == 0;
    void *data[3] = {p->a, p->b, p->c};
    for (int i = 0; ok && i < 3; i++)
        ok = dnn.memory_create(&d->mem[i], d->md[i], dnn.engine, data[i]) == 0;
    ok = ok && (!p->packed || bring(d, WEIGHTS, QUERY_WEIGHTS));
    if (any) dnn.md_destroy(any);
    if (ok) return d;
    kb_dnn_release(d);
    return NULL;
}

/* Dense, row-major. */
static bool dense(void **md, int n, const int64_t *dims)
{
    int64_t strides[6], step = 1;
    for (int i = n - 1; i >= 0; i--) strides[i] = step, step *= dims[i];
    return dnn.md_strides(md, n, dims, KB_DNN_F32, strides) == 0;
}

kb_dnn *kb_dnn_make_conv(const kb_dnn_conv *p)
{
    if (!dnn.engine) return NULL;
    kb_dnn *d = kb_alloc(sizeof *d);
    *d = (kb_dnn){0};
    const int n = 2 + p->rank, nw = n + (p->groups > 1), skip = 3 - p->rank;
    int64_t dims[OPERANDS][6] = {{p->n, p->c_in}, {0}, {p->n, p->c_out}, {p->c_out}}, *w = dims[1];
    int64_t dilation[3];
    if (p->groups > 1) *w++ = p->groups;
    *w++ = p->c_out / p->groups, *w++ = p->c_in / p->groups;
    for (int i = 0; i < p->rank; i++) {
        dims[SRC][2 + i] = p->in[skip + i], dims[DST][2 + i] = p->out[skip + i];
        *w++ = p->kernel[skip + i], dilation[i] = p->dilation[skip + i] - 1;
    }
    void *any[DST + 1] = {NULL};
    const int ranks[OPERANDS] = {n, nw, n, 1};
    bool ok = true;
    for (int i = 0; i < OPERANDS; i++) ok = ok && dense(&d->md[i], ranks[i], dims[i]);
    for (int i = 0; ok && i <= DST; i++)
        if (i == WEIGHTS || !p->plain)
            ok = dnn.md_tag(&any[i], ranks[i], dims[i], KB_DNN_F32, FORMAT_ANY) == 0;
    ok = ok && dnn.conv(&d->pd, dnn.engine, INFERENCE, CONV_AUTO, any[SRC] ? any[SRC] : d->md[SRC],
                        any[WEIGHTS], d->md[BIAS], any[DST] ? any[DST] : d->md[DST],
                        p->stride + skip, dilation, p->pad + skip, p->pad_end + skip, NULL) == 0;
    ok = ok && dnn.create(&d->prim, d->pd) == 0;
    void *data[OPERANDS] = {p->x, p->w, p->y, p->bias};
    for (int i = 0; ok && i < OPERANDS; i++)
        ok = dnn.memory_create(&d->mem[i], d->md[i], dnn.engine, data[i]) == 0;
    ok = ok && bring(d, WEIGHTS, QUERY_WEIGHTS);
    ok = ok && (p->plain || (bring(d, SRC, QUERY_SRC) && bring(d, DST, QUERY_DST)));
    for (int i = 0; i <= DST; i++)
        if (any[i]) dnn.md_destroy(any[i]);
    if (ok) return d;
    kb_dnn_release(d);
    return NULL;
}

void kb_dnn_run(kb_dnn *d)
{
    dnn_arg args[4] = {{ARG_SRC, d->mem[SRC]},
                       {ARG_WEIGHTS, d->mem[WEIGHTS]},
                       {ARG_DST, d->mem[DST]},
                       {ARG_BIAS, d->mem[BIAS]}};
    if (d->scale) args[3] = (dnn_arg){ARG_SCALES | ARG_SRC, d->scale};
    (void)dnn.execute(d->prim, dnn.stream, d->mem[BIAS] || d->scale ? 4 : 3, args);
    (void)dnn.stream_wait(dnn.stream);
}

void kb_dnn_fetch(kb_dnn *d)
{
    if (!d->result) return;
    void *from = (void *)(uintptr_t)dnn.pd_query(d->pd, QUERY_DST, 0);
    (void)reorder(from, d->mem[DST], d->md[DST], d->result);
}

void kb_dnn_release(kb_dnn *d)
{
    for (int i = 0; i < OPERANDS; i++) {
        if (d->mem[i]) dnn.memory_destroy(d->mem[i]);
        if (d->md[i]) dnn.md_destroy(d->md[i]);
        free(d->own[i]);
    }
    if (d->result) dnn.memory_destroy(d->result);
    if (d->scale) dnn.memory_destroy(d->scale);
    if (d->scale_md) dnn.md_destroy(d->scale_md);
    if (d->prim) dnn.destroy(d->prim);
    if (d->pd) dnn.pd_destroy(d->pd);
    free(d);
}

bool kb_dnn_sgemm(const kb_dnn_product *p)
{
    return dnn.engine && dnn.sgemm('N', p->trans_b ? 'T' : 'N', p->m, p->n, p->k, 1.0f, p->a, p->k,
                                   p->b, p->trans_b ? p->k : p->n, 0.0f, p->c, p->n) == 0;
}
