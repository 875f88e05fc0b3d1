/*
 * The reference row of nbpanel: its definition, element by element.
 */
#include <math.h>

#include "kernels/nbits/nbpanel_tmpl.h"

lmn_nbpanel_pack_fn lmn_nbpanel_i8_pack_ref;
lmn_nbpanel_run_fn lmn_nbpanel_i8_run_ref;

void lmn_nbpanel_i8_pack_ref(uint8_t *tile, int64_t rows, int64_t r, const float *x, int64_t k,
                             const lmn_nbpanels *w)
{
    nbpanel_pack(tile, rows, r, x, k, w);
}

/* Sum over a group of row r of a strip of a's record times q. */
static int32_t group_sum(const uint8_t *q, int32_t bits, int64_t r, const int8_t *a)
{
    int32_t sum = 0;
    for (int64_t i = 0; i < LMN_NBDOT_GROUP; i++) {
        const int64_t c = bits == 4 ? i % 16 : i;
        const int32_t two = q[c / 4 * 128 + r * 4 + c % 4];
        sum += a[i] * (bits == 8 ? two : i < 16 ? two & 15 : two >> 4);
    }
    return sum;
}

static float one_step(const nbpanel_part *p, int64_t g, int64_t r, const uint8_t *a, float y)
{
    const lmn_nbpanels *w = &p->w;
    const uint8_t *scales = nbpanel_scales(w, g, w->bits, w->zps);
    float s, scale;
    int32_t sum;
    memcpy(&s, a + NBPANEL_S, sizeof s);
    memcpy(&sum, a + NBPANEL_SUM, sizeof sum);
    memcpy(&scale, scales + r * 4, sizeof scale);
    const int32_t off = w->zps ? scales[NBPANEL_ZP + r] * sum : sum / (w->bits == 4 ? 16 : 1);
    const uint8_t *q = nbpanel_group(w, g, w->bits, w->zps);
    const int32_t v = off + group_sum(q, w->bits, r, (const int8_t *)a);
    const float both = scale * s;
    return fmaf((float)v, both, y);
}

static void strip(const nbpanel_part *p)
{
    for (int64_t i = 0; i < p->m * LMN_NBPANEL_ROWS; i++) {
        const int64_t row = i / LMN_NBPANEL_ROWS, r = i % LMN_NBPANEL_ROWS;
        float y = p->g > 0 ? p->acc[row][r] : 0.0f;
        for (int64_t g = p->g; g < p->end; g++)
            y = one_step(p, g, r, p->a + ((g - p->g) * p->m + row) * LMN_NBPANEL_RECORD, y);
        p->acc[row][r] = y;
    }
}

static void tile(const nbpanel_part *p)
{
    nbpanel_each_strip(p, strip);
}

void lmn_nbpanel_i8_run_ref(const lmn_nbpanel_block *b)
{
    nbpanel_run(b, tile, 4);
}
