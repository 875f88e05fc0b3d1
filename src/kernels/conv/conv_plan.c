/*
 * Geometry in, blocks out. One chunk is (image, group, block of pixels, block of output channels);
 * it packs its pixels for some input channels at a time and runs all its output channels over them.
 * Few pixels with output channels for several chunks are packed by the preparation, once for all.
 */
#include "kernels/conv/conv_plan.h"

#include "kernels/conv/conv_lines.h"
#include "kernels/conv/conv_thin.h"
#include "kernels/conv/dwconv.h"
#include "kernels/conv/im2col.h"
#include "kernels/conv/wino_plan.h"
#include "kernels/gemm/gemm.h"
#include "kernels/split.h"

enum path {
    PATH_IM2COL,    /* any geometry */
    PATH_POINTWISE, /* the rows of x are the rows of B */
    PATH_DEPTHWISE, /* groups of few channels, directly */
    PATH_WINOGRAD
};

/* Tuned on Zen 4 with kcheck --bench; any value gives the same bits. */
enum {
    KC = 384,      /* longest k of a packed block, unless one channel has more taps */
    LINE = 16,     /* floats of a line of the caches */
    NC = 240,      /* pixels of a packed block */
    MC = 512,      /* output channels of a chunk */
    M_BLOCKS = 64, /* most blocks of them that are thought of */
};
/* The last pixels beyond whole panels of the widest tile, if they are few: a tile would leave its
   lanes idle. Not tuning: what they decide is the order of sums (conv_plan.h). */
enum { THIN_UNIT = 48, THIN_N = 8, THIN_K = 64, THIN_M = 16 };
/* In multiply-adds: packing an element, coming to a chunk, a job of its own for preparation; and
   what a chunk should not pass: some 4 ms, a cancelled run waits for a chunk. */
static const double pack_madds = 8, chunk_madds = 3e4, job_madds = 2e5, most_madds = 160 << 20;
static const double far_madds = 8; /* an output that another thread's cache holds when it is read */
static const int64_t most_near = 1 << 20; /* outputs that the caches of threads hold */
static const int64_t min_depthwise_elems = 32 << 10;
/* Floats of packed pixels that are packed once for all output channels, not once a chunk. */
static const int64_t most_shared = 2 << 20;

static int32_t choose_path(const lmn_conv_geom *g)
{
    if (lmn_dwconv_takes(g)) return PATH_DEPTHWISE;
    for (int i = 0; i < 3; i++) {
        if (g->kernel[i] != 1 || g->stride[i] != 1 || g->pad[i] != 0 || g->in[i] != g->out[i])
            return PATH_IM2COL;
    }
    return PATH_POINTWISE;
}

/* Blocks of about `most` pixels, whole panels but for the last one, which takes a remainder of up
   to half a panel too: alone it would stream all weights for a few columns. */
static void cut_pixels(lmn_conv_plan *p, int64_t most, int64_t nr)
{
    const int64_t whole = p->pixels - p->thin;
    const int64_t blocks = lmn_max_i64(1, lmn_ceil_div_i64(whole - nr / 2, most));
    p->nc = lmn_max_i64(nr, (whole / blocks + nr / 2) / nr * nr);
    p->n_blocks = lmn_max_i64(1, lmn_ceil_div_i64(whole - nr / 2, p->nc));
}

static int64_t thin_pixels(const lmn_conv_plan *p)
{
    const int64_t left = p->pixels % THIN_UNIT;
    return left <= THIN_N && p->k >= THIN_K && p->m >= THIN_M ? left : 0;
}

/* Are there no other pixels? */
static bool is_thin(const lmn_conv_plan *p)
{
    return p->thin == p->pixels;
}

/* Elements of a block when all its input channels are packed. */
static int64_t block_elems(const lmn_conv_plan *p)
{
    return (p->nc + p->set->gemm_f32->nr) * p->k;
}

static int64_t pixel_blocks(const lmn_conv_plan *p)
{
    return lmn_ceil_div_i64(p->g.n, p->images) * p->g.groups * p->n_blocks;
}

static bool shares(const lmn_conv_plan *p)
{
    return p->path == PATH_IM2COL && p->m_blocks > 1 && !p->by_lines && !is_thin(p) &&
           block_elems(p) * pixel_blocks(p) <= most_shared;
}

/* Until the last thread is done. */
static double cost_of(const lmn_conv_plan *p)
{
    const int32_t threads = lmn_conv_threads(&p->g);
    const int64_t blocks = pixel_blocks(p), turns = lmn_ceil_div_i64(blocks * p->m_blocks, threads);
    const double madds = (double)(p->mc * p->nc) * (double)p->k,
                 pack = pack_madds * (double)p->nc * (double)p->k, once = shares(p) ? 1 : 0;
    const double one = madds + chunk_madds + (1 - once) * pack;
    const double all = (double)turns * one + once * (pack * (double)blocks / threads + job_madds);
    const bool apart = p->rows_first && p->m_blocks % threads != 0;
    const double far = apart ? far_madds * (double)(p->m * p->pixels) / threads : 0;
    return all + far + lmn_split_late(one, threads) + (madds > most_madds ? 1e3 * all : 0);
}

