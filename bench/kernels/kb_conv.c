/*
 * f32 convolutions with a bias: those of ResNet-50 and MobileNetV2, and a few of other ranks,
 * grouped and dilated. oneDNN twice: with images as the user has them (plain), and with images and
 * weights in the order it likes best, reordered outside the timing (packed). Ours always takes
 * plain images and weights where they lie.
 */
#include "kb.h"

#include "kernels/conv/conv_plan.h"
#include "kernels/gemm/gemm.h"
#include "sync/workpool.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Square: `rank` axes of `size`, the others 1. */
typedef struct shape {
    const char *set;
    int32_t rank, c_in, c_out, groups, size, kernel, stride, dilation;
} shape;

static const shape shapes[] = {
    {"stem", 2, 3, 64, 1, 224, 7, 2, 1},          {"stem", 2, 3, 32, 1, 224, 3, 2, 1},
    {"3x3", 2, 64, 64, 1, 56, 3, 1, 1},           {"3x3", 2, 128, 128, 1, 28, 3, 1, 1},
    {"3x3", 2, 256, 256, 1, 14, 3, 1, 1},         {"3x3", 2, 512, 512, 1, 7, 3, 1, 1},
    {"3x3", 2, 128, 128, 1, 56, 3, 2, 1},         {"3x3", 2, 256, 256, 1, 28, 3, 2, 1},
    {"3x3", 2, 512, 512, 1, 14, 3, 2, 1},         {"1x1", 2, 64, 64, 1, 56, 1, 1, 1},
    {"1x1", 2, 64, 256, 1, 56, 1, 1, 1},          {"1x1", 2, 256, 64, 1, 56, 1, 1, 1},
    {"1x1", 2, 256, 128, 1, 56, 1, 1, 1},         {"1x1", 2, 256, 512, 1, 56, 1, 2, 1},
    {"1x1", 2, 128, 512, 1, 28, 1, 1, 1},         {"1x1", 2, 512, 128, 1, 28, 1, 1, 1},
    {"1x1", 2, 512, 1024, 1, 28, 1, 2, 1},        {"1x1", 2, 256, 1024, 1, 14, 1, 1, 1},
    {"1x1", 2, 1024, 256, 1, 14, 1, 1, 1},        {"1x1", 2, 1024, 2048, 1, 14, 1, 2, 1},
    {"1x1", 2, 512, 2048, 1, 7, 1, 1, 1},         {"1x1", 2, 2048, 512, 1, 7, 1, 1, 1},
    {"1x1", 2, 320, 1280, 1, 7, 1, 1, 1},         {"1x1", 2, 96, 576, 1, 14, 1, 1, 1},
    {"depthwise", 2, 32, 32, 32, 112, 3, 1, 1},   {"depthwise", 2, 144, 144, 144, 56, 3, 1, 1},
    {"depthwise", 2, 144, 144, 144, 56, 3, 2, 1}, {"depthwise", 2, 384, 384, 384, 14, 3, 1, 1},
    {"depthwise", 2, 576, 576, 576, 14, 3, 2, 1}, {"depthwise", 2, 960, 960, 960, 7, 3, 1, 1},
    {"other", 1, 80, 384, 1, 3000, 3, 1, 1},      {"other", 3, 16, 32, 1, 24, 3, 1, 1},
    {"other", 2, 128, 128, 32, 28, 3, 1, 1},      {"other", 2, 64, 64, 1, 33, 3, 1, 2},
};

typedef struct conv {
    const lmn_kset *set;
    lmn_conv_geom g;
    float *x, *w, *bias, *y;
    lmn_workpool *pool;
    lmn_conv_plan plan;
    float *shared;
    uint8_t *scratch;
    kb_dnn *dnn;
} conv;

