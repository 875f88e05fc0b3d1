/*
 * Geometry in, chunks out (hlast_plan.h). Under a window the taps of a line that are neighbours in
 * the image are copied as one run.
 */
#include "kernels/hgemm/hlast_plan.h"

#include <string.h>

/* ---- weights -----------------------------------------------------------------------------------
 */

enum { SLAB = 64, MOST = 48 }; /* rows of k packed at once, an even number; columns of a panel */

/* Rows k0 .. k0 + k - 1 of n columns from co on, row-major. */
static void turn(const lmn_hlast_weights *w, int64_t co, int64_t n, int64_t k0, int64_t k,
                 float *dst)
{
    for (int64_t i = 0; i < n; i++) {
        const float *src = w->w + (co + i) * w->c_in * w->taps;
        int64_t tap = k0 / w->c_in, c = k0 % w->c_in;
        for (int64_t r = 0; r < k; r++) {
            dst[r * n + i] = src[c * w->taps + tap];
            if (++c == w->c_in) c = 0, tap++;
        }
    }
}

void lmn_hlast_prepack(const lmn_hgemm_row *row, const lmn_hlast_weights *w, void *packed)
{
    const int64_t k = w->c_in * w->taps, panel = lmn_hgemm_panel_elems(row, k);
    lmn_assert(row->rows_f32 && row->elem == 2 && row->nr <= MOST);
    float turned[SLAB * MOST];
    memset(packed, 0, (size_t)lmn_hlast_packed_elems(row, w) * 2);
    for (int64_t co = 0; co < w->c_out; co += row->nr) {
        uint16_t *to = (uint16_t *)packed + co / row->nr * panel;
        const int64_t n = lmn_min_i64(row->nr, w->c_out - co);
        for (int64_t k0 = 0; k0 < k; k0 += SLAB) {
            const int64_t some = lmn_min_i64(SLAB, k - k0);
            turn(w, co, n, k0, some, turned);
            row->pack_nn_f32(&(lmn_hgemm_pack){to + k0 * row->nr, panel, turned, n, some, n});
        }
    }
}

/* ---- the plan ----------------------------------------------------------------------------------
 */

static bool is_pointwise(const lmn_conv_geom *g)
{
    for (int i = 0; i < 3; i++)
        if (g->kernel[i] != 1 || g->stride[i] != 1 || g->pad[i] != 0 || g->in[i] != g->out[i])
            return false;
    return true;
}

void lmn_hlast_plan_make(const lmn_hgemm_row *row, const lmn_conv_geom *g, bool adds,
                         lmn_hlast_plan *out)
{
    lmn_assert(g->groups == 1);
    *out = (lmn_hlast_plan){.g = *g};
    lmn_hgemm_shape s = {.m = g->n * lmn_conv_volume(g->out),
                         .n = g->c_out,
                         .k = g->c_in * lmn_conv_volume(g->kernel),
                         .n_batch = 1,
                         .flags = LMN_HGEMM_PACKED,
                         .threads = g->threads};
    if (!is_pointwise(g)) s.flags |= LMN_HGEMM_ROWS;
    if (adds) s.flags |= LMN_HGEMM_ADD;
    lmn_hgemm_plan_make(row, &s, &out->gemm);
    out->n_chunks = out->gemm.n_chunks, out->scratch_bytes = out->gemm.scratch_bytes;
}

/* ---- rows of A ---------------------------------------------------------------------------------
 */

typedef struct pixels {
    const lmn_conv_geom *g;
    const uint16_t *x;
    int64_t run; /* taps of a line that are copied as one */
} pixels;

/* len elements of a line from element `at` on, where those outside of 0 .. end - 1 are 0. */
static void copy_line(uint16_t *dst, const uint16_t *line, int64_t at, int64_t len, int64_t end)
{
    const int64_t lo = lmn_min_i64(len, lmn_max_i64(0, -at));
    const int64_t hi = lmn_max_i64(lo, lmn_min_i64(len, end - at));
    if (lo) memset(dst, 0, (size_t)lo * 2);
    if (hi > lo) memcpy(dst + lo, line + at + lo, (size_t)(hi - lo) * 2);
    if (len > hi) memset(dst + hi, 0, (size_t)(len - hi) * 2);
}

/* The window of one output, k0 .. k0 + k - 1 of its elements. */
static void copy_window(const pixels *p, const uint16_t *image, const int64_t o[3], int64_t k0,
                        int64_t k, uint16_t *dst)
{
    const lmn_conv_geom *g = p->g;
    const int64_t run = p->run * g->c_in, width = g->in[2] * g->c_in;
    for (int64_t done = 0, len; done < k; done += len, dst += len) {
        const int64_t q = (k0 + done) / run, at = (k0 + done) % run, tap = q * p->run;
        const int64_t iz = lmn_conv_at(g, 0, o[0], tap / g->kernel[2] / g->kernel[1]);
        const int64_t iy = lmn_conv_at(g, 1, o[1], tap / g->kernel[2] % g->kernel[1]);
        const int64_t ix = lmn_conv_at(g, 2, o[2], tap % g->kernel[2]);
        const bool inside = iz >= 0 && iz < g->in[0] && iy >= 0 && iy < g->in[1];
        len = lmn_min_i64(run - at, k - done);
        copy_line(dst, image + (inside ? (iz * g->in[1] + iy) * width : 0), ix * g->c_in + at, len,
                  inside ? width : 0);
    }
}

static void bring_rows(const void *ctx, const lmn_hgemm_strip *s)
{
    const pixels *p = ctx;
    const lmn_conv_geom *g = p->g;
    const int64_t plane = lmn_conv_volume(g->out), image = lmn_conv_volume(g->in) * g->c_in;
    int64_t n = s->i / plane, at = s->i % plane;
    int64_t o[3] = {at / g->out[2] / g->out[1], at / g->out[2] % g->out[1], at % g->out[2]};
    for (int64_t r = 0; r < s->m; r++) {
        copy_window(p, p->x + n * image, o, s->k0, s->k, s->dst + r * s->ld_dst);
        if (++o[2] < g->out[2]) continue;
        o[2] = 0;
        if (++o[1] < g->out[1]) continue;
        o[1] = 0;
        if (++o[0] == g->out[0]) o[0] = 0, n++;
    }
}

void lmn_hlast_chunk(const lmn_hlast_plan *p, const lmn_hlast_args *args, int64_t chunk,
                     void *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const pixels from = {g, args->x, g->dilation[2] == 1 ? g->kernel[2] : 1};
    lmn_epi bias = {.n_ops = 1}, clip = {.n_ops = 1};
    bias.op[0] = (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_COL, .x = args->bias};
    clip.op[0] = (lmn_epi_op){.kind = LMN_EPI_CLIP, .p0 = args->lo, .p1 = args->hi};
    const lmn_hgemm_args a = {.a = args->x,
                              .b = args->w,
                              .c = args->y,
                              .lda = g->c_in,
                              .ldc = g->c_out,
                              .rows = bring_rows,
                              .rows_ctx = &from,
                              .epi = args->bias ? &bias : NULL,
                              .add = args->add,
                              .clip = args->clipped ? &clip : NULL};
    lmn_hgemm_chunk(&p->gemm, &a, chunk, scratch);
}
