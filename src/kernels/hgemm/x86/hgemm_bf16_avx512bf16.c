/*
 * bf16 hgemm row on vdpbf16ps: register tile 8 x 48, two k a step (24 accumulators, 3 of B, one
 * broadcast pair of A). The instruction adds two products to a sum of f32, rounds to nearest even
 * and flushes denormals, whatever the modes of the thread.
 */
#define HG_NR 48
#include "kernels/hgemm/hgemm_pair_tmpl.h"

HG_DEFINE(avx512bf16)

enum { MR = 8 };

#define EACH_ROW(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7)

/* mr and nv are constants at every call; n columns of the last vector count. */
VF_INLINE void tile(const lmn_hgemm_block *t, int64_t i0, int64_t j0, const int mr, const int nv)
{
    const uint16_t *a[MR], *b = (const uint16_t *)t->b + j0 / HG_NR * t->b_panel;
    float *c[MR];
    vf acc[MR][3];
    const vm last = vm_first(t->n - j0 - (nv - 1) * VF_LANES);
#define OPEN_V(i, v)                                                      \
    if ((v) < nv)                                                         \
        acc[i][v] = !t->beta        ? vf_zero()                           \
                    : (v) == nv - 1 ? vf_loadm(c[i] + (v)*VF_LANES, last) \
                                    : vf_load(c[i] + (v)*VF_LANES);
#define OPEN(i)                                              \
    if ((i) < mr) {                                          \
        a[i] = (const uint16_t *)t->a + (i0 + (i)) * t->lda; \
        c[i] = t->c + (i0 + (i)) * t->ldc + j0;              \
        OPEN_V(i, 0) OPEN_V(i, 1) OPEN_V(i, 2)               \
    }
#define STEP(i)                                              \
    if ((i) < mr) {                                          \
        const __m512i av = pair_bcast(a[i] + k);             \
        acc[i][0] = pair_dot(acc[i][0], av, b0);             \
        if (nv > 1) acc[i][1] = pair_dot(acc[i][1], av, b1); \
        if (nv > 2) acc[i][2] = pair_dot(acc[i][2], av, b2); \
    }
#define CLOSE_V(i, v)                                        \
    if ((v) < nv) {                                          \
        if ((v) == nv - 1)                                   \
            vf_storem(c[i] + (v)*VF_LANES, last, acc[i][v]); \
        else                                                 \
            vf_store(c[i] + (v)*VF_LANES, acc[i][v]);        \
    }
#define CLOSE(i)                                  \
    if ((i) < mr) {                               \
        CLOSE_V(i, 0) CLOSE_V(i, 1) CLOSE_V(i, 2) \
    }
    EACH_ROW(OPEN)
    const int64_t n_k = t->k;
    for (int64_t k = 0; k < n_k; k += PAIR, b += PAIR * HG_NR) {
        const __m512i b0 = load32(b), b1 = nv > 1 ? load32(b + 32) : b0,
                      b2 = nv > 2 ? load32(b + 64) : b0;
        EACH_ROW(STEP)
        (void)b1, (void)b2;
    }
    EACH_ROW(CLOSE)
}

/* A function each, so that registers are given out one by one. */
#define INSTANCE(mr, nv)                                                                        \
    static __attribute__((noinline)) void tile_##mr##_##nv(const lmn_hgemm_block *t, int64_t i, \
                                                           int64_t j)                           \
    {                                                                                           \
        tile(t, i, j, mr, nv);                                                                  \
    }
#define INSTANCES(mr) INSTANCE(mr, 1) INSTANCE(mr, 2) INSTANCE(mr, 3)
INSTANCES(1)
INSTANCES(2)
INSTANCES(3)
INSTANCES(4)
INSTANCES(5)
INSTANCES(6)
INSTANCES(7)
INSTANCES(8)

typedef void tile_fn(const lmn_hgemm_block *t, int64_t i, int64_t j);

void lmn_hgemm_bf16_block_avx512bf16(const lmn_hgemm_block *t)
{
#define TILES(mr)                                   \
    {                                               \
        tile_##mr##_1, tile_##mr##_2, tile_##mr##_3 \
    }
    static tile_fn *const tiles[MR][3] = {TILES(1), TILES(2), TILES(3), TILES(4),
                                          TILES(5), TILES(6), TILES(7), TILES(8)};
    for (int64_t i = 0; i < t->m; i += MR) {
        tile_fn *const *row = tiles[lmn_min_i64(MR, t->m - i) - 1];
        for (int64_t j = 0; j < t->n; j += HG_NR)
            row[lmn_min_i64(3, (t->n - j + VF_LANES - 1) / VF_LANES) - 1](t, i, j);
    }
}
