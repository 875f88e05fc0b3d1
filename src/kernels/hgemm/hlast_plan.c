/*
 * Geometry in, chunks out (hlast_plan.h). Under a window the taps of a line that are neighbours in
 * the image are copied as one run.
 */
#include "kernels/hgemm/hlast_plan.h"

#include <string.h>

/* ---- weights -----------------------------------------------------------------------------------
 */

enum { SLAB = 64, MOST = 48 }; /* rows of k packed at once, an even number; columns of a panel */

/* Rows k0 .. k0 + k - 1 of n columns from co on, row-major; `line` rows are a line of taps. */
static void turn(const lmn_hlast_weights *w, int64_t line, int64_t co, int64_t n, int64_t k0,
                 int64_t k, float *dst)
{
    const int64_t there = w->line * w->c_in;
    for (int64_t i = 0; i < n; i++) {
        const float *src = w->w + (co + i) * w->c_in * w->taps;
        int64_t e = k0 % line, tap = k0 / line * w->line + lmn_min_i64(e, there) / w->c_in,
                c = lmn_min_i64(e, there) % w->c_in;
        for (int64_t r = 0; r < k; r++) {
            dst[r * n + i] = e < there ? src[c * w->taps + tap] : 0;
            if (e < there && ++c == w->c_in) c = 0, tap++;
            if (++e == line) e = 0;
        }
    }
}

void lmn_hlast_prepack(const lmn_hgemm_row *row, const lmn_hlast_weights *w, void *packed)
{
    const int64_t line = lmn_hlast_line_elems(row, w->c_in, w->taps, w->line);
    const int64_t k = line * (w->taps / w->line), panel = lmn_hgemm_panel_elems(row, k);
    lmn_assert(row->rows_f32 && row->elem == 2 && row->nr <= MOST);
    float turned[SLAB * MOST];
    memset(packed, 0, (size_t)lmn_hlast_packed_elems(row, w) * 2);
    for (int64_t co = 0; co < w->c_out; co += row->nr) {
        uint16_t *to = (uint16_t *)packed + co / row->nr * panel;
        const int64_t n = lmn_min_i64(row->nr, w->c_out - co);
        for (int64_t k0 = 0; k0 < k; k0 += SLAB) {
            const int64_t some = lmn_min_i64(SLAB, k - k0);
            turn(w, line, co, n, k0, some, turned);
            row->pack_nn_f32(&(lmn_hgemm_pack){to + k0 * row->nr, panel, turned, n, some, n});
        }
    }
}

/* ---- the plan ----------------------------------------------------------------------------------
 */

void lmn_hlast_plan_make(const lmn_hgemm_row *row, const lmn_conv_geom *g, bool adds,
                         lmn_hlast_plan *out)
{
    lmn_assert(g->groups == 1);
    *out = (lmn_hlast_plan){.g = *g};
    if (lmn_hlast_lines_make(row, out)) return;
    lmn_hgemm_shape s = {.m = g->n * lmn_conv_volume(g->out),
                         .n = g->c_out,
                         .k = lmn_hlast_k(row, g),
                         .n_batch = 1,
                         .flags = LMN_HGEMM_PACKED,
                         .threads = g->threads};
    if (!lmn_conv_is_pointwise(g)) s.flags |= LMN_HGEMM_ROWS;
    if (adds) s.flags |= LMN_HGEMM_ADD;
    lmn_hgemm_plan_make(row, &s, &out->gemm);
    out->n_chunks = out->gemm.n_chunks, out->scratch_bytes = out->gemm.scratch_bytes;
}

/* ---- rows of A ---------------------------------------------------------------------------------
 */

typedef struct pixels {
    const lmn_conv_geom *g;
    const uint16_t *x;
    int64_t run;  /* taps of a line that are copied as one */
    int64_t line; /* elements of k of a line */
} pixels;

typedef uint8_t sixteen __attribute__((vector_size(16), aligned(1), may_alias));

/* Short runs, where a call costs more than the bytes: the last word overlaps the one before. */
static inline void copy_run(uint16_t *to, const uint16_t *from, int64_t len)
{
    uint8_t *dst = (uint8_t *)to;
    const uint8_t *src = (const uint8_t *)from;
    const int64_t n = len * 2;
    if (n < 16 || n >= 256) {
        memcpy(dst, src, (size_t)n);
        return;
    }
    const sixteen last = *(const sixteen *)(const void *)(src + n - 16);
    for (int64_t i = 0; i + 16 < n; i += 16)
        *(sixteen *)(void *)(dst + i) = *(const sixteen *)(const void *)(src + i);
    *(sixteen *)(void *)(dst + n - 16) = last;
}

/* Taps that are neighbours in the image, of all rows of a strip: elements lo .. hi - 1 of the run q
   of a window go to `dst` in the first row. */
