/*
 * Depthwise 3 x 3 windows of stride 1 or 2 on AVX-512: a strip of output columns by up to seven
 * rows in registers. Included by dwconv_f32_avx512.c for two kinds of strips: STRIP_LANES 16, and 8
 * on half vectors, which issue twice as often, and with STRIP_PAIR for whole rows of two planes,
 * the one in the lower lanes. Small planes follow each other in one loop. Of stride 2 a row is
 * loaded once and dealt to even and odd columns. The chain of an element is that of dwconv_tmpl.h.
 * No include guard by intent.
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

#ifdef STRIP_PAIR
enum { STRIP(planes) = 2 };
/* The three taps of a row of two planes, s a constant; `row` stands at its first column. Sixteen
   floats from there on are read (eight of stride 1), what lies behind the row is not used. */
VF_INLINE void STRIP(taps)(const plane *p, const float *row, const vm m[3], const int s,
                           __m512 x[3])
{
    const float *other = row + p->n_in;
    if (s == 1) {
        x[1] = _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(row)),
                                  _mm256_loadu_ps(other), 1);
        x[0] = _mm512_maskz_permutexvar_ps(m[0], PAIR_BEFORE, x[1]);
        x[2] = _mm512_maskz_permutexvar_ps(m[2], PAIR_BEHIND, x[1]);
        return;
    }
    const __m512 low = _mm512_loadu_ps(row), high = _mm512_loadu_ps(other);
    x[0] = _mm512_maskz_permutex2var_ps(m[0], low, PAIR_ODDS, high);
    x[1] = _mm512_permutex2var_ps(low, EVENS, high);
    x[2] = _mm512_maskz_permutex2var_ps(m[2], low, ODDS, high);
}
/* What holds for all of a plane: x[0] of the first, x[step] of the second. */
VF_INLINE __m512 STRIP(same)(const float *x, int64_t step)
{
    return _mm512_mask_broadcastss_ps(_mm512_set1_ps(x[0]), 0xff00, _mm_load_ss(x + step));
}
VF_INLINE void STRIP(store)(const plane *p, float *y, vm out, __m512 x)
{
    __m256 high = _mm512_extractf32x8_ps(x, 1);
    __asm__("" : "+v"(high)); /* extracting to memory faults on lanes that are masked, too */
    _mm256_mask_storeu_ps(y, (__mmask8)out, _mm512_castps512_ps256(x));
    _mm256_mask_storeu_ps(y + p->n_out, (__mmask8)out, high);
}
#else
enum { STRIP(planes) = 1 };
/* The three taps of a row, s a constant; `row` stands at the column of the first one. */
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
VF_INLINE STRIP_VEC STRIP(same)(const float *x, int64_t step)
{
    (void)step;
    return STRIP_MM(set1_ps)(*x);
}
VF_INLINE void STRIP(store)(const plane *p, float *y, vm out, STRIP_VEC x)
{
    (void)p;
    STRIP_MM(mask_storeu_ps)(y, (STRIP_MASK)out, x);
}
#endif

/* n_rows output rows of the planes [from, to) from oy on; n_rows and s are constants. Only the
   first and the last row of the input may lie outside, unless `any` may. */
VF_INLINE void STRIP(rows)(const plane *p, const strip3 *t, int64_t oy, const int n_rows,
                           const int s, const bool any, int64_t from, int64_t to)
{
    const lmn_conv_geom *g = p->g;
    const int64_t iy0 = oy * s - g->pad[1], h_in = g->in[1], w_in = g->in[2], w_out = g->out[2];
    const int last = (n_rows - 1) * s + 2;
    const vm m[3] = {t->m[0], t->m[1], t->m[2]}, out = t->out;
    const bool fused = p->fused, clip = p->clip;
    const bool fetch = s == 2 && STRIP(planes) == 1 && p->wide && p->n_in >= PLANE_FAR;
    const STRIP_VEC lo = STRIP_MM(set1_ps)(p->clip_lo), hi = STRIP_MM(set1_ps)(p->clip_hi);
    for (int64_t c = from; c < to; c += STRIP(planes)) {
        const float *row = p->x + c * p->n_in + iy0 * w_in + t->ix, *weights = p->w + c * 9;
        float *y = p->y + c * p->n_out + oy * w_out + t->ox;
        STRIP_VEC acc[STRIP_ROWS], w[9];
        DW_UNROLL
        for (int i = 0; i < 9; i++) w[i] = STRIP(same)(weights + i, 9);
        const STRIP_VEC bias = STRIP(same)(p->bias + (fused ? c : 0), fused);
        DW_UNROLL
        for (int o = 0; o < n_rows; o++) acc[o] = STRIP_MM(setzero_ps)();
        DW_UNROLL
        for (int r = 0; r <= last; r++) {
            /* Rows of the output that it is in: from `end` on they have not begun. */
            const int begin = r < 2 ? 0 : (r - 3 + s) / s,
                      end = r / s < n_rows ? r / s + 1 : n_rows;
            const bool here =
                !((any || r == 0) && iy0 + r < 0) && !((any || r == last) && iy0 + r >= h_in);
            if (fetch) { /* what the next group of rows begins with */
                __builtin_prefetch(row + (r + 2 * STRIP_ROWS) * w_in);
                __builtin_prefetch(row + (r + 2 * STRIP_ROWS) * w_in + 16);
            }
            if (here) {
                STRIP_VEC x[3];
                STRIP(taps)(p, row + r * w_in, m, s, x);
                DW_UNROLL
                for (int kx = 0; kx < 3; kx++) DW_UNROLL
                for (int o = begin; o < end; o++)
                    acc[o] = STRIP_MM(fmadd_ps)(w[(r - o * s) * 3 + kx], x[kx], acc[o]);
            }
            if (r - begin * s != 2) continue;
            if (fused) acc[begin] = STRIP_MM(add_ps)(acc[begin], bias);
            if (clip) acc[begin] = STRIP_MM(min_ps)(hi, STRIP_MM(max_ps)(lo, acc[begin]));
            STRIP(store)(p, y + begin * w_out, out, acc[begin]);
        }
    }
}

/* So with n_rows as group_of has it. */
VF_INLINE void STRIP(group)(const plane *p, const strip3 *t, int64_t oy, int64_t n_rows,
                            const int s, int64_t from, int64_t to)
{
    if (n_rows == STRIP_ROWS)
        STRIP(rows)(p, t, oy, STRIP_ROWS, s, false, from, to);
    else if (n_rows == STRIP_FEW)
        STRIP(rows)(p, t, oy, STRIP_FEW, s, false, from, to);
    else
        STRIP(rows)(p, t, oy, 1, s, true, from, to);
}

#undef STRIP
#undef STRIP_MM
#undef STRIP_VEC
#undef STRIP_MASK
#undef STRIP_LANES
#undef STRIP_PAIR
