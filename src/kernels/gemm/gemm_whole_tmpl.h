/*
 * The register tile of GEMM_MR rows, where nearly all time is spent, and of up to GEMM_NR columns
 * if these are three vectors, or of WIDE_MR rows and WIDE_NR columns: rows are found from four
 * pointers and their distance, so that everything a step of k needs stays in registers and the
 * first loads of a tile never wait for the sums of the one before. The chain of sums is that of
 * tile_run. Included by gemm_tile_tmpl.h.
 */
#ifndef LMN_KERNELS_GEMM_WHOLE_TMPL_H
#define LMN_KERNELS_GEMM_WHOLE_TMPL_H

#include "kernels/simd/whole_rows.h"

enum {
    WHOLE_STEPS = LINE / 4,           /* of four k each, on one line of a row of A */
    WHOLE_FETCH = 8 / WHOLE_STEPS,    /* rows of A fetched ahead by each */
    SOON = WHOLE_STEPS * LINE,        /* elements of a row of the next B that are brought at once */
    SOON_DENSE = GEMM_NV > 2 ? 4 : 1, /* times that by tile_dense */
    WHOLE_B_AHEAD = 8                 /* rows of a panel brought from L2 to L1 */
};

/* Half of the rows are operands in memory: 4 operations less of 40 a step. All of them would be
   more loads than a core does beside its products. */
#ifdef VF_EMBEDS
#define WHOLE_EMBEDS(i) ((i) % 2 == 0 && (nv == 2 || nv == 3) && tail_kind != TAIL_HALF)
#define WHOLE_FMA_AT(i, v, x, p) \
    if ((v) < nv) vf_fma_at(&acc[i][v], x, p);
#else
#define WHOLE_EMBEDS(i) false
#define WHOLE_FMA_AT(i, v, x, p)
#endif

/* What the rows and steps of whole_run do, on its variables. */
#define WHOLE_OPEN_V(i, v) \
    if ((v) < nv) acc[i][v] = TILE_LOAD(v, WHOLE_ROW(const vf_real, c, i) + (v)*VF_LANES);
#define WHOLE_OPEN(i)                                                               \
    if ((i) < mr) {                                                                 \
        WHOLE_OPEN_V(i, 0) WHOLE_OPEN_V(i, 1) WHOLE_OPEN_V(i, 2) WHOLE_OPEN_V(i, 3) \
    }
#define WHOLE_CLEAR(i) acc[i][0] = acc[i][1] = acc[i][2] = acc[i][3] = vf_zero();
#define WHOLE_B(v) ((v) >= nv ? vf_zero() : TILE_LOAD(v, row + (v)*VF_LANES))
#define WHOLE_FMA(i, v, x)                                               \
    if ((v) < nv && LAST(v) && tail_kind == TAIL_HALF)                   \
        acc[i][v] = vf_fma_lo(av, x, acc[i][v]);                         \
    else if (nv == 1 && (v) == 0) /* from memory: half the operations */ \
        acc[i][v] = vf_fma(av, x, acc[i][v]);                            \
    else if ((v) < nv)                                                   \
        vf_fma_to(&acc[i][v], av, x);
#define WHOLE_STEP(i)                                            \
    if ((i) < mr) {                                              \
        const vf_real *ai = WHOLE_ROW(const vf_real, a, i) + at; \
        if (WHOLE_EMBEDS(i)) {                                   \
            WHOLE_FMA_AT(i, 0, b0, ai)                           \
            WHOLE_FMA_AT(i, 1, b1, ai)                           \
            WHOLE_FMA_AT(i, 2, b2, ai)                           \
        } else {                                                 \
            const vf av = vf_bcast(ai);                          \
            WHOLE_FMA(i, 0, b0)                                  \
            WHOLE_FMA(i, 1, b1)                                  \
            WHOLE_FMA(i, 2, b2)                                  \
            WHOLE_FMA(i, 3, b3)                                  \
        }                                                        \
    }
#define WHOLE_PREFETCH(p, level)                                                        \
    {                                                                                   \
        __builtin_prefetch(p, 0, level);                                                \
        if ((int)GEMM_NR > (int)LINE) __builtin_prefetch((p) + LINE, 0, level);         \
        if ((int)GEMM_NR > 2 * (int)LINE) __builtin_prefetch((p) + 2 * LINE, 0, level); \
    }
/* Step u of those behind one set of pointers, which are kept in registers. */
#define WHOLE_K(u)                                                                    \
    {                                                                                 \
        const int at = u;                                                             \
        const vf_real *row = listed ? b + rows[at] : panel ? b + at * GEMM_NR : b;    \
        const vf b0 = WHOLE_B(0), b1 = WHOLE_B(1), b2 = WHOLE_B(2);                   \
        const vf b3 = nv > 3 ? vf_load(row + last) : vf_zero();                       \
        EACH_ROW(WHOLE_STEP)                                                          \
        (void)b1, (void)b2, (void)b3;                                                 \
        if (b_kind == B_PANEL) WHOLE_PREFETCH(row + WHOLE_B_AHEAD * GEMM_NR, 3)       \
        if (b_kind == B_PACK) {                                                       \
            vf_store(packed + at * GEMM_NR, b0);                                      \
            if (nv > 1) vf_store(packed + at * GEMM_NR + VF_LANES, b1);               \
            if (nv > 2) vf_store(packed + at * GEMM_NR + 2 * VF_LANES, b2);           \
        }                                                                             \
        if (b_kind == B_PACK) WHOLE_PREFETCH(b + far, 3)                              \
        if (b_kind == B_FETCH) WHOLE_PREFETCH(b + far, 2)                             \
        if (!panel && !listed) b += ldb;                                              \
        if (mr > 6) WHOLE_HIDE(a6);                                                   \
        __asm__("" : "+r"(a0), "+r"(a2), "+r"(a4), "+r"(b), "+r"(a_ld) : : "memory"); \
    }
