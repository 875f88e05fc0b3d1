/*
 * bf16 hgemm row on AMX: blocks of 32 x 32 in four accumulator tiles (0..3), two tiles of A (4, 5)
 * and two of B (6, 7), 32 k a step. Rows of A stay in the first cache while all panels of B pass,
 * or, if they are long, a panel does while all rows of A pass. The rows left over have a
 * configuration of their own; columns behind n are zeros of the panel and leave through a small
 * buffer. Few rows go to vdpbf16ps with row-major B; transposed B is the first operand of tiles
 * where it lies.
 */
#define HG_NR 32
#define HG_OWN_NT
#include "kernels/hgemm/hgemm_pair_tmpl.h"
#include "kernels/simd/amx_tile.h"

#include <string.h>

HG_DEFINE(amx)

enum { STEP_K = 32, B_STEP = HG_NR * PAIR * (int)sizeof(uint16_t), MOST_LINES = 8 };

/* Of 32 rows of A that stay in the first cache while all panels pass, read in order from the
   second. */
enum { NEAR_BYTES = 32 << 10 };

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
    const char *next; /* `lines` lines from here on are fetched a step; NULL = none */
    int64_t lines;
} place;

/* both: are there two tiles of A; beta: does C come first; far: is there something to fetch.
   Constants at every call. */
VF_INLINE void block32(const place *p, const bool both, const bool beta, const bool far)
{
    const char *next = p->next;
    const int64_t lines = p->lines;
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
        for (int64_t i = 0; far && i < lines; i++, next += 64) __builtin_prefetch(next, 0, 2);
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
    if (both && p->next && beta)
        block32(p, true, true, true);
    else if (both && p->next)
        block32(p, true, false, true);
    else if (both && beta)
        block32(p, true, true, false);
    else if (both)
        block32(p, true, false, false);
    else if (beta)
        block32(p, false, true, false);
    else
        block32(p, false, false, false);
}

/* The blocks of a panel share the fetching of the next, a line of 64 bytes for every k. */
VF_INLINE void fetch_panel(const lmn_hgemm_block *t, int64_t i, place *p)
{
    const int64_t blocks = lmn_max_i64(1, t->m / 32);
    const int64_t lines = lmn_min_i64(MOST_LINES, (STEP_K + blocks - 1) / blocks);
    const int64_t from = i / 32 * lines * (t->k / STEP_K);
    if (from >= t->k) return;
    p->lines = lines;
    p->next = p->b + t->b_panel * (int64_t)sizeof(uint16_t) + from * 64;
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
    if (t->b_far) fetch_panel(t, i, &p);
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
        if (!t->b_far && t->k * 32 * (int64_t)sizeof(uint16_t) <= NEAR_BYTES) {
            for (int64_t i = 0; i < whole; i += 32)
                for (int64_t j = 0; j < t->n; j += HG_NR) block_at(t, i, j, 32);
        } else {
            for (int64_t j = 0; j < t->n; j += HG_NR)
                for (int64_t i = 0; i < whole; i += 32) block_at(t, i, j, 32);
        }
    }
    if (rest > 0) {
        configure(&cfg, lmn_min_i64(rest, AMX_ROWS), lmn_max_i64(0, rest - AMX_ROWS));
        amx_enter(&cfg);
        for (int64_t j = 0; j < t->n; j += HG_NR) block_at(t, whole, j, rest);
    }
    amx_leave();
}

/* ---- few rows, B transposed -------------------------------------------------------------------
 */

/* Where B's rows cannot be read as a tile: the ends of n and k. */
static void nt_edge(const uint16_t *from, int64_t ld, int64_t n, int64_t k, uint16_t *edge)
{
    for (int64_t i = 0; i < 32; i++)
        _mm512_storeu_si512(edge + i * STEP_K,
                            i < n ? load32n(from + i * ld, k) : _mm512_setzero_si512());
}

