/*
 * The epilogue over one block, on the vf_* words: include after simd_<isa>.h and simd_math.h. The
 * operation is chosen outside the loops and the block stays in the cache between operations. A bias
 * followed by relu or clip, by far the most frequent chain, is one pass; the bits are the same.
 */
#ifndef LMN_KERNELS_EPI_TMPL_H
#define LMN_KERNELS_EPI_TMPL_H

#include "kernels/gemm/epi.h"

/* v = EXPR for every element; EXPR(L) loads further lanes by L(p). */
#define EPI_ROWS(SETUP, EXPR)                         \
    for (int64_t i = 0; i < b->m; i++) {              \
        float *r = b->c + i * b->ldc;                 \
        SETUP;                                        \
        int64_t j = 0;                                \
        for (; j + VF_LANES <= b->n; j += VF_LANES) { \
            vf v = vf_load(r + j);                    \
            vf_store(r + j, EXPR(vf_load));           \
        }                                             \
        if (j < b->n) {                               \
            vm mask = vm_first(b->n - j);             \
            vf v = vf_loadm(r + j, mask);             \
            vf_storem(r + j, mask, EXPR(EPI_TAIL));   \
        }                                             \
    }
#define EPI_TAIL(p) vf_loadm(p, mask)
#define EPI_NO_SETUP (void)0

#define EPI_BIN_SET(fn, post)                                               \
    switch (op->bcast) {                                                    \
    case LMN_EPI_SCALAR: {                                                  \
        vf w = vf_set1(op->p0);                                             \
        EPI_ROWS(EPI_NO_SETUP, fn##_W_##post);                              \
    } break;                                                                \
    case LMN_EPI_ROW: EPI_ROWS(vf w = vf_set1(x[i]), fn##_W_##post); break; \
    case LMN_EPI_COL: EPI_ROWS(const float *w = x, fn##_X_##post); break;   \
    default: EPI_ROWS(const float *w = x + i * op->ld, fn##_X_##post);      \
    }
#define ADD_W_ID(L) vf_add(v, w)
#define ADD_X_ID(L) vf_add(v, L(w + j))
#define MUL_W_ID(L) vf_mul(v, w)
#define MUL_X_ID(L) vf_mul(v, L(w + j))
#define ADD_W_CLIP(L) vf_min(hi, vf_max(lo, vf_add(v, w)))
#define ADD_X_CLIP(L) vf_min(hi, vf_max(lo, vf_add(v, L(w + j))))

VF_INLINE void epi_add(const lmn_epi_op *op, const lmn_epi_block *b)
{
    const float *x = lmn_epi_operand(op, b);
    EPI_BIN_SET(ADD, ID)
}
VF_INLINE void epi_mul(const lmn_epi_op *op, const lmn_epi_block *b)
{
    const float *x = lmn_epi_operand(op, b);
    EPI_BIN_SET(MUL, ID)
}
/* ADD, then RELU or CLIP. hi = +inf makes min(hi, v) the identity, NaN included. */
VF_INLINE void epi_add_clip(const lmn_epi_op *op, const lmn_epi_op *act, const lmn_epi_block *b)
{
    const float *x = lmn_epi_operand(op, b);
    bool relu = act->kind == LMN_EPI_RELU;
    vf lo = vf_set1(relu ? 0.0f : act->p0), hi = vf_set1(relu ? __builtin_inff() : act->p1);
    EPI_BIN_SET(ADD, CLIP)
}

#define ACT_RELU(L) vf_relu(v)
#define ACT_CLIP(L) vf_clip(v, op->p0, op->p1)
#define ACT_SIGMOID(L) vf_sigmoid(v)
#define ACT_TANH(L) vf_tanh(v)
#define ACT_SILU(L) vf_silu(v)
#define ACT_GELU(L) vf_gelu(v)
#define ACT_GELU_TANH(L) vf_gelu_tanh(v)
#define ACT_HARDSWISH(L) vf_hard_swish(v)
#define ACT_HARDSIGMOID(L) vf_hard_sigmoid(v, op->p0, op->p1)
#define ACT_LEAKYRELU(L) vf_leaky_relu(v, op->p0)
#define EPI_ACT(name) \
    case LMN_EPI_##name: EPI_ROWS(EPI_NO_SETUP, ACT_##name); break;

static void epi_act(const lmn_epi_op *op, const lmn_epi_block *b)
{
    switch (op->kind) {
        EPI_ACT(RELU)
        EPI_ACT(CLIP)
        EPI_ACT(SIGMOID)
        EPI_ACT(TANH)
        EPI_ACT(SILU)
        EPI_ACT(GELU)
        EPI_ACT(GELU_TANH)
        EPI_ACT(HARDSWISH)
        EPI_ACT(HARDSIGMOID)
        EPI_ACT(LEAKYRELU)
    default: lmn_assert(!"epilogue kind");
    }
}

static void epi_apply(const lmn_epi *epi, const lmn_epi_block *b)
{
    lmn_assert(epi->n_ops >= 0 && epi->n_ops <= LMN_EPI_OPS);
    for (int32_t i = 0; i < epi->n_ops; i++) {
        const lmn_epi_op *op = &epi->op[i], *next = op + 1;
        bool clips =
            i + 1 < epi->n_ops && (next->kind == LMN_EPI_RELU || next->kind == LMN_EPI_CLIP);
        if (op->kind == LMN_EPI_ADD && clips) {
            epi_add_clip(op, next, b);
            i++;
        } else if (op->kind == LMN_EPI_ADD) {
            epi_add(op, b);
        } else if (op->kind == LMN_EPI_MUL) {
            epi_mul(op, b);
        } else {
            epi_act(op, b);
        }
    }
}

#endif
