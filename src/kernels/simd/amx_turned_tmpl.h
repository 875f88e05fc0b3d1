/*
 * A product that comes out transposed, on AMX: 32 rows of a B that lies [n][k] are the first
 * operand of tiles where they lie, 64 bytes of k a step, and rows of A, packed as a B is, the
 * second. For files that define TURNED_PRODUCT(c, a, b), the tile product, before.
 *
 * Sums are tiles 0 to 3, 32 of B by 16 or 32 of A; tiles are configured with whole rows.
 */
#ifndef LMN_KERNELS_AMX_TURNED_TMPL_H
#define LMN_KERNELS_AMX_TURNED_TMPL_H

#include "kernels/simd/amx_tile.h"
#include "kernels/simd/simd_avx512.h"

enum { TURNED_ROWS = 32, TURNED_BYTES = AMX_ROW_BYTES };

typedef struct turned {
    const char *b; /* n <= 32 rows, b_step bytes apart, of which `bytes` count */
    int64_t b_step, n, bytes;
    uint8_t flip;  /* of every byte of B */
    const char *a; /* 16 rows a step, a_step bytes apart, in order; behind k they are 0 */
    int64_t a_step;
    const char *next; /* `lines` lines from here on are fetched a step */
    int64_t lines;
} turned;

/* Where B's rows cannot be read as a tile: the ends of n and k, and bytes to be flipped. */
static inline void turned_edge(const turned *t, const char *from, int64_t left, char *edge)
{
    const __m512i flip = _mm512_set1_epi8((char)t->flip);
    const __mmask64 in = left < 64 ? ((__mmask64)1 << left) - 1 : ~(__mmask64)0;
    for (int64_t i = 0; i < TURNED_ROWS; i++) {
        const __mmask64 there = i < t->n ? in : 0;
        const __m512i x = _mm512_maskz_loadu_epi8(there, from + i * t->b_step);
        _mm512_storeu_si512(edge + i * TURNED_BYTES,
                            _mm512_maskz_mov_epi8(there, _mm512_xor_si512(x, flip)));
    }
}

/* right: are there more than 16 rows of A; a constant, here and below. */
VF_INLINE void turned_multiply(const turned *t, const bool right)
{
    char edge[TURNED_ROWS * TURNED_BYTES] __attribute__((aligned(64)));
    const char *a = t->a, *next = t->next;
    AMX_ZERO(0);
    AMX_ZERO(2);
    if (right) AMX_ZERO(1);
    if (right) AMX_ZERO(3);
    for (int64_t k = 0; k < t->bytes; k += TURNED_BYTES, a += AMX_ROWS * t->a_step) {
        const char *from = t->b + k;
        int64_t step = t->b_step;
        for (int64_t l = 0; l < t->lines; l++, next += 64) __builtin_prefetch(next, 0, 2);
        if (t->n < TURNED_ROWS || t->bytes - k < TURNED_BYTES || t->flip) {
            turned_edge(t, from, t->bytes - k, edge);
            from = edge, step = TURNED_BYTES;
        }
        AMX_LOAD(4, from, step);
        AMX_LOAD(6, a, t->a_step);
        TURNED_PRODUCT(0, 4, 6);
        AMX_LOAD(5, from + AMX_ROWS * step, step);
        TURNED_PRODUCT(2, 5, 6);
        if (right) AMX_LOAD(7, a + AMX_ROW_BYTES, t->a_step);
        if (right) TURNED_PRODUCT(1, 4, 7);
        if (right) TURNED_PRODUCT(3, 5, 7);
    }
}

/* Rows of 32 sums, a row a row of B. */
VF_INLINE void turned_store(void *sums, const bool right)
{
    enum { STEP = TURNED_ROWS * 4 };
    char *top = sums, *low = top + AMX_ROWS * STEP;
    AMX_STORE(0, top, STEP);
    AMX_STORE(2, low, STEP);
    if (right) AMX_STORE(1, top + AMX_ROW_BYTES, STEP);
    if (right) AMX_STORE(3, low + AMX_ROW_BYTES, STEP);
}

#endif