/* An output element in f64, and the bound of its chain. */
static double element(const conv *c, int64_t co, int64_t pixel, double *bound)
{
    const lmn_conv_geom *g = &c->g;
    const int64_t per_group = g->c_in / g->groups, plane = lmn_conv_volume(g->in);
    const int64_t o[3] = {pixel / g->out[2] / g->out[1], pixel / g->out[2] % g->out[1],
                          pixel % g->out[2]};
    const float *w = c->w + co * per_group * lmn_conv_volume(g->kernel);
    const float *x = c->x + co / (g->c_out / g->groups) * per_group * plane;
    double sum = c->bias[co], size = fabs(sum);
    for (int64_t i = 0; i < per_group * lmn_conv_volume(g->kernel); i++) {
        int64_t left = i, at[3];
        bool inside = true;
        for (int a = 2; a >= 0; a--) {
            at[a] = lmn_conv_at(g, a, o[a], left % g->kernel[a]), left /= g->kernel[a];
            inside = inside && at[a] >= 0 && at[a] < g->in[a];
        }
        if (!inside) continue;
        const double t =
            (double)w[i] * x[left * plane + (at[0] * g->in[1] + at[1]) * g->in[2] + at[2]];
        sum += t, size += fabs(t);
    }
    /* Winograd's way and sums in other orders have other bounds: what all of them keep. */
    *bound = (double)(per_group * lmn_conv_volume(g->kernel) + 40) * 0x1p-22 * (size + 1);
    return sum;
}

static double error(void *arg)
{
    const conv *c = arg;
    const int64_t pixels = lmn_conv_volume(c->g.out), all = c->g.c_out * pixels;
    const int64_t step = all <= 1000 ? 1 : all / 997;
    double worst = 0;
    if (c->dnn) kb_dnn_fetch(c->dnn);
    for (int64_t e = 0; e < all; e += step) {
        double bound;
        const double want = element(c, e / pixels, e % pixels, &bound);
        const double off = fabs(c->y[e] - want) / bound;
        if (!(off <= worst)) worst = off;
    }
    memset(c->y, 0xff, sizeof *c->y * (size_t)all); /* NaN, for the next contender */
    return worst;
}

static void our_chunk(void *arg, int64_t chunk, int32_t who)
{
    const conv *c = arg;
    const lmn_epi epi = {.n_ops = 1,
                         .op = {{.kind = LMN_EPI_ADD, .bcast = LMN_EPI_ROW, .x = c->bias}}};
    const lmn_conv_args args = {.x = c->x, .w = c->w, .y = c->y, .epi = &epi, .shared = c->shared};
    if (chunk < c->plan.n_prepare && who < 0)
        lmn_conv_f32_prepare(&c->plan, &args, chunk);
    else
        lmn_conv_f32_chunk(&c->plan, &args, chunk,
                           c->scratch + (size_t)who * c->plan.scratch_bytes);
}

static void our_prepare(void *arg, int64_t chunk, int32_t who)
{
    (void)who;
    our_chunk(arg, chunk, -1);
}

static void all_chunks(conv *c, int64_t n, void (*fn)(void *, int64_t, int32_t))
{
    if (c->pool)
        lmn_workpool_for(c->pool, &(lmn_loop){.n_chunks = n, .fn = fn, .arg = c});
    else
        for (int64_t i = 0; i < n; i++) fn(c, i, 0);
}

static void run_ours(void *arg)
{
    conv *c = arg;
    lmn_conv_f32_plan(c->set, &c->g, &c->plan);
    if (c->plan.n_prepare) all_chunks(c, c->plan.n_prepare, our_prepare);
    all_chunks(c, c->plan.n_chunks, our_chunk);
}

static void run_dnn(void *arg)
{
    kb_dnn_run(((conv *)arg)->dnn);
}

static void release(void *arg)
{
    conv *c = arg;
    if (c->dnn) kb_dnn_release(c->dnn);
    free(c->shared);
    free(c->scratch);
    free(c);
}

static conv *add(kb_case *k, const conv *base, const char *name, kb_kind kind, void (*run)(void *))
{
    kb_contender *n = kb_add(k, name, kind, run == run_ours);
    conv *c = kb_alloc(sizeof *c);
    *c = *base;
    n->run = run, n->arg = c, n->release = release, n->error = error;
    return c;
}

static void add_ours(kb_case *k, const conv *base, kb_kind kind, int32_t threads)
{
    conv *c = add(k, base, "lamina", kind, run_ours);
    lmn_conv_f32_plan(c->set, &c->g, &c->plan);
    c->scratch = kb_alloc(c->plan.scratch_bytes * (size_t)threads);
    c->shared = kb_alloc(c->plan.shared_bytes);
}

