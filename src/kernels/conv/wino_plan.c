/*
 * Winograd's convolution in chunks: (image, some tile rows, some output channels). A chunk has its
 * input as 36 planes V and its filters as 36 planes U, multiplies plane by plane, and turns the 36
 * planes of results into pixels. One of the two is made by the preparation for all chunks: V of the
 * whole image when that is small and filters are many, so that U never leaves L2, else U. Nothing
 * is kept between calls: U of all filters would be four times the weights.
 */
#include "kernels/conv/wino_plan.h"

#include "kernels/conv/conv_fetch.h"
#include "kernels/conv/im2col.h"
#include "kernels/conv/wino.h"
#include "kernels/gemm/gemm.h"

enum {
    SKEW = 16,         /* elements between planes, so that 36 stores meet 36 cache sets */
    PREPARE_ROWS = 16, /* channels of one chunk of the preparation */
    FEW_CHANNELS = 16, /* fewer of either make the transforms dearer than the products */
    FEW_IMAGES = 4,    /* so many share the filters' transform */
    FEW_BLOCKS = 8,    /* a thread with so many has little to lose by one */
    M_LEAST = 64,      /* output channels of a chunk that are worth V again ... */
    U_LEAST = 16,      /* ... and where V is there */
    U_WIDE = 32        /* those on Zen 5 where L2 does not even hold U_LEAST of them */
};
static const int64_t most_bytes = 1200 << 10; /* V and M of a chunk, or V of an image: about L2 */
static const int64_t most_block = 768 << 10;  /* U and M of a chunk beside V */
static const int64_t most_kept_v = 8 << 20, most_v_each = 64 << 10; /* an output channel's share */
/* What transforms cost, in multiply-adds: a channel of a tile, and a filter. */
static const int64_t tile_madds = 150, filter_madds = 300;
/* Where they are several images or planes: a filter that leaves L2, and the most bytes of V and M
   of a chunk, which come back from L3. */
static const int64_t far_filter_madds = 900, most_far_bytes = 12 << 20;

/* Columns the gemm kernel is busy with for n tiles. */
static int64_t busy_columns(int64_t n)
{
    return n % 16 > 0 && n % 16 <= 8 ? n / 16 * 16 + 8 : lmn_ceil_div_i64(n, 16) * 16;
}
/* Pixels of every step-th of n, from the first on. */
static int64_t every(int64_t n, int64_t step, int64_t first)
{
    return n <= first ? 0 : lmn_ceil_div_i64(n - first, step);
}
static bool is_dilated(const lmn_conv_geom *g)
{
    return g->dilation[1] > 1 || g->dilation[2] > 1;
}
/* Images that a dilated convolution is, or planes. */
static bool is_several(const lmn_conv_geom *g)
{
    return is_dilated(g) || g->out[0] > 1 || g->kernel[0] > 1;
}
/* Tile rows of a plane of outputs; those further on that a sum reaches, which are whole planes. */
static int64_t plane_rows(const lmn_conv_geom *g)
{
    return lmn_ceil_div_i64(every(g->out[1], g->dilation[1], 0), 4);
}
static int64_t all_rows(const lmn_conv_geom *g)
{
    return g->out[0] * plane_rows(g);
}
static int64_t rows_beyond(const lmn_conv_geom *g)
{
    return (g->kernel[0] - 1) * plane_rows(g);
}

/* Elements of a row of V or M: several parts in a row overrun each into the next. */
static int64_t row_step(const lmn_conv_plan *p, int64_t n_rows)
{
    const int64_t n = n_rows * p->tiles;
    return lmn_round_up_i64(is_several(&p->g) ? n + LMN_WINO_SLACK : lmn_wino_ld(n, p->tiles), 16);
}
static int64_t v_row(const lmn_conv_plan *p)
{
    return row_step(p, p->nc + rows_beyond(&p->g));
}
static int64_t v_step(const lmn_conv_plan *p)
{
    return p->k * v_row(p) + SKEW;
}
static int64_t m_row(const lmn_conv_plan *p)
{
    return row_step(p, p->nc);
}
static int64_t m_step(const lmn_conv_plan *p)
{
    return p->mc * m_row(p) + SKEW;
}
/* U is [output channel][position][kernel plane][input channel]: a filter's 36 stores then stay
   close, which is faster than 36 planes apart; an odd number of lines from position to position, so
   that they meet all sets. */
