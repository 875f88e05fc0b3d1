/*
 * f32 vector functions on the vf_* words of simd_avx2.h, simd_avx512.h or simd_neon.h (include one
 * first). Each has one arithmetic definition: the GEMM epilogue and the elementwise kernels call
 * the same code, so fused equals unfused bit for bit, on every ISA. Constants: SLEEF 3.5 expf
 * (u10), Cephes tanhf, N. Juffa's erff, logf, sinf and cosf. NaN goes through everywhere.
 *
 * Errors, over all floats (kcheck elementwise ulp, --full): exp 1.0 ulp, log 0.9, tanh 1.4,
 * erf 1.1, sin and cos 1.5. Where a sum cancels the error is absolute: sigmoid 2.6 ulp + 1.2e-38,
 * silu 2.6 ulp + 3e-37, gelu and its tanh form 1.5 ulp + 1e-7.
 */
#ifndef LMN_KERNELS_SIMD_MATH_H
#define LMN_KERNELS_SIMD_MATH_H

#include <math.h>

VF_INLINE vf vf_sign_bit(void)
{
    return vf_set1(-0.0f);
}
VF_INLINE vf vf_abs(vf x)
{
    return vf_andnot(vf_sign_bit(), x);
}
VF_INLINE vf vf_neg(vf x)
{
    return vf_xor(vf_sign_bit(), x);
}
VF_INLINE vf vf_copysign(vf mag, vf sign)
{
    return vf_or(vf_andnot(vf_sign_bit(), mag), vf_and(vf_sign_bit(), sign));
}

/* <= 1 ulp; +inf above 88.73, denormals and 0 below -87.34 rounded right. */
VF_INLINE vf vf_exp(vf x)
{
    x = vf_min(vf_set1(90.0f), vf_max(vf_set1(-105.0f), x));
    vf n = vf_rint(vf_mul(x, vf_set1(1.4426950408889634f)));
    vf r = vf_fnma(n, vf_set1(0.693145751953125f), x);
    r = vf_fnma(n, vf_set1(1.428606765330187e-06f), r);
    vf p = vf_set1(0.000198527617612853646f);
    p = vf_fma(p, r, vf_set1(0.00139304355252534151f));
    p = vf_fma(p, r, vf_set1(0.00833336077630519867f));
    p = vf_fma(p, r, vf_set1(0.0416664853692054749f));
    p = vf_fma(p, r, vf_set1(0.166666671633720398f));
    p = vf_fma(p, r, vf_set1(0.5f));
    p = vf_add(vf_fma(vf_mul(r, r), p, r), vf_set1(1.0f));
    return vf_scale2(p, n);
}

/* -inf at 0, NaN below. */
VF_INLINE vf vf_log(vf x)
{
    const vf inf = vf_set1(__builtin_inff());
    const vm small = vf_lt(x, vf_set1(1.17549435e-38f));
    vf e;
    vf f = vf_split2(vf_select(small, vf_mul(x, vf_set1(8388608.0f)), x), &e);
    e = vf_add(e, vf_select(small, vf_set1(-23.0f), vf_zero()));
    f = vf_sub(f, vf_set1(1.0f));
    const vf s = vf_mul(f, f);
    vf r = vf_fma(vf_set1(-0.130187988f), s, vf_set1(-0.121483512f));
    vf t = vf_fma(vf_set1(0.140869141f), s, vf_set1(0.139814854f));
    r = vf_fma(r, s, vf_set1(-0.166846126f));
    t = vf_fma(t, s, vf_set1(0.200120345f));
    r = vf_fma(r, s, vf_set1(-0.249996200f));
    r = vf_fma(t, f, r);
    r = vf_fma(r, f, vf_set1(0.333331972f));
    r = vf_fma(r, f, vf_set1(-0.5f));
    r = vf_fma(r, s, f);
    r = vf_fma(e, vf_set1(0.693147182f), r);
    r = vf_select(vf_lt(x, inf), r, x); /* +inf and NaN are themselves */
    r = vf_select(vf_lt(x, vf_zero()), vf_set1(__builtin_nanf("")), r);
    return vf_select(vf_eq(x, vf_zero()), vf_neg(inf), r);
}

