/*
 * Tiles of nbpanel rows that have no registers for several rows of A: a strip by one row after the
 * other. To be included behind row(), which does that for one.
 */
#ifndef LMN_KERNELS_NBPANEL_ROWS_TMPL_H
#define LMN_KERNELS_NBPANEL_ROWS_TMPL_H

#define INSTANCE(bits, zps)                                                          \
    static __attribute__((noinline)) void tile_##bits##_##zps(const nbpanel_part *p) \
    {                                                                                \
        for (int64_t i = 0; i < p->m; i++) row(p, i, bits, zps);                     \
    }
INSTANCE(4, 0)
INSTANCE(4, 1)
INSTANCE(8, 0)
INSTANCE(8, 1)

static void any_tile(const nbpanel_part *p)
{
    static nbpanel_tile_fn *const tiles[2][2] = {{tile_4_0, tile_4_1}, {tile_8_0, tile_8_1}};
    tiles[p->w.bits == 8][p->w.zps](p);
}

#undef INSTANCE

#endif
