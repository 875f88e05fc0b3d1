/*
 * Depthwise 3 x 3 windows of stride 1 or 2 on AVX-512: a strip of output columns by up to seven
 * rows in registers. Included by dwconv_f32_avx512.c for two kinds of strips: STRIP_LANES 16, and 8
 * on half vectors, which issue twice as often. Small planes follow each other in one loop. Of
 * stride 2 a row is loaded once and dealt to even and odd columns. The chain of an element is that
 * of dwconv_tmpl.h. No include guard by intent.
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
VF_INLINE void STRIP(taps)(const float *row, const vm m[3], const int s, STRIP_VEC x[3])
{
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
/* n_rows output rows from oy on; n_rows and s are constants. Only the first and the last row of
   the input may lie outside, unless `any` may. */
VF_INLINE void STRIP(rows)(const plane *p, const strip3 *t, int64_t oy, const int n_rows,
                           const int s, const bool any)
{
    const lmn_conv_geom *g = p->g;
    const int64_t iy0 = oy * s - g->pad[1], h_in = g->in[1], w_in = g->in[2], w_out = g->out[2];
    const int last = (n_rows - 1) * s + 2;
    const vm m[3] = {t->m[0], t->m[1], t->m[2]}, out = t->out;
    const bool fused = p->fused, clip = p->clip;
    const STRIP_VEC lo = STRIP_MM(set1_ps)(p->clip_lo), hi = STRIP_MM(set1_ps)(p->clip_hi);
    for (int64_t c = 0; c < p->n_planes; c++) {
        const float *row = p->x + c * p->n_in + iy0 * w_in + t->ix, *weights = p->w + c * 9;
        float *y = p->y + c * p->n_out + oy * w_out + t->ox;
        STRIP_VEC acc[STRIP_ROWS], w[9];
        DW_UNROLL
        for (int i = 0; i < 9; i++) w[i] = STRIP_MM(set1_ps)(weights[i]);
        const STRIP_VEC bias = STRIP_MM(set1_ps)(p->bias[fused ? c : 0]);
        DW_UNROLL
        for (int o = 0; o < n_rows; o++) acc[o] = STRIP_MM(setzero_ps)();
        DW_UNROLL
        for (int r = 0; r <= last; r++) {
            /* Rows of the output that it is in: from `end` on they have not begun. */
            const int begin = r < 2 ? 0 : (r - 3 + s) / s,
                      end = r / s < n_rows ? r / s + 1 : n_rows;
            const bool here =
                !((any || r == 0) && iy0 + r < 0) && !((any || r == last) && iy0 + r >= h_in);
            if (here) {
                STRIP_VEC x[3];
                STRIP(taps)(row + r * w_in, m, s, x);
                DW_UNROLL
                for (int kx = 0; kx < 3; kx++) DW_UNROLL
                for (int o = begin; o < end; o++)
                    acc[o] = STRIP_MM(fmadd_ps)(w[(r - o * s) * 3 + kx], x[kx], acc[o]);
            }
            if (r - begin * s != 2) continue;
            if (fused) acc[begin] = STRIP_MM(add_ps)(acc[begin], bias);
            if (clip) acc[begin] = STRIP_MM(min_ps)(hi, STRIP_MM(max_ps)(lo, acc[begin]));
            STRIP_MM(mask_storeu_ps)(y + begin * w_out, (STRIP_MASK)out, acc[begin]);
        }
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
#undef STRIP_LANES
