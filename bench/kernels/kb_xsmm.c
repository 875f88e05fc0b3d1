/*
 * LIBXSMM without its headers: the shape, the call and the numbers that a product of floats needs,
 * as libxsmm.h of 2.0 declares them. It lies in a folder of LAMINA_PEERS, if anywhere; nobody's
 * package has it.
 */
#include "kb.h"

#include <dlfcn.h>
#include <stdlib.h>

typedef struct xsmm_shape {
    int m, n, k, lda, ldb, ldc;
    int a_type, b_type, c_type, sum_type;
} xsmm_shape;
typedef struct xsmm_operand {
    void *primary, *more[5];
} xsmm_operand;
typedef struct xsmm_call {
    void *op[4]; /* not looked at */
    xsmm_operand a, b, c;
} xsmm_call;
typedef void xsmm_kernel(const xsmm_call *call);

enum { F32 = 1, BETA_0 = 4 };

static xsmm_kernel *(*dispatch)(xsmm_shape shape, unsigned flags, unsigned prefetch);

struct kb_xsmm {
    xsmm_call call;
    xsmm_kernel *fn;
};

bool kb_xsmm_open(void)
{
    void *lib = dlopen("libxsmm.so.2", RTLD_NOW | RTLD_LOCAL);
    return lib && kb_symbol(lib, "libxsmm_dispatch_gemm", &dispatch);
}

/* Theirs are column-major: C' = B' A'. */
kb_xsmm *kb_xsmm_make(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c)
{
    const xsmm_shape s = {(int)n, (int)m, (int)k, (int)n, (int)k, (int)n, F32, F32, F32, F32};
    xsmm_kernel *fn = dispatch ? dispatch(s, BETA_0, 0) : NULL;
    if (!fn) return NULL;
    kb_xsmm *x = kb_alloc(sizeof *x);
    *x = (kb_xsmm){.fn = fn};
    x->call.a.primary = (void *)(uintptr_t)b, x->call.b.primary = (void *)(uintptr_t)a;
    x->call.c.primary = c;
    return x;
}

void kb_xsmm_run(kb_xsmm *x)
{
    x->fn(&x->call);
}
