/*
 * What the files of this room share: the one product behind all names, and what is said of a wrong
 * argument. BLAS has no status and no handle, so a call cannot fail: where memory is out, a plain
 * loop that needs none computes the result; and what products need is made by the first call.
 */
#ifndef LMN_BLAS_INT_H
#define LMN_BLAS_INT_H

#include "lamina/gemm.h"

#include "base/types.h"

#define BLAS_API __attribute__((visibility("default")))

enum { BLAS_ROW_MAJOR = 101, BLAS_COL_MAJOR = 102 };
enum { BLAS_NO_TRANS = 111, BLAS_TRANS = 112, BLAS_CONJ_TRANS = 113 };

/* A product as the caller wrote it: dims of op(A), op(B); `n_batch` items, strides apart. */
typedef struct blas_product {
    const char *name; /* of the function, for complaints */
    bool fortran;     /* arguments are counted from transa */
    bool batch;       /* strides and a count are arguments */
    int32_t order, trans_a, trans_b;
    int64_t m, n, k, lda, ldb, ldc;
    int64_t n_batch, stride_a, stride_b, stride_c;
    const void *a, *b;
    void *c;
    double alpha, beta;
    lamina_dtype ab_type, c_type; /* BF16 with F32, or the same */
} blas_product;

/* Checks the arguments; a wrong one is complained about, and nothing is done. */
void lmn_blas_product(const blas_product *p);
/* The plain loops: any types, no memory. Row-major, arguments right. */
void lmn_blas_plain(const blas_product *p);

/* 'N', 'T', 'C' of either case as CBLAS numbers them; 0 = none of them. */
int32_t lmn_blas_trans_of(const char *text);
/* Argument `position` of `name` is wrong: said on stderr if LAMINA_BLAS_VERBOSE is set. */
void lmn_blas_complain(const char *name, int position);
/* The products of the process; NULL: no memory. */
lamina_gemm *lmn_blas_gemm(void);

/* Memory from the C library for a call; NULL for 0 elements as well. */
void *lmn_blas_alloc(size_t n, size_t elem_bytes);
void lmn_blas_free(void *p, size_t n, size_t elem_bytes);

#endif