/* 32 rows of B, n of them there, are the first operand where they lie and A, packed as a B is, the
   second: what comes out is C transposed, by the chain of block. */
VF_INLINE void nt_panel(const lmn_hgemm_small *t, int64_t j, int64_t n, float *sums,
                        const bool right)
{
    uint16_t edge[32 * STEP_K] __attribute__((aligned(64)));
    const uint16_t *w = t->b + j * t->ldb;
    const char *a = t->room;
    const int64_t ahead = j + 64 <= t->n ? 32 * t->ldb : 0;
    AMX_ZERO(0);
    AMX_ZERO(2);
    if (right) AMX_ZERO(1);
    if (right) AMX_ZERO(3);
    for (int64_t k = 0; k < t->k; k += STEP_K, a += STEP_K / PAIR * B_STEP) {
        const uint16_t *from = w + k;
        int64_t ld = t->ldb;
        for (int64_t i = 0; ahead && i < 32; i++) /* the next rows as one stream */
            __builtin_prefetch(w + ahead + 32 * k + i * STEP_K, 0, 2);
        if (n < 32 || t->k - k < STEP_K) {
            nt_edge(from, ld, n, t->k - k, edge);
            from = edge, ld = STEP_K;
        }
        const int64_t step = ld * (int64_t)sizeof *from;
        AMX_LOAD(4, from, step);
        AMX_LOAD(6, a, B_STEP);
        AMX_BF16(0, 4, 6);
        AMX_LOAD(5, from + 16 * ld, step);
        AMX_BF16(2, 5, 6);
        if (right) AMX_LOAD(7, a + AMX_ROW_BYTES, B_STEP);
        if (right) AMX_BF16(1, 4, 7);
        if (right) AMX_BF16(3, 5, 7);
    }
    const int64_t step = 32 * (int64_t)sizeof *sums;
    AMX_STORE(0, sums, step);
    AMX_STORE(2, sums + 16 * 32, step);
    if (right) AMX_STORE(1, sums + 16, step);
    if (right) AMX_STORE(3, sums + 16 * 32 + 16, step);
}

/* 16 x 16 sums of rows from i and columns from j on into their place. */
static void nt_leave(const lmn_hgemm_small *t, int64_t i, int64_t j, const float *sums)
{
    vf r[VF_LANES];
    for (int l = 0; l < VF_LANES; l++) r[l] = vf_load(sums + (int64_t)l * 32);
    vf_transpose(r);
    for (int l = 0; l < VF_LANES && i + l < t->m; l++)
        vf_storem(t->c + (i + l) * t->ldc + j, vm_first(t->n - j), r[l]);
}

static void small_nt_run(const lmn_hgemm_small *t)
{
    float sums[32 * 32] __attribute__((aligned(64)));
    const bool right = t->m > AMX_ROWS;
    const lmn_hgemm_pack p = {.dst = t->room, .src = t->a, .ld = t->lda, .k = t->k, .n = t->m};
    const int64_t done = lmn_round_up_i64(t->k, PAIR), all = lmn_round_up_i64(t->k, STEP_K);
    if (t->k > 0) pack_nt_run(&p); /* else there is no room */
    if (all > done)
        memset((uint16_t *)t->room + done * HG_NR, 0,
               (size_t)((all - done) * HG_NR) * sizeof(uint16_t));
    amx_cfg cfg;
    configure(&cfg, AMX_ROWS, AMX_ROWS);
    amx_enter(&cfg);
    for (int64_t j = 0; j < t->n; j += 32) {
        const int64_t n = lmn_min_i64(32, t->n - j);
        if (right)
            nt_panel(t, j, n, sums, true);
        else
            nt_panel(t, j, n, sums, false);
        for (int64_t h = 0; h < n; h += 16) {
            nt_leave(t, 0, j + h, sums + h * 32);
            if (right) nt_leave(t, 16, j + h, sums + h * 32 + 16);
        }
    }
    amx_leave();
}