static int64_t u_step(const lmn_conv_plan *p)
{
    return (p->g.kernel[0] * p->k + 15) / 32 * 32 + 16;
}
static int64_t u_row(const lmn_conv_plan *p)
{
    return LMN_WINO_POS * u_step(p) + SKEW;
}
/* Pixels of a dilated convolution that a chunk deals out to be next to each other, and those of
   results: of one of the images that they are. */
static int64_t dealt_elems(const lmn_conv_plan *p)
{
    if (!is_dilated(&p->g)) return 0;
    const int64_t across = lmn_round_up_i64(every(p->g.out[2], p->g.dilation[2], 0), 4);
    return PREPARE_ROWS * (4 * p->nc + 2) * (across + 2);
}

/* Tile rows of a chunk: as many as fit, the kernel's columns well filled. */
static int64_t choose_rows(const lmn_conv_plan *p, int64_t all)
{
    int64_t best = 1;
    for (int64_t r = 2; r <= all; r++) {
        const int64_t n = r * p->tiles, b = best * p->tiles;
        const int64_t beyond = rows_beyond(&p->g) * p->tiles;
        if (LMN_WINO_POS * 4 * (p->k * (n + beyond) + p->m * n) > most_bytes) break;
        if (n * busy_columns(b) >= b * busy_columns(n)) best = r;
    }
    return lmn_max_i64(best, lmn_min_i64(all, rows_beyond(&p->g)));
}

/* Few tiles in a row become 4 or 8, so that the transforms fill their vectors with several rows, if
   that costs the products nothing. */
static void fill_rows(lmn_conv_plan *p)
{
    const int64_t tiles = p->tiles <= 4 ? 4 : 8;
    if (p->tiles <= 8 && !is_dilated(&p->g) &&
        busy_columns(p->nc * tiles) <= busy_columns(p->nc * p->tiles))
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
    if (p->set->gemm_f32->head.isa == 0 || g->groups != 1 || g->dilation[0] != 1) return false;
    if (g->kernel[1] != 3 || g->kernel[2] != 3) return false;
    if (is_dilated(g) && (g->in[0] != 1 || g->out[0] != 1 || g->kernel[0] != 1 || g->pad[0] != 0))
        return false;
    for (int i = 0; i < 3; i++) /* images without pixels only cost: there may be 2^62 of them */
        if (g->stride[i] != 1 || g->dilation[i] > g->out[i]) return false;
    return g->c_in >= FEW_CHANNELS && g->c_out >= FEW_CHANNELS;
}

/* Tiles of a tile row: every image of a dilated convolution has its own. */
static int64_t tiles_across(const lmn_conv_geom *g)
{
    int64_t tiles = 0;
    for (int64_t x = 0; x < g->dilation[2]; x++)
        tiles += lmn_ceil_div_i64(every(g->out[2], g->dilation[2], x), 4);
    return g->dilation[1] * tiles;
}
/* Tiles that the transforms are busy with for them: where they are several images or planes, a
   vector has those of one line. */
static int64_t busy_tiles(const lmn_conv_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    if (!is_several(g)) return p->tiles;
    const int64_t images = g->dilation[1] * g->dilation[2];
    return images * lmn_round_up_i64(lmn_ceil_div_i64(p->tiles, images), 16);
}

