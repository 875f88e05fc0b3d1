/*
 * The names of BLAS against sums in f64: both orders, all transposes, alpha, beta, distances and
 * increments of either sign; beta = 0 does not read C, alpha = 0 neither A nor B; empty and wrong
 * arguments do nothing. Everything between the elements of C stays as it was.
 */
#include "t.h"

#include "blas/blas_int.h"

void cblas_sgemm(int, int, int, int, int, int, float, const float *, int, const float *, int, float,
                 float *, int);
void sgemm_(const char *, const char *, const int *, const int *, const int *, const float *,
            const float *, const int *, const float *, const int *, const float *, float *,
            const int *);
void cblas_sgemm_batch_strided(int, int, int, int, int, int, float, const float *, int, int,
                               const float *, int, int, float, float *, int, int, int);
void cblas_sbgemm(int, int, int, int, int, int, float, const uint16_t *, int, const uint16_t *, int,
                  float, float *, int);
void cblas_gemm_bf16bf16f32(int, int, int, int, int, int, float, const uint16_t *, int,
                            const uint16_t *, int, float, float *, int);
void cblas_dgemm(int, int, int, int, int, int, double, const double *, int, const double *, int,
                 double, double *, int);
void dgemm_(const char *, const char *, const int *, const int *, const int *, const double *,
            const double *, const int *, const double *, const int *, const double *, double *,
            const int *);
void cblas_dgemm_batch_strided(int, int, int, int, int, int, double, const double *, int, int,
                               const double *, int, int, double, double *, int, int, int);
void cblas_dgemv(int, int, int, int, double, const double *, int, const double *, int, double,
                 double *, int);
void cblas_sgemv(int, int, int, int, float, const float *, int, const float *, int, float, float *,
                 int);
void sgemv_(const char *, const int *, const int *, const float *, const float *, const int *,
            const float *, const int *, const float *, float *, const int *);

enum { MOST = 1 << 13 };
static float a[MOST], b[MOST], c[MOST], was[MOST];
static uint16_t a16[MOST], b16[MOST];
static const float between = 123.5f;

typedef struct form {
    int order, ta, tb, m, n, k, lda, ldb, ldc;
    float alpha, beta;
    int items, sa, sb, sc;
} form;

static int64_t index_of(int order, int64_t i, int64_t j, int64_t ld)
{
    return order == BLAS_ROW_MAJOR ? i * ld + j : j * ld + i;
}

/* Least distances plus `pad`, operands at random, C a pattern with the matrix inside. */
static void setup(t_env *env, form *f, int pad)
{
    const bool row = f->order == BLAS_ROW_MAJOR;
    const bool ta = f->ta != BLAS_NO_TRANS, tb = f->tb != BLAS_NO_TRANS;
    f->lda = (ta == row ? f->m : f->k) + pad, f->ldb = (tb == row ? f->k : f->n) + pad;
    f->ldc = (row ? f->n : f->m) + pad;
    if (f->lda < 1) f->lda = 1;
    if (f->ldb < 1) f->ldb = 1;
    f->sa = f->lda * (ta == row ? f->k : f->m), f->sb = f->ldb * (tb == row ? f->n : f->k);
    f->sc = f->ldc * (row ? f->m : f->n) + pad;
    for (int i = 0; i < MOST; i++) {
        a[i] = (float)t_rand_real(env, -1, 1), b[i] = (float)t_rand_real(env, -1, 1);
        c[i] = was[i] = between;
    }
    for (int t = 0; t < f->items; t++)
        for (int i = 0; i < f->m; i++)
            for (int j = 0; j < f->n; j++) {
                const int64_t at = t * f->sc + index_of(f->order, i, j, f->ldc);
                c[at] = was[at] = f->beta == 0 ? NAN : (float)t_rand_real(env, -1, 1);
            }
    if (f->alpha == 0) a[0] = NAN, b[0] = NAN;
}

