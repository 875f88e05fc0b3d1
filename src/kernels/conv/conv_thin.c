/*
 * Rows of taps, a pixel each, of images one behind the other; sums of a block of images lie in
 * scratch, a row an output channel, until they are dealt out to the images.
 */
#include "kernels/conv/conv_thin.h"

#include "kernels/conv/im2col.h"

#include <string.h>

enum { ROWS = 24, PIECE = 8 /* floats that are copied at once: pixels of an image, and more */ };

int64_t lmn_conv_thin_images(const lmn_conv_plan *p)
{
    return lmn_min_i64(p->g.n, ROWS / p->pixels);
}

int64_t lmn_conv_thin_elems(const lmn_conv_plan *p)
{
    const int64_t rows = p->thin * p->images, k = p->cc * lmn_conv_volume(p->g.kernel);
    return rows * k + (p->images > 1 ? rows * p->mc + PIECE : 0);
}

/* n_c channels from x on of an output of a line, whose taps lie beside each other: few of them are
   copied by a piece, what it leaves behind them the next channel overwrites. */
static void pack_line(const lmn_conv_geom *g, const float *x, int64_t n_c, int64_t o, float *to)
{
    const int64_t kw = g->kernel[2], w = g->in[2], x0 = lmn_conv_at(g, 2, o, 0);
    const int64_t lo = lmn_min_i64(kw, lmn_max_i64(0, -x0));
    const int64_t n = lmn_max_i64(0, lmn_min_i64(kw, w - x0) - lo);
    for (int64_t left = n_c; left > 0; left--, x += w, to += kw) {
        if (kw <= PIECE && n > 0 && left > PIECE)
            memcpy(to + lo, x + x0 + lo, PIECE * sizeof(float));
        else if (n > 0)
            memcpy(to + lo, x + x0 + lo, (size_t)n * sizeof(float));
        for (int64_t i = 0; i < kw && n < kw; i++)
            if (i < lo || i >= lo + n) to[i] = 0;
    }
}

static bool is_line(const lmn_conv_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    int64_t other = g->dilation[2];
    for (int i = 0; i < 2; i++) other *= g->in[i] * g->out[i] * g->kernel[i] + g->pad[i];
    return other == 1 && g->kernel[2] > 1;
}

/* n_c channels from x on of the thin pixels of an image. */
static void pack(const lmn_conv_plan *p, const float *x, int64_t n_c, float *rows)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t first = p->pixels - p->thin, step = n_c * g->kernel[2];
    if (is_line(p)) {
        for (int64_t i = 0; i < p->thin; i++, rows += step) pack_line(g, x, n_c, first + i, rows);
        return;
    }
    p->set->im2col_f32->pack(&(lmn_im2col_block){
        .g = g, .x = x, .n_c = n_c, .p0 = first, .n = p->thin, .nr = 1, .packed = rows});
}

/* Is the epilogue the same in all images and pixels? */
static bool is_alike(const lmn_epi *epi)
{
    for (int32_t i = 0; i < epi->n_ops; i++) {
        const lmn_epi_op *op = &epi->op[i];
        if (op->kind <= LMN_EPI_MUL && op->bcast != LMN_EPI_SCALAR &&
            (op->bcast != LMN_EPI_ROW || op->batch))
            return false;
    }
    return true;
}

/* Rows of n floats, ld apart, one behind the other. Whole pieces may pass the end of a row of
   either: what they leave there the next row overwrites. */
static void deal(float *to, const float *from, int64_t ld, int64_t rows, int64_t n)
{
    const int64_t end = rows * n;
    for (int64_t at = 0; at < end; at += n, from += ld)
        if (at + PIECE <= end)
            memcpy(to + at, from, PIECE * sizeof(float));
        else
            for (int64_t i = 0; i < n; i++) to[at + i] = from[i];
}

void lmn_conv_thin_block(const lmn_conv_plan *p, const lmn_gemm_block *t, const float *x,
                         const lmn_epi *epi, bool last, float *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const lmn_gemm_row *gemm = p->set->gemm_f32;
    int64_t images = lmn_min_i64(p->images, g->n - t->item), rows = images * p->thin;
    const int64_t n_c = t->k / lmn_conv_volume(g->kernel);
    float *sums = scratch + p->images * p->thin * p->cc * lmn_conv_volume(g->kernel);
    lmn_epi_block e = {t->c + t->n, t->ldc, t->row, t->col + t->n, t->m, p->thin, t->item};
    for (int64_t i = 0; i < images; i++)
        pack(p, x + i * g->c_in * lmn_conv_volume(g->in), n_c, scratch + i * p->thin * t->k);
    lmn_gemm_block d = *t;
    d.a = scratch, d.lda = t->k, d.b = t->a, d.ldb = t->lda, d.ldc = 1, d.m = rows, d.n = t->m;
    d.c = images > 1 ? sums : e.c, d.c_step = images > 1 ? rows : e.ldc;
    gemm->small_nt(&d);
    if (!last) return;
    const bool all = images > 1 && epi && is_alike(epi);
    if (all) gemm->epi(epi, &(lmn_epi_block){sums, rows, t->row, 0, t->m, rows, t->item});
    for (int64_t i = 0; i < images; i++, e.item++, e.c += g->c_out * p->pixels) {
        if (images > 1) deal(e.c, sums + i * p->thin, rows, t->m, p->thin);
        if (epi && !all) gemm->epi(epi, &e);
    }
}
