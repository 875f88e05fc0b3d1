/*
 * Fourier transforms of any length (see fft.h). Twiddles come from sin and cos of exact fractions
 * of the circle, never from recurrences, so that the error stays at a few ulp times log2 n.
 */
#include "ops/fft.h"
#include "ops/f64io.h"

#include <math.h>
#include <string.h>

static const double PI = 3.14159265358979323846;

/* exp(-2 pi i k / n), 0 <= k < n, exact at the quarters. */
static void root(int64_t k, int64_t n, double *out)
{
    const int64_t eighth = 8 * k / n;
    const double a = 2.0 * PI * (double)k / (double)n;
    if (4 * k % n == 0) {
        static const double C[] = {1, 0, -1, 0}, S[] = {0, -1, 0, 1};
        out[0] = C[4 * k / n & 3], out[1] = S[4 * k / n & 3];
    } else if (eighth == 1 || eighth == 2) { /* near the quarter: sine and cosine swap */
        const double b = 2.0 * PI * ((double)n / 4.0 - (double)k) / (double)n;
        out[0] = sin(b), out[1] = -cos(b);
    } else {
        out[0] = cos(a), out[1] = -sin(a);
    }
}

static void bit_reverse(double *x, int64_t m)
{
    for (int64_t i = 1, j = 0; i < m; i++) {
        int64_t bit = m >> 1;
        for (; j & bit; bit >>= 1) j ^= bit;
        j ^= bit;
        if (i >= j) continue;
        for (int k = 0; k < 2; k++) {
            const double t = x[2 * i + k];
            x[2 * i + k] = x[2 * j + k];
            x[2 * j + k] = t;
        }
    }
}

/* In place, exponent - (or + when inverse), not scaled. */
static void radix2(const double *twiddle, int64_t m, bool inverse, double *x)
{
    bit_reverse(x, m);
    for (int64_t half = 1; half < m; half *= 2) {
        const int64_t stride = m / (2 * half);
        for (int64_t base = 0; base < m; base += 2 * half)
            for (int64_t k = 0; k < half; k++) {
                const double wr = twiddle[2 * k * stride];
                const double wi =
                    inverse ? -twiddle[2 * k * stride + 1] : twiddle[2 * k * stride + 1];
                double *a = x + 2 * (base + k), *b = a + 2 * half;
                const double br = b[0] * wr - b[1] * wi, bi = b[0] * wi + b[1] * wr;
                b[0] = a[0] - br, b[1] = a[1] - bi;
                a[0] += br, a[1] += bi;
            }
    }
}

lamina_status lmn_fft_plan(lmn_eval *ec, int64_t n, bool inverse, lmn_fft *p)
{
    double *twiddle, *chirp, *filter;
    if (n < 1 || n > LMN_FFT_MAX)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "a transform of length %lld is outside [1, %lld]",
                             (long long)n, (long long)LMN_FFT_MAX);
    const bool pow2 = (n & (n - 1)) == 0;
    int64_t m = 1;
    while (m < (pow2 ? n : 2 * n - 1)) m *= 2;
    *p = (lmn_fft){.n = n, .m = m, .inverse = inverse};
    LMN_TRY(lmn_f64_alloc(ec, m, &twiddle));
    for (int64_t k = 0; k < m / 2; k++) root(k, m, twiddle + 2 * k);
    p->twiddle = twiddle;
    if (pow2) return LAMINA_OK;
    LMN_TRY(lmn_f64_alloc(ec, 2 * n, &chirp));
    LMN_TRY(lmn_f64_alloc(ec, 2 * m, &filter));
    memset(filter, 0, (size_t)m * 2 * sizeof *filter);
    for (int64_t k = 0; k < n; k++) {
        root((int64_t)((uint64_t)k * (uint64_t)k % (uint64_t)(2 * n)), 2 * n, chirp + 2 * k);
        filter[2 * k] = chirp[2 * k], filter[2 * k + 1] = -chirp[2 * k + 1];
        if (k == 0) continue;
        filter[2 * (m - k)] = chirp[2 * k], filter[2 * (m - k) + 1] = -chirp[2 * k + 1];
    }
    radix2(twiddle, m, false, filter);
    p->chirp = chirp, p->filter = filter;
    return LAMINA_OK;
}

void lmn_fft_run(const lmn_fft *p, double *x, double *work)
{
    const int64_t n = p->n, m = p->m;
    if (!p->chirp) {
        radix2(p->twiddle, m, p->inverse, x);
        return;
    }
    const double s = p->inverse ? -1.0 : 1.0; /* inverse by conjugating in and out */
    for (int64_t k = 0; k < n; k++) {
        const double cr = p->chirp[2 * k], ci = p->chirp[2 * k + 1], xr = x[2 * k],
                     xi = s * x[2 * k + 1];
        work[2 * k] = xr * cr - xi * ci, work[2 * k + 1] = xr * ci + xi * cr;
    }
    memset(work + 2 * n, 0, (size_t)(m - n) * 2 * sizeof *work);
    radix2(p->twiddle, m, false, work);
    for (int64_t k = 0; k < m; k++) {
        const double fr = p->filter[2 * k], fi = p->filter[2 * k + 1], wr = work[2 * k],
                     wi = work[2 * k + 1];
        work[2 * k] = wr * fr - wi * fi, work[2 * k + 1] = wr * fi + wi * fr;
    }
    radix2(p->twiddle, m, true, work);
    for (int64_t k = 0; k < n; k++) {
        const double cr = p->chirp[2 * k], ci = p->chirp[2 * k + 1];
        const double wr = work[2 * k] / (double)m, wi = work[2 * k + 1] / (double)m;
        x[2 * k] = wr * cr - wi * ci, x[2 * k + 1] = s * (wr * ci + wi * cr);
    }
}
