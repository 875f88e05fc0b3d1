/*
 * Geometry in, chunks out (qlast_plan.h).
 */
#include "kernels/qgemm/qlast_plan.h"

#include <string.h>

/* ---- weights -----------------------------------------------------------------------------------
 */

int64_t lmn_qlast_packed_bytes(const lmn_qgemm_row *row, const lmn_qlast_weights *w)
{
    return lmn_qgemm_packed_bytes(row, w->c_in * w->taps, w->c_out);
}

enum { SLAB = 64, MOST = 48 }; /* rows of k packed at once, columns of a panel */

/* Rows k0 .. k0 + k - 1 of n columns from co on, row-major. */
static void turn(const lmn_qlast_weights *w, int64_t co, int64_t n, int64_t k0, int64_t k,
                 uint8_t *dst)
{
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *src = w->w + (co + i) * w->c_in * w->taps;
        int64_t tap = k0 / w->c_in, c = k0 % w->c_in;
        for (int64_t r = 0; r < k; r++) {
            dst[r * n + i] = src[c * w->taps + tap];
            if (++c == w->c_in) c = 0, tap++;
        }
    }
}

void lmn_qlast_prepack(const lmn_qgemm_row *row, const lmn_qlast_weights *w, void *packed)
{
    const int64_t k = w->c_in * w->taps;
    if (w->taps == 1) {
        lmn_qgemm_prepack(row, true, w->is_signed, w->w, k, k, w->c_out, packed);
        return;
    }
    uint8_t turned[SLAB * MOST];
    lmn_assert(row->nr <= MOST && SLAB % row->group == 0);
    const int64_t columns = lmn_round_up_i64(w->c_out, row->nr);
    const int64_t panel = lmn_round_up_i64(k, row->group) * row->nr * row->b_bytes;
    int32_t *sums = (int32_t *)(void *)((uint8_t *)packed + columns / row->nr * panel);
    memset(sums, 0, (size_t)columns * sizeof *sums);
    for (int64_t co = 0; co < w->c_out; co += row->nr) {
        uint8_t *to = (uint8_t *)packed + co / row->nr * panel;
        const int64_t n = lmn_min_i64(row->nr, w->c_out - co);
        for (int64_t k0 = 0; k0 < k; k0 += SLAB) {
            const int64_t some = lmn_min_i64(SLAB, k - k0);
            turn(w, co, n, k0, some, turned);
            row->pack_b(&(lmn_qgemm_pack){.dst = to + k0 * row->nr * row->b_bytes,
                                          .step = panel,
                                          .src = turned,
                                          .ld = n,
                                          .k = some,
                                          .n = n,
                                          .flip = w->is_signed ? 0 : 0x80,
                                          .sums = sums + co});
        }
    }
}

/* ---- the plan ----------------------------------------------------------------------------------
 */

void lmn_qlast_plan_make(const lmn_qgemm_row *row, const lmn_conv_geom *g, bool plain,
                         lmn_qlast_plan *out)
{
    lmn_assert(g->groups == 1);
    *out = (lmn_qlast_plan){.g = *g, .direct = lmn_conv_is_pointwise(g)};
    if (plain && lmn_qlast_lines_make(row, out)) return;
    const lmn_qgemm_shape shape = {.m = g->n * lmn_conv_volume(g->out),
                                   .n = g->c_out,
                                   .k = g->c_in * lmn_conv_volume(g->kernel),
                                   .n_batch = 1,
                                   .packed = true,
                                   .rows = !out->direct,
                                   .threads = g->threads};
    lmn_qgemm_plan_make(row, &shape, &out->gemm);
    out->n_chunks = out->gemm.n_chunks, out->scratch_bytes = out->gemm.scratch_bytes;
}

/* ---- rows of A ---------------------------------------------------------------------------------
 */

typedef struct pixels {
    const lmn_qgemm_row *row;
    lmn_qgemm_windows from;
} pixels;

static void bring_rows(const void *ctx, const lmn_qgemm_strip *s)
{
    const pixels *p = ctx;
    lmn_qgemm_windows w = p->from;
    w.i = s->i, w.m = s->m, w.k0 = s->k0, w.k = s->k, w.dst = s->dst, w.step = s->step;
    p->row->windows(&w);
}

void lmn_qlast_chunk(const lmn_qlast_plan *p, const lmn_qconv_args *args, int64_t chunk,
                     void *scratch)
{
    const lmn_conv_geom *g = &p->g;
    if (p->windows.lines) {
        lmn_qlast_lines_chunk(p, args, chunk, scratch);
        return;
    }
    const pixels w = {p->gemm.row, {.g = g, .x = args->x, .pad = (uint8_t)args->x_zp}};
    const lmn_qgemm_args a = {.a = args->x,
                              .b = args->w,
                              .a_signed = args->x_signed,
                              .b_signed = args->w_signed,
                              .lda = g->c_in,
                              .rows = bring_rows,
                              .rows_ctx = &w,
                              .a_zp = args->x_zp,
                              .b_zp = args->w_zp,
                              .b_zps = args->w_zps,
                              .col_bias = args->bias,
                              .out = args->requant ? LMN_QGEMM_BYTES : LMN_QGEMM_I32,
                              .mul = args->mul,
                              .div = 1.0f,
                              .col_mul = args->muls,
                              .zp = args->zp,
                              .lo = args->lo,
                              .hi = args->hi,
                              .c = args->y,
                              .ldc = g->c_out};
    lmn_qgemm_chunk(&p->gemm, &a, chunk, scratch);
}
