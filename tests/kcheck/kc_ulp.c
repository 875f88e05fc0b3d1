/*
 * kcheck driver of the vector math: a sample of all floats, or with --full every one of the 2^32,
 * against libm in f64. The bounds are those that simd_math.h states: units in the last place of the
 * exact result, and where a sum cancels an absolute error beside them.
 */
#include "kcheck/kcheck.h"

#include "kernels/elementwise/elementwise.h"

enum { RUN = 4096 };

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}
static double lowest(double x)
{
    return x < -3e38 ? -3e38 : x; /* -inf times 0 is -0 here */
}
static double silu(double x)
{
    return lowest(x) / (1 + exp(-x));
}
static double gelu(double x)
{
    return 0.5 * lowest(x) * erfc(-x * 0.70710678118654752440);
}
static double gelu_tanh(double x)
{
    /* 1 + tanh u = 2 / (1 + e^-2u) */
    const double u = 0.79788456080286535588 * (x + 0.044715 * x * x * x);
    return lowest(x) / (1 + exp(-2 * u));
}

static const struct {
    lmn_unary_kind kind;
    const char *name;
    double (*exact)(double);
    double ulp, absolute;
} functions[] = {
    {LMN_UN_EXP, "exp", exp, 1.0, 0},
    {LMN_UN_LOG, "log", log, 0.9, 0},
    {LMN_UN_TANH, "tanh", tanh, 1.4, 0},
    {LMN_UN_ERF, "erf", erf, 1.1, 0},
    {LMN_UN_SIN, "sin", sin, 1.5, 0},
    {LMN_UN_COS, "cos", cos, 1.5, 0},
    {LMN_UN_SIGMOID, "sigmoid", sigmoid, 2.6, 1.2e-38},
    {LMN_UN_SILU, "silu", silu, 2.6, 3e-37},
    {LMN_UN_GELU, "gelu", gelu, 1.5, 1e-7},
    {LMN_UN_GELU_TANH, "gelu_tanh", gelu_tanh, 1.5, 1e-7},
};

/* Error in units of the last place of the exact result, after what the bound allows absolutely. */
static double ulps(float got, double want, double absolute)
{
    const float near = (float)want;
    if (isnan(want)) return isnan(got) ? 0 : INFINITY;
    if (isinf(near) || near == 0) return got == near || fabs(got - want) <= absolute ? 0 : INFINITY;
    if (isnan(got) || isinf(got)) return INFINITY;
    const int32_t e = fabs(want) < 0x1p-126 ? -126 : ilogb(want);
    return fmax(0, fabs((double)got - want) - absolute) / ldexp(1, e - 23);
}

static void sweep(kc_ctx *kc, const lmn_elementwise_row *row, size_t f, uint64_t step)
{
    const kc_mat x = kc_output(kc, 1, RUN, RUN), y = kc_output(kc, 1, RUN, RUN);
    double worst = 0;
    float at = 0;
    for (uint64_t next = (uint64_t)kc_int(kc, 0, (int64_t)step - 1); next >> 32 == 0;) {
        int64_t n = 0;
        for (; n < RUN && next >> 32 == 0; next += step, n++) {
            const uint32_t bits = (uint32_t)next;
            memcpy(x.p + n, &bits, sizeof bits);
        }
        const lmn_unary_block b = {.kind = functions[f].kind, .x = x.p, .y = y.p, .n = n};
        KC_CALL(kc, row->unary(&b));
        for (int64_t i = 0; i < n; i++) {
            const double e =
                ulps(y.p[i], functions[f].exact((double)x.p[i]), functions[f].absolute);
            if (e > worst) worst = e, at = x.p[i];
        }
    }
    if (!kc_quick(kc)) printf("     %-10s %.3f ulp at %a\n", functions[f].name, worst, (double)at);
    if (worst > functions[f].ulp)
        kc_fail(kc, "%s: %.3f ulp at %a, stated %.3f", functions[f].name, worst, (double)at,
                functions[f].ulp);
}

static void check_ulp(kc_ctx *kc, const lmn_krow *head)
{
    for (size_t f = 0; f < LMN_COUNT(functions); f++) {
        kc_case(kc);
        sweep(kc, (const lmn_elementwise_row *)(const void *)head, f, kc_quick(kc) ? 50021 : 1);
    }
}

const kc_driver kc_elementwise_ulp = {"elementwise", "ulp", check_ulp, NULL};
