/*
 * Chunks of a convolution with its channels last whose windows are read where they lie, in copies
 * of lines with their padding: some lines of outputs, or a span of one that is long, by some output
 * channels. What a worker copies is bounded so, whatever the extents.
 */
#ifndef LMN_KERNELS_CONV_CUT_H
#define LMN_KERNELS_CONV_CUT_H

#include "kernels/conv/conv_geom.h"

typedef struct lmn_conv_cut {
    int64_t lines, blocks;     /* of outputs a chunk, 0: windows are copied instead; of an image */
    int64_t span, spans;       /* outputs of a line a chunk; how many of a line */
    int64_t columns, n_blocks; /* channels a chunk; how many of all */
    int64_t width, n_in;       /* pixels of a copied line, and lines */
} lmn_conv_cut;

/* What a chunk makes: outputs [o, o + n_o) of lines [line, line + n_lines), channels from j on. */
typedef struct lmn_conv_part {
    int64_t image, line, n_lines, o, n_o, j, n;
} lmn_conv_part;

/* Outputs of a chunk; of a line of one that is cut. */
enum { LMN_CONV_CUT_OUTPUTS = 256, LMN_CONV_CUT_SPAN = 1024 };

/* Outputs of a line that are read for n; any: as many. */
static inline int64_t lmn_conv_cut_read(int64_t n, bool any)
{
    return any ? n : lmn_conv_line_read(n);
}

/* Channels in units of nr. any: rows of a tile are any outputs. most: multiply-adds a chunk should
   not pass, k each of an output; 0: any number. Returns the number of chunks. */
static inline int64_t lmn_conv_cut_make(const lmn_conv_geom *g, int64_t nr, bool any, int64_t k,
                                        int64_t most, lmn_conv_cut *c)
{
    const bool whole = g->out[2] <= LMN_CONV_CUT_SPAN;
    const int64_t pieces = lmn_ceil_div_i64(g->out[2], LMN_CONV_CUT_SPAN);
    c->span = whole ? g->out[2]
                    : lmn_round_up_i64(lmn_ceil_div_i64(g->out[2], pieces), LMN_CONV_LINE_ROWS);
    c->spans = lmn_ceil_div_i64(g->out[2], c->span);
    c->lines =
        whole ? lmn_min_i64(g->out[1], lmn_ceil_div_i64(LMN_CONV_CUT_OUTPUTS, g->out[2])) : 1;
    c->blocks = lmn_ceil_div_i64(g->out[1], c->lines);
    const int64_t panels = lmn_ceil_div_i64(g->c_out, nr), chunks = g->n * c->blocks * c->spans;
    int64_t wanted = g->threads > 1 ? lmn_ceil_div_i64(2 * g->threads, chunks) : 1;
    if (most)
        wanted = lmn_max_i64(wanted, lmn_ceil_div_i64(panels * c->lines * c->span * nr * k, most));
    c->columns = lmn_ceil_div_i64(panels, lmn_min_i64(panels, wanted)) * nr;
    c->n_blocks = lmn_ceil_div_i64(g->c_out, c->columns);
    c->width = (lmn_conv_cut_read(c->span, any) - 1) * g->stride[2] +
               (g->kernel[2] - 1) * g->dilation[2] + 1;
    c->n_in = (c->lines - 1) * g->stride[1] + (g->kernel[1] - 1) * g->dilation[1] + 1;
    return chunks * c->n_blocks;
}

static inline lmn_conv_part lmn_conv_cut_part(const lmn_conv_geom *g, const lmn_conv_cut *c,
                                              int64_t chunk)
{
    const int64_t block = chunk / c->n_blocks / c->spans;
    lmn_conv_part p = {.image = block / c->blocks, .line = block % c->blocks * c->lines};
    p.o = chunk / c->n_blocks % c->spans * c->span, p.j = chunk % c->n_blocks * c->columns;
    p.n_lines = lmn_min_i64(c->lines, g->out[1] - p.line);
    p.n_o = lmn_min_i64(c->span, g->out[2] - p.o), p.n = lmn_min_i64(c->columns, g->c_out - p.j);
    return p;
}

#endif