/* `slack`: the bound of sums in f32, times this. */
static void check(const form *f, double slack)
{
    static bool inside[MOST];
    memset(inside, 0, sizeof inside);
    int bad = 0;
    for (int t = 0; t < f->items; t++)
        for (int i = 0; i < f->m; i++)
            for (int j = 0; j < f->n; j++) {
                double sum = 0, size = 0;
                for (int q = 0; q < f->k && f->alpha != 0; q++) {
                    const int64_t x = f->ta == BLAS_NO_TRANS ? index_of(f->order, i, q, f->lda)
                                                             : index_of(f->order, q, i, f->lda);
                    const int64_t y = f->tb == BLAS_NO_TRANS ? index_of(f->order, q, j, f->ldb)
                                                             : index_of(f->order, j, q, f->ldb);
                    const double v = (double)a[t * f->sa + x] * (double)b[t * f->sb + y];
                    sum += v, size += fabs(v);
                }
                const int64_t at = t * f->sc + index_of(f->order, i, j, f->ldc);
                const double old = f->beta == 0 ? 0 : (double)f->beta * (double)was[at];
                const double want = (double)f->alpha * sum + old;
                const double bound =
                    slack * (fabs((double)f->alpha) * size + fabs(old)) * 0x1p-24 * (f->k + 4);
                inside[at] = true;
                bad += !(fabs((double)c[at] - want) <= bound);
            }
    for (int i = 0; i < MOST; i++) bad += !inside[i] && c[i] != between;
    T_EQ(bad, 0);
}

static const int trans[] = {BLAS_NO_TRANS, BLAS_TRANS, BLAS_CONJ_TRANS};
static const char letter[] = "NtC";
static const float scalars[] = {0, 1, -1, 0.3f};
static const int dims[][3] = {{1, 1, 1},  {4, 4, 4},    {1, 20, 31},
                              {20, 1, 9}, {17, 33, 65}, {5, 7, 0}};

/* Draws of the whole cross product: forms f of (shape, order, transposes, alpha, beta, padding). */
static bool draw(t_env *env, size_t at, form *f)
{
    const size_t n = T_COUNT(dims);
    if (at >= n * 2 * 9 * 16) return false;
    *f = (form){.order = at / n % 2 ? BLAS_COL_MAJOR : BLAS_ROW_MAJOR, .items = 1};
    f->m = dims[at % n][0], f->n = dims[at % n][1], f->k = dims[at % n][2];
    f->ta = trans[at / n / 2 % 3], f->tb = trans[at / n / 6 % 3];
    f->alpha = scalars[at / n / 18 % 4], f->beta = scalars[at / n / 72];
    setup(env, f, (int)(at % 3));
    return true;
}

static void test_cblas(t_env *env)
{
    form f;
    for (size_t at = 0; draw(env, at, &f); at++) {
        cblas_sgemm(f.order, f.ta, f.tb, f.m, f.n, f.k, f.alpha, a, f.lda, b, f.ldb, f.beta, c,
                    f.ldc);
        check(&f, 1);
    }
}

static void test_fortran(t_env *env)
{
    form f;
    for (size_t at = 0; draw(env, at, &f); at++) {
        if (f.order != BLAS_COL_MAJOR) continue;
        sgemm_(&letter[f.ta - BLAS_NO_TRANS], &letter[f.tb - BLAS_NO_TRANS], &f.m, &f.n, &f.k,
               &f.alpha, a, &f.lda, b, &f.ldb, &f.beta, c, &f.ldc);
        check(&f, 1);
    }
}

static void test_batch(t_env *env)
{
    for (int order = BLAS_ROW_MAJOR; order <= BLAS_COL_MAJOR; order++)
        for (int s = 0; s < 16; s++) {
            form f = {.order = order, .ta = trans[s % 3], .tb = trans[s % 2], .m = 9, .n = 20};
            f.k = 11, f.items = 4, f.alpha = scalars[s % 4], f.beta = scalars[s / 4];
            setup(env, &f, s % 2);
            cblas_sgemm_batch_strided(order, f.ta, f.tb, f.m, f.n, f.k, f.alpha, a, f.lda, f.sa, b,
                                      f.ldb, f.sb, f.beta, c, f.ldc, f.sc, f.items);
            check(&f, 1);
        }
}