/* Does it for one image? All of a batch go the way that one goes, in the same bits. */
static bool pays(const lmn_conv_plan *p, int64_t all)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t busy = p->n_blocks * busy_columns(p->nc * p->tiles);
    const double both = (double)(g->c_in * g->kernel[0]) * (double)g->c_out;
    const double products = both * (double)(LMN_WINO_POS * busy);
    const int64_t rows_in = all + p->n_blocks * rows_beyond(g);
    const double tiles =
        (double)(tile_madds * (g->c_in * rows_in + g->c_out * all)) * (double)busy_tiles(p);
    const bool far = is_several(g) && 8 * (int64_t)sizeof(float) * u_row(p) > most_block;
    const double filters = both * (double)(far ? far_filter_madds : filter_madds);
    const int64_t held = p->k * (p->nc + rows_beyond(g)) + p->m * p->nc;
    if (is_several(g) && LMN_WINO_POS * 4 * held * p->tiles > most_far_bytes) return false;
    return products + tiles + filters < 0.8 * both * 9.0 * (double)p->pixels;
}

/* Chunks of the way and the tile rows that stand in the plan. */
static void cut(lmn_conv_plan *p, int64_t mc)
{
    const int64_t a_row = LMN_WINO_POS * 4 * (p->k * p->g.kernel[0] + m_row(p));
    const int32_t threads = lmn_conv_threads(&p->g);
    const int64_t want = threads > 1 ? lmn_ceil_div_i64(4 * threads, p->n_blocks * p->g.n) : 1;
    const int64_t most = lmn_max_i64(1, p->m / (p->v_first ? U_LEAST : M_LEAST));
    p->m_blocks = lmn_min_i64(want, most);
    int64_t fit = lmn_max_i64(1, most_block / a_row / 8) * 8;
    if (p->set->gemm_f32->wide && fit < U_LEAST) fit = U_WIDE;
    if (p->v_first) p->m_blocks = lmn_max_i64(p->m_blocks, lmn_ceil_div_i64(p->m, fit));
    if (mc) p->m_blocks = lmn_ceil_div_i64(p->m, mc);
    p->mc = lmn_ceil_div_i64(lmn_ceil_div_i64(p->m, p->m_blocks), 8) * 8;
    p->n_chunks = p->g.n * p->n_blocks * p->m_blocks;
    const int64_t v = LMN_WINO_POS * v_step(p), m = LMN_WINO_POS * m_step(p);
    p->n_prepare = p->v_first ? p->g.n * lmn_ceil_div_i64(p->k, PREPARE_ROWS)
                              : lmn_ceil_div_i64(p->m, PREPARE_ROWS);
    const int64_t shared = p->v_first ? p->g.n * v : p->m * u_row(p);
    const int64_t own = m + (p->v_first ? p->mc * u_row(p) : v) + dealt_elems(p);
    p->shared_bytes = (size_t)shared * sizeof(float);
    p->scratch_bytes = (size_t)own * sizeof(float);
}

static void cut_rows(lmn_conv_plan *p, int64_t all)
{
    p->nc = p->v_first ? all : choose_rows(p, all);
    p->n_blocks = lmn_ceil_div_i64(all, p->nc);
}

/* Zen 5 takes V of v bytes from L3 rather than U from memory. What pays is not asked again: bits
   are those of other rows. */
static bool keeps_v(const lmn_conv_plan *p, int64_t v)
{
    return p->set->gemm_f32->wide && p->g.n < FEW_IMAGES && !is_several(&p->g) &&
           v <= lmn_min_i64(most_kept_v, p->m * most_v_each);
}

