/*
 * Geometry in, chunks out (qlast_plan.h). A row of A is the pixels under a window in the order of
 * its taps; where taps of one line are next to each other in x they are copied at once.
 */
#include "kernels/qgemm/qlast_plan.h"

#include <string.h>

/* ---- weights -----------------------------------------------------------------------------------
 */

int64_t lmn_qlast_packed_bytes(const lmn_qgemm_row *row, const lmn_qlast_weights *w)
{
    return lmn_qgemm_packed_bytes(row, w->c_in * w->taps, w->c_out);
}

enum { SLAB = 64, MOST = 48 }; /* rows of k packed at once, columns of a panel */

/* Rows k0 .. k0 + k - 1 of n columns from co on, row-major. */
static void turn(const lmn_qlast_weights *w, int64_t co, int64_t n, int64_t k0, int64_t k,
                 uint8_t *dst)
{
    for (int64_t i = 0; i < n; i++) {
        const uint8_t *src = w->w + (co + i) * w->c_in * w->taps;
        int64_t tap = k0 / w->c_in, c = k0 % w->c_in;
        for (int64_t r = 0; r < k; r++) {
            dst[r * n + i] = src[c * w->taps + tap];
            if (++c == w->c_in) c = 0, tap++;
        }
    }
}

void lmn_qlast_prepack(const lmn_qgemm_row *row, const lmn_qlast_weights *w, void *packed)
{
    const int64_t k = w->c_in * w->taps;
    if (w->taps == 1) {
        lmn_qgemm_prepack(row, true, w->is_signed, w->w, k, k, w->c_out, packed);
        return;
    }
    uint8_t turned[SLAB * MOST];
    lmn_assert(row->nr <= MOST && SLAB % row->group == 0);
    const int64_t columns = lmn_round_up_i64(w->c_out, row->nr);
    const int64_t panel = lmn_round_up_i64(k, row->group) * row->nr * row->b_bytes;
    int32_t *sums = (int32_t *)(void *)((uint8_t *)packed + columns / row->nr * panel);
    memset(sums, 0, (size_t)columns * sizeof *sums);
    for (int64_t co = 0; co < w->c_out; co += row->nr) {
        uint8_t *to = (uint8_t *)packed + co / row->nr * panel;
        const int64_t n = lmn_min_i64(row->nr, w->c_out - co);
        for (int64_t k0 = 0; k0 < k; k0 += SLAB) {
            const int64_t some = lmn_min_i64(SLAB, k - k0);
            turn(w, co, n, k0, some, turned);
            row->pack_b(&(lmn_qgemm_pack){.dst = to + k0 * row->nr * row->b_bytes,
                                          .step = panel,
                                          .src = turned,
                                          .ld = n,
                                          .k = some,
                                          .n = n,
                                          .flip = w->is_signed ? 0 : 0x80,
                                          .sums = sums + co});
        }
    }
}

/* ---- the plan ----------------------------------------------------------------------------------
 */

static bool is_pointwise(const lmn_conv_geom *g)
{
    for (int i = 0; i < 3; i++)
        if (g->kernel[i] != 1 || g->stride[i] != 1 || g->pad[i] != 0 || g->in[i] != g->out[i])
            return false;
    return true;
}

void lmn_qlast_plan_make(const lmn_qgemm_row *row, const lmn_conv_geom *g, lmn_qlast_plan *out)
{
    lmn_assert(g->groups == 1);
    *out = (lmn_qlast_plan){.g = *g, .direct = is_pointwise(g)};
    const lmn_qgemm_shape shape = {.m = g->n * lmn_conv_volume(g->out),
                                   .n = g->c_out,
                                   .k = g->c_in * lmn_conv_volume(g->kernel),
                                   .n_batch = 1,
                                   .packed = true,
                                   .rows = !out->direct,
                                   .threads = g->threads};
    lmn_qgemm_plan_make(row, &shape, &out->gemm);
    out->n_chunks = out->gemm.n_chunks, out->scratch_bytes = out->gemm.scratch_bytes;
}

/* ---- rows of A ---------------------------------------------------------------------------------
 */

