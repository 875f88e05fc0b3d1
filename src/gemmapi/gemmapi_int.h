/*
 * What the files of this room share. A lamina_gemm holds nothing that a product changes but the
 * recycled blocks, which guard themselves, so any number of threads may use it at once.
 */
#ifndef LMN_GEMMAPI_INT_H
#define LMN_GEMMAPI_INT_H

#include "lamina/gemm.h"

#include "base/alloc.h"
#include "base/recycle.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/kset.h"
#include "sync/workpool.h"

struct lamina_gemm {
    lamina_allocator alloc;
    lmn_kset kset;
    lmn_workpool *pool; /* NULL: the caller alone */
    int32_t width;
    lmn_recycle recycle;
};

struct lamina_gemm_plan {
    lamina_gemm *g;
    lamina_gemm_shape shape;
    lmn_gemm_plan plan;
};

struct lamina_gemm_packed {
    lamina_gemm *g;
    int64_t n, k;
    float *panels; /* ceil(n / nr) panels of k rows of nr columns */
    size_t bytes;
};

/* Blocks of a product with packed weights, as those of lmn_gemm_plan. */
typedef struct packed_plan {
    const lamina_gemm_packed *w;
    int64_t m, mc, nc, kc, m_blocks, n_blocks, n_chunks;
} packed_plan;

void lmn_gemmapi_packed_plan(const lamina_gemm_packed *w, const lamina_gemm_shape *s,
                             packed_plan *out);
void lmn_gemmapi_packed_chunk(const packed_plan *p, const lmn_gemm_args *args, int64_t chunk);

/* Is it a matrix of `rows` rows of `cols`, ld apart? */
lamina_status lmn_gemmapi_matrix_check(const void *p, int64_t rows, int64_t cols, int64_t ld);
/* Is it a shape that can be planned? */
lamina_status lmn_gemmapi_shape_check(const lamina_gemm_shape *s);

#endif
