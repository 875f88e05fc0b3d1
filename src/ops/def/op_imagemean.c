/*
 * ImageMean (lamina, since 1): the mean of all pixels of a bf16 image whose channels come last, in
 * f32: [N, k..., C] to [N, C, 1...].
 */
#include "ops/mapeval.h"
#include "ops/msmap.h"

static lamina_status canon_imagemean(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const int32_t rank = lmn_map_rank(&m, lmn_map_in(&m, 0), "the image");
    const lmn_ref x = lmn_map_cast(&m, lmn_map_in(&m, 0), LAMINA_F32);
    m.out[0] = lmn_map_un(&m, "GlobalAveragePool", lmn_map_to_nchw(&m, x, rank));
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_DBIT(LAMINA_BF16)}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_D_F32}, {0}};

const lmn_op_def lmn_op_ImageMean = {
    .domain = "lamina",
    .name = "ImageMean",
    .since = 1,
    .in = IN,
    .out = OUT,
    .infer = lmn_mapped_infer,
    .eval = lmn_mapped_eval,
    .canon = canon_imagemean,
};
