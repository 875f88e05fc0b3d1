/*
 * Geometry in, chunks out (qconv_plan.h). Pixels of a window are gathered a few rows of B at a
 * time, so that they are still in the first cache when they are packed.
 */
#include "kernels/qgemm/qconv_plan.h"

#include <string.h>

enum path {
    PATH_IM2COL,    /* any geometry */
    PATH_POINTWISE, /* the rows of x are the rows of B */
    PATH_DEPTHWISE
};

static const int64_t min_depthwise_elems = 64 << 10;

static int32_t choose_path(const lmn_conv_geom *g)
{
    const bool flat = g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0;
    if (flat && g->groups == g->c_in && g->dilation[2] == 1 && g->stride[2] <= 2 &&
        g->kernel[2] <= 16 && lmn_conv_volume(g->kernel) > 1 &&
        lmn_conv_volume(g->kernel) <= LMN_QGEMM_TAPS)
        return PATH_DEPTHWISE;
    for (int i = 0; i < 3; i++) {
        if (g->kernel[i] != 1 || g->stride[i] != 1 || g->pad[i] != 0 || g->in[i] != g->out[i])
            return PATH_IM2COL;
    }
    return PATH_POINTWISE;
}

/* Rows and columns of a plane with all its padding, as the windows see it. */
static int64_t padded_extent(const lmn_conv_geom *g, int axis)
{
    const int64_t seen =
        (g->out[axis] - 1) * g->stride[axis] + (g->kernel[axis] - 1) * g->dilation[axis] + 1;
    return lmn_max_i64(seen, g->pad[axis] + g->in[axis]);
}

static void plan_depthwise(lmn_qconv_plan *p)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t plane = lmn_max_i64(lmn_conv_volume(g->out), lmn_conv_volume(g->in));
    p->planes = lmn_max_i64(1, min_depthwise_elems / plane);
    p->planes = lmn_min_i64(p->planes, lmn_max_i64(1, g->n * g->c_out / 8));
    p->ld = (padded_extent(g, 2) + 15) / 16 * 16;
    p->scratch_bytes = (size_t)(p->ld * padded_extent(g, 1) + LMN_QGEMM_OVERREAD);
    p->n_chunks = (g->n * g->c_out + p->planes - 1) / p->planes;
}

void lmn_qconv_plan_make(const lmn_qgemm_row *row, const lmn_conv_geom *g, lmn_qconv_plan *out)
{
    lmn_assert(g->groups >= 1 && g->c_in % g->groups == 0 && g->c_out % g->groups == 0);
    *out = (lmn_qconv_plan){.g = *g, .path = choose_path(g), .row = row};
    const int64_t pixels = lmn_conv_volume(g->out);
    if (g->n == 0 || g->c_out == 0 || pixels == 0) return;
    if (out->path == PATH_DEPTHWISE) {
        plan_depthwise(out);
        return;
    }
    const lmn_qgemm_shape shape = {.m = g->c_out / g->groups,
                                   .n = pixels,
                                   .k = g->c_in / g->groups * lmn_conv_volume(g->kernel),
                                   .n_batch = g->n * g->groups,
                                   .bring = out->path == PATH_IM2COL,
                                   .threads = g->threads};
    lmn_qgemm_plan_make(row, &shape, &out->gemm);
    out->n_chunks = out->gemm.n_chunks, out->scratch_bytes = out->gemm.scratch_bytes;
}

bool lmn_qconv_plan_as(const lmn_qgemm_row *row, const lmn_conv_geom *g, const lmn_choice *c,
                       lmn_qconv_plan *out)
{
    lmn_qconv_plan_make(row, g, out);
    const lmn_qgemm_plan *q = &out->gemm;
    const lmn_qgemm_shape shape = {.m = q->m,
                                   .n = q->n,
                                   .k = q->k,
                                   .n_batch = q->n_batch,
                                   .bring = q->bring,
                                   .threads = g->threads};
    if (out->path == PATH_DEPTHWISE || !lmn_qgemm_plan_as(row, &shape, c, &out->gemm)) return false;
    out->n_chunks = out->gemm.n_chunks, out->scratch_bytes = out->gemm.scratch_bytes;
    return true;
}

/* ---- pixels to rows of B ----------------------------------------------------------------------
 */

typedef struct window {
    const lmn_qgemm_row *row;
    lmn_qgemm_gather from;
} window;

static void bring(const void *ctx, const lmn_qgemm_slab *s)
{
    const window *w = ctx;
    lmn_qgemm_gather a = w->from;
    a.k0 = s->k0, a.k = s->k, a.col = s->col, a.n = s->n, a.dst = s->dst;
    w->row->gather(&a);
}

