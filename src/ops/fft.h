/*
 * Discrete Fourier transform of any length in f64: radix 2 where the length is a power of two,
 * Bluestein's chirp convolution otherwise. Shared by DFT and STFT.
 */
#ifndef LMN_OPS_FFT_H
#define LMN_OPS_FFT_H

#include "ops/op.h"

/* Longest transform: the work areas stay within a few GiB. */
#define LMN_FFT_MAX ((int64_t)1 << 26)

typedef struct lmn_fft {
    int64_t n, m;          /* length, and length of the radix 2 transform inside */
    bool inverse;          /* exponent +; the caller scales by 1 / n */
    const double *twiddle; /* m / 2 complex: exp(-2 pi i k / m) */
    const double *chirp;   /* n complex, NULL for powers of two */
    const double *filter;  /* m complex: transformed conjugate chirp */
} lmn_fft;

/* Tables in scratch. n >= 1. */
lamina_status lmn_fft_plan(lmn_eval *ec, int64_t n, bool inverse, lmn_fft *p);
/* Complex values lmn_fft_run needs as work area. */
static inline int64_t lmn_fft_work(const lmn_fft *p)
{
    return p->chirp ? p->m : 0;
}
/* Transform n interleaved complex values in place. */
void lmn_fft_run(const lmn_fft *p, double *x, double *work);

#endif
