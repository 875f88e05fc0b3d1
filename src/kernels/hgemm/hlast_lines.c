/*
 * Convolutions with their channels last on rows that read windows where they lie (hgemm.h): a chunk
 * copies its lines of input once, with the padding around them, and every run of taps is an offset
 * there. Without padding the lines of the image itself are read, where no more is read than there
 * is. A line of taps that ends within a group goes on into its neighbours, which meet weights of 0:
 * where one of those is no number, windows of lines are copied apart. Same bits as copied windows.
 */
#include "kernels/hgemm/hlast_plan.h"

#include <math.h>

/* Fewest outputs of a tile (of fewer, panels would pass too often); packed weights from beyond L2.
 */
enum { LEAST_ROWS = 10, FAR_BYTES = 1 << 20, PAIR = 2 };
static const int64_t most_madds = 320 << 20; /* of a chunk, as in hgemm_cut.c */

static bool takes(const lmn_hgemm_row *row, const lmn_conv_geom *g)
{
    const bool flat = g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0;
    if (!row->lines || !flat || g->n * g->c_out * lmn_conv_volume(g->out) == 0) return false;
    const int64_t taps = g->kernel[1] * g->kernel[2];
    if (row->group == PAIR)
        return taps > 1 || g->stride[1] > 1 || g->stride[2] > 1 || g->in[1] != g->out[1] ||
               g->in[2] != g->out[2];
    const bool strides = g->stride[1] > 1 || g->stride[2] > 1;
    return g->dilation[2] == 1 && lmn_conv_line_rows(g->out[2]) >= LEAST_ROWS &&
           (taps > 1 || (strides && g->c_in % row->group == 0));
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

/* Elements of k of a line of taps, and those that are taps. */
static int64_t line_elems(const lmn_hlast_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    return lmn_hlast_line_elems(p->gemm.row, g->c_in, g->kernel[1] * g->kernel[2], g->kernel[2]);
}
static int64_t line_taps(const lmn_hlast_plan *p)
{
    return p->g.kernel[2] * p->g.c_in;
}

/* Are windows read in the image itself? */
static bool in_place(const lmn_hlast_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    for (int i = 1; i < 3; i++)
        if (g->pad[i] || lmn_conv_at(g, i, g->out[i] - 1, g->kernel[i] - 1) >= g->in[i])
            return false;
    const int64_t span = p->direct.span, last = g->out[2] - (p->direct.spans - 1) * span;
    return p->gemm.row->group == PAIR ||
           (line_elems(p) == line_taps(p) && lmn_conv_line_read(span) == span &&
            lmn_conv_line_read(last) == last);
}

/* Outputs of a line that are read for n. */
static int64_t read_outputs(const lmn_hlast_plan *p, int64_t n)
{
    return lmn_conv_cut_read(n, p->gemm.row->group == PAIR);
}

/* Elements of the lines that are copied, with what is read behind them; of windows of lines apart.
 */
static int64_t copied_elems(const lmn_hlast_plan *p)
{
    const lmn_conv_cut *d = &p->direct;
    return in_place(p) ? 0 : d->n_in * d->width * p->g.c_in + line_elems(p) - line_taps(p);
}
static int64_t apart_elems(const lmn_hlast_plan *p)
{
    return line_elems(p) == line_taps(p)
               ? 0
               : p->direct.n_in * read_outputs(p, p->direct.span) * line_elems(p);
}

/* Bytes of the places of runs. */
static size_t find_bytes(const lmn_hlast_plan *p)
{
    const int64_t runs = lmn_hlast_k(p->gemm.row, &p->g) / run_elems(p);
    return lmn_align_up((size_t)runs * sizeof(int64_t), 64);
}

bool lmn_hlast_lines_make(const lmn_hgemm_row *row, lmn_hlast_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    if (!takes(row, g)) return false;
    const bool pairs = row->group == PAIR;
    p->gemm.row = row;
    p->n_chunks = lmn_conv_cut_make(g, row->nr, pairs, lmn_hlast_k(row, g), pairs ? most_madds : 0,
                                    &p->direct);
    p->scratch_bytes =
        find_bytes(p) + (size_t)(copied_elems(p) + apart_elems(p)) * sizeof(uint16_t);
    return true;
}

/* Lines from `first` on of the padded image, from element `at` of the image's on; what is not there
   is 0. */
static void bring_lines(const lmn_hlast_plan *p, const uint16_t *image, int64_t first, int64_t at,
                        uint16_t *dst)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t width = g->in[2] * g->c_in, len = p->direct.width * g->c_in;
    for (int64_t i = 0; i < p->direct.n_in; i++, dst += len) {
        const int64_t y = first + i;
        const bool inside = y >= 0 && y < g->in[1];
        lmn_hlast_copy_line(dst, image + (inside ? y * width : 0), at, len, inside ? width : 0);
    }
}

typedef uint16_t eight __attribute__((vector_size(16)));

