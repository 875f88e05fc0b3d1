/*
 * ImageBlock: a depthwise convolution of bf16 images with the pointwise ones around it. What is
 * between them exists for a few lines at a time, which stay in L2: lines of the wider image move up
 * as the window goes down. The bits are those of the three convolutions.
 */
#include "devices/cpu/cpu_image.h"

#include <math.h>
#include <string.h>

enum { X, W2, B2, W3, B3, W1, B1, Z };
enum { WIDEN, DEEP, LAST, CONVS };

static const int64_t band_bytes = 256 << 10; /* of both images between */

typedef struct block_state {
    lmn_cpu_last_weights w[CONVS];
} block_state;

/* Clips of a convolution, and its operands. */
typedef struct part {
    const void *w;
    const float *bias;
    float lo, hi;
    bool clipped;
} part;

typedef struct block_job {
    const lmn_hgemm_row *row;
    const lmn_dwlast_row *deep_row;
    lmn_conv_geom g;     /* of the depthwise one */
    int64_t c_in, c_out; /* channels of x and y */
    bool widens;
    part part[CONVS];
    const uint16_t *x, *add;
    uint16_t *y;
    int64_t band, per_chunk; /* lines of outputs at once, and of a chunk */
    int64_t wide_lines;      /* of the wider image, in scratch */
    size_t room;             /* bytes of the products' scratch */
    lmn_cpu_scratch scratch;
} block_job;

/* Lines [*from, *to) of the depthwise one's input that lines l .. l + n - 1 of its output read. */
static void lines_under(const lmn_conv_geom *g, int64_t l, int64_t n, int64_t *from, int64_t *to)
{
    *from = lmn_max_i64(0, lmn_conv_at(g, 1, l, 0));
    *to = lmn_min_i64(g->in[1], lmn_conv_at(g, 1, l + n - 1, g->kernel[1] - 1) + 1);
    *to = lmn_max_i64(*from, *to);
}

/* A pointwise convolution of some pixels. */
static void pointwise_plan(const block_job *j, int64_t pixels, int64_t c_in, int64_t c_out,
                           bool adds, lmn_hlast_plan *plan)
{
    const lmn_conv_geom g = {.n = 1,
                             .c_in = c_in,
                             .c_out = c_out,
                             .groups = 1,
                             .in = {1, 1, pixels},
                             .out = {1, 1, pixels},
                             .kernel = {1, 1, 1},
                             .stride = {1, 1, 1},
                             .dilation = {1, 1, 1}};
    lmn_hlast_plan_make(j->row, &g, adds, plan);
}

static void pointwise(const lmn_hlast_plan *plan, const part *p, const uint16_t *x,
                      const uint16_t *add, uint16_t *y, void *room)
{
    const lmn_hlast_args a = {.x = x,
                              .w = p->w,
                              .y = y,
                              .bias = p->bias,
                              .add = add,
                              .clipped = p->clipped,
                              .lo = p->lo,
                              .hi = p->hi};
    for (int64_t c = 0; c < plan->n_chunks; c++) lmn_hlast_chunk(plan, &a, c, room);
}

/* Elements of the wider image's lines, in front of the narrower's in scratch. */
static int64_t wide_elems(const block_job *j)
{
    return j->widens ? lmn_round_up_i64(j->wide_lines * j->g.in[2] * j->g.c_in, 32) : 0;
}

/* The wider image of one picture: lines from .. to - 1 of it stand in `lines`. */
typedef struct wide {
    uint16_t *lines;
    int64_t from, to;
} wide;

/* Have lines from .. to - 1: those that are there already move to the front. */
static void widen(const block_job *j, const uint16_t *x, wide *w, int64_t from, int64_t to,
                  void *room)
{
    const lmn_conv_geom *g = &j->g;
    const int64_t line = g->in[2] * g->c_in, kept = lmn_max_i64(0, w->to - from);
    if (kept) memmove(w->lines, w->lines + (from - w->from) * line, (size_t)(kept * line) * 2);
    w->from = from, w->to = to;
    const int64_t n = to - from - kept;
    if (n <= 0) return;
    lmn_hlast_plan plan;
    pointwise_plan(j, n * g->in[2], j->c_in, g->c_in, false, &plan);
    pointwise(&plan, &j->part[WIDEN], x + (from + kept) * g->in[2] * j->c_in, NULL,
              w->lines + kept * line, room);
}

