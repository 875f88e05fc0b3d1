/*
 * ToImage (lamina, since 1): an image of f32, channels before the spatial axes, as bf16 with its
 * channels last, rounded to nearest even.
 */
#include "ops/mapeval.h"
#include "ops/msmap.h"

static lamina_status canon_toimage(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const int32_t rank = lmn_map_rank(&m, lmn_map_in(&m, 0), "the image");
    const lmn_ref y = lmn_map_cast(&m, lmn_map_in(&m, 0), LAMINA_BF16);
    m.out[0] = lmn_map_to_nhwc(&m, y, rank);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_D_F32}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_BF16)}, {0}};

const lmn_op_def lmn_op_ToImage = {
    .domain = "lamina",
    .name = "ToImage",
    .since = 1,
    .in = IN,
    .out = OUT,
    .infer = lmn_mapped_infer,
    .eval = lmn_mapped_eval,
    .canon = canon_toimage,
};
