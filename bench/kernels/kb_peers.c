/*
 * The libraries of others, opened by name (bench/kernels.py sets LD_LIBRARY_PATH and the variables
 * that tell each how many threads it has). KB_BLAS adds more of the CBLAS kind:
 * KB_BLAS="AMD BLIS=/path/libblis.so:LIBXSMM=...".
 */
#include "kb.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8 };
static kb_blas found[MOST];
static int32_t n_found;
static const char *absent[MOST];
static int32_t n_absent;
static bool have_dnn, have_xsmm;

bool kb_symbol(void *lib, const char *name, void *fn)
{
    void *p = dlsym(lib, name);
    memcpy(fn, &p, sizeof p);
    return p != NULL;
}

static void open_blas(const char *name, const char *path, bool wide)
{
    void *lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    kb_blas b = {.name = name, .wide = wide};
    const bool here =
        lib && kb_symbol(lib, wide ? "scipy_cblas_sgemm64_" : "cblas_sgemm", &b.sgemm);
    if (!here) {
        if (n_absent < MOST) absent[n_absent++] = name;
        return;
    }
    (void)kb_symbol(lib, wide ? "scipy_cblas_dgemm64_" : "cblas_dgemm", &b.dgemm);
    (void)kb_symbol(lib, "cblas_sgemm_pack_get_size", &b.pack_size);
    (void)kb_symbol(lib, "cblas_sgemm_pack", &b.pack);
    (void)kb_symbol(lib, "cblas_sgemm_compute", &b.compute);
    (void)kb_symbol(lib, "cblas_gemm_bf16bf16f32", &b.bf16);
    (void)kb_symbol(lib, "cblas_gemm_s8u8s32", &b.s8u8);
    if (n_found < MOST) found[n_found++] = b;
}

/* NAME=PATH:NAME=PATH ... The text is taken apart where it lies and stays. */
static void open_more(char *text)
{
    for (char *p = text; p && *p;) {
        char *name = p, *path = strchr(p, '='), *end = strchr(p, ':');
        p = end ? end + 1 : NULL;
        if (end) *end = 0;
        if (!path) continue;
        *path = 0;
        open_blas(name, path + 1, false);
    }
}

void kb_peers_open(int32_t threads)
{
    (void)threads; /* they read their variables */
    open_blas("MKL", "libmkl_rt.so.3", false);
    if (n_absent) n_absent = 0, open_blas("MKL", "libmkl_rt.so.2", false);
    open_blas("OpenBLAS", "libscipy_openblas64_.so", true);
    open_blas("BLIS", "libblis.so.4", false);
    const char *more = getenv("KB_BLAS");
    if (more) open_more(strdup(more));
    have_dnn = kb_dnn_open();
    if (!have_dnn && n_absent < MOST) absent[n_absent++] = "oneDNN";
    have_xsmm = kb_xsmm_open();
    if (!have_xsmm && n_absent < MOST) absent[n_absent++] = "LIBXSMM";
}

void kb_peers_print(void)
{
    printf("{\"peers\": [");
    for (int32_t i = 0; i < n_found; i++) printf("%s\"%s\"", i ? ", " : "", found[i].name);
    if (have_dnn) printf("%s\"oneDNN %s\"", n_found ? ", " : "", kb_dnn_version());
    if (have_xsmm) printf("%s\"LIBXSMM\"", n_found || have_dnn ? ", " : "");
    printf("], \"absent\": [");
    for (int32_t i = 0; i < n_absent; i++) printf("%s\"%s\"", i ? ", " : "", absent[i]);
    printf("]}\n");
    fflush(stdout);
}

int32_t kb_blas_count(void)
{
    return n_found;
}

const kb_blas *kb_blas_at(int32_t i)
{
    return &found[i];
}
