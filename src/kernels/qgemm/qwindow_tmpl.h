/*
 * Rows of A of convolutions whose channels come last: the pixels under a window in the order of its
 * taps. Where taps of one line lie on end in x they are copied at once. The vectors are those of
 * the file's ISA.
 */
#ifndef LMN_KERNELS_QWINDOW_TMPL_H
#define LMN_KERNELS_QWINDOW_TMPL_H

#include "kernels/qgemm/qgemm.h"

#include <string.h>

#ifdef __AVX512BW__
#include <immintrin.h>

/* dst[i] = src[i]; up to 64 bytes more are written. */
static inline void window_copy(uint8_t *dst, const uint8_t *src, int64_t n)
{
    int64_t i = 0;
    for (; i + 64 <= n; i += 64) _mm512_storeu_si512(dst + i, _mm512_loadu_si512(src + i));
    const __mmask64 left = ((__mmask64)1 << (n - i)) - 1;
    if (left) _mm512_storeu_si512(dst + i, _mm512_maskz_loadu_epi8(left, src + i));
}
#else
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

static inline void window_few(uint8_t *dst, const uint8_t *src, int64_t n)
{
    if (n >= 8) TWICE(uint64_t)
    if (n >= 4) TWICE(uint32_t)
    for (int64_t i = 0; i < n; i++) dst[i] = src[i];
}

/* dst[i] = src[i]; the last bytes of many are moved again with what is in front of them. */
static inline void window_copy(uint8_t *dst, const uint8_t *src, int64_t n)
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
        window_few(dst, src, n);
    }
}
#endif

/* Taps that lie on end in x. */
static inline int64_t window_joined(const lmn_conv_geom *g)
{
    return g->dilation[2] == 1 ? g->kernel[2] : 1;
}

/* Where a row of A is: byte lo of the taps from `tap` on of line (kz, ky) of the window. */
typedef struct window_place {
    int64_t lo, tap, ky, kz;
} window_place;

static inline window_place window_place_of(const lmn_conv_geom *g, int64_t k0, int64_t joined)
{
    const int64_t piece = joined * g->c_in, pieces = g->kernel[2] / joined;
    const int64_t p = k0 / piece, line = p / pieces;
    return (window_place){k0 % piece, p % pieces * joined, line % g->kernel[1],
                          line / g->kernel[1]};
}

/* n bytes from there on of `joined` taps for the output pixel whose window begins at `first`. */
static inline void window_put(const lmn_qgemm_windows *w, const uint8_t *x, const int64_t first[3],
                              const window_place *t, int64_t joined, int64_t n, uint8_t *dst)
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
    window_copy(dst + from, x + ((iz * g->in[1] + iy) * g->in[2] + ix) * c + t->lo + from,
                to - from);
    if (n > to) memset(dst + to, w->pad, (size_t)(n - to));
}

/* k bytes of the row of an output pixel of the image x. */
static inline void window_any(const lmn_qgemm_windows *w, const uint8_t *x, const int64_t first[3],
                              window_place t, int64_t k, uint8_t *dst)
{
    const lmn_conv_geom *g = w->g;
    const int64_t joined = window_joined(g), piece = joined * g->c_in;
    for (int64_t left = k; left > 0;) {
        const int64_t n = lmn_min_i64(left, piece - t.lo);
        window_put(w, x, first, &t, joined, n, dst);
        left -= n, dst += n, t.lo = 0, t.tap += joined;
        if (t.tap == g->kernel[2]) t.tap = 0, t.ky++;
        if (t.ky == g->kernel[1]) t.ky = 0, t.kz++;
    }
}

/* The same of a window inside x, of one plane and joined taps, and a whole row. */
static inline void window_inner(const lmn_conv_geom *g, const uint8_t *x, const int64_t first[3],
                                uint8_t *dst)
{
    const int64_t n = g->kernel[2] * g->c_in, line = g->in[2] * g->c_in;
    const uint8_t *src = x + first[1] * line + first[2] * g->c_in;
#ifdef __AVX512BW__
    if (n < 32) {
        const __mmask32 in = ((__mmask32)1 << n) - 1;
        for (int64_t ky = 0; ky < g->kernel[1]; ky++, dst += n, src += g->dilation[1] * line)
            _mm256_storeu_si256((__m256i *)(void *)dst, _mm256_maskz_loadu_epi8(in, src));
        return;
    }
#endif
    for (int64_t ky = 0; ky < g->kernel[1]; ky++, dst += n, src += g->dilation[1] * line)
        window_copy(dst, src, n);
}

/* To the window of the next pixel; *x is its image. */
static inline void window_next(const lmn_conv_geom *g, int64_t o[3], int64_t first[3],
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

static inline void windows_run(const lmn_qgemm_windows *w)
{
    const lmn_conv_geom *g = w->g;
    const int64_t joined = window_joined(g);
    const int64_t pixels = lmn_conv_volume(g->out), p = w->i % pixels;
    const uint8_t *x = w->x + w->i / pixels * lmn_conv_volume(g->in) * g->c_in;
    const window_place t = window_place_of(g, w->k0, joined);
    const bool flat = g->in[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0 && g->out[0] == 1 &&
                      joined == g->kernel[2] && w->k == g->c_in * lmn_conv_volume(g->kernel);
    const int64_t most[2] = {g->in[1] - 1 - (g->kernel[1] - 1) * g->dilation[1],
                             g->in[2] - 1 - (g->kernel[2] - 1) * g->dilation[2]};
    int64_t o[3] = {p / (g->out[1] * g->out[2]), p / g->out[2] % g->out[1], p % g->out[2]};
    int64_t first[3];
    for (int i = 0; i < 3; i++) first[i] = lmn_conv_at(g, i, o[i], 0);
    for (int64_t i = 0; i < w->m; i++) {
        uint8_t *dst = w->dst + i * w->step;
        if (flat && first[1] >= 0 && first[1] <= most[0] && first[2] >= 0 && first[2] <= most[1])
            window_inner(g, x, first, dst);
        else
            window_any(w, x, first, t, w->k, dst);
        window_next(g, o, first, &x);
    }
}

#endif
