/*
 * Steps of recurrent cells on the vf_* words (include simd_<isa>.h first): the kind is chosen
 * outside the loop, the tail is masked.
 */
#ifndef LMN_KERNELS_CELL_TMPL_H
#define LMN_KERNELS_CELL_TMPL_H

#include "kernels/cell/cell.h"
#include "kernels/simd/simd_math.h"

#define CELL_X(k) vf_loadm(b->x + (k)*n + i, m)
#define CELL_R(k) vf_loadm(b->r + (k)*n + i, m)
#define CELL_GATE(k) vf_sigmoid(vf_add(CELL_X(k), CELL_R(k)))
#define CELL_PAST() vf_loadm(b->past + i, m)
/* y = VALUE, lanes m of the units from i on; STEP comes first. */
#define CELL_LOOP(STEP, VALUE)                  \
    for (int64_t i = 0; i < n; i += VF_LANES) { \
        const vm m = vm_first(n - i);           \
        STEP;                                   \
        vf_storem(b->y + i, m, VALUE);          \
    }                                           \
    break

VF_INLINE vf cell_lstm(const lmn_cell_block *b, int64_t n, int64_t i, vm m)
{
    const vf in = CELL_GATE(0), forget = CELL_GATE(2);
    const vf fresh = vf_tanh(vf_add(CELL_X(3), CELL_R(3)));
    const vf c = vf_fma(forget, vf_loadm(b->c + i, m), vf_mul(in, fresh));
    vf_storem(b->c + i, m, c);
    return vf_mul(CELL_GATE(1), vf_tanh(c));
}

VF_INLINE vf cell_blend(vf z, vf past, vf h)
{
    return vf_fma(z, vf_sub(past, h), h);
}

static void cell_run(const lmn_cell_block *b)
{
    const int64_t n = b->n;
    switch (b->kind) {
    case LMN_CELL_LSTM: CELL_LOOP((void)0, cell_lstm(b, n, i, m));
    case LMN_CELL_GRU:
        CELL_LOOP(const vf h = vf_tanh(vf_fma(CELL_GATE(1), CELL_R(2), CELL_X(2))),
                  cell_blend(CELL_GATE(0), CELL_PAST(), h));
    case LMN_CELL_RESET: CELL_LOOP((void)0, vf_mul(CELL_GATE(1), CELL_PAST()));
    case LMN_CELL_UPDATE:
        CELL_LOOP(const vf h = vf_tanh(vf_add(CELL_X(2), CELL_R(2))),
                  cell_blend(CELL_GATE(0), CELL_PAST(), h));
    case LMN_CELL_RNN: CELL_LOOP((void)0, vf_tanh(vf_add(CELL_X(0), CELL_R(0))));
    default: lmn_assert(!"cell kind");
    }
}

#endif
