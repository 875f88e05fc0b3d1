/*
 * Depthwise 3 x 3 windows of stride 1 or 2 on AVX-512: a strip of output columns by up to seven
 * rows in registers. Included by dwconv_f32_avx512.c for three kinds of strips: STRIP_LANES 16; 8,
 * on half vectors, which issue twice as often; and STRIP_PAIR, the same eight columns of two planes
 * in one vector. Of stride 2 a row is loaded once and dealt to even and odd columns. The chain of
 * an element is that of dwconv_tmpl.h. No include guard by intent.
 */
#if STRIP_LANES == 16
#define STRIP_MM(name) _mm512_##name
#define STRIP_VEC __m512
#define STRIP_MASK __mmask16
#else
#define STRIP_MM(name) _mm256_##name
#define STRIP_VEC __m256
#define STRIP_MASK __mmask8
#endif

/* The three taps of a row, s a constant; `row` stands at the column of the first one. */
#if STRIP_PAIR
VF_INLINE void STRIP(taps)(const plane *p, const float *row, const vm m[3], const int s, vf x[3])
{
    const float *next = row + 1, *other = next + p->n_in;
    if (s == 1) {
        const __m256 low = _mm256_maskz_loadu_ps((__mmask8)m[1], next);
        const __m256 high = _mm256_maskz_loadu_ps((__mmask8)m[1], other);
        const __m512i lanes =
            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i left = _mm512_sub_epi32(lanes, _mm512_set1_epi32(1));
        const __m512i right = _mm512_add_epi32(lanes, _mm512_set1_epi32(1));
        x[1] = _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1);
        x[0] = _mm512_maskz_permutexvar_ps(0xfefe, left, x[1]);
        x[2] = _mm512_maskz_permutexvar_ps(0x7f7f, right, x[1]);
        return;
    }
    /* The column of the first tap of all lies in the padding. */
    const vf a = vf_loadm(next, m[0]), b = vf_loadm(other, m[0]);
    const __m512i before =
        _mm512_setr_epi32(0, 1, 3, 5, 7, 9, 11, 13, 16, 17, 19, 21, 23, 25, 27, 29);
    x[0] = _mm512_maskz_permutex2var_ps(0xfefe, a, before, b);
    x[1] = _mm512_permutex2var_ps(a, EVENS, b), x[2] = _mm512_permutex2var_ps(a, ODDS, b);
}
VF_INLINE vf STRIP(both)(const float *low, const float *high)
{
    const __m256 a = _mm512_castps512_ps256(vf_bcast(low)),
                 b = _mm512_castps512_ps256(vf_bcast(high));
    return _mm512_insertf32x8(_mm512_castps256_ps512(a), b, 1);
}
VF_INLINE void STRIP(store)(const plane *p, float *y, vm out, vf v)
{
    __m256 high = _mm512_extractf32x8_ps(v, 1);
    __asm__(""
            : "+v"(high)); /* or gcc makes a masked vextract, which faults on lanes that are off */
    _mm256_mask_storeu_ps(y, (__mmask8)out, _mm512_castps512_ps256(v));
    _mm256_mask_storeu_ps(y + p->n_out, (__mmask8)out, high);
}
#define STRIP_BOTH(at, step) STRIP(both)(at, (at) + (step))
#else
VF_INLINE void STRIP(taps)(const plane *p, const float *row, const vm m[3], const int s,
                           STRIP_VEC x[3])
{
    (void)p;
    if (s == 1) {
        DW_UNROLL
        for (int kx = 0; kx < 3; kx++)
            x[kx] = STRIP_MM(maskz_loadu_ps)((STRIP_MASK)m[kx], row + kx);
        return;
    }
    /* Of `before` the last lane is the column of the first tap. */
    const float *next = row + 1;
    const STRIP_VEC low = STRIP_MM(maskz_loadu_ps)((STRIP_MASK)m[0], next);
    const STRIP_VEC high = STRIP_MM(maskz_loadu_ps)((STRIP_MASK)m[1], next + STRIP_LANES);
    const STRIP_VEC before = STRIP_MM(maskz_loadu_ps)((STRIP_MASK)m[2], next - STRIP_LANES);
#if STRIP_LANES == 16
    x[1] = _mm512_permutex2var_ps(low, EVENS, high), x[2] = _mm512_permutex2var_ps(low, ODDS, high);
    x[0] = _mm512_castsi512_ps(
        _mm512_alignr_epi32(_mm512_castps_si512(x[2]), _mm512_castps_si512(before), 15));
#else
    const __m256i evens = _mm512_castsi512_si256(EVENS), odds = _mm512_castsi512_si256(ODDS);
    x[1] = _mm256_permutex2var_ps(low, evens, high), x[2] = _mm256_permutex2var_ps(low, odds, high);
    x[0] = _mm256_castsi256_ps(
        _mm256_alignr_epi32(_mm256_castps_si256(x[2]), _mm256_castps_si256(before), 7));
#endif
}
VF_INLINE void STRIP(store)(const plane *p, float *y, vm out, STRIP_VEC v)
{
    (void)p;
    STRIP_MM(mask_storeu_ps)(y, (STRIP_MASK)out, v);
}
#define STRIP_BOTH(at, step) STRIP_MM(set1_ps)(_mm512_cvtss_f32(vf_bcast(at)))
#endif

