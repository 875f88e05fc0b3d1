/*
 * How sums of the qgemm row for AMX leave: their end is made row by row, behind the steps of the
 * next tile, before them or between them. For the file of that row alone.
 */
#ifndef LMN_KERNELS_QGEMM_AMX_LEAVE_TMPL_H
#define LMN_KERNELS_QGEMM_AMX_LEAVE_TMPL_H

#include "kernels/qgemm/qgemm_amx_tmpl.h"

/* Sums whose end is still to be made: behind the steps of the next tile, which are then still at
   work, before them where those are many, or, of whole tiles of bytes, between them. Whole ones are
   still in the tiles of the CPU, each of which is stored when the next sums begin in it. */
typedef struct waiting {
    const lmn_qgemm_end *end;
    tile_sums s; /* no rows = nothing */
    leaving how;
    bool direct;   /* INTS to which rows add nothing: whole panels go to C from the tiles */
    bool small;    /* gives_small_bytes */
    bool once;     /* B is not met again soon, by all that L1 holds */
    int32_t *held; /* where the tiles are to be stored; NULL = they are */
    int64_t held_ld, held_upper; /* sums from row to row, rows of the upper tiles */
} waiting;

/* Store what is held, before the tiles are configured anew or all of it is wanted. */
static void let_go(waiting *w)
{
    if (!w->held) return;
    int32_t *low = w->held + w->held_upper * w->held_ld;
    AMX_STORE(0, w->held, w->held_ld * 4);
    AMX_STORE(1, w->held + LANES, w->held_ld * 4);
    AMX_STORE(2, low, w->held_ld * 4);
    AMX_STORE(3, low + LANES, w->held_ld * 4);
    w->held = NULL;
}

/* What the columns of a tile's end have in common. */
typedef struct columns {
    packer p;
    __m512i add0, add1;
    __m512 mul0, mul1;
} columns;

/* by_col: is there a factor of each column, or of each row; right: are there more than 16. Both are
   constants, here and below. */
ALWAYS columns columns_of(const lmn_qgemm_end *e, int64_t j, const bool by_col, const bool right)
{
    const __m512 none = _mm512_setzero_ps();
    const __m512i zero = _mm512_setzero_si512();
    return (columns){.p = packer_of(e),
                     .add0 = _mm512_loadu_si512(e->col_add + j),
                     .add1 = right ? _mm512_loadu_si512(e->col_add + j + LANES) : zero,
                     .mul0 = by_col ? _mm512_loadu_ps(e->col_mul + j) : none,
                     .mul1 = by_col && right ? _mm512_loadu_ps(e->col_mul + j + LANES) : none};
}

/* A row of sums as words, to which `more` is added. small: of gives_small_bytes by factors of
   columns, nothing is; a constant, as right. */
ALWAYS __m512i row_words(const columns *k, const int32_t *sum, __m512i more, __m512 m0, __m512 m1,
                         const bool right, const bool small)
{
    if (small) {
        const __m512i v0 = _mm512_add_epi32(_mm512_loadu_si512(sum), k->add0);
        const __m512i v1 = _mm512_add_epi32(_mm512_loadu_si512(sum + LANES), k->add1);
        const __m512i w0 = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(v0), m0));
        const __m512i w1 = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(v1), m1));
        return _mm512_adds_epi16(_mm512_packs_epi32(w0, w1), k->p.zp);
    }
    const __m512i v0 = _mm512_add_epi32(_mm512_add_epi32(_mm512_loadu_si512(sum), k->add0), more);
    __m512 x0 = _mm512_mul_ps(_mm512_cvtepi32_ps(v0), m0), x1 = _mm512_setzero_ps();
    if (right) {
        const __m512i v1 = _mm512_add_epi32(_mm512_loadu_si512(sum + LANES), k->add1);
        x1 = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(v1, more)), m1);
    }
    const __m512i w0 = _mm512_cvtps_epi32(_mm512_min_ps(x0, k->p.most));
    const __m512i w1 = _mm512_cvtps_epi32(_mm512_min_ps(x1, k->p.most));
    return _mm512_adds_epi16(_mm512_packs_epi32(w0, w1), k->p.zp);
}

/* Two rows of words as bytes in order, the first in the lower half. */
ALWAYS __m512i two_rows(const columns *k, __m512i words0, __m512i words1, const bool small)
{
    __m512i y = _mm512_packs_epi16(words0, words1);
    if (!small) y = _mm512_max_epi8(y, k->p.least);
    return _mm512_permutexvar_epi32(k->p.order, _mm512_xor_si512(y, k->p.turn));
}

