/*
 * Matrix times vector: y = alpha op(A) x + beta y, as a product of one row. A is read where it lies
 * in either order; vectors with gaps go through contiguous copies.
 */
#include "blas/blas_int.h"

enum { NEAR_ELEMS = 512 };

/* As the caller wrote it; m and n are those of A. */
typedef struct gemv {
    const char *name;
    bool fortran;
    int32_t order, trans;
    int64_t m, n, lda, incx, incy;
    const void *a, *x;
    void *y;
    double alpha, beta;
    lamina_dtype type;
} gemv;

static int wrong_argument(const gemv *v)
{
    const bool row = v->order == BLAS_ROW_MAJOR;
    if (!row && v->order != BLAS_COL_MAJOR) return 1;
    if (v->trans < BLAS_NO_TRANS || v->trans > BLAS_CONJ_TRANS) return 2;
    if (v->m < 0) return 3;
    if (v->n < 0) return 4;
    if (v->lda < lmn_max_i64(1, row ? v->n : v->m)) return 7;
    if (v->incx == 0) return 9;
    return v->incy == 0 ? 12 : 0;
}

/* Where element 0 of n lies, inc apart: of a negative inc the last comes first in memory. */
static int64_t first_of(int64_t n, int64_t inc)
{
    return inc < 0 ? (1 - n) * inc : 0;
}

static void gather(char *to, const void *vec, int64_t inc, int64_t n, size_t bytes)
{
    for (int64_t i = 0, at = first_of(n, inc); i < n; i++, at += inc)
        __builtin_memcpy(to + (size_t)i * bytes, (const char *)vec + at * (int64_t)bytes, bytes);
}

static void scatter(void *vec, const char *from, int64_t inc, int64_t n, size_t bytes)
{
    for (int64_t i = 0, at = first_of(n, inc); i < n; i++, at += inc)
        __builtin_memcpy((char *)vec + at * (int64_t)bytes, from + (size_t)i * bytes, bytes);
}

/* y (1 x ny) = x (1 x nx) times A as it lies in memory, or its transpose: contiguous vectors. */
static blas_product as_product(const gemv *v, const void *x, void *y)
{
    const bool trans = v->trans != BLAS_NO_TRANS;
    const int64_t nx = trans ? v->m : v->n, ny = trans ? v->n : v->m;
    const bool plain = trans == (v->order == BLAS_ROW_MAJOR);
    return (blas_product){.name = v->name,
                          .order = BLAS_ROW_MAJOR,
                          .trans_a = BLAS_NO_TRANS,
                          .trans_b = plain ? BLAS_NO_TRANS : BLAS_TRANS,
                          .m = 1,
                          .n = ny,
                          .k = nx,
                          .lda = nx,
                          .ldb = v->lda,
                          .ldc = ny,
                          .n_batch = 1,
                          .a = x,
                          .b = v->a,
                          .c = y,
                          .alpha = v->alpha,
                          .beta = v->beta,
                          .ab_type = v->type,
                          .c_type = v->type};
}

/* No memory for copies: every element of y is a product of its own, of a column x with gaps. */
static void compute_plain(const gemv *v, int64_t nx, int64_t ny, int64_t bytes)
{
    blas_product p = as_product(v, (const char *)v->x + first_of(nx, v->incx) * bytes, NULL);
    const int64_t step = p.trans_b == BLAS_NO_TRANS ? 1 : v->lda;
    p.n = 1, p.trans_a = BLAS_TRANS, p.lda = v->incx;
    for (int64_t i = 0; i < ny; i++) {
        p.b = (const char *)v->a + i * step * bytes;
        p.c = (char *)v->y + (first_of(ny, v->incy) + i * v->incy) * bytes;
        lmn_blas_plain(&p);
    }
}

static void compute(const gemv *v, int64_t nx, int64_t ny)
{
    const size_t bytes = v->type == LAMINA_F64 ? 8 : 4;
    const bool copy_x = v->incx != 1, copy_y = v->incy != 1;
    const size_t n = (size_t)((copy_x ? nx : 0) + (copy_y ? ny : 0));
    _Alignas(64) char near[NEAR_ELEMS * 8];
    char *copy = n <= NEAR_ELEMS ? near : lmn_blas_alloc(n, bytes);
    if (!copy) {
        compute_plain(v, nx, ny, (int64_t)bytes);
        return;
    }
    char *y = copy_x ? copy + (size_t)nx * bytes : copy;
    if (copy_x) gather(copy, v->x, v->incx, nx, bytes);
    if (copy_y && v->beta != 0) gather(y, v->y, v->incy, ny, bytes);
    const blas_product p = as_product(v, copy_x ? copy : v->x, copy_y ? y : v->y);
    lmn_blas_product(&p);
    if (copy_y) scatter(v->y, y, v->incy, ny, bytes);
    if (copy != near) lmn_blas_free(copy, n, bytes);
}

static void run(const gemv *v)
{
    const int wrong = wrong_argument(v);
    if (wrong) {
        lmn_blas_complain(v->name, wrong - v->fortran);
        return;
    }
    const bool trans = v->trans != BLAS_NO_TRANS;
    if (v->m == 0 || v->n == 0 || (v->alpha == 0 && v->beta == 1)) return;
    compute(v, trans ? v->m : v->n, trans ? v->n : v->m);
}

#define GEMV(CNAME, FNAME, T, TYPE)                                                                \
    BLAS_API void CNAME(int order, int trans, int m, int n, T alpha, const T *a, int lda,          \
                        const T *x, int incx, T beta, T *y, int incy);                             \
    void CNAME(int order, int trans, int m, int n, T alpha, const T *a, int lda, const T *x,       \
               int incx, T beta, T *y, int incy)                                                   \
    {                                                                                              \
        run(&(gemv){#CNAME, false, order, trans, m, n, lda, incx, incy, a, x, y, (double)alpha,    \
                    (double)beta, TYPE});                                                          \
    }                                                                                              \
    BLAS_API void FNAME(const char *trans, const int *m, const int *n, const T *alpha, const T *a, \
                        const int *lda, const T *x, const int *incx, const T *beta, T *y,          \
                        const int *incy);                                                          \
    void FNAME(const char *trans, const int *m, const int *n, const T *alpha, const T *a,          \
               const int *lda, const T *x, const int *incx, const T *beta, T *y, const int *incy)  \
    {                                                                                              \
        run(&(gemv){#FNAME, true, BLAS_COL_MAJOR, lmn_blas_trans_of(trans), *m, *n, *lda, *incx,   \
                    *incy, a, x, y, (double)*alpha, (double)*beta, TYPE});                         \
    }

GEMV(cblas_sgemv, sgemv_, float, LAMINA_F32)
GEMV(cblas_dgemv, dgemv_, double, LAMINA_F64)
