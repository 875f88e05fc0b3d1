/*
 * oneDNN 3.x without its headers: the few functions and numbers that a matrix product needs, as the
 * C interface declares them. With 2.x, whose descriptors differ, it counts as absent.
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

enum { CPU = 1, IN_ORDER = 1, FORMAT_ANY = 1, QUERY_WEIGHTS = 131 };
enum { ARG_SRC = 1, ARG_DST = 17, ARG_WEIGHTS = 33, ARG_FROM = 1, ARG_TO = 17 };

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
    int (*reorder)(void **, const void *, void *, const void *, void *, const void *);
    int (*create)(void **, const void *);
    int (*destroy)(void *);
    int (*memory_create)(void **, const void *, void *, void *);
    int (*memory_destroy)(void *);
    int (*execute)(const void *, void *, int, const dnn_arg *);
} dnn;

struct kb_dnn {
    void *pd, *prim, *md[3], *mem[3];
    void *packed; /* our copy of the weights, reordered */
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
               kb_symbol(lib, "dnnl_reorder_primitive_desc_create", &dnn.reorder) &&
               kb_symbol(lib, "dnnl_primitive_create", &dnn.create) &&
               kb_symbol(lib, "dnnl_primitive_destroy", &dnn.destroy) &&
               kb_symbol(lib, "dnnl_memory_create", &dnn.memory_create) &&
               kb_symbol(lib, "dnnl_memory_destroy", &dnn.memory_destroy) &&
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

/* The weights into the order that the primitive wants, in memory of ours. */
static bool pack_weights(kb_dnn *d)
{
    const void *want = dnn.pd_query(d->pd, QUERY_WEIGHTS, 0);
    void *pd = NULL, *prim = NULL, *to = NULL;
    d->packed = kb_alloc(dnn.md_size(want));
    bool ok = dnn.memory_create(&to, want, dnn.engine, d->packed) == 0 &&
              dnn.reorder(&pd, d->md[1], dnn.engine, want, dnn.engine, NULL) == 0 &&
              dnn.create(&prim, pd) == 0;
    const dnn_arg args[] = {{ARG_FROM, d->mem[1]}, {ARG_TO, to}};
    ok = ok && dnn.execute(prim, dnn.stream, 2, args) == 0 && dnn.stream_wait(dnn.stream) == 0;
    if (prim) dnn.destroy(prim);
    if (pd) dnn.pd_destroy(pd);
    dnn.memory_destroy(d->mem[1]);
    d->mem[1] = to;
    return ok;
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
    ok = ok &&
         dnn.matmul(&d->pd, dnn.engine, d->md[0], any ? any : d->md[1], NULL, d->md[2], NULL) == 0;
    ok = ok && dnn.create(&d->prim, d->pd) == 0;
    void *data[3] = {p->a, p->b, p->c};
    for (int i = 0; ok && i < 3; i++)
        ok = dnn.memory_create(&d->mem[i], d->md[i], dnn.engine, data[i]) == 0;
    ok = ok && (!p->packed || pack_weights(d));
    if (any) dnn.md_destroy(any);
    if (ok) return d;
    kb_dnn_release(d);
    return NULL;
}

void kb_dnn_run(kb_dnn *d)
{
    const dnn_arg args[] = {{ARG_SRC, d->mem[0]}, {ARG_WEIGHTS, d->mem[1]}, {ARG_DST, d->mem[2]}};
    (void)dnn.execute(d->prim, dnn.stream, 3, args);
    (void)dnn.stream_wait(dnn.stream);
}

void kb_dnn_release(kb_dnn *d)
{
    for (int i = 0; i < 3; i++) {
        if (d->mem[i]) dnn.memory_destroy(d->mem[i]);
        if (d->md[i]) dnn.md_destroy(d->md[i]);
    }
    if (d->prim) dnn.destroy(d->prim);
    if (d->pd) dnn.pd_destroy(d->pd);
    free(d->packed);
    free(d);
}

bool kb_dnn_sgemm(const kb_dnn_product *p)
{
    return dnn.engine && dnn.sgemm('N', p->trans_b ? 'T' : 'N', p->m, p->n, p->k, 1.0f, p->a, p->k,
                                   p->b, p->trans_b ? p->k : p->n, 0.0f, p->c, p->n) == 0;
}