typedef struct piece {
    const pixels *p;
    const lmn_hgemm_strip *s;
    int64_t q, lo, hi;
    uint16_t *dst;
} piece;

/* Of n outputs of the line at o, the rows from `dst` on. */
static void copy_outputs(const piece *c, int64_t image, const int64_t o[3], int64_t n,
                         uint16_t *dst)
{
    const lmn_conv_geom *g = c->p->g;
    const int64_t tap = c->q * c->p->run, width = g->in[2] * g->c_in, len = c->hi - c->lo;
    const int64_t iz = lmn_conv_at(g, 0, o[0], tap / g->kernel[2] / g->kernel[1]);
    const int64_t iy = lmn_conv_at(g, 1, o[1], tap / g->kernel[2] % g->kernel[1]);
    const bool inside = iz >= 0 && iz < g->in[0] && iy >= 0 && iy < g->in[1];
    const int64_t line = inside ? ((image * g->in[0] + iz) * g->in[1] + iy) * width : 0;
    const int64_t end = inside ? width : 0, step = g->stride[2] * g->c_in;
    int64_t at = lmn_conv_at(g, 2, o[2], tap % g->kernel[2]) * g->c_in + c->lo;
    for (int64_t i = 0; i < n; i++, at += step, dst += c->s->ld_dst) {
        if (at >= 0 && at + len <= end)
            copy_run(dst, c->p->x + line + at, len);
        else
            lmn_hlast_copy_line(dst, c->p->x + line, at, len, end);
    }
}

static void copy_piece(const piece *c)
{
    const lmn_conv_geom *g = c->p->g;
    const int64_t plane = lmn_conv_volume(g->out), last = c->s->i + c->s->m;
    for (int64_t i = c->s->i, n; i < last; i += n) {
        const int64_t at = i % plane, line = at / g->out[2];
        const int64_t o[3] = {line / g->out[1], line % g->out[1], at % g->out[2]};
        n = lmn_min_i64(g->out[2] - o[2], last - i);
        copy_outputs(c, i / plane, o, n, c->dst + (i - c->s->i) * c->s->ld_dst);
    }
}

static void bring_rows(const void *ctx, const lmn_hgemm_strip *s)
{
    const pixels *p = ctx;
    const int64_t run = p->run * p->g->c_in, runs = p->g->kernel[2] / p->run, end = s->k0 + s->k;
    for (int64_t line = s->k0 / p->line; line * p->line < end; line++) {
        int64_t at = line * p->line, lo, hi;
        for (int64_t q = line * runs; q < (line + 1) * runs; q++, at += run) {
            lo = lmn_max_i64(s->k0, at), hi = lmn_min_i64(end, at + run);
            if (lo < hi) copy_piece(&(piece){p, s, q, lo - at, hi - at, s->dst + lo - s->k0});
        }
        lo = lmn_max_i64(s->k0, at), hi = lmn_min_i64(end, (line + 1) * p->line);
        for (int64_t i = 0; lo < hi && i < s->m; i++)
            memset(s->dst + i * s->ld_dst + lo - s->k0, 0, (size_t)(hi - lo) * 2);
    }
}

void lmn_hlast_chunk(const lmn_hlast_plan *p, const lmn_hlast_args *args, int64_t chunk,
                     void *scratch)
{
    const lmn_conv_geom *g = &p->g;
    if (p->direct.lines) {
        lmn_hlast_lines_chunk(p, args, chunk, scratch);
        return;
    }
    const int64_t taps = lmn_conv_volume(g->kernel);
    const pixels from = {g, args->x, g->dilation[2] == 1 ? g->kernel[2] : 1,
                         lmn_hlast_line_elems(p->gemm.row, g->c_in, taps, g->kernel[2])};
    lmn_epi epi = {.n_ops = 0}, clip = {.n_ops = 1};
    const lmn_epi_op bias = {.kind = LMN_EPI_ADD, .bcast = LMN_EPI_COL, .x = args->bias};
    if (args->bias) epi.op[epi.n_ops++] = bias;
    if (args->silu) epi.op[epi.n_ops++] = (lmn_epi_op){.kind = LMN_EPI_SILU};
    clip.op[0] = (lmn_epi_op){.kind = LMN_EPI_CLIP, .p0 = args->lo, .p1 = args->hi};
    const lmn_hgemm_args a = {.a = args->x,
                              .b = args->w,
                              .c = args->y,
                              .lda = g->c_in,
                              .ldc = g->c_out,
                              .rows = bring_rows,
                              .rows_ctx = &from,
                              .epi = epi.n_ops ? &epi : NULL,
                              .add = args->add,
                              .clip = args->clipped ? &clip : NULL};
    lmn_hgemm_chunk(&p->gemm, &a, chunk, scratch);
}