bool lmn_wino_plan(lmn_conv_plan *p, const lmn_choice *c)
{
    if (!fits(p)) return false;
    const int64_t all = all_rows(&p->g);
    p->k = p->g.c_in, p->tiles = tiles_across(&p->g);
    const int64_t v = LMN_WINO_POS * 4 * p->k * (all + rows_beyond(&p->g)) * p->tiles;
    p->v_first = v <= most_bytes && !is_dilated(&p->g);
    if (c->path != LMN_CHOICE_RULE) p->v_first = c->path == LMN_CHOICE_WINO_V;
    if (p->v_first && is_dilated(&p->g)) return false;
    cut_rows(p, all);
    if (c->path == LMN_CHOICE_RULE && !pays(p, all)) return false;
    if (c->path == LMN_CHOICE_RULE && p->g.n >= FEW_IMAGES) {
        p->v_first = false;
        cut_rows(p, all);
    }
    if (c->path == LMN_CHOICE_RULE && keeps_v(p, v)) p->v_first = true, p->nc = all;
    if (c->mc % 8 || c->kc || (p->v_first && c->nc)) return false;
    if (c->nc) p->nc = lmn_min_i64(c->nc, all);
    p->n_blocks = lmn_ceil_div_i64(all, p->nc);
    if (!c->nc && !p->v_first) share_rows(p, all);
    fill_rows(p);
    cut(p, c->mc);
    return true;
}

/* Filters of output channels [co, co + n) to u, those of several planes plane by plane. */
static void bring_filters(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t co, int64_t n,
                          float *u)
{
    enum { SOME = 32 };
    const int64_t deep = p->g.kernel[0], step = deep * p->k;
    for (int64_t i = 0; i < n; i++) {
        const float *w = args->w + (co + i) * step * 9;
        float *to = u + i * u_row(p), some[SOME * 9];
        if (deep == 1) p->set->wino_f32->weights(to, u_step(p), w, step);
        for (int64_t f = 0, n_f; deep > 1 && f < step; f += n_f) {
            const int64_t z = f / p->k, c = f % p->k;
            n_f = lmn_min_i64(SOME, p->k - c);
            for (int64_t q = 0; q < n_f * 9; q++) some[q] = w[((c + q / 9) * deep + z) * 9 + q % 9];
            p->set->wino_f32->weights(to + f, u_step(p), some, n_f);
        }
    }
}

/* Tile rows of one plane, or of one of the images that a dilated convolution is, among those of a
   chunk; they are columns of V or M from `column` on. */
typedef struct part {
    int64_t next;               /* parts seen */
    int64_t z, y, x;            /* plane, with padding; first pixel of the image */
    int64_t row, n_rows, tiles; /* in it; in a tile row */
    int64_t column, end;        /* end: where the next part begins */
} part;

/* The next part of tile rows [row, row + n); zeroed before the first. */
static bool next_part(const lmn_conv_plan *p, int64_t row, int64_t n, part *at)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t high = plane_rows(g), dy = g->dilation[1], dx = g->dilation[2];
    at->column = at->end;
    if (!is_dilated(g)) {
        const int64_t seen = at->end / p->tiles;
        if (seen == n) return false;
        at->z = (row + seen) / high, at->row = (row + seen) % high;
        at->n_rows = lmn_min_i64(high - at->row, n - seen), at->tiles = p->tiles;
        at->end += at->n_rows * at->tiles;
        return true;
    }
    for (at->row = row; at->next < dy * dx;) {
        at->y = at->next / dx, at->x = at->next % dx, at->next++;
        const int64_t rows = lmn_ceil_div_i64(every(g->out[1], dy, at->y), 4);
        at->n_rows = lmn_min_i64(row + n, rows) - row;
        at->tiles = lmn_ceil_div_i64(every(g->out[2], dx, at->x), 4);
        if (at->n_rows <= 0 || at->tiles == 0) continue;
        at->end += at->n_rows * at->tiles;
        return true;
    }
    return false;
}

/* n_c planes from x on, of which the part has every few pixels: those are put beside each other
   first, with what is around them. */