/* The blocks that cost least with so many threads. */
static void cut_blocks(lmn_conv_plan *p)
{
    const int64_t nr = p->set->gemm_f32->nr, mr = p->set->gemm_f32->mr;
    const int64_t fewest = lmn_ceil_div_i64(p->m, MC);
    const int64_t most = lmn_min_i64(M_BLOCKS, lmn_ceil_div_i64(p->m, 2 * mr));
    lmn_conv_plan best = {0};
    double least = 0;
    for (int64_t pixels = NC; pixels >= 2 * nr || pixels == NC; pixels /= 2) {
        cut_pixels(p, pixels, nr);
        for (int64_t b = fewest; b <= lmn_max_i64(most, fewest); b += b / 4 + 1) {
            p->mc = lmn_split_even(p->m, lmn_ceil_div_i64(p->m, b), mr);
            p->m_blocks = lmn_ceil_div_i64(p->m, p->mc);
            const double cost = cost_of(p);
            if (least == 0 || cost < least) best = *p, least = cost;
        }
    }
    *p = best;
}

/* Blocks as chosen, in the units of the path; false where they are none. */
static bool cut_as(lmn_conv_plan *p, const lmn_choice *c)
{
    const int64_t nr = p->set->gemm_f32->nr, mr = p->set->gemm_f32->mr;
    if (c->mc % mr || c->nc % nr) return false;
    if (c->mc) p->mc = lmn_min_i64(c->mc, lmn_round_up_i64(p->m, mr));
    if (c->nc) cut_pixels(p, c->nc, nr);
    p->m_blocks = lmn_ceil_div_i64(p->m, p->mc);
    return true;
}

static bool plan_depthwise(lmn_conv_plan *p, const lmn_choice *c)
{
    const lmn_conv_geom *g = &p->g;
    if (c->path != LMN_CHOICE_RULE || c->nc || c->kc) return false;
    const int64_t most = lmn_max_i64(p->pixels, lmn_conv_volume(g->in)) * (g->c_in / g->groups);
    p->mc = lmn_max_i64(1, min_depthwise_elems / most);
    p->mc = lmn_split_even(g->c_out, c->mc ? c->mc : p->mc, 1);
    p->m_blocks = lmn_ceil_div_i64(g->c_out, p->mc), p->n_blocks = 1;
    if (!c->mc && p->m_blocks > 1 && g->n == 1) { /* even shares */
        const int64_t even = lmn_round_up_i64(p->m_blocks, lmn_conv_threads(g));
        p->mc = lmn_ceil_div_i64(g->c_out, lmn_min_i64(even, 2 * p->m_blocks));
        p->m_blocks = lmn_ceil_div_i64(g->c_out, p->mc);
    }
    p->n_chunks = g->n * p->m_blocks;
    return true;
}

/* Is the output much more than the input, and near when it is read? What follows (a depthwise
   convolution, above all) takes it channel by channel: each thread then finds those that it made
   in its own cache. */
static bool widens(const lmn_conv_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    return p->path == PATH_POINTWISE && lmn_conv_threads(g) > 1 && g->n == 1 && g->groups == 1 &&
           2 * p->k <= p->m && p->m * p->pixels <= most_near;
}

/* By the block kernel over packed pixels. */
static bool plan_blocks(lmn_conv_plan *p, const lmn_choice *c)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t kvol = lmn_conv_volume(g->kernel), c_in = g->c_in / g->groups;
    p->k = c_in * kvol, p->tiles = 0, p->thin = thin_pixels(p);
    p->images = is_thin(p) ? lmn_conv_thin_images(p) : 1;
    p->rows_first = widens(p);
    cut_blocks(p);
    if (!cut_as(p, c) || (p->thin && c->kc)) return false;
    const int64_t most_cc = c->kc ? c->kc : lmn_max_i64(1, KC / kvol);
    p->cc = lmn_split_even(c_in, most_cc, 1);
    p->in_place = p->path == PATH_POINTWISE && p->set->gemm_f32->wide && p->pixels % LINE == 0;
    const int64_t lines =
        p->path == PATH_IM2COL && lmn_choice_is_rule(c) ? lmn_conv_lines_pixels(p) : 0;
    if (lines) {
        p->by_lines = true, p->mc = p->m, p->m_blocks = 1;
        cut_pixels(p, lines, p->set->gemm_f32->nr);
    }
    const int64_t blocks = pixel_blocks(p);
    p->n_chunks = blocks * p->m_blocks;
    if (c->path == LMN_CHOICE_SHARED && !shares(p)) return false;
    if (shares(p) && c->path != LMN_CHOICE_OWN) {
        p->n_prepare = blocks * lmn_ceil_div_i64(c_in, p->cc);
        p->shared_bytes = (size_t)(block_elems(p) * blocks) * sizeof(float);
    } else {
        const int64_t most = p->nc + p->set->gemm_f32->nr;
        p->own = lines ? lmn_conv_lines_elems(p, most) : most * p->cc * kvol;
        if (p->in_place) p->own = 0;
    }
    p->scratch_bytes = (size_t)(p->own + lmn_conv_thin_elems(p)) * sizeof(float);
    return true;
}