static void test_bf16(t_env *env)
{
    form f;
    for (size_t at = 0; draw(env, at, &f); at++) {
        for (int i = 0; i < MOST; i++) {
            uint32_t x, y;
            memcpy(&x, &a[i], 4), memcpy(&y, &b[i], 4);
            a16[i] = (uint16_t)(x >> 16), b16[i] = (uint16_t)(y >> 16);
            x &= 0xffff0000u, y &= 0xffff0000u;
            memcpy(&a[i], &x, 4), memcpy(&b[i], &y, 4);
        }
        (at % 2 ? cblas_sbgemm : cblas_gemm_bf16bf16f32)(
            f.order, f.ta, f.tb, f.m, f.n, f.k, f.alpha, a16, f.lda, b16, f.ldb, f.beta, c, f.ldc);
        check(&f, 2);
    }
}

/* The forms in doubles, made of the floats with a little more; f32 kernels would be found out. */
static double da[MOST], db[MOST], dc[MOST], dwas[MOST];

static void setup_double(void)
{
    for (int i = 0; i < MOST; i++) {
        da[i] = (double)a[i] * (1 + 0x1p-30), db[i] = (double)b[i] * (1 - 0x1p-31);
        dc[i] = dwas[i] = (double)c[i];
    }
}

static void check_double(const form *f)
{
    int bad = 0;
    for (int t = 0; t < f->items; t++)
        for (int i = 0; i < f->m; i++)
            for (int j = 0; j < f->n; j++) {
                long double sum = 0, size = 0;
                for (int q = 0; q < f->k && f->alpha != 0; q++) {
                    const int64_t x = f->ta == BLAS_NO_TRANS ? index_of(f->order, i, q, f->lda)
                                                             : index_of(f->order, q, i, f->lda);
                    const int64_t y = f->tb == BLAS_NO_TRANS ? index_of(f->order, q, j, f->ldb)
                                                             : index_of(f->order, j, q, f->ldb);
                    const long double v = (long double)da[t * f->sa + x] * db[t * f->sb + y];
                    sum += v, size += fabsl(v);
                }
                const int64_t at = t * f->sc + index_of(f->order, i, j, f->ldc);
                const long double old = f->beta == 0 ? 0 : (long double)f->beta * dwas[at];
                const long double want = (long double)f->alpha * sum + old;
                const long double bound =
                    (fabsl((long double)f->alpha) * size + fabsl(old)) * 0x1p-53L * (f->k + 4);
                bad += !(fabsl(dc[at] - want) <= bound);
                dc[at] = (double)between;
            }
    for (int i = 0; i < MOST; i++) bad += dc[i] != (double)between;
    T_EQ(bad, 0);
}

static void test_double(t_env *env)
{
    form f;
    for (size_t at = 0; draw(env, at, &f); at++) {
        const double alpha = (double)f.alpha, beta = (double)f.beta;
        setup_double();
        if (f.order == BLAS_COL_MAJOR && at % 2)
            dgemm_(&letter[f.ta - BLAS_NO_TRANS], &letter[f.tb - BLAS_NO_TRANS], &f.m, &f.n, &f.k,
                   &alpha, da, &f.lda, db, &f.ldb, &beta, dc, &f.ldc);
        else if (f.n == 1 && f.tb == BLAS_NO_TRANS && f.ta == BLAS_NO_TRANS)
            cblas_dgemv(f.order, f.ta, f.m, f.k, alpha, da, f.lda, db,
                        f.order == BLAS_ROW_MAJOR ? f.ldb : 1, beta, dc,
                        f.order == BLAS_ROW_MAJOR ? f.ldc : 1);
        else
            cblas_dgemm(f.order, f.ta, f.tb, f.m, f.n, f.k, alpha, da, f.lda, db, f.ldb, beta, dc,
                        f.ldc);
        check_double(&f);
    }
    f = (form){.order = BLAS_ROW_MAJOR, .ta = BLAS_TRANS, .tb = BLAS_NO_TRANS, .m = 9, .n = 20};
    f.k = 11, f.items = 3, f.alpha = 2, f.beta = -1;
    setup(env, &f, 1);
    setup_double();
    cblas_dgemm_batch_strided(f.order, f.ta, f.tb, f.m, f.n, f.k, 2, da, f.lda, f.sa, db, f.ldb,
                              f.sb, -1, dc, f.ldc, f.sc, f.items);
    check_double(&f);
}

