/*
 * Elementwise loops on the vf_* words (include simd_<isa>.h first): the operation is chosen outside
 * the loop, the tail is masked.
 */
#ifndef LMN_KERNELS_ELEMENTWISE_TMPL_H
#define LMN_KERNELS_ELEMENTWISE_TMPL_H

#include "kernels/elementwise/elementwise.h"
#include "kernels/simd/simd_math.h"

/* y = EXPR of vf v for every element. */
#define UN_CASE(name, EXPR)                        \
    case LMN_UN_##name: {                          \
        int64_t i = 0;                             \
        for (; i + VF_LANES <= n; i += VF_LANES) { \
            const vf v = vf_load(x + i);           \
            vf_store(y + i, EXPR);                 \
        }                                          \
        if (i < n) {                               \
            const vm mask = vm_first(n - i);       \
            const vf v = vf_loadm(x + i, mask);    \
            vf_storem(y + i, mask, EXPR);          \
        }                                          \
    } break;

static void unary_run(const lmn_unary_block *b)
{
    const float *x = b->x;
    float *y = b->y;
    const int64_t n = b->n;
    switch (b->kind) {
        UN_CASE(RELU, vf_relu(v))
        UN_CASE(CLIP, vf_clip(v, b->p0, b->p1))
        UN_CASE(LEAKYRELU, vf_leaky_relu(v, b->p0))
        UN_CASE(HARDSIGMOID, vf_hard_sigmoid(v, b->p0, b->p1))
        UN_CASE(HARDSWISH, vf_hard_swish(v))
        UN_CASE(SIGMOID, vf_sigmoid(v))
        UN_CASE(SILU, vf_silu(v))
        UN_CASE(TANH, vf_tanh(v))
        UN_CASE(ERF, vf_erf(v))
        UN_CASE(GELU, vf_gelu(v))
        UN_CASE(GELU_TANH, vf_gelu_tanh(v))
        UN_CASE(EXP, vf_exp(v))
        UN_CASE(SQRT, vf_sqrt(v))
        UN_CASE(NEG, vf_neg(v))
        UN_CASE(ABS, vf_abs(v))
        UN_CASE(RECIPROCAL, vf_div(vf_set1(1.0f), v))
        UN_CASE(FLOOR, vf_floor(v))
        UN_CASE(CEIL, vf_ceil(v))
        UN_CASE(RINT, vf_rint(v))
        UN_CASE(SQUARE, vf_mul(v, v))
        UN_CASE(CUBE, vf_mul(vf_mul(v, v), v))
        UN_CASE(LOG, vf_log(v))
        UN_CASE(SIN, vf_sin(v))
        UN_CASE(COS, vf_cos(v))
    default: lmn_assert(!"unary kind");
    }
}

VF_INLINE vf bin_max(vf a, vf b)
{
    return vf_select(vf_unord(a, a), a, vf_max(a, b));
}
VF_INLINE vf bin_min(vf a, vf b)
{
    return vf_select(vf_unord(a, a), a, vf_min(a, b));
}

/* y = FN(VA, VB), where VA and VB load by L(p) or are a splat. */
#define BIN_LOOP(FN, VA, VB)                                                                    \
    {                                                                                           \
        int64_t i = 0;                                                                          \
        for (; i + VF_LANES <= n; i += VF_LANES) vf_store(y + i, FN(VA(vf_load), VB(vf_load))); \
        if (i < n) {                                                                            \
            const vm mask = vm_first(n - i);                                                    \
            vf_storem(y + i, mask, FN(VA(BIN_TAIL), VB(BIN_TAIL)));                             \
        }                                                                                       \
    }
#define BIN_TAIL(p) vf_loadm(p, mask)
#define BIN_A(L) L(pa + i)
#define BIN_B(L) L(pb + i)
#define BIN_ONE(L) one
#define BIN_CASE(name, FN)               \
    case LMN_BIN_##name:                 \
        if (b->a_one)                    \
            BIN_LOOP(FN, BIN_ONE, BIN_B) \
        else if (b->b_one)               \
            BIN_LOOP(FN, BIN_A, BIN_ONE) \
        else                             \
            BIN_LOOP(FN, BIN_A, BIN_B)   \
        break;

static void binary_run(const lmn_binary_block *b)
{
    const float *pa = b->a, *pb = b->b;
    float *y = b->y;
    const int64_t n = b->n;
    if (n <= 0) return;
    const vf one = vf_set1(b->a_one ? pa[0] : pb[0]);
    switch (b->kind) {
        BIN_CASE(ADD, vf_add)
        BIN_CASE(SUB, vf_sub)
        BIN_CASE(MUL, vf_mul)
        BIN_CASE(DIV, vf_div)
        BIN_CASE(MAX, bin_max)
        BIN_CASE(MIN, bin_min)
    default: lmn_assert(!"binary kind");
    }
}

#endif