/* Lanes too far out for the reduction in f32, and infinities, by the library. */
static __attribute__((noinline, unused)) vf vf_sine_far(vf x, vf near, int32_t shift)
{
    float in[VF_LANES], out[VF_LANES];
    vf_store(in, x), vf_store(out, near);
    for (int i = 0; i < VF_LANES; i++)
        if (!(fabsf(in[i]) <= 48039.0f))
            out[i] = (float)(shift ? cos((double)in[i]) : sin((double)in[i]));
    return vf_load(out);
}
/* sin x, or cos x with shift 1. */
VF_INLINE vf vf_sine(vf x, const int32_t shift)
{
    const vm near = vf_le(vf_abs(x), vf_set1(48039.0f));
    const vf a = vf_select(near, x, vf_zero()), j = vf_rint(vf_mul(a, vf_set1(0.636619747f)));
    vf r = vf_fnma(j, vf_set1(1.57079601e+00f), a);
    r = vf_fnma(j, vf_set1(3.13916473e-07f), r);
    r = vf_fnma(j, vf_set1(5.39030253e-15f), r);
    const vf s = vf_mul(r, r);
    vf c = vf_fma(vf_set1(2.44677067e-5f), s, vf_set1(-1.38877297e-3f));
    c = vf_fma(c, s, vf_set1(4.16666567e-2f));
    c = vf_fma(c, s, vf_set1(-0.5f));
    c = vf_fma(c, s, vf_set1(1.0f));
    vf p = vf_fma(vf_set1(2.86567956e-6f), s, vf_set1(-1.98559923e-4f));
    p = vf_fma(p, s, vf_set1(8.33338592e-3f));
    p = vf_fma(p, s, vf_set1(-1.66666672e-1f));
    p = vf_fma(p, vf_fma(r, s, vf_zero()), r); /* -0 stays -0 */
    const vf y = vf_quadrant(j, shift, p, c);
    const bool far = vm_any(vf_lt(vf_set1(48039.0f), vf_abs(x))) || vm_any(vf_unord(x, x));
    return far ? vf_sine_far(x, y, shift) : y;
}
VF_INLINE vf vf_sin(vf x)
{
    return vf_sine(x, 0);
}
VF_INLINE vf vf_cos(vf x)
{
    return vf_sine(x, 1);
}

VF_INLINE vf vf_sigmoid(vf x)
{
    return vf_div(vf_set1(1.0f), vf_add(vf_set1(1.0f), vf_exp(vf_neg(x))));
}
VF_INLINE vf vf_silu(vf x)
{
    /* x / (1 + e^-x); for -inf the quotient -inf / inf must be -0. */
    vf big = vf_max(vf_set1(-3.0e38f), x);
    return vf_div(big, vf_add(vf_set1(1.0f), vf_exp(vf_neg(x))));
}

VF_INLINE vf vf_tanh(vf x)
{
    vf a = vf_abs(x), s = vf_mul(x, x);
    vf p = vf_set1(-5.70498872745e-3f);
    p = vf_fma(p, s, vf_set1(2.06390887954e-2f));
    p = vf_fma(p, s, vf_set1(-5.37397155531e-2f));
    p = vf_fma(p, s, vf_set1(1.33314422036e-1f));
    p = vf_fma(p, s, vf_set1(-3.33332819422e-1f));
    p = vf_fma(vf_mul(p, s), x, x);
    vf e = vf_exp(vf_add(a, a));
    vf big = vf_sub(vf_set1(1.0f), vf_div(vf_set1(2.0f), vf_add(e, vf_set1(1.0f))));
    return vf_select(vf_lt(vf_set1(0.625f), a), vf_copysign(big, x), p);
}

