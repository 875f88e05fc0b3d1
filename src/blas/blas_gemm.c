/*
 * The names of products: those of CBLAS and of Fortran, batches at a stride as MKL and OpenBLAS
 * spell them, and bf16 products as either does. Integers are 32 bits wide (LP64).
 */
#include "blas/blas_int.h"

#define CBLAS_GEMM(NAME, AB, T, AB_TYPE, C_TYPE)                                              \
    BLAS_API void NAME(int order, int trans_a, int trans_b, int m, int n, int k, T alpha,     \
                       const AB *a, int lda, const AB *b, int ldb, T beta, T *c, int ldc);    \
    void NAME(int order, int trans_a, int trans_b, int m, int n, int k, T alpha, const AB *a, \
              int lda, const AB *b, int ldb, T beta, T *c, int ldc)                           \
    {                                                                                         \
        lmn_blas_product(&(blas_product){                                                     \
            #NAME, false,         false,        order,   trans_a, trans_b, m, n, k,           \
            lda,   ldb,           ldc,          1,       0,       0,       0, a, b,           \
            c,     (double)alpha, (double)beta, AB_TYPE, C_TYPE});                            \
    }

#define FORTRAN_GEMM(NAME, T, TYPE)                                                               \
    BLAS_API void NAME(const char *trans_a, const char *trans_b, const int *m, const int *n,      \
                       const int *k, const T *alpha, const T *a, const int *lda, const T *b,      \
                       const int *ldb, const T *beta, T *c, const int *ldc);                      \
    void NAME(const char *trans_a, const char *trans_b, const int *m, const int *n, const int *k, \
              const T *alpha, const T *a, const int *lda, const T *b, const int *ldb,             \
              const T *beta, T *c, const int *ldc)                                                \
    {                                                                                             \
        lmn_blas_product(&(blas_product){#NAME,                                                   \
                                         true,                                                    \
                                         false,                                                   \
                                         BLAS_COL_MAJOR,                                          \
                                         lmn_blas_trans_of(trans_a),                              \
                                         lmn_blas_trans_of(trans_b),                              \
                                         *m,                                                      \
                                         *n,                                                      \
                                         *k,                                                      \
                                         *lda,                                                    \
                                         *ldb,                                                    \
                                         *ldc,                                                    \
                                         1,                                                       \
                                         0,                                                       \
                                         0,                                                       \
                                         0,                                                       \
                                         a,                                                       \
                                         b,                                                       \
                                         c,                                                       \
                                         (double)*alpha,                                          \
                                         (double)*beta,                                           \
                                         TYPE,                                                    \
                                         TYPE});                                                  \
    }

#define CBLAS_GEMM_BATCH(NAME, T, TYPE)                                                        \
    BLAS_API void NAME(int order, int trans_a, int trans_b, int m, int n, int k, T alpha,      \
                       const T *a, int lda, int stride_a, const T *b, int ldb, int stride_b,   \
                       T beta, T *c, int ldc, int stride_c, int n_batch);                      \
    void NAME(int order, int trans_a, int trans_b, int m, int n, int k, T alpha, const T *a,   \
              int lda, int stride_a, const T *b, int ldb, int stride_b, T beta, T *c, int ldc, \
              int stride_c, int n_batch)                                                       \
    {                                                                                          \
        lmn_blas_product(&(blas_product){                                                      \
            #NAME, false, true, order,         trans_a,      trans_b,  m,        n,            \
            k,     lda,   ldb,  ldc,           n_batch,      stride_a, stride_b, stride_c,     \
            a,     b,     c,    (double)alpha, (double)beta, TYPE,     TYPE});                 \
    }

CBLAS_GEMM(cblas_sgemm, float, float, LAMINA_F32, LAMINA_F32)
CBLAS_GEMM(cblas_dgemm, double, double, LAMINA_F64, LAMINA_F64)
CBLAS_GEMM(cblas_gemm_bf16bf16f32, uint16_t, float, LAMINA_BF16, LAMINA_F32)
CBLAS_GEMM(cblas_sbgemm, uint16_t, float, LAMINA_BF16, LAMINA_F32)
FORTRAN_GEMM(sgemm_, float, LAMINA_F32)
FORTRAN_GEMM(dgemm_, double, LAMINA_F64)
CBLAS_GEMM_BATCH(cblas_sgemm_batch_strided, float, LAMINA_F32)
CBLAS_GEMM_BATCH(cblas_dgemm_batch_strided, double, LAMINA_F64)