#define WHOLE_ON(steps)                                             \
    {                                                               \
        a0 += (steps), a2 += (steps), a4 += (steps), a6 += (steps); \
        if (panel) b += (steps)*GEMM_NR;                            \
        if (listed) rows += (steps);                                \
        if (b_kind == B_PACK) packed += (steps)*GEMM_NR;            \
    }
#define WHOLE_STORE(i)                                                              \
    if ((i) < mr) {                                                                 \
        vf_real *c = WHOLE_ROW(vf_real, c, i);                                      \
        TILE_CLOSE_V(i, 0) TILE_CLOSE_V(i, 1) TILE_CLOSE_V(i, 2) TILE_CLOSE_V(i, 3) \
    }
#define WHOLE_STREAM(i)                                                                 \
    if ((i) < mr) {                                                                     \
        vf_real *c = WHOLE_ROW(vf_real, c, i);                                          \
        TILE_STREAM_V(i, 0) TILE_STREAM_V(i, 1) TILE_STREAM_V(i, 2) TILE_STREAM_V(i, 3) \
    }

/* mr (GEMM_MR or WIDE_MR), nv, tail_kind, b_kind are constants at every call. */
VF_INLINE void whole_run(const tile *t, const int mr, const int nv, const int tail_kind,
                         const int b_kind)
{
    const bool dense = b_kind == B_DENSE, panel = dense || b_kind == B_PANEL;
    const bool listed = b_kind == B_ROWS; /* all terms are one product */
    const vm tail = vm_first(t->n - (nv - 1) * VF_LANES);
    const int64_t size = sizeof(vf_real);
    int64_t a_ld = t->lda * size;
    WHOLE_HIDE(a_ld);
    const vf_real *a0 = t->a, *b = t->b;
    WHOLE_PAIRS(const vf_real, a)
    const int64_t ldb = panel ? GEMM_NR : t->ldb, last = t->last;
    (void)last;
    vf acc[8][4];
    if (t->beta) {
        const int64_t c_ld = t->ldc * size;
        const vf_real *c0 = t->c;
        WHOLE_PAIRS(const vf_real, c)
        EACH_ROW(WHOLE_OPEN)
    } else {
        EACH_ROW(WHOLE_CLEAR)
    }
    const vf_real *soon = t->soon, *next = a0 + t->ahead;
    const int64_t soon_step = t->soon_step - (dense ? SOON_DENSE * SOON : SOON), far = t->far;
    vf_real *packed = t->pack;
    const int64_t *rows = listed ? t->terms->b_rows : NULL,
                  n_k = listed ? t->k * t->terms->n : t->k;
    (void)packed, (void)far, (void)rows;
    for (int64_t term = 0;;) {
        int64_t lines = n_k / LINE;
        for (; lines > 0; lines--) {
#pragma GCC unroll 1
            for (int s = 0; s < WHOLE_STEPS; s++) {
                WHOLE_K(0)
                __builtin_prefetch(next);
                if (dense) __builtin_prefetch(soon + LINE, 0, 2);
                WHOLE_K(1)
                __builtin_prefetch((const char *)next + a_ld);
                if (dense) __builtin_prefetch(soon + 2 * LINE, 0, 2);
                WHOLE_K(2)
                if (WHOLE_FETCH > 2) __builtin_prefetch((const char *)next + 2 * a_ld);
                if (WHOLE_FETCH > 2) __builtin_prefetch((const char *)next + 3 * a_ld);
                if (dense) __builtin_prefetch(soon + 3 * LINE, 0, 2);
                WHOLE_K(3)
                WHOLE_ON(4)
                if (!listed) __builtin_prefetch(soon, 0, 2);
                soon += dense ? SOON_DENSE * LINE : LINE;
                next = (const vf_real *)((const char *)next + WHOLE_FETCH * a_ld);
                WHOLE_HIDE(next);
                WHOLE_HIDE(soon);
            }
            next = (const vf_real *)((const char *)next - 8 * a_ld) + LINE;
            soon += soon_step;
        }
#pragma GCC unroll 1
        for (int64_t rest = n_k % LINE; rest > 0; rest--) {
            WHOLE_K(0)
            WHOLE_ON(1)
        }
        if (listed || !t->terms || ++term >= t->terms->n) break;
        a0 = term_a(t->terms, term) + t->a_at;
        a2 = (const vf_real *)((const char *)a0 + 2 * a_ld);
        a4 = (const vf_real *)((const char *)a2 + 2 * a_ld);
        a6 = (const vf_real *)((const char *)a4 + 2 * a_ld);
        b = term_b(t->terms, term) + t->b_at;
        next = a0 + t->ahead;
    }
    WHOLE_HIDE(t);
    const int64_t c_ld = t->ldc * size;
    vf_real *c0 = t->c;
    WHOLE_PAIRS(vf_real, c)
#if GEMM_EPI
    if (tail_kind == TAIL_WHOLE && nv <= GEMM_NV && t->f.on) TILE_FUSE
#endif
    if (tail_kind == TAIL_WHOLE && t->stream) {
        EACH_ROW(WHOLE_STREAM)
    } else {
        EACH_ROW(WHOLE_STORE)
    }
}

#endif
