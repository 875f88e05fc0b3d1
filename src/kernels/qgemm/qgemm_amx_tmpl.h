/*
 * What the files of the qgemm row for AMX share: its tiles.
 */
#ifndef LMN_KERNELS_QGEMM_AMX_TMPL_H
#define LMN_KERNELS_QGEMM_AMX_TMPL_H

#include "kernels/qgemm/qgemm_avx512_tmpl.h"
#include "kernels/simd/amx_tile.h"

enum { MR = 32, NR = 32, DEEP = 64 };

/* Tiles 0 to 3: sums, rows first; 4 and 5: A; 6 and 7: B. */
static inline void configure(int64_t upper, int64_t lower)
{
    amx_cfg c = {0};
    amx_cfg_tile(&c, 0, upper, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 1, upper, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 4, upper, DEEP);
    if (lower) {
        amx_cfg_tile(&c, 2, lower, AMX_ROW_BYTES);
        amx_cfg_tile(&c, 3, lower, AMX_ROW_BYTES);
        amx_cfg_tile(&c, 5, lower, DEEP);
    }
    amx_cfg_tile(&c, 6, DEEP / FOUR, AMX_ROW_BYTES);
    amx_cfg_tile(&c, 7, DEEP / FOUR, AMX_ROW_BYTES);
    amx_enter(&c);
}

#endif
