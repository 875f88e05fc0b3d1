/*
 * BitwiseOr (ai.onnx, since 18): A | B, bit by bit, with broadcast.
 */
#include "ops/ew.h"

LMN_EW_BIN(u64_fn, uint64_t, uint64_t, a | b)

/* The bits of i64 and u64 are the same. */
static const lmn_ew_impl IMPL = {.i64 = u64_fn, .u64 = u64_fn};

static lmn_ew_dim_fn *const dim_fn = NULL;

LMN_EW_OP_BIN(BitwiseOr, 18, LMN_D_INT, LMN_OP_COMMUTES);
