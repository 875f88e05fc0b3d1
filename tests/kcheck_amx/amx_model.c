/*
 * A model of the tile unit of AMX, by the pseudo-code of Intel's manual (volume 2: LDTILECFG,
 * TILELOADD, TDPBF16PS, TDPBSUD ..), for the words of kernels/simd/amx_tile.h: rows that are
 * compiled with LMN_AMX_MODEL run on any CPU with AVX-512, and kcheck sees what they compute and
 * which bytes they touch. What the CPU refuses with #GP or #UD, or silently restarts, is a trap
 * here and so a failure of that case.
 *
 * By the linker's --wrap it stands before lmn_cpu_detect, which then grants AMX.
 */
#include "kernels/simd/amx_tile.h"
#include "kcheck_amx/amx_model.h"

#include "base/cpu.h"

#include <immintrin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TILES = 8, PALETTE = 1, FLUSH = _MM_FLUSH_ZERO_ON | 0x40 /* and denormal inputs are 0 */ };

typedef struct tile {
    int rows, row_bytes; /* 0 = must not be used */
    uint8_t at[AMX_ROWS][AMX_ROW_BYTES];
} tile;

static _Thread_local tile tiles[TILES];
static _Thread_local bool configured;

/* What the CPU would answer by an exception. */
static void need(bool legal)
{
    if (!legal) __builtin_trap();
}

void amx_enter(const amx_cfg *c)
{
    static const uint8_t zeros[sizeof *c] = {0};
    need(c->palette == PALETTE && c->start_row == 0);
    need(memcmp(c->reserved, zeros, sizeof c->reserved) == 0);
    need(memcmp(c->row_bytes + TILES, zeros, sizeof c->row_bytes / 2) == 0);
    need(memcmp(c->rows + TILES, zeros, sizeof c->rows / 2) == 0);
    memset(tiles, 0, sizeof tiles);
    for (int t = 0; t < TILES; t++) {
        need(c->rows[t] <= AMX_ROWS && c->row_bytes[t] <= AMX_ROW_BYTES);
        need((c->rows[t] == 0) == (c->row_bytes[t] == 0));
        tiles[t].rows = c->rows[t], tiles[t].row_bytes = c->row_bytes[t];
    }
    configured = true;
}

void amx_leave(void)
{
    memset(tiles, 0, sizeof tiles);
    configured = false;
}

static tile *usable(int t)
{
    need(configured && t >= 0 && t < TILES && tiles[t].rows > 0);
    return &tiles[t];
}

void amx_model_zero(int t)
{
    tile *x = usable(t);
    memset(x->at, 0, sizeof x->at);
}

/* Rows beyond those that are configured, and bytes beyond a row, become 0. */
void amx_model_load(int t, const void *p, int64_t step)
{
    tile *x = usable(t);
    uint8_t at[AMX_ROWS][AMX_ROW_BYTES] = {{0}};
    for (int r = 0; r < x->rows; r++)
        memcpy(at[r], (const uint8_t *)p + r * step, (size_t)x->row_bytes);
    memcpy(x->at, at, sizeof at);
}

void amx_model_store(int t, void *p, int64_t step)
{
    const tile *x = usable(t);
    for (int r = 0; r < x->rows; r++)
        memcpy((uint8_t *)p + r * step, x->at[r], (size_t)x->row_bytes);
}

/* c rows x columns of 4 bytes, a rows x k words, b k words x columns, three different ones. */
static void check_shapes(const tile *c, const tile *a, const tile *b)
{
    need(c != a && c != b && a != b);
    need(c->row_bytes % 4 == 0 && a->row_bytes % 4 == 0 && b->row_bytes % 4 == 0);
    need(a->rows == c->rows && b->row_bytes == c->row_bytes && a->row_bytes / 4 == b->rows);
}

/* Even and odd elements of a row have sums of their own, fused, which meet at its end. Everything
   rounds to nearest even, denormals are 0 on either side. */
static __attribute__((noinline)) void bf16_rows(tile *c, const tile *a, const tile *b)
{
    const __m512i high = _mm512_set1_epi32((int)0xffff0000u);
    for (int r = 0; r < c->rows; r++) {
        __m512 even = _mm512_setzero_ps(), odd = even;
        for (int k = 0; k < b->rows; k++) {
            int32_t pair;
            memcpy(&pair, a->at[r] + 4 * k, sizeof pair);
            const __m512i x = _mm512_set1_epi32(pair), y = _mm512_loadu_si512(b->at[k]);
            even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                                   _mm512_castsi512_ps(_mm512_slli_epi32(y, 16)), even);
            odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, high)),
                                  _mm512_castsi512_ps(_mm512_and_si512(y, high)), odd);
        }
        const __m512 sum = _mm512_add_ps(_mm512_loadu_ps(c->at[r]), _mm512_add_ps(even, odd));
        const __mmask16 in = (__mmask16)((1u << (c->row_bytes / 4)) - 1);
        _mm512_storeu_ps(c->at[r], _mm512_maskz_mov_ps(in, sum));
    }
}

void amx_model_bf16(int c, int a, int b)
{
    tile *to = usable(c);
    const tile *x = usable(a), *y = usable(b);
    check_shapes(to, x, y);
    const unsigned before = _mm_getcsr();
    _mm_setcsr(_MM_MASK_MASK | FLUSH);
    bf16_rows(to, x, y);
    _mm_setcsr(before);
}

static int32_t byte_of(uint8_t x, bool has_sign)
{
    return has_sign ? (int8_t)x : x;
}

void amx_model_bytes(int c, int a, int b, bool a_signed, bool b_signed)
{
    tile *to = usable(c);
    const tile *x = usable(a), *y = usable(b);
    check_shapes(to, x, y);
    for (int r = 0; r < to->rows; r++) {
        uint32_t sum[AMX_ROW_BYTES / 4]; /* wraps around */
        memcpy(sum, to->at[r], sizeof sum);
        for (int i = 0; i < x->row_bytes; i++)
            for (int n = 0; n < to->row_bytes / 4; n++)
                sum[n] += (uint32_t)(byte_of(x->at[r][i], a_signed) *
                                     byte_of(y->at[i / 4][4 * n + i % 4], b_signed));
        memcpy(to->at[r], sum, sizeof sum);
    }
}

bool amx_model_left(void)
{
    const bool left = configured;
    amx_leave();
    return left;
}

lamina_status __real_lmn_cpu_detect(lmn_cpu *out, const char *cap);
lamina_status __wrap_lmn_cpu_detect(lmn_cpu *out, const char *cap);

lamina_status __wrap_lmn_cpu_detect(lmn_cpu *out, const char *cap)
{
    const lmn_isa beside = LMN_ISA_AVX512VNNI | LMN_ISA_AVX512BF16;
    const lamina_status status = __real_lmn_cpu_detect(out, cap);
    if ((out->isa & beside) != beside || !__builtin_cpu_supports("gfni")) {
        printf("skipped: rows of AMX need AVX-512 with VNNI, BF16 and GFNI beside their tiles\n");
        exit(77);
    }
    out->isa |= LMN_ISA_AMX, out->isa_hw |= LMN_ISA_AMX;
    return status;
}
