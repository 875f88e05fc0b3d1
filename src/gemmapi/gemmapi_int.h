/*
 * What the files of this room share. A lamina_gemm holds nothing that a product changes but the
 * recycled blocks, which guard themselves, so any number of threads may use it at once.
 */
#ifndef LMN_GEMMAPI_INT_H
#define LMN_GEMMAPI_INT_H

#include "lamina/gemm.h"

#include "base/alloc.h"
#include "base/recycle.h"
#include "kernels/gemm/dgemm_plan.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/hgemm/hgemm_plan.h"
#include "kernels/kset.h"
#include "kernels/qgemm/qgemm_plan.h"
#include "sync/workpool.h"

#define EXTENT_END ((int64_t)1 << 31)
#define LMN_GEMMAPI_ELEMS_END ((int64_t)1 << 60) /* of an operand, distances among them */

struct lamina_gemm {
    lamina_allocator alloc;
    lmn_kset kset;
    lmn_workpool *pool; /* NULL: the caller alone */
    int32_t width;
    lmn_recycle recycle;
};

/* The blocks of a product; of the drivers only the one of the element type is filled. */
typedef struct any_plan {
    lamina_dtype dtype;
    int64_t n_chunks;
    size_t scratch_bytes; /* one worker's */
    lmn_gemm_plan f32;
    lmn_hgemm_plan bf16;
    lmn_dgemm_plan f64;
} any_plan;

struct lamina_gemm_plan {
    lamina_gemm *g;
    lamina_gemm_shape shape;
    bool tiny; /* needs no plan */
    any_plan plan;
    lamina_gemm_int8_shape int8; /* instead of the above; size 0: not this kind */
    lmn_qgemm_plan int8_plan, int8_packed;
};

bool lmn_gemmapi_is_tiny(const lamina_gemm_shape *s);
/* Flags of the shape are those of the drivers, too. */
void lmn_gemmapi_plan(const lamina_gemm *g, const lamina_gemm_shape *s, any_plan *out);

struct lamina_gemm_packed {
    lamina_gemm *g;
    int64_t n, k;
    lamina_dtype dtype; /* of B as it was given: F32, U8 or I8 */
    bool in_place;      /* F32: row-major [k][n] without gaps, no panels */
    void *panels; /* F32: ceil(n / nr) panels of k rows of nr columns; else lmn_qgemm_prepack */
    size_t bytes;
};
/* With room for the panels. */
lamina_status lmn_gemmapi_packed_create(lamina_gemm *g, lamina_dtype dtype, int64_t n, int64_t k,
                                        size_t bytes, lamina_gemm_packed **out);

/* Checked operands, C not empty. */
lamina_status lmn_gemmapi_run_f64(lamina_gemm *g, const lamina_gemm_shape *s,
                                  const lmn_dgemm_plan *plan, const lamina_gemm_args *a);

/* Scratch of those who work on a product, `step` bytes apart; NULL if they need none. */
typedef struct workers {
    uint8_t *scratch;
    size_t step, all;
} workers;

lamina_status lmn_gemmapi_workers_begin(lamina_gemm *g, size_t bytes, int64_t n_chunks,
                                        workers *out);
void lmn_gemmapi_workers_end(lamina_gemm *g, workers *w);
static inline uint8_t *lmn_gemmapi_scratch_of(const workers *w, int32_t who)
{
    return w->scratch ? w->scratch + (size_t)who * w->step : NULL;
}
/* By the pool, if there is one and more than one chunk. */
void lmn_gemmapi_chunks(const lamina_gemm *g, int64_t n, lmn_par_fn *fn, void *arg);

/* A matrix of `rows` rows of `cols`, ld apart, one an item, items `batch` apart. */
typedef struct matrix {
    const void *p;
    int64_t rows, cols, ld, batch;
    size_t bytes; /* of an element */
} matrix;

/* Can it be addressed, does it have a place? */
lamina_status lmn_gemmapi_matrix_check(const matrix *x, int64_t n_batch);
/* Known flags, and extents in range? */
lamina_status lmn_gemmapi_extents_check(uint32_t flags, int64_t m, int64_t n, int64_t k,
                                        int64_t n_batch);
/* Is it a shape that can be planned? */
lamina_status lmn_gemmapi_shape_check(const lamina_gemm_shape *s);
/* Are they operands of that shape? */
lamina_status lmn_gemmapi_args_check(const lamina_gemm_shape *s, const lamina_gemm_args *a);

#endif