static void dealt_input(const lmn_conv_plan *p, const part *at, const float *x, int64_t n_c,
                        float *v, float *dealt)
{
    const lmn_conv_geom *g = &p->g;
    lmn_conv_geom one = *g;
    one.out[1] = 4 * at->n_rows + 2, one.out[2] = 4 * at->tiles + 2;
    one.stride[1] = g->dilation[1], one.stride[2] = g->dilation[2];
    one.pad[1] = g->pad[1] - at->y - 4 * at->row * g->dilation[1], one.pad[2] = g->pad[2] - at->x;
    one.kernel[1] = one.kernel[2] = 1;
    const int64_t n = one.out[1] * one.out[2], plane = g->in[1] * g->in[2], ld = v_row(p);
    lmn_wino_input in = {.in_h = one.out[1], .in_w = one.out[2], .x_step = n, .x = dealt};
    in.n_rows = at->n_rows, in.tiles = at->tiles, in.ld = ld, in.step = v_step(p);
    for (int64_t c = 0; c < n_c; c += PREPARE_ROWS) {
        in.n_c = lmn_min_i64(PREPARE_ROWS, n_c - c), in.v = v + c * ld + at->column;
        p->set->im2col_f32->pack(&(lmn_im2col_block){
            .g = &one, .x = x + c * plane, .n_c = in.n_c, .n = n, .nr = n, .packed = dealt});
        p->set->wino_f32->input(&in);
    }
}

/* What is to be brought: n_c channels of an image for results of n_rows tile rows. */
typedef struct slice {
    int64_t image, c, n_c, row, n_rows;
} slice;

/* Its input, into v, whose planes hold all channels. */
static void bring_input(const lmn_conv_plan *p, const lmn_conv_args *args, const slice *s, float *v,
                        float *dealt)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t plane = g->in[1] * g->in[2];
    const float *x = args->x + (s->image * p->k + s->c) * g->in[0] * plane;
    v += s->c * v_row(p);
    for (part at = {0}; next_part(p, s->row, s->n_rows + rows_beyond(g), &at);) {
        if (is_dilated(g)) {
            dealt_input(p, &at, x, s->n_c, v, dealt);
            continue;
        }
        const int64_t z = at.z - g->pad[0];
        const bool inside = z >= 0 && z < g->in[0];
        const lmn_wino_input in = {.x = inside ? x + z * plane : x,
                                   .in_h = inside ? g->in[1] : 0,
                                   .in_w = g->in[2],
                                   .x_step = g->in[0] * plane,
                                   .pad_y = g->pad[1],
                                   .pad_x = g->pad[2],
                                   .n_c = s->n_c,
                                   .row = at.row,
                                   .n_rows = at.n_rows,
                                   .tiles = at.tiles,
                                   .v = v + at.column,
                                   .ld = v_row(p),
                                   .step = v_step(p)};
        p->set->wino_f32->input(&in);
    }
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
    const slice all = {image, c, lmn_min_i64(PREPARE_ROWS, p->k - c), 0, p->nc};
    bring_input(p, args, &all, args->shared + image * LMN_WINO_POS * v_step(p), NULL);
}

/* The filters of the chunk after that of output channels from co on, as far as one thread knows, if
   chunks transform them: they would wait for memory. */
static lmn_conv_soon next_filters(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t co)
{
    const int64_t each = p->g.kernel[0] * p->k * 9;
    const int64_t next = lmn_min_i64(p->m, co + p->mc * lmn_conv_threads(&p->g));
    return (lmn_conv_soon){args->w + next * each,
                           p->v_first ? lmn_min_i64(p->mc, p->m - next) * each : 0};
}

/* The 36 products of m output channels and n tiles, each a sum over the planes of the kernel. */
static void multiply(const lmn_conv_plan *p, const float *u, const float *v, float *prod, int64_t m,
                     int64_t n, const lmn_conv_soon *next)
{
    const int64_t deep = p->g.kernel[0];
    lmn_gemm_block t = {.lda = u_row(p), .ldb = v_row(p), .ldc = m_row(p), .m = m, .n = n};
    lmn_gemm_terms terms = {.n = deep, .a_step = p->k, .b_step = plane_rows(&p->g) * p->tiles};
    t.k = p->k, t.b_panel = p->set->gemm_f32->nr;
    if (deep > 1) t.terms = &terms;
    for (int64_t q = 0; q < LMN_WINO_POS; q++) {
        t.a = terms.a = u + q * u_step(p), t.b = terms.b = v + q * v_step(p);
        t.c = prod + q * m_step(p);
        lmn_conv_fetch(next, q, LMN_WINO_POS);
        p->set->gemm_f32->block(&t);
    }
}

