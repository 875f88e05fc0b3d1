/*
 * f32 dwconv row for AVX512: the loops of dwconv_tmpl.h on sixteen lanes. Planes of at most eight
 * columns have loops of their own on eight lanes, which issue twice as often, and hold all their
 * rows in registers; the chain of every element is the same.
 */
#include "kernels/simd/simd_avx512.h"

#define DW_NARROW narrow_pick
#include "kernels/conv/dwconv_tmpl.h"

enum { NARROW = 8, NARROW_K = 3, NARROW_ROWS = 7 };

/* Eight lanes of a strip of sixteen: the low half of what that loads. */
VF_INLINE __m256 narrow_load(const float *src, __mmask8 m0, __mmask8 m1, const int s)
{
    const __m256 low = _mm256_maskz_loadu_ps(m0, src);
    if (s == 1) return low;
    return _mm256_permutex2var_ps(low, _mm256_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14),
                                  _mm256_maskz_loadu_ps(m1, src + NARROW));
}

/* n_rows output rows from oy on; n_rows and s are constants. */
VF_INLINE void narrow_rows(const plane *p, const dw_strip *t, int64_t oy, const int n_rows,
                           const int s)
{
    const int64_t iy0 = oy * s - p->g->pad[1], h_in = p->g->in[1], w_in = p->g->in[2];
    const int64_t w_out = p->g->out[2];
    __m256 acc[NARROW_ROWS], x[NARROW_K], w[NARROW_K * NARROW_K];
    __mmask8 m0[NARROW_K], m1[NARROW_K];
    DW_UNROLL
    for (int kx = 0; kx < NARROW_K; kx++)
        m0[kx] = (__mmask8)t->m0[kx], m1[kx] = (__mmask8)(t->m0[kx] >> NARROW);
    DW_UNROLL
    for (int i = 0; i < NARROW_K * NARROW_K; i++) w[i] = _mm512_castps512_ps256(vf_bcast(p->w + i));
    DW_UNROLL
    for (int o = 0; o < n_rows; o++) acc[o] = _mm256_setzero_ps();
    DW_UNROLL
    for (int r = 0; r < (n_rows - 1) * s + NARROW_K; r++) {
        if (iy0 + r < 0 || iy0 + r >= h_in) continue;
        const float *row = p->x + (iy0 + r) * w_in;
        DW_UNROLL
        for (int kx = 0; kx < NARROW_K; kx++)
            x[kx] = narrow_load(row + t->ix[kx], m0[kx], m1[kx], s);
        DW_UNROLL
        for (int o = 0; o < n_rows; o++) {
            const int ky = r - o * s;
            if (ky < 0 || ky >= NARROW_K) continue;
            DW_UNROLL
            for (int kx = 0; kx < NARROW_K; kx++)
                acc[o] = _mm256_fmadd_ps(w[ky * NARROW_K + kx], x[kx], acc[o]);
        }
    }
    const __m256 bias = _mm256_set1_ps(p->bias);
    const __m256 lo = _mm256_set1_ps(p->clip_lo), hi = _mm256_set1_ps(p->clip_hi);
    DW_UNROLL
    for (int o = 0; o < n_rows; o++) {
        if (p->fused) acc[o] = _mm256_min_ps(hi, _mm256_max_ps(lo, _mm256_add_ps(acc[o], bias)));
        _mm256_mask_storeu_ps(p->y + (oy + o) * w_out, (__mmask8)t->out, acc[o]);
    }
}

VF_INLINE void plane_narrow(const plane *p, const int s)
{
    const dw_strip *t = &p->strip[0];
    int64_t oy = 0;
    for (; oy + NARROW_ROWS <= p->g->out[1]; oy += NARROW_ROWS)
        narrow_rows(p, t, oy, NARROW_ROWS, s);
    for (; oy < p->g->out[1]; oy++) narrow_rows(p, t, oy, 1, s);
}
static void narrow_3_1(const plane *p)
{
    plane_narrow(p, 1);
}
static void narrow_3_2(const plane *p)
{
    plane_narrow(p, 2);
}

static plane_fn *narrow_pick(const lmn_conv_geom *g)
{
    const int64_t s = g->stride[1];
    if (g->out[2] > NARROW || g->kernel[1] != NARROW_K || g->kernel[2] != NARROW_K) return NULL;
    if (g->stride[2] != s || g->dilation[1] != 1 || g->dilation[2] != 1) return NULL;
    return s == 1 ? narrow_3_1 : s == 2 ? narrow_3_2 : NULL;
}

lmn_dwconv_fn lmn_dwconv_f32_avx512;
lmn_epi_fn lmn_gemm_f32_epi_avx512;

void lmn_dwconv_f32_avx512(const lmn_dwconv_block *b)
{
    dwconv_run(b, lmn_gemm_f32_epi_avx512);
}
