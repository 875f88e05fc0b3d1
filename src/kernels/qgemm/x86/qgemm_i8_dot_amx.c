/*
 * Few rows by a transposed B on AMX: rows of B are the first operand of tiles where they lie.
 */
#include "kernels/qgemm/qgemm_amx_tmpl.h"

#define TURNED_PRODUCT AMX_S8U8
#include "kernels/simd/amx_turned_tmpl.h"

lmn_qgemm_stream_fn lmn_qgemm_i8_dot_amx, lmn_qgemm_i8_dot_avx512vnni;

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

static void dot_panel(const turned *p, int32_t *sums, bool right)
{
    if (right) {
        turned_multiply(p, true);
        turned_store(sums, true);
    } else {
        turned_multiply(p, false);
        turned_store(sums, false);
    }
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
    turned p = {.b_step = s->ldb, .bytes = s->k, .flip = s->flip, .a = s->room};
    p.a_step = right ? NR * FOUR : LANES * FOUR;
    configure(AMX_ROWS, AMX_ROWS);
    for (int64_t j = 0; j < s->n; j += NR) {
        const int64_t n = lmn_min_i64(NR, s->n - j);
        p.b = (const char *)s->b + j * s->ldb, p.n = n;
        p.next = p.b + NR * s->ldb; /* the next rows as one stream */
        p.lines = j + 2 * NR <= s->n ? NR : 0;
        dot_panel(&p, sums, right);
        for (int64_t h = 0; h < n; h += LANES) {
            dot_leave(s, 0, j + h, sums + h * NR);
            if (right) dot_leave(s, LANES, j + h, sums + h * NR + LANES);
        }
    }
    amx_leave();
}