static void test_gemv(t_env *env)
{
    static const int inc[] = {1, -1, 3, -2};
    static const int sizes[][2] = {{1, 1}, {40, 30}, {3, 600}, {150, 40}};
    for (int at = 0; at < 4 * 2 * 3 * 16 * 16; at++) {
        if (at % 5 != 0) continue; /* enough of them */
        const int *d = sizes[at % 4], order = at / 4 % 2 ? BLAS_COL_MAJOR : BLAS_ROW_MAJOR;
        const int t = trans[at / 8 % 3], ix = inc[at / 24 % 4], iy = inc[at / 96 % 4];
        const int nx = t == BLAS_NO_TRANS ? d[1] : d[0], ny = t == BLAS_NO_TRANS ? d[0] : d[1];
        const int lda = (order == BLAS_ROW_MAJOR ? d[1] : d[0]) + at % 3;
        const float alpha = scalars[at / 384 % 4], beta = scalars[at / 1536 % 4];
        for (int i = 0; i < MOST; i++)
            a[i] = (float)t_rand_real(env, -1, 1), b[i] = a[i] - 0.25f, c[i] = was[i] = between;
        const int x0 = ix < 0 ? (1 - nx) * ix : 0, y0 = iy < 0 ? (1 - ny) * iy : 0;
        for (int i = 0; i < ny; i++)
            c[y0 + i * iy] = was[y0 + i * iy] = beta == 0 ? NAN : (float)i / 16;
        if (order == BLAS_COL_MAJOR && at % 2)
            sgemv_(&letter[t - BLAS_NO_TRANS], &d[0], &d[1], &alpha, a, &lda, b, &ix, &beta, c,
                   &iy);
        else
            cblas_sgemv(order, t, d[0], d[1], alpha, a, lda, b, ix, beta, c, iy);
        int bad = 0;
        for (int i = 0; i < ny; i++) {
            double sum = 0, size = 0;
            for (int q = 0; q < nx && alpha != 0; q++) {
                const int64_t y =
                    t == BLAS_NO_TRANS ? index_of(order, i, q, lda) : index_of(order, q, i, lda);
                const double v = (double)a[y] * (double)b[x0 + q * ix];
                sum += v, size += fabs(v);
            }
            const double old = beta == 0 ? 0 : (double)beta * (double)was[y0 + i * iy];
            const double bound = (fabs((double)alpha) * size + fabs(old)) * 0x1p-24 * (nx + 4);
            bad += !(fabs((double)c[y0 + i * iy] - (double)alpha * sum - old) <= bound);
            c[y0 + i * iy] = between;
        }
        for (int i = 0; i < MOST; i++) bad += c[i] != between;
        if (!T_EQ(bad, 0)) return;
    }
}

