/*
 * The one object behind names that have no handle. The first call makes it, later ones find it; two
 * first calls at once both make one, and the slower one's goes. It lives as long as the process.
 * Threads: LAMINA_BLAS_THREADS, else OMP_NUM_THREADS, else what the container allows.
 */
#include "blas/blas_int.h"

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/error.h"
#include "base/os/os_env.h"

#include <stdio.h>

enum { MOST_THREADS = 256 };

static lmn_atomic(lamina_gemm *) lmn_blas_shared; /* tools/check_symbols.py knows it */

static uint32_t threads_wanted(void)
{
    const char *text = lmn_os_getenv("LAMINA_BLAS_THREADS");
    if (!text) text = lmn_os_getenv("OMP_NUM_THREADS");
    uint32_t n = 0;
    for (const char *p = text; p && *p >= '0' && *p <= '9' && n < MOST_THREADS; p++)
        n = n * 10 + (uint32_t)(*p - '0');
    return n > MOST_THREADS ? MOST_THREADS : n;
}

lamina_gemm *lmn_blas_gemm(void)
{
    lamina_gemm *g = lmn_atomic_load(&lmn_blas_shared, acquire);
    if (LMN_LIKELY(g)) return g;
    const lamina_gemm_opts opts = {.size = sizeof opts, .n_threads = threads_wanted()};
    lamina_gemm *found = NULL;
    if (lamina_gemm_create(&opts, &g) != LAMINA_OK) return NULL;
    if (lmn_atomic_cas(&lmn_blas_shared, &found, g, acq_rel)) return g;
    lamina_gemm_destroy(g);
    return found;
}

int32_t lmn_blas_trans_of(const char *text)
{
    switch (*text & ~0x20) {
    case 'N': return BLAS_NO_TRANS;
    case 'T': return BLAS_TRANS;
    case 'C': return BLAS_CONJ_TRANS;
    default: return 0;
    }
}

void lmn_blas_complain(const char *name, int position)
{
    if (!lmn_os_getenv("LAMINA_BLAS_VERBOSE")) return;
    char line[128];
    (void)lmn_format(line, sizeof line, "lamina: argument %d of %s is wrong, nothing was done\n",
                     position, name);
    (void)fputs(line, stderr);
}

void *lmn_blas_alloc(size_t n, size_t elem_bytes)
{
    size_t bytes;
    if (!lmn_mul_size(n, elem_bytes, &bytes)) return NULL;
    return lmn_alloc(&lmn_libc_allocator, bytes, LMN_TENSOR_ALIGN, "blas");
}

void lmn_blas_free(void *p, size_t n, size_t elem_bytes)
{
    lmn_free(&lmn_libc_allocator, p, n * elem_bytes, LMN_TENSOR_ALIGN, "blas");
}