/* Lines l .. l + n - 1 of outputs of a picture, of which x, add and y are the first pixel. */
static void run_band(const block_job *j, const uint16_t *x, const uint16_t *add, uint16_t *y,
                     wide *w, int64_t l, int64_t n, void *room)
{
    const lmn_conv_geom *all = &j->g;
    uint16_t *narrow = w->lines + wide_elems(j);
    lmn_conv_geom g = *all;
    int64_t from, to;
    lines_under(all, l, n, &from, &to);
    if (j->widens) widen(j, x, w, from, to, room);
    g.n = 1, g.in[1] = to - from, g.out[1] = n;
    g.pad[1] = from - lmn_conv_at(all, 1, l, 0);
    const part *p = &j->part[DEEP];
    j->deep_row->run(&(lmn_dwlast_block){.g = &g,
                                         .x = j->widens ? w->lines : x + from * g.in[2] * g.c_in,
                                         .w = p->w,
                                         .bias = p->bias,
                                         .y = narrow,
                                         .n_lines = n,
                                         .lo = p->lo,
                                         .hi = p->hi});
    const int64_t at = l * g.out[2] * j->c_out;
    lmn_hlast_plan plan;
    pointwise_plan(j, n * g.out[2], g.c_in, j->c_out, add != NULL, &plan);
    pointwise(&plan, &j->part[LAST], narrow, add ? add + at : NULL, y + at, room);
}

static int64_t narrow_elems(const block_job *j)
{
    return j->band * j->g.out[2] * j->g.c_in;
}

static void block_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const block_job *j = arg;
    const lmn_conv_geom *g = &j->g;
    const int64_t chunks = lmn_ceil_div_i64(g->out[1], j->per_chunk), image = chunk / chunks;
    const int64_t first = chunk % chunks * j->per_chunk;
    const int64_t end = lmn_min_i64(g->out[1], first + j->per_chunk);
    uint8_t *scratch = lmn_cpu_scratch_of(&j->scratch, worker);
    wide w = {.lines = (uint16_t *)(void *)(scratch + j->room)};
    const int64_t in = g->in[1] * g->in[2] * j->c_in, out = g->out[1] * g->out[2] * j->c_out;
    for (int64_t l = first; l < end; l += j->band)
        run_band(j, j->x + image * in, j->add ? j->add + image * out : NULL, j->y + image * out, &w,
                 l, lmn_min_i64(j->band, end - l), scratch);
}

/* Bands, chunks and what they need. */
static void cut(block_job *j, int32_t threads)
{
    const lmn_conv_geom *g = &j->g;
    const int64_t line = (g->in[2] * g->stride[1] + g->out[2]) * g->c_in * 2;
    j->band = lmn_max_i64(1, lmn_min_i64(g->out[1], band_bytes / line));
    const int64_t each = threads > 1 ? lmn_ceil_div_i64(g->n * g->out[1], 2 * threads) : g->out[1];
    j->band = lmn_min_i64(j->band, lmn_max_i64(1, each));
    j->per_chunk = lmn_min_i64(g->out[1], lmn_round_up_i64(each, j->band));
    j->wide_lines = (j->band - 1) * g->stride[1] + (g->kernel[1] - 1) * g->dilation[1] + 1;
    lmn_hlast_plan plan;
    for (int64_t n = 1; n <= j->wide_lines; n++) {
        if (j->widens) pointwise_plan(j, n * g->in[2], j->c_in, g->c_in, false, &plan);
        if (j->widens && plan.scratch_bytes > j->room) j->room = plan.scratch_bytes;
        if (n > j->band) continue;
        pointwise_plan(j, n * g->out[2], g->c_in, j->c_out, j->add != NULL, &plan);
        if (plan.scratch_bytes > j->room) j->room = plan.scratch_bytes;
    }
    j->room = lmn_align_up(j->room, 64);
}

/* ---- reading the node --------------------------------------------------------------------------
 */

/* A pointwise convolution's weights [c_out][c_in][1][1] and bias. */
static bool is_pointwise(lmn_eval *ec, int32_t w, int32_t b, int64_t c_in, int64_t c_out)
{
    lmn_hlast_weights from;
    const lamina_tensor *bias = lmn_in(ec, b);
    return lmn_cpu_image_weights(lmn_in(ec, w), &from) && lmn_in(ec, w)->rank == 4 &&
           from.taps == 1 && from.c_in == c_in && from.c_out == c_out &&
           (!bias || (lmn_cpu_is_f32(bias) && bias->rank == 1 && bias->dims[0] == c_out));
}

