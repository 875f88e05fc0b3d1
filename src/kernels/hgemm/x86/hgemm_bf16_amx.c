/*
 * bf16 hgemm row on AMX: blocks of 32 x 32 in four accumulator tiles (0..3), two tiles of A (4, 5)
 * and two of B (6, 7), 32 k a step. A panel of B stays in the first cache or near it while all rows
 * of A pass. The rows left over have a configuration of their own; columns behind n are zeros of
 * the panel and leave through a small buffer. Few rows go to vdpbf16ps: tiles would be mostly
 * empty.
 */
#define HG_NR 32
#include "kernels/hgemm/hgemm_pair_tmpl.h"
#include "kernels/simd/amx_tile.h"

HG_DEFINE(amx)

enum { STEP_K = 32, B_STEP = HG_NR * PAIR * (int)sizeof(uint16_t) };

/* Tiles for blocks of top + bottom rows; bottom may be 0. */
static void configure(amx_cfg *c, int64_t top, int64_t bottom)
{
    *c = (amx_cfg){0};
    amx_cfg_tile(c, 0, top, AMX_ROW_BYTES), amx_cfg_tile(c, 1, top, AMX_ROW_BYTES);
    amx_cfg_tile(c, 4, top, AMX_ROW_BYTES);
    if (bottom) {
        amx_cfg_tile(c, 2, bottom, AMX_ROW_BYTES), amx_cfg_tile(c, 3, bottom, AMX_ROW_BYTES);
        amx_cfg_tile(c, 5, bottom, AMX_ROW_BYTES);
    }
    amx_cfg_tile(c, 6, AMX_ROWS, AMX_ROW_BYTES), amx_cfg_tile(c, 7, AMX_ROWS, AMX_ROW_BYTES);
}

typedef struct place {
    const char *a, *b;
    int64_t a_step; /* bytes from row to row */
    float *c;
    int64_t c_step; /* bytes */
    int64_t k;
} place;

/* both: are there two tiles of A; beta: does C come first. Constants at every call. */
VF_INLINE void block32(const place *p, const bool both, const bool beta)
{
    const char *a0 = p->a, *a1 = p->a + 16 * p->a_step, *b = p->b;
    char *c = (char *)p->c, *c_low = c + 16 * p->c_step;
    if (beta) {
        AMX_LOAD(0, c, p->c_step);
        AMX_LOAD(1, c + AMX_ROW_BYTES, p->c_step);
        if (both) AMX_LOAD(2, c_low, p->c_step);
        if (both) AMX_LOAD(3, c_low + AMX_ROW_BYTES, p->c_step);
    } else {
        AMX_ZERO(0);
        AMX_ZERO(1);
        if (both) AMX_ZERO(2);
        if (both) AMX_ZERO(3);
    }
    for (int64_t k = 0; k < p->k; k += STEP_K) {
        AMX_LOAD(4, a0, p->a_step);
        AMX_LOAD(6, b, B_STEP);
        AMX_BF16(0, 4, 6);
        AMX_LOAD(7, b + AMX_ROW_BYTES, B_STEP);
        AMX_BF16(1, 4, 7);
        if (both) {
            AMX_LOAD(5, a1, p->a_step);
            AMX_BF16(2, 5, 6);
            AMX_BF16(3, 5, 7);
        }
        a0 += STEP_K * sizeof(uint16_t), a1 += STEP_K * sizeof(uint16_t);
        b += STEP_K / PAIR * B_STEP;
    }
    AMX_STORE(0, c, p->c_step);
    AMX_STORE(1, c + AMX_ROW_BYTES, p->c_step);
    if (both) AMX_STORE(2, c_low, p->c_step);
    if (both) AMX_STORE(3, c_low + AMX_ROW_BYTES, p->c_step);
}

VF_INLINE void block_any(const place *p, bool both, bool beta)
{
    if (both && beta)
        block32(p, true, true);
    else if (both)
        block32(p, true, false);
    else if (beta)
        block32(p, false, true);
    else
        block32(p, false, false);
}

/* m <= 32 rows and n <= 32 columns; where n is less, C comes and goes through a buffer. */
static void block_at(const lmn_hgemm_block *t, int64_t i, int64_t j, int64_t m)
{
    float buffer[32 * HG_NR];
    const int64_t n = lmn_min_i64(HG_NR, t->n - j);
    float *c = t->c + i * t->ldc + j;
    place p = {.a = (const char *)t->a + i * t->lda * (int64_t)sizeof(uint16_t),
               .b = (const char *)t->b + j / HG_NR * t->b_panel * (int64_t)sizeof(uint16_t),
               .a_step = t->lda * (int64_t)sizeof(uint16_t),
               .c = c,
               .c_step = t->ldc * (int64_t)sizeof(float),
               .k = t->k};
    if (n == HG_NR) {
        block_any(&p, m > AMX_ROWS, t->beta);
        return;
    }
    p.c = buffer, p.c_step = HG_NR * sizeof(float);
    const vm low = vm_first(n), high = vm_first(n - VF_LANES);
    for (int64_t r = 0; t->beta && r < m; r++) {
        vf_store(buffer + r * HG_NR, vf_loadm(c + r * t->ldc, low));
        vf_store(buffer + r * HG_NR + VF_LANES, vf_loadm(c + r * t->ldc + VF_LANES, high));
    }
    block_any(&p, m > AMX_ROWS, t->beta);
    for (int64_t r = 0; r < m; r++) {
        vf_storem(c + r * t->ldc, low, vf_load(buffer + r * HG_NR));
        vf_storem(c + r * t->ldc + VF_LANES, high, vf_load(buffer + r * HG_NR + VF_LANES));
    }
}

void lmn_hgemm_bf16_block_amx(const lmn_hgemm_block *t)
{
    const int64_t whole = t->m / 32 * 32, rest = t->m - whole;
    amx_cfg cfg;
    if (whole > 0) {
        configure(&cfg, AMX_ROWS, AMX_ROWS);
        amx_enter(&cfg);
        for (int64_t j = 0; j < t->n; j += HG_NR)
            for (int64_t i = 0; i < whole; i += 32) block_at(t, i, j, 32);
    }
    if (rest > 0) {
        configure(&cfg, lmn_min_i64(rest, AMX_ROWS), lmn_max_i64(0, rest - AMX_ROWS));
        amx_enter(&cfg);
        for (int64_t j = 0; j < t->n; j += HG_NR) block_at(t, whole, j, rest);
    }
    amx_leave();
}
