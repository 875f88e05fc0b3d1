/*
 * f32 dwconv row for AVX512: the loops of dwconv_tmpl.h on sixteen lanes. 3 x 3 windows of stride 1
 * and 2 have loops of their own (dwconv_strip_tmpl.h): on eight lanes where so few columns are
 * left, and on two planes at once where that is all there is of a plane.
 */
#include "kernels/simd/simd_avx512.h"

#ifndef LMN_NO_DEPTHWISE_3 /* cmake/subset.cmake */
#define DW_OWN_3
#endif
#include "kernels/conv/dwconv_tmpl.h"

#ifdef DW_OWN_3
enum { STRIP_ROWS = 7, STRIP_FEW = 3 }; /* output rows in registers */
#define EVENS _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODDS _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
/* Of two planes: the columns one before and one behind, and the odd ones from -1 on. */
#define PAIR_BEFORE _mm512_setr_epi32(0, 0, 1, 2, 3, 4, 5, 6, 0, 8, 9, 10, 11, 12, 13, 14)
#define PAIR_BEHIND _mm512_setr_epi32(1, 2, 3, 4, 5, 6, 7, 0, 9, 10, 11, 12, 13, 14, 15, 0)
#define PAIR_ODDS _mm512_setr_epi32(0, 1, 3, 5, 7, 9, 11, 13, 0, 17, 19, 21, 23, 25, 27, 29)

/* Lanes that lie inside the input: of the loads of `taps`. */
static strip3 strip3_at(const lmn_conv_geom *g, int64_t ox)
{
    const int64_t s = g->stride[2], w = g->in[2], left = g->out[2] - ox, ix = ox * s - g->pad[2];
    strip3 t = {.ox = ox, .ix = ix, .half = left <= 8, .out = vm_first(left)};
    if (s == 1) {
        for (int kx = 0; kx < 3; kx++) t.m[kx] = vm_range(-ix - kx, w - ix - kx);
        return t;
    }
    const int64_t lanes = t.half ? 8 : 16;
    t.m[0] = vm_range(-ix - 1, w - ix - 1);
    t.m[1] = vm_range(-ix - 1 - lanes, w - ix - 1 - lanes);
    t.m[2] = (vm)(ix >= 0 && ix < w ? 1u << (lanes - 1) : 0);
    return t;
}

#define STRIP(name) whole_##name
#define STRIP_LANES 16
#include "kernels/conv/dwconv_strip_tmpl.h"
#define STRIP(name) half_##name
#define STRIP_LANES 8
#include "kernels/conv/dwconv_strip_tmpl.h"
#define STRIP(name) pair_##name
#define STRIP_LANES 16
#define STRIP_PAIR
#include "kernels/conv/dwconv_strip_tmpl.h"

#include "kernels/conv/dwconv_roll_tmpl.h"

/* How many planes go two a vector: those of few columns with one of padding, but for the last ones
   of a block, behind which nothing may be read. */
VF_INLINE int64_t n_paired(const plane *p, const int s)
{
    const lmn_conv_geom *g = p->g;
    const int64_t w = g->in[2], w_out = g->out[2];
    const bool fit = w <= 8 * s && w_out <= 8 && g->pad[2] == 1 && (w_out - 1) * s < w;
    if (!fit || g->in[1] * w < VF_LANES || (s == 1 && !p->wide)) return 0;
    return (p->n_planes - (p->n_behind == 0)) / 2 * 2;
}

/* Output rows from oy on that are made at once: of more than one only the first and the last input
   row may be missing. */
VF_INLINE int64_t group_of(const lmn_conv_geom *g, int64_t oy, const int s)
{
    const int64_t top = oy * s - g->pad[1], left = g->out[1] - oy, room = g->in[1] - top;
    if (top < -1) return 1;
    if (left >= STRIP_ROWS && (STRIP_ROWS - 1) * s + 2 <= room) return STRIP_ROWS;
    return left >= STRIP_FEW && (STRIP_FEW - 1) * s + 2 <= room ? STRIP_FEW : 1;
}

VF_INLINE void plane_3(const plane *p, const int s)
{
    if (p->wide && p->g->out[2] > VF_LANES) {
        roll_planes(p, s);
        return;
    }
    const int64_t paired = n_paired(p, s), behind = p->g->in[2] / s; /* whose last tap is inside */
    const strip3 pair = {.m = {0xfefe, 0, (vm)(vm_first(behind - (s == 1)) * 0x101)},
                         .out = vm_first(p->g->out[2])};
    int64_t n;
    for (int64_t oy = 0; oy < p->g->out[1]; oy += n) {
        n = group_of(p->g, oy, s);
        if (paired) pair_group(p, &pair, oy, n, s, 0, paired);
        if (paired == p->n_planes) continue;
        for (int64_t ox = 0; ox < p->g->out[2]; ox += VF_LANES) {
            const int64_t i = ox / VF_LANES;
            const strip3 t = i < DW_STRIPS ? p->strip3[i] : strip3_at(p->g, ox);
            if (t.half)
                half_group(p, &t, oy, n, s, paired, p->n_planes);
            else
                whole_group(p, &t, oy, n, s, paired, p->n_planes);
        }
    }
}
static void plane_3_1(const plane *p)
{
    plane_3(p, 1);
}
static void plane_3_2(const plane *p)
{
    plane_3(p, 2);
}
#endif

lmn_dwconv_fn lmn_dwconv_f32_avx512, lmn_dwconv_f32_wide_avx512;
lmn_epi_fn lmn_gemm_f32_epi_avx512;

void lmn_dwconv_f32_avx512(const lmn_dwconv_block *b)
{
    dwconv_run(b, lmn_gemm_f32_epi_avx512, false);
}

void lmn_dwconv_f32_wide_avx512(const lmn_dwconv_block *b)
{
    dwconv_run(b, lmn_gemm_f32_epi_avx512, true);
}