static part part_of(lmn_eval *ec, int32_t b, const char *lo, const char *hi)
{
    const lamina_tensor *bias = lmn_in(ec, b);
    return (part){.bias = bias ? bias->data : NULL,
                  .lo = lmn_attr_f(ec->node, lo, -INFINITY),
                  .hi = lmn_attr_f(ec->node, hi, INFINITY),
                  .clipped = lmn_attr_find(ec->node, lo) || lmn_attr_find(ec->node, hi)};
}

/* Geometry and operands; false leaves it to the reference. `dims`: those of y. */
static bool read_operands(lmn_eval *ec, block_job *j, int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, X), *w1 = lmn_in(ec, W1), *w2 = lmn_in(ec, W2),
                        *w3 = lmn_in(ec, W3), *b2 = lmn_in(ec, B2), *z = lmn_in(ec, Z);
    lmn_hlast_weights deep;
    if (!lmn_cpu_is_image(x, 4) || !lmn_cpu_image_weights(w2, &deep) || w2->rank != 4 || !w3)
        return false;
    lamina_tensor seen = *x; /* by the depthwise one */
    j->widens = w1 != NULL, j->c_in = x->dims[3], j->c_out = w3->dims[0];
    seen.dims[3] = deep.c_out;
    if (!lmn_cpu_last_geom(ec, &seen, w2, &j->g, dims)) return false;
    const lmn_conv_geom *g = &j->g;
    if (g->groups <= 1 || deep.c_in != 1 || !lmn_dwlast_takes(g) ||
        (!w1 && j->c_in != deep.c_out) || (w1 && !is_pointwise(ec, W1, B1, j->c_in, deep.c_out)) ||
        !is_pointwise(ec, W3, B3, deep.c_out, j->c_out))
        return false;
    if (b2 && !(lmn_cpu_is_f32(b2) && b2->rank == 1 && b2->dims[0] == deep.c_out)) return false;
    dims[3] = j->c_out;
    if (z && !lmn_cpu_is_image(z, 4)) return false;
    for (int32_t i = 0; z && i < 4; i++)
        if (z->dims[i] != dims[i]) return false;
    j->x = x->data, j->add = z ? z->data : NULL;
    j->part[WIDEN] = part_of(ec, B1, "lo1", "hi1");
    j->part[DEEP] = part_of(ec, B2, "lo2", "hi2");
    j->part[LAST] = part_of(ec, B3, "lo", "hi");
    return true;
}

static lamina_status init(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                          lamina_error *err)
{
    block_state *s = state;
    LMN_TRY(lmn_cpu_image_want(dev, node, W1, false, &s->w[WIDEN], err));
    LMN_TRY(lmn_cpu_image_want(dev, node, W2, true, &s->w[DEEP], err));
    return lmn_cpu_image_want(dev, node, W3, false, &s->w[LAST], err);
}

static lamina_status run(const lamina_kernel *k, lmn_eval *ec)
{
    static const int32_t weights[CONVS] = {W1, W2, W3};
    const block_state *s = k->state;
    block_job j = {.row = k->dev->kset.hgemm_bf16, .deep_row = k->dev->kset.dwlast_bf16};
    int64_t dims[LMN_MAX_RANK];
    if (!j.row->rows_f32 || !read_operands(ec, &j, dims)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_BF16, 4, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    j.y = y->data;
    for (int32_t i = j.widens ? WIDEN : DEEP; i < CONVS; i++)
        LMN_TRY(lmn_cpu_image_packed(k->dev, ec, weights[i], i == DEEP, &s->w[i], &j.part[i].w));
    cut(&j, lmn_par_width(ec->par));
    const size_t bytes = j.room + (size_t)(wide_elems(&j) + narrow_elems(&j)) * sizeof(uint16_t);
    LMN_TRY(lmn_cpu_worker_scratch(ec, bytes, &j.scratch));
    lmn_par_for(ec->par, j.g.n * lmn_ceil_div_i64(j.g.out[1], j.per_chunk), block_chunk, &j);
    return LAMINA_OK;
}

static bool supports(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    const lmn_hgemm_row *row = dev->kset.hgemm_bf16;
    const bool known = row->rows_f32 && lmn_cpu_rank(node, X) == 4;
    if (known)
        (void)lmn_format(text, cap, "%s.%s:%s", row->head.family, row->head.dtype,
                         row->head.variant);
    else
        (void)lmn_format(text, cap, "no pairs of bf16, or not two spatial axes");
    return known;
}

const lmn_cpu_binding lmn_cpu_image_block = {
    .domain = "lamina",
    .op = "ImageBlock",
    .families = "hgemm.bf16 dwlast.bf16",
    .supports = supports,
    .state_bytes = sizeof(block_state),
    .init = init,
    .run = run,
};
