/*
 * The functions of nbpanel beside the rows of nbdot, made from nbdot_variants.h, and what makes
 * panels.
 */
#include "kernels/nbits/nbpanel.h"

#include <string.h>

#define X(dt, var, isa, prio, m, packs, runs)            \
    lmn_nbpanel_pack_fn lmn_nbpanel_##dt##_pack_##packs; \
    lmn_nbpanel_run_fn lmn_nbpanel_##dt##_run_##runs;
#include "kernels/nbits/nbdot_variants.h"
#undef X

const lmn_nbpanel_fns lmn_nbpanel_i8[] = {
#define X(dt, var, isa, prio, m, packs, runs) \
    {lmn_nbpanel_##dt##_pack_##packs, lmn_nbpanel_##dt##_run_##runs, m},
#include "kernels/nbits/nbdot_variants.h"
#undef X
};

/* A group of a row: low halves the first 16 columns, high halves the last. */
static void turned4(uint8_t to[16], const uint8_t *q)
{
    uint8_t column[LMN_NBDOT_GROUP];
    for (int i = 0; i < 16; i++) {
        column[2 * i] = q[i] & 15;
        column[2 * i + 1] = (uint8_t)(q[i] >> 4);
    }
    for (int i = 0; i < 16; i++) to[i] = (uint8_t)(column[i] | column[16 + i] << 4);
}

/* Block b of row j of weights into place r of a block of a strip. */
static void put_block(uint8_t *dst, const lmn_nbdot_weights *w, int64_t j, int64_t b, int64_t r)
{
    const int64_t bytes = 4 * w->bits; /* of a group of a row */
    const uint8_t *from = w->q + j * w->row_bytes + (b << w->shift) * bytes;
    uint8_t *scales = dst + (w->shift > 0 ? 0 : lmn_nbpanel_group_bytes(w->bits));
    uint8_t *to = dst + (w->shift > 0 ? lmn_nbpanel_scale_bytes(w->zp != NULL) : 0) + r * 4;
    for (int64_t g = 0; g < 1 << w->shift; g++, from += bytes) {
        uint8_t some[LMN_NBDOT_GROUP];
        if (w->bits == 4)
            turned4(some, from);
        else
            memcpy(some, from, sizeof some);
        for (int64_t c = 0; c < w->bits; c++, to += 128) memcpy(to, some + 4 * c, 4);
    }
    memcpy(scales + r * 4, w->scale + j * w->n_blocks + b, 4);
    if (w->zp) scales[128 + r] = (uint8_t)lmn_nbdot_zp_at(w->zp + j * w->zp_bytes, w->bits, b);
}

void lmn_nbpanel_make(uint8_t *dst, const lmn_nbpanels *to, const lmn_nbdot_weights *from,
                      int64_t n)
{
    const int64_t strip = lmn_nbpanel_strip_bytes(to), block = strip / to->n_blocks;
    lmn_assert(from->n_blocks == to->n_blocks && from->bits == to->bits &&
               from->shift == to->shift && to->zps == (from->zp != NULL));
    for (int64_t s = 0; s < lmn_nbpanel_strips(n); s++, dst += strip) {
        const int64_t first = s * LMN_NBPANEL_ROWS;
        const int64_t rows = lmn_min_i64(LMN_NBPANEL_ROWS, n - first);
        if (rows < LMN_NBPANEL_ROWS || to->zps) memset(dst, 0, (size_t)strip);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t b = 0; b < to->n_blocks; b++)
                put_block(dst + b * block, from, first + r, b, r);
    }
}