/* The plan by the choice; a zeroed one is the rule, and always possible. */
static bool plan_by(const lmn_kset *set, const lmn_conv_geom *g, const lmn_choice *c,
                    lmn_conv_plan *out)
{
    lmn_assert(g->groups >= 1 && g->c_in % g->groups == 0 && g->c_out % g->groups == 0);
    *out = (lmn_conv_plan){.set = set, .g = *g, .path = choose_path(g)};
    out->m = g->c_out / g->groups, out->pixels = lmn_conv_volume(g->out);
    out->k = g->c_in / g->groups * lmn_conv_volume(g->kernel);
    if (g->n == 0 || g->c_out == 0 || out->pixels == 0) return true;
    if (out->path == PATH_DEPTHWISE) return plan_depthwise(out, c);
    const bool wino = c->path == LMN_CHOICE_WINO_U || c->path == LMN_CHOICE_WINO_V;
    const bool blocks = c->path == LMN_CHOICE_OWN || c->path == LMN_CHOICE_SHARED;
    if (c->path != LMN_CHOICE_RULE && !wino && !blocks) return false;
    if (blocks && out->path != PATH_IM2COL) return false;
    if (!blocks && out->path == PATH_IM2COL && set->wino_f32 && lmn_wino_plan(out, c)) {
        out->path = PATH_WINOGRAD;
        return true;
    }
    return !wino && plan_blocks(out, c);
}

void lmn_conv_f32_plan(const lmn_kset *set, const lmn_conv_geom *g, lmn_conv_plan *out)
{
    const lmn_choice rule = {0, 0, 0, 0};
    (void)plan_by(set, g, &rule, out);
}

bool lmn_conv_f32_plan_as(const lmn_kset *set, const lmn_conv_geom *g, const lmn_choice *c,
                          lmn_conv_plan *out)
{
    lmn_conv_plan p;
    lmn_conv_f32_plan(set, g, out);
    if (set->gemm_f32->head.isa == 0) return false; /* the reference rounds at every cut of k */
    if (!lmn_choice_in_range(c) || out->n_chunks == 0 || !plan_by(set, g, c, &p)) return false;
    const size_t most = LMN_CHOICE_SCRATCH_MAX;
    if (p.scratch_bytes > most && p.scratch_bytes > out->scratch_bytes) return false;
    if (p.shared_bytes > 4 * most && p.shared_bytes > out->shared_bytes) return false;
    if (p.n_chunks > lmn_max_i64(LMN_CHOICE_CHUNKS_MAX, out->n_chunks)) return false;
    *out = p;
    return true;
}

static void depthwise_chunk(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t chunk)
{
    const lmn_conv_geom *g = &p->g;
    lmn_dwconv_block b = {.g = g, .w = args->w, .epi = args->epi, .item = chunk / p->m_blocks};
    b.x = args->x + b.item * g->c_in * lmn_conv_volume(g->in);
    b.y = args->y + b.item * g->c_out * p->pixels;
    b.c0 = chunk % p->m_blocks * p->mc, b.n_c = lmn_min_i64(p->mc, g->c_out - b.c0);
    if (b.n_c > 0) p->set->dwconv_f32->run(&b);
}

/* A block of pixels of one group of one image; blocks are numbered in this order. */
typedef struct place {
    int64_t image, group, col, n; /* first pixel, how many */
    const float *x;               /* the group's input */
} place;

static place place_of(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t block)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t nb = block % p->n_blocks;
    place at = {.group = block / p->n_blocks % g->groups, .col = nb * p->nc};
    at.image = block / p->n_blocks / g->groups * p->images;
    at.n = nb == p->n_blocks - 1 ? p->pixels - p->thin - at.col : p->nc;
    at.x =
        args->x + (at.image * g->c_in + at.group * (g->c_in / g->groups)) * lmn_conv_volume(g->in);
    return at;
}

