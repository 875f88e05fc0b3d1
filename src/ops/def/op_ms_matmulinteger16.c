/*
 * MatMulInteger16 (com.microsoft, since 1): MatMul of 16-bit integers with 32-bit sums.
 */
#include "ops/msmap.h"

static lamina_status canon_matmulinteger16(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lamina_dtype a = lmn_map_fact(&m, lmn_map_in(&m, 0))->dtype,
                       b = lmn_map_fact(&m, lmn_map_in(&m, 1))->dtype;
    const lamina_dtype sum = a == LAMINA_U16 && b == LAMINA_U16 ? LAMINA_U32 : LAMINA_I32;
    m.out[0] = lmn_map_bin(&m, "MatMul", lmn_map_cast(&m, lmn_map_in(&m, 0), sum),
                           lmn_map_cast(&m, lmn_map_in(&m, 1), sum));
    return lmn_map_end(&m);
}

#define INT16S (LMN_DBIT(LAMINA_I16) | LMN_DBIT(LAMINA_U16))
static const lmn_port IN[] = {{"A", 0, 0, INT16S}, {"B", 0, 0, INT16S}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_D_I32 | LMN_DBIT(LAMINA_U32)}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(MatMulInteger16, canon_matmulinteger16);