static void add_dnn(kb_case *k, const conv *base, int32_t rank)
{
    const lmn_conv_geom *g = &base->g;
    kb_dnn_conv d = {.rank = rank,
                     .n = g->n,
                     .c_in = g->c_in,
                     .c_out = g->c_out,
                     .groups = g->groups,
                     .x = base->x,
                     .w = base->w,
                     .bias = base->bias,
                     .y = base->y};
    for (int a = 0; a < 3; a++) {
        d.in[a] = g->in[a], d.out[a] = g->out[a], d.kernel[a] = g->kernel[a];
        d.stride[a] = g->stride[a], d.dilation[a] = g->dilation[a];
        d.pad[a] = g->pad[a], d.pad_end[a] = g->pad_end[a];
    }
    for (int packed = 0; packed < 2; packed++) {
        d.plain = !packed;
        kb_dnn *made = kb_dnn_make_conv(&d);
        if (made) add(k, base, "oneDNN", packed ? KB_PACKED : KB_PLAIN, run_dnn)->dnn = made;
    }
}

static float *random_floats(int64_t n, uint64_t seed)
{
    float *x = kb_alloc((size_t)n * sizeof *x);
    kb_random_f32(x, n, seed);
    return x;
}

static lmn_conv_geom geom_of(const shape *s)
{
    lmn_conv_geom g = {.n = 1, .c_in = s->c_in, .c_out = s->c_out, .groups = s->groups};
    for (int a = 0; a < 3; a++) {
        const bool used = a >= 3 - s->rank;
        const int64_t reach = used ? (s->kernel - 1) * s->dilation : 0;
        g.in[a] = used ? s->size : 1, g.kernel[a] = used ? s->kernel : 1;
        g.stride[a] = used ? s->stride : 1, g.dilation[a] = used ? s->dilation : 1;
        g.pad[a] = reach / 2;
        g.out[a] = (g.in[a] + 2 * g.pad[a] - reach - 1) / g.stride[a] + 1;
        g.pad_end[a] = (g.out[a] - 1) * g.stride[a] + reach + 1 - g.in[a] - g.pad[a];
    }
    return g;
}

static void run_shape(kb_run *run, const shape *s, const lmn_kset *set, lmn_workpool *pool)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%d to %d/%d, %dx%d^%d s%d d%d", s->c_in, s->c_out, s->groups,
                   s->size, s->kernel, s->rank, s->stride, s->dilation);
    conv c = {.set = set, .g = geom_of(s), .pool = pool};
    c.g.threads = run->threads;
    const int64_t taps = s->c_in / s->groups * lmn_conv_volume(c.g.kernel);
    const int64_t pixels = lmn_conv_volume(c.g.out);
    const double ops = 2.0 * (double)(taps * pixels * s->c_out);
    if (!kb_wants(run, s->set, name, ops)) return;
    c.x = random_floats(s->c_in * lmn_conv_volume(c.g.in), 1);
    c.w = random_floats(s->c_out * taps, 2);
    c.bias = random_floats(s->c_out, 3);
    c.y = random_floats(s->c_out * pixels, 4);
    kb_case k = {.domain = "conv", .set = s->set, .name = name, .ops = ops, .peak = 1};
    add_ours(&k, &c, KB_PLAIN, run->threads);
    add_ours(&k, &c, KB_PACKED, run->threads);
    add_dnn(&k, &c, s->rank);
    kb_measure(run, &k);
    free(c.x);
    free(c.w);
    free(c.bias);
    free(c.y);
}

void kb_conv(kb_run *run)
{
    lmn_kset set;
    kb_choose(&set);
    lmn_workpool *pool = NULL;
    const lmn_pool_opts opts = {.width = (uint32_t)run->threads};
    if (run->threads > 1 && lmn_workpool_create(&lmn_libc_allocator, &opts, &pool)) return;
    for (size_t i = 0; i < LMN_COUNT(shapes); i++) run_shape(run, &shapes[i], &set, pool);
    lmn_workpool_destroy(pool);
}
