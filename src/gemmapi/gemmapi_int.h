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

/* Is it a shape that can be planned? */
lamina_status lmn_gemmapi_shape_check(const lamina_gemm_shape *s);

#endif