VF_INLINE vf vf_erf(vf x)
{
    vf t = vf_abs(x), s = vf_mul(x, x);
    vf q = vf_fma(vf_set1(-1.72853470e-5f), t, vf_set1(3.83197126e-4f));
    vf u = vf_fma(vf_set1(-3.88396438e-3f), t, vf_set1(2.42546219e-2f));
    q = vf_fma(q, s, u);
    q = vf_fma(q, t, vf_set1(-1.06777877e-1f));
    q = vf_fma(q, t, vf_set1(-6.34846687e-1f));
    q = vf_fma(q, t, vf_set1(-1.28717512e-1f));
    q = vf_fma(q, t, vf_neg(t));
    /* The polynomial turns upward far out, where erf is 1 already. */
    q = vf_select(vf_lt(vf_set1(4.0f), t), vf_set1(-20.0f), q);
    vf big = vf_copysign(vf_sub(vf_set1(1.0f), vf_exp(q)), x);
    vf r = vf_set1(-5.96761703e-4f);
    r = vf_fma(r, s, vf_set1(4.99119423e-3f));
    r = vf_fma(r, s, vf_set1(-2.67681349e-2f));
    r = vf_fma(r, s, vf_set1(1.12819925e-1f));
    r = vf_fma(r, s, vf_set1(-3.76125336e-1f));
    r = vf_fma(r, s, vf_set1(1.28379166e-1f));
    r = vf_fma(r, x, x);
    return vf_select(vf_lt(vf_set1(0.927734375f), t), big, r);
}

/* 0.5 x (1 + erf(x / sqrt 2)) = max(0, x) - t Phi(-t) with t = |x| and Phi the normal distribution,
   of which log2 Phi(-t) = -1 + t P(t) falls for every t: one polynomial and a power of two, within
   1.1e-8 + 9.2e-8 t Phi(-t) before anything is rounded. */
VF_INLINE vf vf_gelu(vf x)
{
    const vf t = vf_min(vf_set1(3.0e38f), vf_abs(x)), s = vf_mul(t, t); /* inf * 0 is NaN */
    vf a = vf_fma(vf_set1(-0.459180687f), t, vf_set1(-1.15110798f));
    vf b = vf_fma(vf_set1(0.00719628785f), t, vf_set1(-0.0525850107f));
    vf c = vf_fma(vf_set1(-0.000142456626f), t, vf_set1(-0.0002409157f));
    vf q = vf_fma(vf_set1(-2.05025661e-6f), t, vf_set1(3.00662829e-5f));
    q = vf_fma(vf_fma(vf_fma(q, s, c), s, b), s, a);
    q = vf_max(vf_set1(-250.0f), vf_fma(q, t, vf_set1(-1.0f)));
    const vf n = vf_rint(q), f = vf_sub(q, n);
    vf p = vf_fma(vf_set1(0.00132647273f), f, vf_set1(0.00967151279f));
    p = vf_fma(p, f, vf_set1(0.0555073374f));
    p = vf_fma(p, f, vf_set1(0.240222421f));
    p = vf_fma(p, f, vf_set1(0.693146978f));
    p = vf_fma(p, f, vf_set1(1.0f));
    return vf_fnma(t, vf_scale2(p, n), vf_max(vf_zero(), x));
}
/* 0.5 x (1 + tanh(u)) = x / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3) */
VF_INLINE vf vf_gelu_tanh(vf x)
{
    const vf cube = vf_mul(vf_mul(x, x), x);
    const vf in = vf_mul(vf_set1(-1.59576912160573071f), vf_fma(vf_set1(0.044715f), cube, x));
    const vf big = vf_max(vf_set1(-3.0e38f), x); /* -inf / inf must be -0 */
    return vf_div(big, vf_add(vf_set1(1.0f), vf_exp(in)));
}

VF_INLINE vf vf_relu(vf x)
{
    return vf_max(vf_zero(), x);
}
VF_INLINE vf vf_clip(vf x, float lo, float hi)
{
    return vf_min(vf_set1(hi), vf_max(vf_set1(lo), x));
}
VF_INLINE vf vf_hard_sigmoid(vf x, float alpha, float beta)
{
    return vf_clip(vf_add(vf_mul(vf_set1(alpha), x), vf_set1(beta)), 0.0f, 1.0f);
}
VF_INLINE vf vf_hard_swish(vf x)
{
    vf big = vf_max(vf_set1(-3.0e38f), x);
    return vf_mul(big, vf_hard_sigmoid(x, 1.0f / 6.0f, 0.5f));
}
VF_INLINE vf vf_leaky_relu(vf x, float alpha)
{
    return vf_select(vf_lt(x, vf_zero()), vf_mul(vf_set1(alpha), x), x);
}

#endif
