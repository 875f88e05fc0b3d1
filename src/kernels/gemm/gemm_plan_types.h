/*
 * The types and functions of the blocked driver, made for an element type: gemm_plan.h includes
 * this for f32, dgemm_plan.h for f64, each with GEMM_T, GEMM_F and GEMM_REAL defined. What they
 * mean stands in gemm_plan.h. No include guard by intent.
 */

typedef struct GEMM_T(plan) {
    const GEMM_T(row) * row;
    int64_t m, n, k, n_batch;
    int32_t flags, path; /* path: how B is read, see gemm_plan.c */
    int32_t threads;
    bool b_far, c_past; /* see gemm_plan.c and the block kernel's hints */
    int64_t mc, nc, kc; /* block sizes */
    int64_t m_blocks, n_blocks;
    int64_t n_chunks;     /* 0 when C is empty */
    size_t scratch_bytes; /* one worker's; 64-byte aligned memory is best, none is required */
} GEMM_T(plan);

/* Strides are in elements: ld from row to row, batch from item to item (0 = shared). */
typedef struct GEMM_T(args) {
    const GEMM_REAL *a, *b;
    GEMM_REAL *c; /* overlaps neither a nor b; the epilogue's FULL operand may be c itself */
    int64_t lda, ldb, ldc;
    int64_t a_batch, b_batch, c_batch;
    int32_t beta;       /* 0 or 1 */
    const lmn_epi *epi; /* NULL = none */
    int64_t item0;      /* number of the first item, for the epilogue's operands */
} GEMM_T(args);

void GEMM_F(plan)(const GEMM_T(row) * row, const lmn_gemm_shape *shape, GEMM_T(plan) * out);
/* Run chunk `chunk` < n_chunks. `scratch` holds scratch_bytes, NULL if that is 0; contents are
   lost. */
void GEMM_F(chunk)(const GEMM_T(plan) * plan, const GEMM_T(args) * args, int64_t chunk,
                   void *scratch);

/* A row-major product small enough to need neither plan nor scratch: row->tiny does it, to the bits
   of the plan, so never where the plan cuts k. Extents from 0 to 4096. */
static inline bool GEMM_F(is_tiny)(int64_t m, int64_t n, int64_t k)
{
    if (k * (int64_t)sizeof(GEMM_REAL) > LMN_GEMM_TINY_K || k * n > LMN_GEMM_TINY_KN ||
        m * n * k > LMN_GEMM_TINY)
        return false;
    return n > LMN_GEMM_THIN_N || k < LMN_GEMM_THIN_K || m <= LMN_GEMM_THIN_M;
}

/* Such a product, or one with a little transposed B: false, and nothing done, if it is not. */
bool GEMM_F(tiny)(const GEMM_T(row) * row, const lmn_gemm_shape *shape, const GEMM_T(args) * args);