static void gemm_chunk(const lmn_qconv_plan *p, const lmn_qconv_args *args, int64_t chunk,
                       void *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t per_item = p->gemm.m_blocks * p->gemm.n_blocks;
    const int64_t image = chunk / per_item / g->groups, group = chunk / per_item % g->groups;
    const int64_t c_in = g->c_in / g->groups, m = p->gemm.m, co = group * m;
    const int64_t in_plane = lmn_conv_volume(g->in);
    const uint8_t *x = args->x + (image * g->c_in + group * c_in) * in_plane;
    const window w = {p->row, {.g = g, .x = x, .pad = (uint8_t)args->x_zp}};
    lmn_qgemm_args a = {.a = args->w + co * p->gemm.k,
                        .b = x,
                        .a_signed = args->w_signed,
                        .b_signed = args->x_signed,
                        .lda = p->gemm.k,
                        .ldb = in_plane,
                        .bring = bring,
                        .bring_ctx = &w,
                        .a_zp = args->w_zp,
                        .b_zp = args->x_zp,
                        .out = args->requant ? LMN_QGEMM_BYTES : LMN_QGEMM_I32,
                        .mul = args->mul,
                        .div = 1.0f,
                        .zp = args->zp,
                        .lo = args->lo,
                        .hi = args->hi,
                        .ldc = p->gemm.n};
    if (args->w_zps) a.a_zps = args->w_zps + co;
    if (args->bias) a.row_bias = args->bias + co;
    if (args->muls) a.row_mul = args->muls + co;
    a.c = (uint8_t *)args->y + (image * g->c_out + co) * p->gemm.n * (args->requant ? 1 : 4);
    lmn_qgemm_chunk(&p->gemm, &a, chunk % per_item, scratch);
}

/* ---- depthwise --------------------------------------------------------------------------------
 */

/* dst[i] = src[i] ^ flip; they do not overlap. memcpy is called only for many. */
static void copy_row(uint8_t *dst, const uint8_t *src, int64_t n, uint8_t flip)
{
    if (n > 32 && !flip) {
        memcpy(dst, src, (size_t)n);
        return;
    }
    const uint64_t flips = flip * (uint64_t)0x0101010101010101u;
    const uint32_t few = (uint32_t)flips;
    uint64_t v;
    uint32_t a, b;
    if (n >= 8) {
        for (int64_t i = 0; i < n; i += 8) {
            const int64_t at = lmn_min_i64(i, n - 8);
            memcpy(&v, src + at, sizeof v);
            v ^= flips;
            memcpy(dst + at, &v, sizeof v);
        }
    } else if (n >= 4) {
        memcpy(&a, src, sizeof a);
        memcpy(&b, src + n - 4, sizeof b);
        a ^= few, b ^= few;
        memcpy(dst, &a, sizeof a);
        memcpy(dst + n - 4, &b, sizeof b);
    } else {
        for (int64_t i = 0; i < n; i++) dst[i] = src[i] ^ flip;
    }
}

/* A plane into the middle of its padding, in u8. */
static void place_plane(const lmn_qconv_plan *p, const uint8_t *x, uint8_t flip, uint8_t *dst)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t w = g->in[2], rows = lmn_min_i64(g->in[1], padded_extent(g, 1) - g->pad[1]);
    uint8_t *at = dst + g->pad[1] * p->ld + g->pad[2];
    for (int64_t y = 0; y < rows; y++, at += p->ld, x += w) copy_row(at, x, w, flip);
}

/* Taps as s8 and what their zero points leave: sum (x - zx)(w - zw) = sum x (w - zw) - zx sum
   (w - zw). The kernel takes zw off by a sum of x, where it is not 0. */
static void depthwise_plane(const lmn_qconv_plan *p, const lmn_qconv_args *args, int64_t plane,
                            uint8_t *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const int64_t image = plane / g->c_out, co = plane % g->c_out, ci = co / (g->c_out / g->c_in);
    const int64_t kvol = lmn_conv_volume(g->kernel), pixels = lmn_conv_volume(g->out);
    const uint8_t x_flip = args->x_signed ? 0x80 : 0, w_flip = args->w_signed ? 0 : 0x80;
    const int32_t zx = args->x_zp + (x_flip ? 128 : 0);
    const int32_t zw = (args->w_zps ? args->w_zps[co] : args->w_zp) - (w_flip ? 128 : 0);
    const uint8_t *x = args->x + (image * g->c_in + ci) * lmn_conv_volume(g->in);
    place_plane(p, x, x_flip, scratch);
    lmn_qgemm_taps t = {.x = scratch, .kh = g->kernel[1], .kw = g->kernel[2]};
    t.row_step = g->stride[1] * p->ld, t.tap_step = g->dilation[1] * p->ld;
    t.stride = g->stride[2], t.w_zp = zw;
    t.rows = g->out[1], t.n = g->out[2];
    uint32_t sum = 0;
    copy_row((uint8_t *)t.w, args->w + co * kvol, kvol, w_flip);
    for (int64_t i = 0; i < kvol; i++)
        sum += (uint32_t)((int8_t)(args->w[co * kvol + i] ^ w_flip) - zw);
    t.add = (int32_t)((args->bias ? (uint32_t)args->bias[co] : 0) - (uint32_t)zx * sum);
    t.requant = args->requant, t.mul = args->muls ? args->muls[co] : args->mul;
    t.zp = args->zp, t.lo = args->lo, t.hi = args->hi;
    t.y = (uint8_t *)args->y + plane * pixels * (args->requant ? 1 : 4);
    p->row->taps(&t);
}

void lmn_qconv_chunk(const lmn_qconv_plan *p, const lmn_qconv_args *args, int64_t chunk,
                     void *scratch)
{
    lmn_assert(chunk >= 0 && chunk < p->n_chunks);
    if (p->path != PATH_DEPTHWISE) {
        gemm_chunk(p, args, chunk, scratch);
        return;
    }
    const int64_t first = chunk * p->planes;
    const int64_t end = lmn_min_i64(first + p->planes, p->g.n * p->g.c_out);
    /* The padding is the same around all planes. */
    memset(scratch, (uint8_t)args->x_zp ^ (args->x_signed ? 0x80 : 0), p->scratch_bytes);
    for (int64_t i = first; i < end; i++) depthwise_plane(p, args, i, scratch);
}
