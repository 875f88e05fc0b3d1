/*
 * The reference row of nbdot: its definition, element by element.
 */
#include <math.h>

#include "kernels/nbits/nbdot_tmpl.h"

lmn_nbdot_pack_fn lmn_nbdot_i8_pack_ref;
lmn_nbdot_run_fn lmn_nbdot_i8_run_ref;

void lmn_nbdot_i8_pack_ref(uint8_t *dst, const float *x, int64_t k, int32_t bits)
{
    nbdot_pack(dst, x, k, bits);
}

/* Sum over group g of row j of r * q, r being a packed row's. */
static int32_t group_sum(const lmn_nbdot_weights *w, const uint8_t *q, int64_t g, const int8_t *r)
{
    int32_t sum = 0;
    for (int64_t i = 0; i < 16; i++) {
        const uint8_t *at = q + g * 16 * (w->bits / 4);
        const int32_t a = w->bits == 4 ? at[i] & 15 : at[i];
        const int32_t b = w->bits == 4 ? at[i] >> 4 : at[i + 16];
        sum += a * r[i] + b * r[i + 64];
    }
    return sum;
}

static float dot(const lmn_nbdot_block *b, const uint8_t *a, int64_t j)
{
    const lmn_nbdot_weights *w = &b->w;
    float c[4] = {0};
    for (int64_t g = 0; g < (b->groups + 3) / 4 * 4; g++) {
        const uint8_t *chunk = a + g / 4 * LMN_NBDOT_CHUNK;
        const int64_t lane = g % 4, block = g >> w->shift;
        float s, scale = 0.0f;
        int32_t v = 0, nsum;
        memcpy(&s, chunk + 128 + lane * 16, sizeof s);
        memcpy(&nsum, chunk + 192 + lane * 16, sizeof nsum);
        if (g < b->groups) {
            const int32_t zp = w->zp ? lmn_nbdot_zp_at(w->zp + j * w->zp_bytes, w->bits, block)
                                     : 1 << (w->bits - 1);
            const int8_t *r = (const int8_t *)chunk + lane * 16;
            v = group_sum(w, w->q + j * w->row_bytes, g, r) + zp * nsum;
            memcpy(&scale, w->scale + j * w->n_blocks + block, sizeof scale);
        }
        const float both = scale * s;
        c[lane] = fmaf((float)v, both, c[lane]);
    }
    return (c[0] + c[2]) + (c[1] + c[3]);
}

void lmn_nbdot_i8_run_ref(const lmn_nbdot_block *b)
{
    for (int64_t i = 0; i < b->m; i++)
        for (int64_t j = 0; j < b->n; j++) {
            const float y = dot(b, b->a + i * b->a_step, j);
            b->y[i * b->ldy + j] = b->bias ? y + b->bias[j] : y;
        }
}