/* bytes_end for at most 32 columns: two rows fill a vector. */
ALWAYS void bytes_run(const lmn_qgemm_end *end, const tile_sums *s, const bool by_col,
                      const bool right, const bool small)
{
    const lmn_qgemm_end e = *end; /* a copy, which stores of bytes cannot change */
    const columns k = columns_of(&e, s->j, by_col, right);
    const int32_t *row_add = e.row_add + s->i;
    const float *row_mul = by_col ? NULL : e.row_mul + s->i;
    uint8_t *c = (uint8_t *)e.c + s->i * e.ldc + s->j;
    const __mmask32 in = (__mmask32)bytes(s->n);
    for (int64_t i = 0; i < s->rows; i += 2, c += 2 * e.ldc) {
        __m512i words[2];
        const bool two = i + 1 < s->rows;
#define WORDS(r)                                                                                 \
    {                                                                                            \
        const __m512 m0 = by_col ? k.mul0 : _mm512_set1_ps(row_mul[i + (r)]);                    \
        words[r] = row_words(&k, s->at + (i + (r)) * s->ld, _mm512_set1_epi32(row_add[i + (r)]), \
                             m0, by_col ? k.mul1 : m0, right, small);                            \
    }
        WORDS(0)
        words[1] = words[0];
        if (two) WORDS(1)
#undef WORDS
        const __m512i z = two_rows(&k, words[0], words[1], small);
        _mm256_mask_storeu_epi8(c, in, _mm512_castsi512_si256(z));
        if (two) _mm256_mask_storeu_epi8(c + e.ldc, in, _mm512_extracti64x4_epi64(z, 1));
    }
}

static void bytes_leave(const lmn_qgemm_end *end, const tile_sums *s, bool small)
{
    if (small && s->n > LANES)
        bytes_run(end, s, true, true, true);
    else if (end->col_mul && s->n > LANES)
        bytes_run(end, s, true, true, false);
    else if (end->col_mul)
        bytes_run(end, s, true, false, false);
    else if (s->n > LANES)
        bytes_run(end, s, false, true, false);
    else
        bytes_run(end, s, false, false, false);
}

static __attribute__((noinline)) void leave(const waiting *w)
{
    if (w->how == ANY_END)
        any_end(w->end, &w->s);
    else if (w->how == INTS)
        ints_end(w->end, &w->s);
    else if (w->how == BYTES)
        bytes_leave(w->end, &w->s, w->small);
    else
        floats_end(w->end, &w->s, true);
}

static void leave_last(waiting *w)
{
    if (w->s.rows) leave(w);
    w->s.rows = 0;
}

/* The end of a tile by factors of columns, between the steps of the next. */
typedef struct easing {
    columns k;
    const int32_t *sum, *row_add;
    uint8_t *c;
    int64_t ldc, left; /* rows */
} easing;

static bool can_ease(const waiting *w)
{
    return w->how == BYTES && w->end->col_mul && w->s.rows && w->s.rows % 2 == 0 && w->s.n == NR;
}

ALWAYS easing easing_of(waiting *w)
{
    const lmn_qgemm_end *e = w->end;
    const tile_sums *s = &w->s;
    const easing out = {.k = columns_of(e, s->j, true, true),
                        .sum = s->at,
                        .row_add = e->row_add + s->i,
                        .c = (uint8_t *)e->c + s->i * e->ldc + s->j,
                        .ldc = e->ldc,
                        .left = s->rows};
    w->s.rows = 0;
    return out;
}

/* At most so many times two rows more. */
ALWAYS void ease(easing *e, int64_t pairs, const bool small)
{
    for (; pairs > 0 && e->left > 0; pairs--, e->left -= 2) {
        const columns *k = &e->k;
        const __m512i more0 = _mm512_set1_epi32(e->row_add[0]);
        const __m512i more1 = _mm512_set1_epi32(e->row_add[1]);
        const __m512i words0 = row_words(k, e->sum, more0, k->mul0, k->mul1, true, small);
        const __m512i words1 = row_words(k, e->sum + NR, more1, k->mul0, k->mul1, true, small);
        const __m512i z = two_rows(k, words0, words1, small);
        _mm256_storeu_si256((void *)e->c, _mm512_castsi512_si256(z));
        _mm256_storeu_si256((void *)(e->c + e->ldc), _mm512_extracti64x4_epi64(z, 1));
        e->sum += 2 * NR, e->row_add += 2, e->c += 2 * e->ldc;
    }
}

#endif