static void test_wrong(t_env *env)
{
    form f = {.order = BLAS_ROW_MAJOR, .ta = BLAS_NO_TRANS, .tb = BLAS_NO_TRANS, .items = 1};
    f.m = 4, f.n = 5, f.k = 6, f.alpha = 1;
    setup(env, &f, 0);
    const int big = INT32_MAX;
    cblas_sgemm(100, f.ta, f.tb, 4, 5, 6, 1, a, 6, b, 5, 0, c, 5);
    cblas_sgemm(101, 7, f.tb, 4, 5, 6, 1, a, 6, b, 5, 0, c, 5);
    cblas_sgemm(101, f.ta, 114, 4, 5, 6, 1, a, 6, b, 5, 0, c, 5);
    cblas_sgemm(101, f.ta, f.tb, -1, 5, 6, 1, a, 6, b, 5, 0, c, 5);
    cblas_sgemm(101, f.ta, f.tb, 4, INT32_MIN, 6, 1, a, 6, b, 5, 0, c, 5);
    cblas_sgemm(101, f.ta, f.tb, 4, 5, -6, 1, a, 6, b, 5, 0, c, 5);
    cblas_sgemm(101, f.ta, f.tb, 4, 5, 6, 1, a, 5, b, 5, 0, c, 5);
    cblas_sgemm(101, f.ta, f.tb, 4, 5, 6, 1, a, 6, b, 4, 0, c, 5);
    cblas_sgemm(101, f.ta, f.tb, 4, 5, 6, 1, a, 6, b, 5, 0, c, 0);
    cblas_sgemm(101, f.ta, f.tb, big, big, big, 1, a, 6, b, 5, 0, c, 5);
    cblas_sgemm(101, f.ta, f.tb, 0, 5, 6, 1, NULL, 6, b, 5, 0, c, 5);
    cblas_sgemm(101, f.ta, f.tb, 4, 0, 6, 1, a, 6, NULL, 1, 0, NULL, 1);
    cblas_sgemm(101, f.ta, f.tb, 4, 5, 0, 1, NULL, 1, NULL, 5, 1, NULL, 5);
    sgemm_("Q", "N", &f.m, &f.n, &f.k, &f.alpha, a, &f.k, b, &f.n, &f.beta, c, &f.n);
    cblas_sgemm_batch_strided(101, f.ta, f.tb, 4, 5, 6, 1, a, 6, -1, b, 5, 0, 0, c, 5, 20, 2);
    cblas_sgemm_batch_strided(101, f.ta, f.tb, 4, 5, 6, 1, a, 6, 0, b, 5, 0, 0, c, 5, 0, 2);
    cblas_sgemm_batch_strided(101, f.ta, f.tb, 4, 5, 6, 1, a, 6, 0, b, 5, 0, 0, c, 5, 20, -2);
    cblas_sgemm_batch_strided(101, f.ta, f.tb, 4, 5, 6, 1, a, 6, 0, b, 5, 0, 0, c, 5, 20, 0);
    cblas_sgemv(101, f.ta, 4, 5, 1, a, 4, b, 1, 0, c, 1);
    cblas_sgemv(101, f.ta, 4, 5, 1, a, 5, b, 0, 0, c, 1);
    cblas_sgemv(101, f.ta, 4, 5, 1, a, 5, b, 1, 0, c, 0);
    cblas_sgemv(101, f.ta, 4, -5, 1, a, 5, b, 1, 0, c, 1);
    T_MEM_EQ(c, was, sizeof c);
}

#ifdef TEST_SHARED /* which shows the names of BLAS only */
#define TEST_PLAIN
#else
#define TEST_PLAIN , T_TEST(test_plain)
/* The loops that need no memory agree with the products. */
static void test_plain(t_env *env)
{
    form f;
    for (size_t at = 0; draw(env, at, &f); at++) {
        if (f.order != BLAS_ROW_MAJOR) continue;
        lmn_blas_plain(&(blas_product){.order = BLAS_ROW_MAJOR,
                                       .trans_a = f.ta,
                                       .trans_b = f.tb,
                                       .m = f.m,
                                       .n = f.n,
                                       .k = f.k,
                                       .lda = f.lda,
                                       .ldb = f.ldb,
                                       .ldc = f.ldc,
                                       .n_batch = 1,
                                       .a = a,
                                       .b = b,
                                       .c = c,
                                       .alpha = (double)f.alpha,
                                       .beta = (double)f.beta,
                                       .ab_type = LAMINA_F32,
                                       .c_type = LAMINA_F32});
        check(&f, 1);
    }
}
#endif

T_MAIN(T_TEST(test_cblas), T_TEST(test_fortran), T_TEST(test_batch), T_TEST(test_bf16),
       T_TEST(test_double), T_TEST(test_gemv), T_TEST(test_wrong) TEST_PLAIN)
