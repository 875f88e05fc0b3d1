/*
 * Lines of taps, packed once for all lines of the kernel (conv_lines.h). Lines of the kernel lie
 * beside each other or outputs do, so that there are min(stride, lines) values of `first`.
 */
#include "kernels/conv/conv_lines.h"

#include "kernels/conv/conv_fetch.h"
#include "kernels/conv/im2col.h"

/* Tuned on Zen 4. */
enum {
    LEAST_N = 240,              /* pixels of a block */
    MOST_N = 960,               /* of more not much less is packed */
    MOST_FLOATS = 56 << 10,     /* of a block's lines: in L2 */
    MOST_TERMS = 192,           /* lines of the kernel in all channels at once ... */
    MOST_ROWS = 7 * MOST_TERMS, /* ... and taps whose rows are listed one by one */
    LEAST_TERM = 112,           /* a tile's columns by taps of a line: coming to a term costs */
    PIECE = 192,                /* pixels that are multiplied between two shares of what is next */
    UNIT = 16                   /* of a row of packed lines */
};

/* The last output row below that kernel row `first` is read for. */
static int64_t last_down(const lmn_conv_geom *g, int64_t first)
{
    return ((g->kernel[1] - 1) * g->dilation[1] - first) / g->stride[1];
}
static int64_t n_firsts(const lmn_conv_geom *g)
{
    return lmn_min_i64(g->stride[1], g->kernel[1]);
}
/* Columns of a row of packed lines for n pixels. */
static int64_t columns(const lmn_conv_geom *g, int64_t n)
{
    return lmn_round_up_i64(n + last_down(g, 0) * g->out[2], UNIT);
}

int64_t lmn_conv_lines_elems(const lmn_conv_plan *p, int64_t n)
{
    return n_firsts(&p->g) * p->cc * p->g.kernel[0] * p->g.kernel[2] * columns(&p->g, n);
}

int64_t lmn_conv_lines_pixels(const lmn_conv_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t kh = g->kernel[1], deep = p->cc * g->kernel[0], firsts = n_firsts(g);
    if (p->m > p->set->gemm_f32->lines_m || deep * kh > MOST_TERMS ||
        p->set->gemm_f32->nr * g->kernel[2] < LEAST_TERM ||
        (g->dilation[1] > 1 && g->stride[1] > 1))
        return 0;
    int64_t n = MOST_FLOATS / (firsts * deep * g->kernel[2]) - columns(g, 0);
    n = lmn_min_i64(n, MOST_N);
    if (g->threads > 1)
        n = lmn_min_i64(n, lmn_ceil_div_i64(p->pixels * g->n * g->groups, 2 * g->threads));
    int64_t packed = firsts * n;
    for (int64_t first = 0; first < firsts; first++) packed += last_down(g, first) * g->out[2];
    return n >= LEAST_N && 8 * packed <= 7 * kh * n ? n : 0;
}

/* Of channel c of x, lines that the pixels behind the block t are the first to meet, where they are
   all of a plane of two axes. */
static lmn_conv_soon next_lines(const lmn_conv_plan *p, const lmn_gemm_block *t, const float *x,
                                int64_t c)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t last = lmn_min_i64(p->pixels, t->col + 2 * t->n) - 1, taps = g->kernel[1] - 1;
    const int64_t seen = lmn_conv_at(g, 1, (t->col + t->n - 1) / g->out[2], taps) + 1;
    const int64_t end = lmn_min_i64(g->in[1], lmn_conv_at(g, 1, last / g->out[2], taps) + 1);
    const int64_t from = lmn_max_i64(0, seen);
    if (g->in[0] > 1 || from >= end) return (lmn_conv_soon){x, 0};
    return (lmn_conv_soon){x + (c * g->in[1] + from) * g->in[2], (end - from) * g->in[2]};
}

/* The packed lines of n_c channels by the weights, piece by piece: the lines behind them come from
   memory meanwhile. */
static void multiply(const lmn_conv_plan *p, const lmn_gemm_block *t, const lmn_gemm_terms *lines,
                     int64_t width, const float *x, int64_t n_c)
{
    const int64_t nr = p->set->gemm_f32->nr, piece = lmn_round_up_i64(PIECE, nr);
    const int64_t pieces = lmn_max_i64(1, t->n / piece);
    for (int64_t i = 0; i < pieces; i++) {
        for (int64_t c = 0; c < n_c; c++) {
            const lmn_conv_soon soon = next_lines(p, t, x, c);
            lmn_conv_fetch(&soon, i, pieces);
        }
        lmn_gemm_terms terms = *lines;
        lmn_gemm_block b = *t;
        terms.b += i * piece, b.c += i * piece, b.col += i * piece;
        b.n = i < pieces - 1 ? piece : t->n - i * piece;
        b.terms = &terms, b.k = p->g.kernel[2], b.ldb = width, b.b_panel = nr;
        p->set->gemm_f32->block(&b);
    }
}

/* The block t, whose pixels lie in one plane of outputs, `plane` of them before it. */
static void block_of(const lmn_conv_plan *p, const lmn_gemm_block *t, const float *x, int64_t n_c,
                     int64_t plane)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t kh = g->kernel[1], kw = g->kernel[2], s = g->stride[1], width = columns(g, t->n);
    const int64_t rows = n_c * g->kernel[0], part = rows * kw * width;
    int64_t off[MOST_TERMS], row[MOST_ROWS];
    const bool listed = rows * kh * kw <= MOST_ROWS;
    lmn_conv_geom lines = *g;
    lines.kernel[1] = 1;
    for (int64_t first = 0; first < n_firsts(g); first++) {
        const int64_t down = last_down(g, first);
        lines.pad[1] = g->pad[1] - first, lines.out[1] = g->out[1] + down;
        p->set->im2col_f32->pack(
            &(lmn_im2col_block){.g = &lines,
                                .x = x,
                                .n_c = n_c,
                                .p0 = t->col + plane * down * g->out[2],
                                .n = t->n + down * g->out[2],
                                .nr = width,
                                .packed = (float *)(uintptr_t)t->b + first * part});
    }
    for (int64_t i = 0; i < rows * kh; i++) {
        const int64_t at = i % kh * g->dilation[1];
        off[i] = at % s * part + i / kh * kw * width + at / s * g->out[2];
        for (int64_t q = 0; q < kw && listed; q++) row[i * kw + q] = off[i] + q * width;
    }
    lmn_gemm_terms terms = {.n = rows * kh, .a = t->a, .b = t->b, .a_step = kw, .b_off = off};
    if (listed) terms.b_rows = row;
    multiply(p, t, &terms, width, x, n_c);
}

void lmn_conv_lines_block(const lmn_conv_plan *p, const lmn_gemm_block *t, const float *x,
                          int64_t n_c)
{
    const int64_t pixels = p->g.out[1] * p->g.out[2];
    for (int64_t at = 0, n; at < t->n; at += n) {
        lmn_gemm_block b = *t;
        const int64_t plane = (t->col + at) / pixels;
        n = lmn_min_i64(t->n - at, (plane + 1) * pixels - t->col - at);
        b.c += at, b.col += at, b.n = n;
        block_of(p, &b, x, n_c, plane);
    }
}