/* What lies beside each other at `dealt` to the pixels of the part, h x w of them. */
static void deal_back(const lmn_conv_geom *g, const part *at, const float *dealt, int64_t h,
                      int64_t w, float *y)
{
    for (int64_t i = 0; i < h; i++, dealt += w) {
        float *to = y + (i * g->dilation[1] + at->y) * g->out[2] + at->x;
        for (int64_t j = 0; j < w; j++) to[j * g->dilation[2]] = dealt[j];
    }
}

/* One channel of tile rows [row, row + n) to the pixels y, which begin with theirs. */
static void bring_output(const lmn_conv_plan *p, const float *prod, int64_t row, int64_t n,
                         float *y, float *dealt)
{
    const lmn_conv_geom *g = &p->g;
    const bool dilated = is_dilated(g);
    for (part at = {0}; next_part(p, row, n, &at);) {
        lmn_wino_output out = {.m = prod + at.column, .step = m_step(p), .n_rows = at.n_rows};
        const int64_t high = every(g->out[1], g->dilation[1], at.y);
        out.tiles = at.tiles, out.w = every(g->out[2], g->dilation[2], at.x);
        out.h = lmn_min_i64(4 * at.n_rows, high - 4 * at.row), out.y = dilated ? dealt : y;
        p->set->wino_f32->output(&out);
        if (dilated)
            deal_back(g, &at, dealt, out.h, out.w, y);
        else
            y += out.h * out.w;
    }
}

/* Pixels of a channel before those of tile row `row`. */
static int64_t pixels_before(const lmn_conv_geom *g, int64_t row)
{
    const int64_t high = plane_rows(g), line = row % high * 4 * g->dilation[1];
    return (row / high * g->out[1] + lmn_min_i64(line, g->out[1])) * g->out[2];
}

void lmn_wino_chunk(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t chunk,
                    float *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t mb = chunk % p->m_blocks, nb = chunk / p->m_blocks % p->n_blocks;
    const int64_t image = chunk / p->m_blocks / p->n_blocks, co = mb * p->mc;
    const int64_t m = lmn_min_i64(p->mc, p->m - co), all = all_rows(g);
    /* Even blocks, at most nc rows each: threads that share them end together. */
    const int64_t row = all * nb / p->n_blocks, n_rows = all * (nb + 1) / p->n_blocks - row;
    if (m <= 0 || n_rows <= 0) return;
    float *u = p->v_first ? scratch : args->shared + co * u_row(p);
    float *v = p->v_first ? args->shared + image * LMN_WINO_POS * v_step(p) : scratch;
    float *prod = scratch + (p->v_first ? p->mc * u_row(p) : LMN_WINO_POS * v_step(p));
    float *dealt = prod + LMN_WINO_POS * m_step(p);
    if (p->v_first)
        bring_filters(p, args, co, m, u);
    else
        bring_input(p, args, &(slice){image, 0, p->k, row, n_rows}, v, dealt);
    part last = {0};
    while (next_part(p, row, n_rows, &last)) continue;
    const lmn_conv_soon next = next_filters(p, args, co);
    multiply(p, u, v, prod, m, last.end, &next);
    const int64_t pixel = pixels_before(g, row), n = pixels_before(g, row + n_rows) - pixel;
    for (int64_t i = 0; i < m; i++) {
        float *y = args->y + (image * p->m + co + i) * p->pixels + pixel;
        bring_output(p, prod + i * m_row(p), row, n_rows, y, dealt);
        const lmn_epi_block e = {y, p->pixels, co + i, pixel, 1, n, image};
        if (args->epi) p->set->gemm_f32->epi(args->epi, &e);
    }
}