typedef struct window {
    const lmn_conv_geom *g;
    const uint8_t *x;
    uint8_t pad;
    int64_t joined; /* taps that lie on end in x */
} window;

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef struct bytes64 {
    bytes16 part[4];
} bytes64;

/* dst[i] = src[i] by two moves, of which the second is the last bytes: n is 1 to 2 times theirs. */
#define TWICE(type)                                        \
    {                                                      \
        type a, b;                                         \
        memcpy(&a, src, sizeof a);                         \
        memcpy(&b, src + n - (int64_t)sizeof b, sizeof b); \
        memcpy(dst, &a, sizeof a);                         \
        memcpy(dst + n - (int64_t)sizeof b, &b, sizeof b); \
        return;                                            \
    }

static inline void copy_few(uint8_t *dst, const uint8_t *src, int64_t n)
{
    if (n >= 8) TWICE(uint64_t)
    if (n >= 4) TWICE(uint32_t)
    for (int64_t i = 0; i < n; i++) dst[i] = src[i];
}

static inline void copy(uint8_t *dst, const uint8_t *src, int64_t n)
{
    bytes64 v;
    if (n >= 64) {
        for (int64_t i = 0; i < n; i += 64) {
            const int64_t at = lmn_min_i64(i, n - 64);
            memcpy(&v, src + at, sizeof v);
            memcpy(dst + at, &v, sizeof v);
        }
    } else if (n >= 16) {
        bytes16 one;
        for (int64_t i = 0; i < n; i += 16) {
            const int64_t at = lmn_min_i64(i, n - 16);
            memcpy(&one, src + at, sizeof one);
            memcpy(dst + at, &one, sizeof one);
        }
    } else {
        copy_few(dst, src, n);
    }
}

/* Where a row of A is: byte lo of the taps from `tap` on of line (kz, ky) of the window. */
typedef struct place {
    int64_t lo, tap, ky, kz;
} place;

static place place_of(const lmn_conv_geom *g, int64_t k0, int64_t joined)
{
    const int64_t piece = joined * g->c_in, pieces = g->kernel[2] / joined;
    const int64_t p = k0 / piece, line = p / pieces;
    return (place){k0 % piece, p % pieces * joined, line % g->kernel[1], line / g->kernel[1]};
}

/* n bytes from there on of `joined` taps for the output pixel whose window begins at `first`. */
static inline void put(const window *w, const uint8_t *x, const int64_t first[3], const place *t,
                       int64_t joined, int64_t n, uint8_t *dst)
{
    const lmn_conv_geom *g = w->g;
    const int64_t c = g->c_in, iz = first[0] + t->kz * g->dilation[0],
                  iy = first[1] + t->ky * g->dilation[1], ix = first[2] + t->tap * g->dilation[2];
    int64_t from = 0, to = 0; /* of the n bytes, those on x */
    if (iz >= 0 && iz < g->in[0] && iy >= 0 && iy < g->in[1]) {
        from = lmn_min_i64(n, lmn_max_i64(0, -ix * c - t->lo));
        to = lmn_min_i64(n, lmn_min_i64(joined, g->in[2] - ix) * c - t->lo);
    }
    if (to <= from) {
        memset(dst, w->pad, (size_t)n);
        return;
    }
    if (from > 0) memset(dst, w->pad, (size_t)from);
    copy(dst + from, x + ((iz * g->in[1] + iy) * g->in[2] + ix) * c + t->lo + from, to - from);
    if (n > to) memset(dst + to, w->pad, (size_t)(n - to));
}

/* k bytes of the row of an output pixel of the image x. */
static void any_row(const window *w, const uint8_t *x, const int64_t first[3], place t, int64_t k,
                    uint8_t *dst)
{
    const lmn_conv_geom *g = w->g;
    const int64_t joined = w->joined, piece = joined * g->c_in;
    for (int64_t left = k; left > 0;) {
        const int64_t n = lmn_min_i64(left, piece - t.lo);
        put(w, x, first, &t, joined, n, dst);
        left -= n, dst += n, t.lo = 0, t.tap += joined;
        if (t.tap == g->kernel[2]) t.tap = 0, t.ky++;
        if (t.ky == g->kernel[1]) t.ky = 0, t.kz++;
    }
}

