/*
 * kcheck: every kernel row this machine can run, against an f64 reference with a computed bound.
 * Inputs and outputs lie against PROT_NONE pages on either side, outputs and padding are poisoned
 * and looked at afterwards, and a signal is a failure of that case, not of the run (STYLE 4).
 *
 * A driver is one function a family, named in kc_drivers.h: check() is called with every usable
 * row, bench() with the chosen ones under --bench. A new row of a known family needs no code here.
 */
#ifndef LMN_TESTS_KCHECK_H
#define LMN_TESTS_KCHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kset.h"

typedef struct kc_ctx kc_ctx;
typedef struct kc_driver {
    const char *family; /* rows of this family ... */
    const char *name;   /* ... for this check */
    void (*check)(kc_ctx *kc, const lmn_krow *row);
    void (*bench)(kc_ctx *kc, const lmn_krow *row); /* NULL = none */
} kc_driver;

/* What random inputs look like. EXACT: small integers / 16, sums of them are exact in f32. */
typedef enum kc_style { KC_EXACT, KC_REAL, KC_SPECIAL, KC_STYLE_COUNT } kc_style;

/* A matrix against a guard page: element (i, j) at p[i * ld + j]. Elements between rows are poison.
 */
typedef struct kc_mat {
    float *p;
    int64_t rows, cols, ld;
} kc_mat;

bool kc_quick(const kc_ctx *kc);
const lmn_cpu *kc_cpu(const kc_ctx *kc);
/* Random number from lo to hi, ends included. */
int64_t kc_int(kc_ctx *kc, int64_t lo, int64_t hi);
/* An extent: mostly near multiples of `unit`, sometimes 0 or 1, at most `max`. */
int64_t kc_extent(kc_ctx *kc, int64_t unit, int64_t max);
/* Forget all buffers of the case before; the guard side alternates with every buffer. */
void kc_case(kc_ctx *kc);
void *kc_buffer(kc_ctx *kc, size_t bytes);
/* Such buffers of random bytes, and of integers from lo to hi. */
uint8_t *kc_bytes(kc_ctx *kc, int64_t n);
int32_t *kc_ints(kc_ctx *kc, int64_t n, int64_t lo, int64_t hi);
kc_mat kc_input(kc_ctx *kc, kc_style style, int64_t rows, int64_t cols, int64_t ld);
/* All poison: a signalling pattern no kernel computes. */
kc_mat kc_output(kc_ctx *kc, int64_t rows, int64_t cols, int64_t ld);
/* A copy in ordinary memory that lives until the next kc_case. */
kc_mat kc_copy(kc_ctx *kc, const kc_mat *m);

/* Did any check of this case fail? The first failure of a case is printed with its text. */
void kc_fail(kc_ctx *kc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* |got - want| <= bound, and NaN and infinities as in want. Description names the case. */
bool kc_near(float got, double want, double bound);
/* Compare all elements of got with want[i * cols + j] and bound[...]; the padding must be poison.
 */
void kc_expect(kc_ctx *kc, const kc_mat *got, const double *want, const double *bound,
               const char *what);
/* Same bits everywhere, NaNs included. */
void kc_expect_bits(kc_ctx *kc, const kc_mat *got, const kc_mat *want, const char *what);
void kc_expect_padding(kc_ctx *kc, const kc_mat *got, const char *what);
double *kc_doubles(kc_ctx *kc, int64_t n);

/* Run a statement under guard: a signal in it fails the case. */
extern sigjmp_buf kc_landing;
extern volatile int kc_armed;
void kc_signalled(kc_ctx *kc, int sig);
#define KC_CALL(kc, ...)                        \
    do {                                        \
        int kc_sig_ = sigsetjmp(kc_landing, 1); \
        if (kc_sig_ == 0) {                     \
            kc_armed = 1;                       \
            __VA_ARGS__;                        \
            kc_armed = 0;                       \
        } else {                                \
            kc_signalled(kc, kc_sig_);          \
        }                                       \
    } while (0)

/* gamma_n |.|: the hard bound of an accumulation of n roundings in f32 over magnitude `mag`. */
double kc_dot_bound(int64_t n, double mag);

/*
 * Time fn(arg): best of many runs on the CPU clock of this process, so that other people on the
 * machine cost only noise. Prints one line (or JSON) with the rate; flops or bytes may be 0.
 */
void kc_time(kc_ctx *kc, const lmn_krow *row, const char *what, double flops, double bytes,
             void (*fn)(void *arg), void *arg);
/* Plain aligned memory for benchmarks, filled with ordinary numbers; freed by kc_bench_reset. */
float *kc_bench_floats(kc_ctx *kc, int64_t n);
void kc_bench_reset(kc_ctx *kc);

/* FMA peak of one core in GFLOP/s, measured with the widest vectors of the CPU (kc_peak.c). */
double kc_peak_gflops(const lmn_cpu *cpu);
double kc_cpu_seconds(void);

#endif