/* n_rows output rows from oy on; n_rows and s are constants. Only the first and the last row of
   the input may lie outside, unless `any` may. */
VF_INLINE void STRIP(rows)(const plane *p, const strip3 *t, int64_t oy, const int n_rows,
                           const int s, const bool any)
{
    const lmn_conv_geom *g = p->g;
    const int64_t iy0 = oy * s - g->pad[1], h_in = g->in[1], w_in = g->in[2], w_out = g->out[2];
    const int last = (n_rows - 1) * s + 2;
    const float *row = p->x + iy0 * w_in + t->ix;
    const vm m[3] = {t->m[0], t->m[1], t->m[2]}, out = t->out;
    const bool fused = p->fused, clip = p->clip;
    STRIP_VEC x[STRIP_ROWS * 2 + 1][3], w[9];
    DW_UNROLL
    for (int i = 0; i < 9; i++) w[i] = STRIP_BOTH(p->w + i, 9);
    const STRIP_VEC bias = STRIP_BOTH(p->bias, 1);
    const STRIP_VEC lo = STRIP_MM(set1_ps)(p->clip_lo), hi = STRIP_MM(set1_ps)(p->clip_hi);
    float *y = p->y + oy * w_out + t->ox;
    DW_UNROLL
    for (int o = 0; o < n_rows; o++, y += w_out) {
        STRIP_VEC acc = STRIP_MM(setzero_ps)();
        DW_UNROLL
        for (int ky = 0; ky < 3; ky++) {
            const int r = o * s + ky;
            if ((any || r == 0) && iy0 + r < 0) continue;
            if ((any || r == last) && iy0 + r >= h_in) continue;
            if (o == 0 || ky >= 3 - s) STRIP(taps)(p, row + r * w_in, m, s, x[r]);
            DW_UNROLL
            for (int kx = 0; kx < 3; kx++) acc = STRIP_MM(fmadd_ps)(w[ky * 3 + kx], x[r][kx], acc);
        }
        if (fused) acc = STRIP_MM(add_ps)(acc, bias);
        if (clip) acc = STRIP_MM(min_ps)(hi, STRIP_MM(max_ps)(lo, acc));
        STRIP(store)(p, y, out, acc);
    }
}

/* So with n_rows as group_of has it. */
VF_INLINE void STRIP(group)(const plane *p, const strip3 *t, int64_t oy, int64_t n_rows,
                            const int s)
{
    if (n_rows == STRIP_ROWS)
        STRIP(rows)(p, t, oy, STRIP_ROWS, s, false);
    else if (n_rows == STRIP_FEW)
        STRIP(rows)(p, t, oy, STRIP_FEW, s, false);
    else
        STRIP(rows)(p, t, oy, 1, s, true);
}

#undef STRIP
#undef STRIP_MM
#undef STRIP_VEC
#undef STRIP_MASK
#undef STRIP_BOTH
#undef STRIP_LANES
#undef STRIP_PAIR
