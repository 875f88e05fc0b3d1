/*
 * The reference row of qgemm: plain loops over the packed form of the VNNI row, in panels of 16.
 */
#include "kernels/qgemm/qgemm.h"

#include "kernels/qgemm/qgather_tmpl.h"
#include "kernels/qgemm/qwindow_tmpl.h"
#include "kernels/qgemm/qgemm_end.h"

enum { NR = 16, GROUP = 4 };

lmn_qgemm_block_fn lmn_qgemm_i8_block_ref;
lmn_qgemm_taps_fn lmn_qgemm_i8_taps_ref;
lmn_qgemm_gather_fn lmn_qgemm_i8_gather_ref;
lmn_qgemm_windows_fn lmn_qgemm_i8_windows_ref;
lmn_qgemm_pack_fn lmn_qgemm_i8_pack_a_ref, lmn_qgemm_i8_pack_b_ref;

void lmn_qgemm_i8_block_ref(const lmn_qgemm_block *t)
{
    const uint8_t *a = t->a;
    const int64_t groups = (t->k + GROUP - 1) / GROUP;
    for (int64_t i = 0; i < t->m; i++) {
        for (int64_t j = 0; j < t->n; j++) {
            const int8_t *b = (const int8_t *)t->b + j / NR * t->b_panel + j % NR * GROUP;
            uint32_t sum = t->part && !t->first ? (uint32_t)t->part[i * t->ld_part + j] : 0;
            for (int64_t g = 0; g < groups; g++)
                for (int64_t e = 0; e < GROUP; e++)
                    sum += (uint32_t)(a[i * t->lda + g * GROUP + e] * b[g * NR * GROUP + e]);
            if (t->part && !t->last)
                t->part[i * t->ld_part + j] = (int32_t)sum;
            else
                lmn_qgemm_store(&t->end, i, j, (int32_t)sum);
        }
    }
}

void lmn_qgemm_i8_pack_a_ref(const lmn_qgemm_pack *p)
{
    const int64_t padded = (p->k + GROUP - 1) / GROUP * GROUP;
    for (int64_t i = 0; i < p->n; i++) {
        uint8_t *dst = (uint8_t *)p->dst + i * p->step;
        for (int64_t k = 0; k < padded; k++) {
            dst[k] = k < p->k ? (uint8_t)(p->src[i * p->ld + k] ^ p->flip) : 0;
            p->sums[i] = (int32_t)((uint32_t)p->sums[i] + dst[k]);
        }
    }
}

void lmn_qgemm_i8_pack_b_ref(const lmn_qgemm_pack *p)
{
    const int64_t groups = (p->k + GROUP - 1) / GROUP, cols = (p->n + NR - 1) / NR * NR;
    for (int64_t j = 0; j < cols; j++) {
        int8_t *dst = (int8_t *)p->dst + j / NR * p->step + j % NR * GROUP;
        for (int64_t k = 0; k < groups * GROUP; k++) {
            const bool inside = k < p->k && j < p->n;
            const int8_t v = (int8_t)(inside ? p->src[k * p->ld + j] ^ p->flip : 0);
            dst[k / GROUP * NR * GROUP + k % GROUP] = v;
            p->sums[j] = (int32_t)((uint32_t)p->sums[j] + (uint32_t)v);
        }
    }
}

void lmn_qgemm_i8_taps_ref(const lmn_qgemm_taps *t)
{
    for (int64_t e = 0; e < t->rows * t->n; e++) {
        const uint8_t *x = t->x + e / t->n * t->row_step + e % t->n * t->stride;
        uint32_t sum = (uint32_t)t->add;
        for (int64_t i = 0; i < t->kh * t->kw; i++)
            sum += (uint32_t)(t->w[i] - t->w_zp) * x[i / t->kw * t->tap_step + i % t->kw];
        const int32_t v = (int32_t)sum;
        if (t->requant)
            ((uint8_t *)t->y)[e] = (uint8_t)lmn_requant(v, t->mul, t->zp, t->lo, t->hi);
        else
            ((int32_t *)t->y)[e] = v;
    }
}

static inline void gather_rows(uint8_t *dst, const uint8_t *x, const gather_piece *a)
{
    for (int64_t r = 0; r < a->rows; r++)
        for (int64_t i = 0; i < a->n; i++) {
            const bool in = i >= a->inside.lo && i < a->inside.hi;
            dst[r * a->n + i] = in ? x[r * a->step + (i - a->inside.lo) * a->stride] : a->pad;
        }
}

void lmn_qgemm_i8_gather_ref(const lmn_qgemm_gather *w)
{
    gather_slab(w);
}

void lmn_qgemm_i8_windows_ref(const lmn_qgemm_windows *w)
{
    windows_run(w);
}