/* The same of a window inside x, of one plane and joined taps, and a whole row. */
static inline void inner_row(const lmn_conv_geom *g, const uint8_t *x, const int64_t first[3],
                             uint8_t *dst)
{
    const int64_t n = g->kernel[2] * g->c_in, line = g->in[2] * g->c_in;
    const uint8_t *src = x + first[1] * line + first[2] * g->c_in;
    for (int64_t ky = 0; ky < g->kernel[1]; ky++, dst += n, src += g->dilation[1] * line)
        copy(dst, src, n);
}

/* To the window of the next pixel; *x is its image. */
static inline void step_on(const lmn_conv_geom *g, int64_t o[3], int64_t first[3],
                           const uint8_t **x)
{
    first[2] += g->stride[2];
    if (++o[2] < g->out[2]) return;
    o[2] = 0, first[2] = -g->pad[2], first[1] += g->stride[1];
    if (++o[1] < g->out[1]) return;
    o[1] = 0, first[1] = -g->pad[1], first[0] += g->stride[0];
    if (++o[0] < g->out[0]) return;
    o[0] = 0, first[0] = -g->pad[0], *x += lmn_conv_volume(g->in) * g->c_in;
}

static void bring_rows(const void *ctx, const lmn_qgemm_strip *s)
{
    const window *w = ctx;
    const lmn_conv_geom *g = w->g;
    const int64_t pixels = lmn_conv_volume(g->out), p = s->i % pixels;
    const uint8_t *x = w->x + s->i / pixels * lmn_conv_volume(g->in) * g->c_in;
    const place t = place_of(g, s->k0, w->joined);
    const bool flat = g->in[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0 && g->out[0] == 1 &&
                      w->joined == g->kernel[2] && s->k == g->c_in * lmn_conv_volume(g->kernel);
    const int64_t most[2] = {g->in[1] - 1 - (g->kernel[1] - 1) * g->dilation[1],
                             g->in[2] - 1 - (g->kernel[2] - 1) * g->dilation[2]};
    int64_t o[3] = {p / (g->out[1] * g->out[2]), p / g->out[2] % g->out[1], p % g->out[2]};
    int64_t first[3];
    for (int i = 0; i < 3; i++) first[i] = lmn_conv_at(g, i, o[i], 0);
    for (int64_t i = 0; i < s->m; i++) {
        uint8_t *dst = s->dst + i * s->step;
        if (flat && first[1] >= 0 && first[1] <= most[0] && first[2] >= 0 && first[2] <= most[1])
            inner_row(g, x, first, dst);
        else
            any_row(w, x, first, t, s->k, dst);
        step_on(g, o, first, &x);
    }
}

void lmn_qlast_chunk(const lmn_qlast_plan *p, const lmn_qconv_args *args, int64_t chunk,
                     void *scratch)
{
    const lmn_conv_geom *g = &p->g;
    const window w = {g, args->x, (uint8_t)args->x_zp, g->dilation[2] == 1 ? g->kernel[2] : 1};
    const lmn_qgemm_args a = {.a = args->x,
                              .b = args->w,
                              .a_signed = args->x_signed,
                              .b_signed = args->w_signed,
                              .lda = g->c_in,
                              .rows = bring_rows,
                              .rows_ctx = &w,
                              .a_zp = args->x_zp,
                              .b_zp = args->w_zp,
                              .b_zps = args->w_zps,
                              .col_bias = args->bias,
                              .out = args->requant ? LMN_QGEMM_BYTES : LMN_QGEMM_I32,
                              .mul = args->mul,
                              .div = 1.0f,
                              .col_mul = args->muls,
                              .zp = args->zp,
                              .lo = args->lo,
                              .hi = args->hi,
                              .c = args->y,
                              .ldc = g->c_out};
    lmn_qgemm_chunk(&p->gemm, &a, chunk, scratch);
}
