/*
 * Winograd's convolution in chunks: (image, some tile rows, some output channels). A chunk has its
 * input as 36 planes V and its filters as 36 planes U, multiplies plane by plane, and turns the 36
 * planes of results into pixels. One of the two is made by the preparation for all chunks: V of the
 * whole image when that is small and filters are many, so that U never leaves L2, else U. Nothing
 * is kept between calls: U of all filters would be four times the weights.
 */
#include "kernels/conv/wino_plan.h"

#include "kernels/conv/wino.h"
#include "kernels/gemm/gemm.h"

enum {
    SKEW = 16,         /* elements between planes, so that 36 stores meet 36 cache sets */
    PREPARE_ROWS = 16, /* channels of one chunk of the preparation */
    FEW_CHANNELS = 16, /* fewer of either make the transforms dearer than the products */
    FEW_IMAGES = 4,    /* so many share the filters' transform */
    FEW_BLOCKS = 8,    /* a thread with so many has little to lose by one */
    M_LEAST = 64,      /* output channels of a chunk that are worth V again ... */
    U_LEAST = 16       /* ... and where V is there */
};
static const int64_t most_bytes = 1200 << 10; /* V and M of a chunk, or V of an image: about L2 */
static const int64_t most_block = 768 << 10;  /* U and M of a chunk beside V */
/* What transforms cost, in multiply-adds: a channel of a tile, and a filter. */
static const int64_t tile_madds = 150, filter_madds = 300;

/* Columns the gemm kernel is busy with for n tiles. */
static int64_t busy_columns(int64_t n)
{
    return n % 16 > 0 && n % 16 <= 8 ? n / 16 * 16 + 8 : lmn_ceil_div_i64(n, 16) * 16;
}
/* Elements of a row of V or M. */
static int64_t row_step(const lmn_conv_plan *p)
{
    return lmn_round_up_i64(lmn_wino_ld(p->nc * p->tiles, p->tiles), 16);
}
static int64_t v_step(const lmn_conv_plan *p)
{
    return p->k * row_step(p) + SKEW;
}
static int64_t m_step(const lmn_conv_plan *p)
{
    return p->mc * row_step(p) + SKEW;
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

/* Few tiles in a row become 4 or 8, so that the transforms fill their vectors with several rows, if
   that costs the products nothing. */
static void fill_rows(lmn_conv_plan *p)
{
    const int64_t tiles = p->tiles <= 4 ? 4 : 8;
    if (p->tiles <= 8 && busy_columns(p->nc * tiles) <= busy_columns(p->nc * p->tiles))
        p->tiles = tiles;
}

/* Threads that share few blocks of tile rows get equally many: of three, two threads would leave
   one idle for as long as one takes. */
static void share_rows(lmn_conv_plan *p, int64_t all)
{
    const int32_t threads = lmn_conv_threads(&p->g);
    if (p->n_blocks * p->g.n >= FEW_BLOCKS * threads) return;
    p->n_blocks = lmn_min_i64(all, lmn_round_up_i64(p->n_blocks, threads));
    p->nc = lmn_ceil_div_i64(all, p->n_blocks);
}

/* Worth it at all: 3x3, stride 1, channels enough, fewer multiplications with all costs counted. */
static bool fits(const lmn_conv_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    if (p->set->gemm_f32->head.isa == 0 || g->groups != 1 || g->in[0] != 1 || g->out[0] != 1)
        return false;
    if (g->kernel[0] != 1 || g->pad[0] != 0 || g->kernel[1] != 3 || g->kernel[2] != 3) return false;
    for (int i = 1; i < 3; i++)
        if (g->stride[i] != 1 || g->dilation[i] != 1) return false;
    return g->c_in >= FEW_CHANNELS && g->c_out >= FEW_CHANNELS;
}

static bool pays(const lmn_conv_plan *p, int64_t all)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t busy = p->n_blocks * busy_columns(p->nc * p->tiles);
    const double both = (double)g->c_in * (double)g->c_out, n = (double)g->n;
    const double products = both * (double)(LMN_WINO_POS * busy) * n;
    const double tiles = (double)(tile_madds * (g->c_in + g->c_out)) * (double)(all * p->tiles) * n;
    const double filters = both * (double)filter_madds * (p->v_first ? n : 1.0);
    return products + tiles + filters < 0.8 * both * 9.0 * (double)p->pixels * n;
}

/* Chunks of the way and the tile rows that stand in the plan. */
static void cut(lmn_conv_plan *p, int64_t mc)
{
    const int64_t a_row = LMN_WINO_POS * 4 * (p->k + row_step(p));
    const int32_t threads = lmn_conv_threads(&p->g);
    const int64_t want = threads > 1 ? lmn_ceil_div_i64(4 * threads, p->n_blocks * p->g.n) : 1;
    const int64_t most = lmn_max_i64(1, p->m / (p->v_first ? U_LEAST : M_LEAST));
    p->m_blocks = lmn_min_i64(want, most);
    if (p->v_first)
        p->m_blocks = lmn_max_i64(
            p->m_blocks, lmn_ceil_div_i64(p->m, lmn_max_i64(1, most_block / a_row / 8) * 8));
    if (mc) p->m_blocks = lmn_ceil_div_i64(p->m, mc);
    p->mc = lmn_ceil_div_i64(lmn_ceil_div_i64(p->m, p->m_blocks), 8) * 8;
    p->n_chunks = p->g.n * p->n_blocks * p->m_blocks;
    const int64_t v = LMN_WINO_POS * v_step(p), m = LMN_WINO_POS * m_step(p);
    p->n_prepare = p->v_first ? p->g.n * lmn_ceil_div_i64(p->k, PREPARE_ROWS)
                              : lmn_ceil_div_i64(p->m, PREPARE_ROWS);
    const int64_t shared = p->v_first ? p->g.n * v : p->m * u_row(p);
    const int64_t own = m + (p->v_first ? p->mc * u_row(p) : v);
    p->shared_bytes = (size_t)shared * sizeof(float);
    p->scratch_bytes = (size_t)own * sizeof(float);
}

