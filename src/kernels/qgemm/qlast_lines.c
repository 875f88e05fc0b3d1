/*
 * 8-bit convolutions with their channels last on a row that reads windows where they lie (qgemm.h):
 * a chunk copies its lines of input once, with the padding around them, and every group of a line
 * of taps is an offset there. Same bits as copied windows.
 */
#include "kernels/qgemm/qlast_plan.h"

#include <string.h>

/* Fewest outputs of a tile (of fewer, panels would pass too often); packed weights from beyond L2.
 */
enum { LEAST_ROWS = 10, FAR_BYTES = 1 << 20 };

static bool takes(const lmn_qgemm_row *row, const lmn_conv_geom *g)
{
    const bool flat = g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0;
    return row->lines && row->signs && flat && g->kernel[1] * g->kernel[2] > 1 &&
           g->dilation[2] == 1 && g->kernel[2] * g->c_in % row->group == 0 &&
           g->n * g->c_out * lmn_conv_volume(g->out) > 0 &&
           lmn_conv_line_rows(g->out[2]) >= LEAST_ROWS;
}

/* What a worker's scratch holds. */
typedef struct parts {
    int64_t *at;
    int32_t *add, *none; /* of columns; of rows */
    float *mul;
    uint8_t *lines;
} parts;

static void *take(uint8_t *base, size_t *used, int64_t bytes)
{
    uint8_t *at = base ? base + *used : NULL;
    *used += lmn_align_up((size_t)bytes, 64);
    return at;
}

/* Lay the parts out from `base`; with NULL only the size counts. */
static size_t lay_out(const lmn_qlast_plan *p, uint8_t *base, parts *s)
{
    const lmn_conv_geom *g = &p->g;
    const lmn_conv_cut *d = &p->windows;
    size_t used = 0;
    s->at = take(base, &used, g->kernel[1] * g->kernel[2] * g->c_in / p->gemm.row->group * 8);
    s->add = take(base, &used, d->columns * 4);
    s->mul = take(base, &used, d->columns * 4);
    s->none = take(base, &used, d->lines * d->span * 4);
    s->lines = take(base, &used, d->n_in * d->width * g->c_in);
    return used;
}

bool lmn_qlast_lines_make(const lmn_qgemm_row *row, lmn_qlast_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    if (!takes(row, g)) return false;
    p->gemm.row = row;
    const int64_t k = g->kernel[1] * g->kernel[2] * g->c_in;
    p->n_chunks = lmn_conv_cut_make(g, row->nr, false, k, 0, &p->windows);
    parts none;
    p->scratch_bytes = lay_out(p, NULL, &none);
    return true;
}

/* Lines from `first` on of the padded image, from byte `at` of the image's on. */
static void bring_lines(const lmn_qlast_plan *p, const lmn_qconv_args *args, const uint8_t *image,
                        int64_t first, int64_t at, uint8_t *dst)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t width = g->in[2] * g->c_in, len = p->windows.width * g->c_in;
    const uint8_t pad = (uint8_t)args->x_zp;
    const int64_t lo = lmn_min_i64(len, lmn_max_i64(0, -at));
    const int64_t hi = lmn_max_i64(lo, lmn_min_i64(len, width - at));
    for (int64_t i = 0; i < p->windows.n_in; i++, dst += len) {
        const int64_t y = first + i;
        if (y < 0 || y >= g->in[1]) {
            memset(dst, pad, (size_t)len);
            continue;
        }
        memset(dst, pad, (size_t)lo);
        if (hi > lo) memcpy(dst + lo, image + y * width + at + lo, (size_t)(hi - lo));
        memset(dst + hi, pad, (size_t)(len - hi));
    }
}

/* Terms and factors of n columns from j on, as the qgemm driver has them. */
static void column_terms(const lmn_qconv_args *args, const int32_t *sums, int64_t j, int64_t n,
                         const parts *s)
{
    const uint32_t za = (uint32_t)args->x_zp;
    for (int64_t i = 0; i < n; i++) {
        const uint32_t bias = args->bias ? (uint32_t)args->bias[j + i] : 0;
        s->add[i] = (int32_t)(bias - za * (uint32_t)sums[j + i]);
        s->mul[i] = args->muls ? args->muls[j + i] : args->mul;
    }
}

void lmn_qlast_lines_chunk(const lmn_qlast_plan *p, const lmn_qconv_args *args, int64_t chunk,
                           void *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const lmn_conv_cut *d = &p->windows;
    const lmn_qgemm_row *row = p->gemm.row;
    const lmn_conv_part part = lmn_conv_cut_part(g, d, chunk);
    const int64_t k = g->kernel[1] * g->kernel[2] * g->c_in, per_line = d->width * g->c_in;
    const int64_t j = part.j, step = g->stride[2] * g->c_in;
    const int64_t panel = k * row->nr * row->b_bytes;
    const int64_t panels = lmn_ceil_div_i64(g->c_out, row->nr) * panel;
    parts s;
    (void)lay_out(p, scratch, &s);
    int64_t *at = s.at;
    for (int64_t ky = 0; ky < g->kernel[1]; ky++)
        for (int64_t i = 0; i < g->kernel[2] * g->c_in; i += row->group)
            *at++ = ky * g->dilation[1] * per_line + i;
    bring_lines(p, args, args->x + part.image * g->in[1] * g->in[2] * g->c_in,
                part.line * g->stride[1] - g->pad[1], part.o * step - g->pad[2] * g->c_in, s.lines);
    column_terms(args, (const int32_t *)(const void *)(args->w + panels), j, part.n, &s);
    memset(s.none, 0, (size_t)(d->lines * d->span) * sizeof *s.none);
    const int64_t line = part.image * g->out[1] + part.line;
    const int64_t out = (line * g->out[2] + part.o) * g->c_out + j;
    row->lines(&(lmn_qgemm_lines){.a = s.lines,
                                  .line = g->stride[1] * per_line,
                                  .step = step,
                                  .width = part.n_o,
                                  .n_lines = part.n_lines,
                                  .at = s.at,
                                  .b = args->w + j / row->nr * panel,
                                  .b_panel = panel,
                                  .n = part.n,
                                  .k = k,
                                  .b_far = panels > FAR_BYTES,
                                  .a_signed = args->x_signed,
                                  .end = {.row_add = s.none,
                                          .col_add = s.add,
                                          .out = LMN_QGEMM_BYTES,
                                          .col_mul = s.mul,
                                          .div = 1.0f,
                                          .zp = args->zp,
                                          .lo = args->lo,
                                          .hi = args->hi,
                                          .c = (uint8_t *)args->y + out,
                                          .ldc = g->c_out}});
}
