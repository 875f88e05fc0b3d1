/*
 * The bf16 row's products with a transposed B on AMX: 32 rows of B are the first operand of tiles
 * where they lie, rows of A, packed as a B is, the second, and what comes out is C transposed: all
 * of A passes while B is read once. Sums are turned on their way out, behind the steps of the next
 * block. Few rows are dot products by vdpbf16ps (lmn_hgemm_dots).
 */
#include "kernels/hgemm/hgemm.h"
#include "kernels/hgemm/hgemm_bf16_avx512.h"

#define TURNED_PRODUCT AMX_BF16
#include "kernels/simd/amx_turned_tmpl.h"

#include <string.h>

lmn_hgemm_small_fn lmn_hgemm_bf16_turned_amx, lmn_hgemm_bf16_small_nt_wide_avx512bf16;
lmn_hgemm_pack_fn lmn_hgemm_bf16_pack_nt_amx;

enum {
    SIDE = TURNED_ROWS, /* rows of B, and of A, of a block */
    STEP_K = 32,
    PANEL_STEP = SIDE * STEP_K * (int)sizeof(uint16_t), /* bytes of packed A a step, */
    A_ROW = 2 * AMX_ROW_BYTES                           /* and a pair of k of all its rows */
};

/* Sums of rows j .. j + n - 1 of B and i .. of A on their way out; n == 0: nothing waits. */
typedef struct waiting {
    const float *sums;
    int64_t i, j, n;
} waiting;

/* 16 x 16 sums of rows from i and columns from j on into their place. */
static void turn(const lmn_hgemm_small *t, int64_t i, int64_t j, const float *sums)
{
    vf r[VF_LANES];
    float *c = t->c + i * t->ldc + j;
    const int64_t m = lmn_min_i64(VF_LANES, t->m - i), n = t->n - j;
    for (int l = 0; l < VF_LANES; l++) r[l] = vf_load(sums + (int64_t)l * SIDE);
    vf_transpose(r);
    if (m == VF_LANES && n >= VF_LANES)
        for (int l = 0; l < VF_LANES; l++) vf_store(c + l * t->ldc, r[l]);
    else
        for (int l = 0; l < m; l++) vf_storem(c + l * t->ldc, vm_first(n), r[l]);
}

static void leave(const lmn_hgemm_small *t, waiting *w)
{
    for (int64_t h = 0; h < w->n; h += VF_LANES)
        for (int64_t i = 0; i < SIDE && w->i + i < t->m; i += VF_LANES)
            turn(t, w->i + i, w->j + h, w->sums + h * SIDE + i);
    w->n = 0;
}

/* Rows j .. j + n - 1 of B by 32 rows of A from i on, of which 16 count unless `right`; the chain
   of block. The next rows of B are fetched as one stream, of which these blocks have a share. */
VF_INLINE void multiply(const lmn_hgemm_small *t, int64_t j, int64_t n, int64_t i, float *sums,
                        waiting *w, const bool right)
{
    const int64_t size = (int64_t)sizeof(uint16_t), steps = lmn_ceil_div_i64(t->k, STEP_K);
    const int64_t lines = SIDE / lmn_min_i64(SIDE, lmn_ceil_div_i64(t->m, SIDE));
    const int64_t mine = i / SIDE * lines * steps;
    turned p = {.b = (const char *)((const uint16_t *)t->b + j * t->ldb), .b_step = t->ldb * size};
    p.n = n, p.bytes = t->k * size;
    p.a = (const char *)t->room + i / SIDE * steps * PANEL_STEP, p.a_step = A_ROW;
    p.next = p.b + SIDE * p.b_step + mine * 64;
    if (j + 2 * SIDE <= t->n && mine < SIDE * steps) p.lines = lines;
    turned_multiply(&p, right);
    leave(t, w);
    turned_store(sums, right);
    *w = (waiting){sums, i, j, n};
}

/* All of A as the panels of a B, k in whole steps. */
static void pack(const lmn_hgemm_small *t)
{
    const int64_t done = lmn_round_up_i64(t->k, 2), all = lmn_round_up_i64(t->k, STEP_K);
    const lmn_hgemm_pack p = {t->room, all * SIDE, t->a, t->lda, t->k, t->m};
    if (t->k <= 0) return; /* there is no room */
    lmn_hgemm_bf16_pack_nt_amx(&p);
    for (int64_t i = 0; all > done && i < t->m; i += SIDE)
        memset((uint16_t *)t->room + i * all + done * SIDE, 0,
               (size_t)((all - done) * SIDE) * sizeof(uint16_t));
}

void lmn_hgemm_bf16_turned_amx(const lmn_hgemm_small *t)
{
    if (lmn_hgemm_dots(STEP_K, t->m, t->k)) {
        lmn_hgemm_bf16_small_nt_wide_avx512bf16(t);
        return;
    }
    float sums[2][SIDE * SIDE] __attribute__((aligned(64)));
    waiting w = {.n = 0};
    int turn_of = 0;
    pack(t);
    amx_cfg c = {0};
    for (int tile = 0; tile < 8; tile++) amx_cfg_tile(&c, tile, AMX_ROWS, AMX_ROW_BYTES);
    amx_enter(&c);
    for (int64_t j = 0; j < t->n; j += SIDE) {
        const int64_t n = lmn_min_i64(SIDE, t->n - j);
        for (int64_t i = 0; i < t->m; i += SIDE)
            if (t->m - i > AMX_ROWS)
                multiply(t, j, n, i, sums[turn_of ^= 1], &w, true);
            else
                multiply(t, j, n, i, sums[turn_of ^= 1], &w, false);
    }
    amx_leave();
    leave(t, &w);
}
