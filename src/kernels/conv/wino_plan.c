/*
 * Winograd's convolution in chunks: (image, some tile rows, some output channels). A chunk brings
 * its input into 36 planes V, multiplies each by the filters' plane U, and turns the 36 planes of
 * results into pixels. All filters are transformed first, once a call: kept, they would be four
 * times the weights, and it costs 5 to 20 % of what is saved.
 */
#include "kernels/conv/wino_plan.h"

#include "kernels/conv/wino.h"
#include "kernels/gemm/gemm.h"

enum {
    SKEW = 16,         /* elements between planes, so that 36 stores meet 36 cache sets */
    PREPARE_ROWS = 16, /* output channels whose filters one chunk transforms */
    FEW_CHANNELS = 16, /* fewer of either make the transforms dearer than the products */
    WANT_CHUNKS = 4
};
static const int64_t most_bytes = 1200 << 10; /* V and M of a chunk, about L2 */
/* What transforms cost, in multiply-adds: a channel of a tile, and a filter. */
static const int64_t tile_madds = 150, filter_madds = 700;

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}
/* Columns the gemm kernel is busy with for n tiles. */
static int64_t busy_columns(int64_t n)
{
    return n % 16 > 0 && n % 16 <= 8 ? n / 16 * 16 + 8 : ceil_div(n, 16) * 16;
}
static int64_t row_step(int64_t n_tiles)
{
    return ceil_div(n_tiles, 16) * 16 + LMN_WINO_SLACK;
}
static int64_t v_step(const lmn_conv_plan *p)
{
    return p->k * row_step(p->nc * p->tiles) + SKEW;
}
static int64_t m_step(const lmn_conv_plan *p)
{
    return p->mc * row_step(p->nc * p->tiles) + SKEW;
}
/* U is [output channel][position][input channel]: a filter's 36 stores then stay close, which is
   faster than 36 planes apart. */
static int64_t u_row(const lmn_conv_plan *p)
{
    return LMN_WINO_POS * p->k + SKEW;
}

/* Tile rows of a chunk: as many as fit, the kernel's columns well filled. */
static int64_t choose_rows(const lmn_conv_plan *p, int64_t all)
{
    int64_t best = 1;
    for (int64_t r = 2; r <= all; r++) {
        const int64_t n = r * p->tiles, b = best * p->tiles;
        if (LMN_WINO_POS * 4 * (p->k + p->m) * n > most_bytes) break;
        if (n * busy_columns(b) >= b * busy_columns(n)) best = r;
    }
    return best;
}

bool lmn_wino_plan(lmn_conv_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    if (p->set->gemm_f32->head.isa == 0 || g->groups != 1 || g->in[0] != 1 || g->out[0] != 1)
        return false;
    if (g->kernel[0] != 1 || g->pad[0] != 0 || g->kernel[1] != 3 || g->kernel[2] != 3) return false;
    for (int i = 1; i < 3; i++)
        if (g->stride[i] != 1 || g->dilation[i] != 1) return false;
    if (g->c_in < FEW_CHANNELS || g->c_out < FEW_CHANNELS) return false;
    const int64_t all = ceil_div(g->out[1], 4);
    p->k = g->c_in, p->tiles = ceil_div(g->out[2], 4);
    p->nc = choose_rows(p, all), p->n_blocks = ceil_div(all, p->nc);
    const int64_t busy = p->n_blocks * busy_columns(p->nc * p->tiles);
    const double both = (double)g->c_in * (double)g->c_out, n = (double)g->n;
    const double wino = both * (double)(LMN_WINO_POS * busy) * n +
                        (double)(tile_madds * (g->c_in + g->c_out)) * (double)(all * p->tiles) * n +
                        both * (double)filter_madds;
    if (wino > 0.8 * both * 9.0 * (double)p->pixels * n) return false;
    p->m_blocks = p->n_blocks * g->n < WANT_CHUNKS && p->m >= 128 ? 2 : 1;
    p->mc = ceil_div(ceil_div(p->m, p->m_blocks), 8) * 8;
    p->n_chunks = g->n * p->n_blocks * p->m_blocks;
    p->n_prepare = ceil_div(p->m, PREPARE_ROWS);
    p->shared_bytes = (size_t)(p->m * u_row(p)) * sizeof(float);
    p->scratch_bytes = (size_t)(LMN_WINO_POS * (v_step(p) + m_step(p))) * sizeof(float);
    return true;
}

void lmn_wino_prepare(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t chunk)
{
    const int64_t end = lmn_min_i64((chunk + 1) * PREPARE_ROWS, p->m);
    for (int64_t co = chunk * PREPARE_ROWS; co < end; co++)
        p->set->wino_f32->weights(args->shared + co * u_row(p), p->k, args->w + co * p->k * 9,
                                  p->k);
}

void lmn_wino_chunk(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t chunk,
                    float *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t mb = chunk % p->m_blocks, nb = chunk / p->m_blocks % p->n_blocks;
    const int64_t image = chunk / p->m_blocks / p->n_blocks, co = mb * p->mc, row = nb * p->nc;
    const int64_t m = lmn_min_i64(p->mc, p->m - co);
    const int64_t n_rows = lmn_min_i64(p->nc, ceil_div(g->out[1], 4) - row);
    float *v = scratch, *prod = scratch + LMN_WINO_POS * v_step(p);
    if (m <= 0 || n_rows <= 0) return;
    const int64_t ld = row_step(p->nc * p->tiles);
    const lmn_wino_input in = {.x = args->x + image * p->k * g->in[1] * g->in[2],
                               .in_h = g->in[1],
                               .in_w = g->in[2],
                               .pad_y = g->pad[1],
                               .pad_x = g->pad[2],
                               .n_c = p->k,
                               .row = row,
                               .n_rows = n_rows,
                               .tiles = p->tiles,
                               .v = v,
                               .ld = ld,
                               .step = v_step(p)};
    p->set->wino_f32->input(&in);
    for (int64_t q = 0; q < LMN_WINO_POS; q++) {
        const lmn_gemm_block t = {.a = args->shared + co * u_row(p) + q * p->k,
                                  .lda = u_row(p),
                                  .b = v + q * v_step(p),
                                  .ldb = ld,
                                  .b_panel = p->set->gemm_f32->nr,
                                  .c = prod + q * m_step(p),
                                  .ldc = ld,
                                  .m = m,
                                  .n = n_rows * p->tiles,
                                  .k = p->k};
        p->set->gemm_f32->block(&t);
    }
    const int64_t pixel = row * 4 * g->out[2];
    const int64_t h = lmn_min_i64(n_rows * 4, g->out[1] - row * 4);
    for (int64_t i = 0; i < m; i++) {
        float *y = args->y + (image * p->m + co + i) * p->pixels + pixel;
        const lmn_wino_output out = {.m = prod + i * ld,
                                     .step = m_step(p),
                                     .y = y,
                                     .h = h,
                                     .w = g->out[2],
                                     .n_rows = n_rows,
                                     .tiles = p->tiles};
        p->set->wino_f32->output(&out);
        const lmn_epi_block e = {y, p->pixels, co + i, pixel, 1, h * g->out[2], image};
        if (args->epi) p->set->gemm_f32->epi(args->epi, &e);
    }
}
