/*
 * The table of nbdot rows, made from nbdot_variants.h.
 */
#include "kernels/nbits/nbdot.h"

#define X(dt, var, isa, prio, m, packs, runs)        \
    lmn_nbdot_pack_fn lmn_nbdot_##dt##_pack_##packs; \
    lmn_nbdot_run_fn lmn_nbdot_##dt##_run_##runs;
#include "kernels/nbits/nbdot_variants.h"
#undef X

const lmn_nbdot_row lmn_nbdot_i8_rows[] = {
#define X(dt, var, isa, prio, m, packs, runs)                            \
    {LMN_KROW(nbdot, dt, var, isa, prio), lmn_nbdot_##dt##_pack_##packs, \
     lmn_nbdot_##dt##_run_##runs},
#include "kernels/nbits/nbdot_variants.h"
#undef X
};
const int32_t lmn_nbdot_i8_n_rows = (int32_t)LMN_COUNT(lmn_nbdot_i8_rows);
