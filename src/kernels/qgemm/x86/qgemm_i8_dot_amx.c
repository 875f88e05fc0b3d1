/*
 * Few rows by a transposed B on AMX: rows of B are the first operand of tiles where they lie.
 */
#include "kernels/qgemm/qgemm_amx_tmpl.h"

lmn_qgemm_stream_fn lmn_qgemm_i8_dot_amx, lmn_qgemm_i8_dot_avx512vnni;

/* Where B's rows cannot be read as a tile: the ends of n and k, and bytes to be flipped. */
static void dot_edge(const lmn_qgemm_stream *s, const uint8_t *from, int64_t n, int64_t k,
                     uint8_t *edge)
{
    const __m512i flip = _mm512_set1_epi8((char)s->flip);
    const __mmask64 in = bytes(k);
    for (int64_t i = 0; i < NR; i++) {
        __m512i x = _mm512_setzero_si512();
        if (i < n) x = _mm512_xor_si512(_mm512_maskz_loadu_epi8(in, from + i * s->ldb), flip);
        _mm512_storeu_si512(edge + i * DEEP, _mm512_maskz_mov_epi8(in, x));
    }
}

/* 32 rows of B, n of them there, are the first operand where they lie and A, packed as a B is, the
   second: what comes out is C transposed. */
ALWAYS void dot_panel(const lmn_qgemm_stream *s, int64_t j, int64_t n, int32_t *sums,
                      const bool right)
{
    uint8_t edge[NR * DEEP] __attribute__((aligned(64)));
    const uint8_t *w = s->b + j * s->ldb, *a = s->room;
    const int64_t step = right ? 2 * AMX_ROW_BYTES : AMX_ROW_BYTES;
    const int64_t ahead = j + 2 * NR <= s->n ? NR * s->ldb : 0;
    AMX_ZERO(0);
    AMX_ZERO(2);
    if (right) AMX_ZERO(1);
    if (right) AMX_ZERO(3);
    for (int64_t k = 0; k < s->k; k += DEEP, a += DEEP / FOUR * step) {
        const uint8_t *from = w + k;
        int64_t ld = s->ldb;
        for (int64_t i = 0; ahead && i < NR; i++) /* the next rows as one stream */
            __builtin_prefetch(w + ahead + NR * k + i * AMX_ROW_BYTES, 0, 2);
        if (n < NR || s->k - k < DEEP || s->flip) {
            dot_edge(s, from, n, s->k - k, edge);
            from = edge, ld = DEEP;
        }
        AMX_LOAD(4, from, ld);
        AMX_LOAD(6, a, step);
        AMX_S8U8(0, 4, 6);
        AMX_LOAD(5, from + AMX_ROWS * ld, ld);
        AMX_S8U8(2, 5, 6);
        if (right) AMX_LOAD(7, a + AMX_ROW_BYTES, step);
        if (right) AMX_S8U8(1, 4, 7);
        if (right) AMX_S8U8(3, 5, 7);
    }
    AMX_STORE(0, sums, NR * 4);
    AMX_STORE(2, sums + AMX_ROWS * NR, NR * 4);
    if (right) AMX_STORE(1, sums + LANES, NR * 4);
    if (right) AMX_STORE(3, sums + AMX_ROWS * NR + LANES, NR * 4);
}

/* 16 x 16 sums of rows from i and columns from j on into their place; row m is that of ones. */
static void dot_leave(const lmn_qgemm_stream *s, int64_t i, int64_t j, const int32_t *sums)
{
    vf r[LANES];
    for (int l = 0; l < LANES; l++)
        r[l] = _mm512_castsi512_ps(_mm512_loadu_si512(sums + (int64_t)l * NR));
    vf_transpose(r);
    for (int l = 0; l < LANES && i + l <= s->m; l++) {
        int32_t *to = i + l < s->m ? s->part + (i + l) * s->ld_part : s->col_sum;
        if (to) _mm512_mask_storeu_epi32(to + j, lanes(s->n - j), _mm512_castps_si512(r[l]));
    }
}

/* A as a B of its rows, and a row of ones where columns are to be summed. */
static void dot_pack(const lmn_qgemm_stream *s, bool right)
{
    int32_t not_wanted[NR] = {0};
    const lmn_qgemm_pack p = {
        .dst = s->room, .src = s->a, .ld = s->a_step, .k = s->k, .n = s->m, .sums = not_wanted};
    if (right)
        pack_bt_run(&p, NR, DEEP);
    else
        pack_bt_run(&p, LANES, DEEP);
    uint8_t *ones = (uint8_t *)s->room + s->m * FOUR;
    const int64_t step = right ? NR * FOUR : LANES * FOUR;
    for (int64_t k = 0; s->col_sum && k < s->k; k++) ones[k / FOUR * step + k % FOUR] = 1;
}

void lmn_qgemm_i8_dot_amx(const lmn_qgemm_stream *s)
{
    int32_t sums[NR * NR] __attribute__((aligned(64)));
    const int64_t rows = s->m + (s->col_sum != NULL);
    if (rows > NR) {
        lmn_qgemm_i8_dot_avx512vnni(s);
        return;
    }
    const bool right = rows > LANES;
    dot_pack(s, right);
    configure(AMX_ROWS, AMX_ROWS);
    for (int64_t j = 0; j < s->n; j += NR) {
        const int64_t n = lmn_min_i64(NR, s->n - j);
        if (right)
            dot_panel(s, j, n, sums, true);
        else
            dot_panel(s, j, n, sums, false);
        for (int64_t h = 0; h < n; h += LANES) {
            dot_leave(s, 0, j + h, sums + h * NR);
            if (right) dot_leave(s, LANES, j + h, sums + h * NR + LANES);
        }
    }
    amx_leave();
}
