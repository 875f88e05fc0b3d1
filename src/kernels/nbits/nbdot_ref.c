/*
 * The reference row of nbdot: its definition, element by element.
 */
#include <math.h>

#include "kernels/nbits/nbdot_tmpl.h"

lmn_nbdot_pack_fn lmn_nbdot_i8_pack_ref;
lmn_nbdot_run_fn lmn_nbdot_i8_run_ref;

void lmn_nbdot_i8_pack_ref(uint8_t *dst, const float *x, int64_t k, int32_t bits, bool more)
{
    nbdot_pack(dst, x, k, bits, more);
}

/* Sum over group g of a row of weights of r * q, r being of a packed chunk. */
static int32_t group_sum(const uint8_t *q, int32_t bits, int64_t g, const int8_t *chunk, bool more)
{
    int32_t sum = 0;
    for (int64_t i = 0; i < 16; i++) {
        const uint8_t *at = q + g * 16 * (bits / 4);
        const int8_t *r = chunk + nbdot_byte_at(g % LMN_NBDOT_GROUPS, i, bits, more);
        const int32_t a = bits == 4 ? at[i] & 15 : at[i];
        const int32_t b = bits == 4 ? at[i] >> 4 : at[i + 16];
        sum += a * r[0] + b * r[more ? 256 : 64];
    }
    return sum;
}

static float dot(const lmn_nbdot_block *b, const uint8_t *a, int64_t j)
{
    const lmn_nbdot_weights *w = &b->w;
    float c[LMN_NBDOT_GROUPS] = {0}, u[4];
    for (int64_t g = 0; g < lmn_round_up_i64(b->groups, LMN_NBDOT_GROUPS); g++) {
        const uint8_t *chunk = a + g / LMN_NBDOT_GROUPS * LMN_NBDOT_CHUNK;
        const int64_t i = g % LMN_NBDOT_GROUPS, block = g >> w->shift;
        float s, scale = 0.0f;
        int32_t v = 0, nsum;
        memcpy(&s, chunk + NBDOT_S + nbdot_place(i) * 4, sizeof s);
        memcpy(&nsum, chunk + NBDOT_SUMS + nbdot_place(i) * 4, sizeof nsum);
        if (g < b->groups) {
            const int32_t zp = w->zp ? lmn_nbdot_zp_at(w->zp + j * w->zp_bytes, w->bits, block)
                                     : 1 << (w->bits - 1);
            v = group_sum(w->q + j * w->row_bytes, w->bits, g, (const int8_t *)chunk, b->m > 1);
            v += zp * nsum;
            memcpy(&scale, w->scale + j * w->n_blocks + block, sizeof scale);
        }
        const float both = scale * s;
        c[i] = fmaf((float)v, both, c[i]);
    }
    for (int i = 0; i < 4; i++) u[i] = (c[i] + c[8 + i]) + (c[4 + i] + c[12 + i]);
    return (u[0] + u[2]) + (u[1] + u[3]);
}

void lmn_nbdot_i8_run_ref(const lmn_nbdot_block *b)
{
    for (int64_t i = 0; i < b->m; i++)
        for (int64_t j = 0; j < b->n; j++) {
            const float y = dot(b, b->a + i * b->a_step, j);
            b->y[i * b->ldy + j] = b->bias ? y + b->bias[j] : y;
        }
}
