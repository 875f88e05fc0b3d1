/*
 * The forms of a tile of nbpanel for one strip: width of weights and whether there are zero points,
 * as constants. To be included behind tile(), which takes them as arguments.
 */
#ifndef LMN_KERNELS_NBPANEL_FORMS_TMPL_H
#define LMN_KERNELS_NBPANEL_FORMS_TMPL_H

#define INSTANCE(bits, zps)                                                          \
    static __attribute__((noinline)) void tile_##bits##_##zps(const nbpanel_part *p) \
    {                                                                                \
        tile(p, bits, zps);                                                          \
    }
INSTANCE(4, 0)
INSTANCE(4, 1)
INSTANCE(8, 0)
INSTANCE(8, 1)

static void any_form(const nbpanel_part *p)
{
    static nbpanel_tile_fn *const tiles[2][2] = {{tile_4_0, tile_4_1}, {tile_8_0, tile_8_1}};
    nbpanel_each_strip(p, tiles[p->w.bits == 8][p->w.zps]);
}

#undef INSTANCE

#endif