/* Is there an infinity or NaN? */
static bool any_not_finite(const uint16_t *x, int64_t n)
{
    enum { EXPONENT = 0x7f80, LANES = 8, AT_ONCE = 4 };
    const eight all = (eight){0} + EXPONENT;
    eight found[AT_ONCE] = {{0}}, v;
    int64_t i = 0;
    for (; i + AT_ONCE * LANES <= n; i += AT_ONCE * LANES)
        for (int64_t q = 0; q < AT_ONCE; q++) {
            memcpy(&v, x + i + q * LANES, sizeof v);
            found[q] |= (eight)((v & all) == all);
        }
    bool any = false;
    for (; i < n; i++) any = any || (x[i] & EXPONENT) == EXPONENT;
    v = found[0] | found[1] | found[2] | found[3];
    for (int l = 0; l < LANES; l++) any = any || v[l];
    return any;
}

/* `read` windows of each copied line, each ended by zeros. */
static void set_apart(const lmn_hlast_plan *p, const uint16_t *lines, int64_t read, uint16_t *dst)
{
    const int64_t n = line_elems(p), taps = line_taps(p), step = p->g.stride[2] * p->g.c_in;
    for (int64_t i = 0; i < p->direct.n_in; i++, lines += p->direct.width * p->g.c_in)
        for (int64_t o = 0; o < read; o++, dst += n)
            lmn_hlast_copy_line(dst, lines + o * step, 0, n, taps);
}

/* Where the runs of a window begin, of lines per_line apart. */
static void find_runs(const lmn_hlast_plan *p, int64_t per_line, int64_t *at)
{
    const lmn_conv_geom *g = &p->g;
    const bool joined = g->dilation[2] == 1;
    const int64_t run = run_elems(p), line = joined ? line_elems(p) : g->c_in;
    const int64_t per_row = joined ? 1 : g->kernel[2];
    for (int64_t ky = 0; ky < g->kernel[1]; ky++)
        for (int64_t q = 0; q < per_row; q++)
            for (int64_t i = 0; i < line; i += run)
                *at++ = ky * g->dilation[1] * per_line + q * g->dilation[2] * g->c_in + i;
}

/* What a chunk reads. */
typedef struct source {
    const uint16_t *x;
    int64_t per_line, step; /* elements from line to line, from output to output */
} source;

static source source_of(const lmn_hlast_plan *p, const uint16_t *x, const lmn_conv_part *part,
                        uint16_t *room)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t copied = copied_elems(p), n = line_elems(p), past = n - line_taps(p);
    const int64_t step = g->stride[2] * g->c_in, width = g->in[2] * g->c_in;
    const int64_t first = part->line * g->stride[1] - g->pad[1];
    const uint16_t *image = x + part->image * g->in[1] * width;
    if (!copied) return (source){image + first * width + part->o * step, width, step};
    bring_lines(p, image, first, part->o * step - g->pad[2] * g->c_in, room);
    memset(room + copied - past, 0, (size_t)past * sizeof *room);
    if (!past || !any_not_finite(room, copied))
        return (source){room, p->direct.width * g->c_in, step};
    const int64_t read = read_outputs(p, part->n_o);
    set_apart(p, room, read, room + copied);
    return (source){room + copied, read * n, n};
}

void lmn_hlast_lines_chunk(const lmn_hlast_plan *p, const lmn_hlast_args *args, int64_t chunk,
                           void *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const lmn_hgemm_row *row = p->gemm.row;
    const lmn_conv_part part = lmn_conv_cut_part(g, &p->direct, chunk);
    const int64_t k = lmn_hlast_k(row, g), run = run_elems(p), j = part.j;
    int64_t *at = scratch;
    uint16_t *room = (uint16_t *)scratch + (find_bytes(p) / sizeof *room);
    const source from = source_of(p, args->x, &part, room);
    find_runs(p, from.per_line, at);
    const int64_t line = part.image * g->out[1] + part.line;
    const int64_t out = (line * g->out[2] + part.o) * g->c_out + j;
    const lmn_hgemm_head head = {.col = args->bias ? args->bias + j : NULL,
                                 .lo = args->clipped ? args->lo : -INFINITY,
                                 .hi = args->clipped ? args->hi : INFINITY,
                                 .act = args->silu ? LMN_EPI_SILU : 0,
                                 .out = args->y + out,
                                 .add = args->add ? args->add + out : NULL,
                                 .out_ld = g->c_out};
    const int64_t panel = lmn_hgemm_panel_elems(row, k);
    row->lines(&(lmn_hgemm_lines){.a = from.x,
                                  .line = g->stride[1] * from.per_line,
                                  .step = from.step,
                                  .width = part.n_o,
                                  .n_lines = part.n_lines,
                                  .at = at,
                                  .run = run,
                                  .b = args->w + j / row->nr * panel,
                                  .b_panel = panel,
                                  .n = part.n,
                                  .k = k,
                                  .b_far = k * g->c_out * (int64_t)sizeof *args->w > FAR_BYTES,
                                  .head = &head});
}