bool lmn_wino_plan(lmn_conv_plan *p, const lmn_choice *c)
{
    if (!fits(p)) return false;
    const int64_t all = lmn_ceil_div_i64(p->g.out[1], 4);
    p->k = p->g.c_in, p->tiles = lmn_ceil_div_i64(p->g.out[2], 4);
    p->v_first = p->g.n < FEW_IMAGES && LMN_WINO_POS * 4 * p->k * all * p->tiles <= most_bytes;
    if (c->path != LMN_CHOICE_RULE) p->v_first = c->path == LMN_CHOICE_WINO_V;
    p->nc = p->v_first ? all : choose_rows(p, all);
    p->n_blocks = lmn_ceil_div_i64(all, p->nc);
    if (c->path == LMN_CHOICE_RULE && !pays(p, all)) return false;
    if (c->mc % 8 || c->kc || (p->v_first && c->nc)) return false;
    if (c->nc) p->nc = lmn_min_i64(c->nc, all);
    p->n_blocks = lmn_ceil_div_i64(all, p->nc);
    if (!c->nc && !p->v_first) share_rows(p, all);
    fill_rows(p);
    cut(p, c->mc);
    return true;
}

/* Filters of output channels [co, co + n) to u. */
static void bring_filters(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t co, int64_t n,
                          float *u)
{
    for (int64_t i = 0; i < n; i++)
        p->set->wino_f32->weights(u + i * u_row(p), p->k, args->w + (co + i) * p->k * 9, p->k);
}

/* The input of one image from channel c on, into v, whose planes hold all channels. Channels and
   tile rows are the caller's to add. */
static lmn_wino_input input_of(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t image,
                               int64_t c, float *v)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t ld = row_step(p);
    return (lmn_wino_input){.x = args->x + (image * p->k + c) * g->in[1] * g->in[2],
                            .in_h = g->in[1],
                            .in_w = g->in[2],
                            .pad_y = g->pad[1],
                            .pad_x = g->pad[2],
                            .tiles = p->tiles,
                            .v = v + c * ld,
                            .ld = ld,
                            .step = v_step(p)};
}

void lmn_wino_prepare(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t chunk)
{
    if (!p->v_first) {
        const int64_t co = chunk * PREPARE_ROWS;
        bring_filters(p, args, co, lmn_min_i64(PREPARE_ROWS, p->m - co),
                      args->shared + co * u_row(p));
        return;
    }
    const int64_t per_image = lmn_ceil_div_i64(p->k, PREPARE_ROWS), image = chunk / per_image;
    const int64_t c = chunk % per_image * PREPARE_ROWS;
    lmn_wino_input in =
        input_of(p, args, image, c, args->shared + image * LMN_WINO_POS * v_step(p));
    in.n_c = lmn_min_i64(PREPARE_ROWS, p->k - c), in.n_rows = p->nc;
    p->set->wino_f32->input(&in);
}

/* The 36 products of m output channels and n tiles. */
static void multiply(const lmn_conv_plan *p, const float *u, const float *v, float *prod, int64_t m,
                     int64_t n)
{
    const int64_t ld = row_step(p);
    lmn_gemm_block t = {.lda = u_row(p), .ldb = ld, .ldc = ld, .m = m, .n = n, .k = p->k};
    t.b_panel = p->set->gemm_f32->nr;
    for (int64_t q = 0; q < LMN_WINO_POS; q++) {
        t.a = u + q * p->k, t.b = v + q * v_step(p), t.c = prod + q * m_step(p);
        p->set->gemm_f32->block(&t);
    }
}

void lmn_wino_chunk(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t chunk,
                    float *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t mb = chunk % p->m_blocks, nb = chunk / p->m_blocks % p->n_blocks;
    const int64_t image = chunk / p->m_blocks / p->n_blocks, co = mb * p->mc;
    const int64_t m = lmn_min_i64(p->mc, p->m - co), all = lmn_ceil_div_i64(g->out[1], 4);
    /* Even blocks, at most nc rows each: threads that share them end together. */
    const int64_t row = all * nb / p->n_blocks, n_rows = all * (nb + 1) / p->n_blocks - row;
    if (m <= 0 || n_rows <= 0) return;
    float *u = p->v_first ? scratch : args->shared + co * u_row(p);
    float *v = p->v_first ? args->shared + image * LMN_WINO_POS * v_step(p) : scratch;
    float *prod = scratch + (p->v_first ? p->mc * u_row(p) : LMN_WINO_POS * v_step(p));
    if (p->v_first) {
        bring_filters(p, args, co, m, u);
    } else {
        lmn_wino_input in = input_of(p, args, image, 0, v);
        in.n_c = p->k, in.row = row, in.n_rows = n_rows;
        p->set->wino_f32->input(&in);
    }
    multiply(p, u, v, prod, m, n_rows * p->tiles);
    const int64_t pixel = row * 4 * g->out[2], ld = row_step(p);
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
