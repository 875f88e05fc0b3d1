/*
 * The epilogue of a fused node as the kernels take it (gemm/epi.h): every operand is laid over the
 * result seen as items of rows by columns. Operators without an epilogue pass through with none, so
 * that Conv and FusedConv, MatMul and FusedMatMul, Gemm and FusedGemm share their bindings.
 */
#ifndef LMN_DEVICES_CPU_FUSED_H
#define LMN_DEVICES_CPU_FUSED_H

#include "kernels/gemm/epi.h"
#include "ops/op.h"

/* The result: axes [0, item_axes) count items, [item_axes, row_axes) rows, the rest columns. */
typedef struct lmn_cpu_layout {
    int32_t rank, item_axes, row_axes;
    const int64_t *dims;
} lmn_cpu_layout;

/*
 * Append the steps of the node, whose base operator has n_base inputs, to *epi. False: something
 * the kernels do not lay out, or an error; the reference decides.
 */
bool lmn_cpu_epilogue(const lmn_eval *ec, int32_t n_base, const lmn_cpu_layout *y, lmn_epi *epi);

#endif