/* Pack n_c input channels from c on of a block. */
static void pack_channels(const lmn_conv_plan *p, const place *at, int64_t c, int64_t n_c,
                          float *packed)
{
    const lmn_im2col_block b = {.g = &p->g,
                                .x = at->x + c * lmn_conv_volume(p->g.in),
                                .n_c = n_c,
                                .p0 = at->col,
                                .n = at->n,
                                .nr = p->set->gemm_f32->nr,
                                .packed = packed};
    p->set->im2col_f32->pack(&b);
}

/* Where the packed channels from c on of a block lie in args->shared. */
static float *shared_at(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t block,
                        const place *at, int64_t c)
{
    const int64_t columns = lmn_round_up_i64(at->n, p->set->gemm_f32->nr);
    return args->shared + block * block_elems(p) + c * lmn_conv_volume(p->g.kernel) * columns;
}

void lmn_conv_f32_prepare(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t chunk)
{
    lmn_assert(chunk >= 0 && chunk < p->n_prepare);
    if (p->path == PATH_WINOGRAD) {
        lmn_wino_prepare(p, args, chunk);
        return;
    }
    const int64_t c_in = p->g.c_in / p->g.groups, per_block = lmn_ceil_div_i64(c_in, p->cc);
    const int64_t block = chunk / per_block, c = chunk % per_block * p->cc;
    const place at = place_of(p, args, block);
    pack_channels(p, &at, c, lmn_min_i64(p->cc, c_in - c), shared_at(p, args, block, &at, c));
}

/* The rows of x are B: read in place, or the gemm kernel packs them in passing. After them it wants
   the next input channels of the same pixels, or the next pixels where the next chunk has those. */
static void bring_rows(const lmn_conv_plan *p, const place *at, int64_t c, lmn_gemm_block *t)
{
    const int64_t plane = p->pixels;
    if (p->in_place) {
        t->b = at->x + c * plane + at->col, t->ldb = plane, t->b_panel = p->set->gemm_f32->nr;
        return;
    }
    t->b_from = at->x + c * plane + at->col, t->b_from_ld = plane, t->b_next_n = t->n;
    if (c + t->k < p->k)
        t->b_next = t->b_from + t->k * plane;
    else
        t->b_next =
            p->m_blocks == 1 && at->col + 2 * p->nc <= plane ? at->x + at->col + p->nc : NULL;
}

void lmn_conv_f32_chunk(const lmn_conv_plan *p, const lmn_conv_args *args, int64_t chunk,
                        void *scratch)
{
    lmn_assert(chunk >= 0 && chunk < p->n_chunks);
    if (p->path == PATH_DEPTHWISE) {
        depthwise_chunk(p, args, chunk);
        return;
    }
    if (p->path == PATH_WINOGRAD) {
        lmn_wino_chunk(p, args, chunk, scratch);
        return;
    }
    const lmn_gemm_row *gemm = p->set->gemm_f32;
    const int64_t kvol = lmn_conv_volume(p->g.kernel), c_in = p->g.c_in / p->g.groups;
    const int64_t blocks = pixel_blocks(p);
    const int64_t mb = p->rows_first ? chunk / blocks : chunk % p->m_blocks;
    const int64_t block = p->rows_first ? chunk % blocks : chunk / p->m_blocks;
    const place at = place_of(p, args, block);
    lmn_gemm_block t = {.lda = p->k, .ldb = gemm->nr, .ldc = p->pixels, .item = at.image};
    t.m = lmn_min_i64(p->mc, p->m - mb * p->mc), t.n = at.n;
    if (t.m <= 0) return; /* lmn_split_even rounds up: a last block may be empty */
    t.row = at.group * p->m + mb * p->mc, t.col = at.col;
    t.c = args->y + (at.image * p->g.c_out + t.row) * p->pixels + t.col;
    const bool thin = p->thin && block % p->n_blocks == p->n_blocks - 1;
    int64_t c = 0;
    do {
        const int64_t n_c = lmn_min_i64(p->cc, c_in - c);
        t.b = p->n_prepare ? shared_at(p, args, block, &at, c) : scratch;
        t.k = n_c * kvol, t.b_panel = t.k * gemm->nr, t.beta = c > 0;
        if (p->path == PATH_POINTWISE)
            bring_rows(p, &at, c, &t);
        else if (!p->n_prepare && !p->by_lines)
            pack_channels(p, &at, c, n_c, scratch);
        t.a = args->w + t.row * p->k + c * kvol;
        c += n_c;
        t.epi = c >= c_in ? args->epi : NULL;
        if (p->by_lines)
            lmn_conv_lines_block(p, &t, at.x + (c - n_c) * lmn_conv_volume(p->g.in), n_c);
        else
            gemm->block(&t);
        if (thin)
            lmn_conv_thin_block(p, &t, at.x + (c - n_c) * lmn_conv_volume(p->g.in), args->epi,
                                c >= c_in, (float *)scratch + p->own);
    } while (c < c_in);
}
