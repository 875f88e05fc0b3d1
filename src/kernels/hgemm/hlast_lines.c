/*
 * Convolutions with their channels last on rows that read windows where they lie (hgemm.h): a chunk
 * copies its lines of input once, with the padding around them, and every run of taps is an offset
 * there. Without padding the lines of the image itself are read, by rows that read no more than
 * there is. Same bits as copied windows.
 */
#include "kernels/hgemm/hlast_plan.h"

#include <math.h>

/* Outputs of a chunk; fewest of a tile (of fewer, panels would pass too often); packed weights from
   beyond L2. */
enum { OUTPUTS = 256, LEAST_ROWS = 10, FAR_BYTES = 1 << 20, PAIR = 2 };
static const int64_t most_madds = 320 << 20; /* of a chunk, as in hgemm_plan.c */

static bool takes(const lmn_hgemm_row *row, const lmn_conv_geom *g)
{
    const bool flat = g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0;
    if (!row->lines || !flat) return false;
    const int64_t taps = g->kernel[1] * g->kernel[2];
    if (row->group == PAIR)
        return taps > 1 || g->stride[1] > 1 || g->stride[2] > 1 || g->in[1] != g->out[1] ||
               g->in[2] != g->out[2];
    return g->dilation[2] == 1 && g->kernel[2] * g->c_in % row->group == 0 && taps > 1 &&
           lmn_hgemm_lines_rows(g->out[2]) >= LEAST_ROWS;
}

/* Elements of a line of taps that follow each other. */
static int64_t neighbours(const lmn_conv_geom *g)
{
    return g->dilation[2] == 1 ? g->kernel[2] * g->c_in : g->c_in;
}
static int64_t run_elems(const lmn_hlast_plan *p)
{
    const int64_t group = p->gemm.row->group;
    return group == PAIR ? neighbours(&p->g) : group;
}

/* Are windows read in the image itself? */
static bool in_place(const lmn_hlast_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    for (int i = 1; i < 3; i++)
        if (g->pad[i] || lmn_conv_at(g, i, g->out[i] - 1, g->kernel[i] - 1) >= g->in[i])
            return false;
    return p->gemm.row->group == PAIR;
}

bool lmn_hlast_lines_make(const lmn_hgemm_row *row, lmn_hlast_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    lmn_hlast_lines *d = &p->direct;
    if (!takes(row, g)) return false;
    const int64_t k = g->kernel[1] * g->kernel[2] * g->c_in;
    d->lines = lmn_min_i64(g->out[1], lmn_ceil_div_i64(OUTPUTS, g->out[2]));
    d->blocks = lmn_ceil_div_i64(g->out[1], d->lines);
    const int64_t panels = lmn_ceil_div_i64(g->c_out, row->nr), chunks = g->n * d->blocks;
    const int64_t panel_madds = d->lines * g->out[2] * row->nr * k;
    int64_t wanted = g->threads > 1 ? lmn_ceil_div_i64(2 * g->threads, chunks) : 1;
    if (row->group == PAIR)
        wanted = lmn_max_i64(wanted, lmn_ceil_div_i64(panels * panel_madds, most_madds));
    d->columns = lmn_ceil_div_i64(panels, lmn_min_i64(panels, wanted)) * row->nr;
    d->n_blocks = lmn_ceil_div_i64(g->c_out, d->columns);
    const int64_t read = row->group == PAIR ? g->out[2] : lmn_hgemm_lines_read(g->out[2]);
    d->width = (read - 1) * g->stride[2] + (g->kernel[2] - 1) * g->dilation[2] + 1;
    d->n_in = (d->lines - 1) * g->stride[1] + (g->kernel[1] - 1) * g->dilation[1] + 1;
    p->gemm.row = row;
    p->n_chunks = chunks * d->n_blocks;
    const size_t copied =
        in_place(p) ? 0 : (size_t)(d->n_in * d->width * g->c_in) * sizeof(uint16_t);
    p->scratch_bytes = lmn_align_up((size_t)(k / run_elems(p)) * sizeof(int64_t), 64) + copied;
    return true;
}

/* Lines from `first` on of the padded image; what is not there is 0. */
static void bring_lines(const lmn_hlast_plan *p, const uint16_t *image, int64_t first,
                        uint16_t *dst)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t width = g->in[2] * g->c_in, len = p->direct.width * g->c_in;
    for (int64_t i = 0; i < p->direct.n_in; i++, dst += len) {
        const int64_t y = first + i;
        const bool inside = y >= 0 && y < g->in[1];
        lmn_hlast_copy_line(dst, image + (inside ? y * width : 0), -g->pad[2] * g->c_in, len,
                            inside ? width : 0);
    }
}

/* Where the runs of a window begin, of lines per_line apart. */
static void find_runs(const lmn_hlast_plan *p, int64_t per_line, int64_t *at)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t run = run_elems(p), line = neighbours(g);
    const int64_t per_row = g->kernel[2] * g->c_in / line;
    for (int64_t ky = 0; ky < g->kernel[1]; ky++)
        for (int64_t q = 0; q < per_row; q++)
            for (int64_t i = 0; i < line; i += run)
                *at++ = ky * g->dilation[1] * per_line + q * g->dilation[2] * g->c_in + i;
}

void lmn_hlast_lines_chunk(const lmn_hlast_plan *p, const lmn_hlast_args *args, int64_t chunk,
                           void *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const lmn_hlast_lines *d = &p->direct;
    const lmn_hgemm_row *row = p->gemm.row;
    const int64_t block = chunk / d->n_blocks, j = chunk % d->n_blocks * d->columns;
    const int64_t image = block / d->blocks, line = block % d->blocks * d->lines;
    const int64_t k = g->kernel[1] * g->kernel[2] * g->c_in, run = run_elems(p);
    const uint16_t *x = args->x + image * g->in[1] * g->in[2] * g->c_in;
    int64_t *at = scratch, per_line = d->width * g->c_in;
    const int64_t first = line * g->stride[1] - g->pad[1];
    if (in_place(p)) {
        per_line = g->in[2] * g->c_in;
        x += first * per_line;
    } else {
        uint16_t *lines =
            (uint16_t *)scratch + lmn_align_up((size_t)(k / run) * sizeof *at, 64) / sizeof *lines;
        bring_lines(p, x, first, lines);
        x = lines;
    }
    find_runs(p, per_line, at);
    const int64_t out = (image * g->out[1] + line) * g->out[2] * g->c_out + j;
    const lmn_hgemm_head head = {.col = args->bias ? args->bias + j : NULL,
                                 .lo = args->clipped ? args->lo : -INFINITY,
                                 .hi = args->clipped ? args->hi : INFINITY,
                                 .silu = args->silu,
                                 .out = args->y + out,
                                 .add = args->add ? args->add + out : NULL,
                                 .out_ld = g->c_out};
    const int64_t panel = lmn_hgemm_panel_elems(row, k);
    row->lines(&(lmn_hgemm_lines){.a = x,
                                  .line = g->stride[1] * per_line,
                                  .step = g->stride[2] * g->c_in,
                                  .width = g->out[2],
                                  .n_lines = lmn_min_i64(d->lines, g->out[1] - line),
                                  .at = at,
                                  .run = run,
                                  .b = args->w + j / row->nr * panel,
                                  .b_panel = panel,
                                  .n = lmn_min_i64(d->columns, g->c_out - j),
                                  .k = k,
                                  .b_far = k * g->c_out * (int64_t)sizeof *args->w > FAR_BYTES,
                                  .head = &head});
}
