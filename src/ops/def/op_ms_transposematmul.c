/*
 * TransposeMatMul (com.microsoft, since 1): the old name of FusedMatMul: alpha * (A B) with either
 * operand transposed (last two
 * axes; transBatch: the first axis moved before the last).
 */
#include "ops/mslinear.h"

static lamina_status canon_transposematmul(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    m.out[0] = lmn_map_matmul(&m, lmn_map_in(&m, 0), lmn_map_in(&m, 1));
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_FLOAT}, {"B", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_MS_MATMUL_ATTRS, {0}};

LMN_MS_MAPPED(TransposeMatMul, canon_transposematmul);
