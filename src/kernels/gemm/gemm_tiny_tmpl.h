/*
 * Products so small that preparing them would cost more than computing them: no blocks, no
 * prefetches, no terms, an epilogue only afterwards; tiles of up to 12 rows, tails by masks, the
 * chain of the block kernel. Rows of A are found from a base for each three of them, so that twelve
 * need no more registers than there are. Before including it, include simd_<isa>.h, define
 * LEAN_WIDE (1: 32 registers, and half a vector costs half) and the type gemm_tiny.
 */
#ifndef LMN_KERNELS_GEMM_TINY_TMPL_H
#define LMN_KERNELS_GEMM_TINY_TMPL_H

/* Of t the strides, k and beta; the rest is that of the tile. */
typedef void lean_fn(const gemm_tiny *t, const vf_real *a, const vf_real *b, vf_real *to,
                     int64_t n);

/* Most rows of a tile of 1, 2, 3 vectors: what the registers hold. */
#if LEAN_WIDE
enum { LEAN_ONE = 12, LEAN_TWO = 12, LEAN_THREE = 8 };
#else
enum { LEAN_ONE = 8, LEAN_TWO = 6, LEAN_THREE = 4 };
#endif
/* What is done with the last vector. */
enum { LEAN_WHOLE, LEAN_MASK, LEAN_HALF };

/*
 * A function is written out for its own rows and vectors alone: compilers take a minute to find
 * out what is left of a general one. M(i, L): row i, whose last vector has the words L.
 */
/* clang-format off */
#define LEAN_1(M, L) M(0, L)
#define LEAN_2(M, L) LEAN_1(M, L) M(1, L)
#define LEAN_3(M, L) LEAN_2(M, L) M(2, L)
#define LEAN_4(M, L) LEAN_3(M, L) M(3, L)
#define LEAN_5(M, L) LEAN_4(M, L) M(4, L)
#define LEAN_6(M, L) LEAN_5(M, L) M(5, L)
#define LEAN_7(M, L) LEAN_6(M, L) M(6, L)
#define LEAN_8(M, L) LEAN_7(M, L) M(7, L)
#define LEAN_9(M, L) LEAN_8(M, L) M(8, L)
#define LEAN_10(M, L) LEAN_9(M, L) M(9, L)
#define LEAN_11(M, L) LEAN_10(M, L) M(10, L)
#define LEAN_12(M, L) LEAN_11(M, L) M(11, L)
/* clang-format on */

#define w_BCAST(p) vf_bcast(p)
#define w_LOAD(p) vf_load(p)
#define w_FMA(x, y, z) vf_fma(x, y, z)
#define w_STORE(p, v) vf_store(p, v)
#define m_BCAST(p) vf_bcast(p)
#define m_LOAD(p) vf_loadm(p, tail)
#define m_FMA(x, y, z) vf_fma(x, y, z)
#define m_STORE(p, v) vf_storem(p, tail, v)
#define h_BCAST(p) vf_bcast_lo(p)
#define h_LOAD(p) vf_loadm_lo(p, tail)
#define h_FMA(x, y, z) vf_fma_lo(x, y, z)
#define h_STORE(p, v) vf_storem_lo(p, tail, v)

/* The compiler shall find the rows of C as they come and not keep a pointer to each. */
#define LEAN_DOWN(c) \
    c += ldc;        \
    __asm__("" : "+r"(c));
#define LEAN_OPEN_1(i, L)    \
    acc[i][0] = L##_LOAD(c); \
    LEAN_DOWN(c)
#define LEAN_OPEN_2(i, L)                                       \
    acc[i][0] = vf_load(c), acc[i][1] = L##_LOAD(c + VF_LANES); \
    LEAN_DOWN(c)
#define LEAN_OPEN_3(i, L)                                      \
    acc[i][0] = vf_load(c), acc[i][1] = vf_load(c + VF_LANES), \
    acc[i][2] = L##_LOAD(c + 2 * VF_LANES);                    \
    LEAN_DOWN(c)
#define LEAN_ZERO_1(i, L) acc[i][0] = vf_zero();
#define LEAN_ZERO_2(i, L) acc[i][0] = acc[i][1] = vf_zero();
#define LEAN_ZERO_3(i, L) acc[i][0] = acc[i][1] = acc[i][2] = vf_zero();
#define LEAN_B_1(L) const vf b0 = L##_LOAD(b);
#define LEAN_B_2(L) const vf b0 = vf_load(b), b1 = L##_LOAD(b + VF_LANES);
#define LEAN_B_3(L) \
    const vf b0 = vf_load(b), b1 = vf_load(b + VF_LANES), b2 = L##_LOAD(b + 2 * VF_LANES);
#define LEAN_FROM(i) (const vf_real *)(const void *)(at[(i) / 3] + (i) % 3 * step)
#define LEAN_A(i) vf_bcast(LEAN_FROM(i))
#define LEAN_STEP_1(i, L)                       \
    {                                           \
        const vf av = L##_BCAST(LEAN_FROM(i));  \
        acc[i][0] = L##_FMA(av, b0, acc[i][0]); \
    }
#define LEAN_STEP_2(i, L)                       \
    {                                           \
        const vf av = LEAN_A(i);                \
        acc[i][0] = vf_fma(av, b0, acc[i][0]);  \
        acc[i][1] = L##_FMA(av, b1, acc[i][1]); \
    }
#define LEAN_STEP_3(i, L)                       \
    {                                           \
        const vf av = LEAN_A(i);                \
        acc[i][0] = vf_fma(av, b0, acc[i][0]);  \
        acc[i][1] = vf_fma(av, b1, acc[i][1]);  \
        acc[i][2] = L##_FMA(av, b2, acc[i][2]); \
    }
#define LEAN_CLOSE_1(i, L)   \
    L##_STORE(c, acc[i][0]); \
    LEAN_DOWN(c)
#define LEAN_CLOSE_2(i, L)              \
    vf_store(c, acc[i][0]);             \
    L##_STORE(c + VF_LANES, acc[i][1]); \
    LEAN_DOWN(c)
#define LEAN_CLOSE_3(i, L)                  \
    vf_store(c, acc[i][0]);                 \
    vf_store(c + VF_LANES, acc[i][1]);      \
    L##_STORE(c + 2 * VF_LANES, acc[i][2]); \
    LEAN_DOWN(c)

#define LEAN_STREAM_3(i, L)                 \
    vf_stream(c, acc[i][0]);                \
    vf_stream(c + VF_LANES, acc[i][1]);     \
    vf_stream(c + 2 * VF_LANES, acc[i][2]); \
    LEAN_DOWN(c)

/* The compiler shall keep the bases and not make a pointer of every row of them. */
#define LEAN_BASE(i, L) \
    if ((i) % 3 == 0) __asm__("" : "+r"(at[(i) / 3]));
#define LEAN_AT(i, L) \
    if ((i) % 3 == 0) at[(i) / 3] = (const char *)a + (i)*step;
#define LEAN_NEXT(i, L) \
    if ((i) % 3 == 0) at[(i) / 3] += sizeof(vf_real);

/* vm_first without a branch: the tail of a whole vector is not used. */
VF_INLINE vm lean_tail(int64_t n)
{
#if LEAN_WIDE
    return (vm)((1u << (n & (VF_LANES - 1))) - 1);
#else
    return vm_first(n & (VF_LANES - 1));
#endif
}

/* lean_<rows>_<vectors>{w,m,h} */
#define LEAN_FORM(mr, nv, name, L, CLOSE)                                                      \
    static void lean_##mr##_##nv##name(const gemm_tiny *t, const vf_real *a, const vf_real *b, \
                                       vf_real *to, int64_t n)                                 \
    {                                                                                          \
        vf acc[mr][nv];                                                                        \
        const vm tail = lean_tail(n - (nv - 1) * VF_LANES);                                    \
        const int64_t ldc = t->ldc, ldb = t->ldb, step = t->lda * (int64_t)sizeof(vf_real);    \
        vf_real *c = to;                                                                       \
        const char *at[(mr + 2) / 3];                                                          \
        (void)tail;                                                                            \
        LEAN_##mr(LEAN_AT, L) if (t->beta)                                                     \
        {                                                                                      \
            LEAN_##mr(LEAN_OPEN_##nv, L)                                                       \
        }                                                                                      \
        else                                                                                   \
        {                                                                                      \
            LEAN_##mr(LEAN_ZERO_##nv, L)                                                       \
        }                                                                                      \
        for (int64_t k = t->k; k > 0; k--) {                                                   \
            LEAN_##mr(LEAN_BASE, L) LEAN_B_##nv(L) LEAN_##mr(LEAN_STEP_##nv, L)                \
                LEAN_##mr(LEAN_NEXT, L) b += ldb;                                              \
        }                                                                                      \
        c = to;                                                                                \
        LEAN_##mr(CLOSE, L)                                                                    \
    }
#if LEAN_WIDE
enum { LEAN_FORMS = 3 };
#define LEAN_DEFINE(mr, nv)                  \
    LEAN_FORM(mr, nv, w, w, LEAN_CLOSE_##nv) \
    LEAN_FORM(mr, nv, m, m, LEAN_CLOSE_##nv) LEAN_FORM(mr, nv, h, h, LEAN_CLOSE_##nv)
#define LEAN_ENTRY(mr, nv) {lean_##mr##_##nv##w, lean_##mr##_##nv##m, lean_##mr##_##nv##h},
#else
enum { LEAN_FORMS = 2 };
#define LEAN_DEFINE(mr, nv) \
    LEAN_FORM(mr, nv, w, w, LEAN_CLOSE_##nv) LEAN_FORM(mr, nv, m, m, LEAN_CLOSE_##nv)
#define LEAN_ENTRY(mr, nv) {lean_##mr##_##nv##w, lean_##mr##_##nv##m},
#endif
/* clang-format off */
#define LEAN_TO_4(M, nv) M(1, nv) M(2, nv) M(3, nv) M(4, nv)
#define LEAN_TO_6(M, nv) LEAN_TO_4(M, nv) M(5, nv) M(6, nv)
#define LEAN_TO_8(M, nv) LEAN_TO_6(M, nv) M(7, nv) M(8, nv)
#define LEAN_TO_12(M, nv) LEAN_TO_8(M, nv) M(9, nv) M(10, nv) M(11, nv) M(12, nv)
#if LEAN_WIDE
#define LEAN_EACH_ONE(M) LEAN_TO_12(M, 1)
#define LEAN_EACH_TWO(M) LEAN_TO_12(M, 2)
#define LEAN_EACH_THREE(M) LEAN_TO_8(M, 3)
#else
#define LEAN_EACH_ONE(M) LEAN_TO_8(M, 1)
#define LEAN_EACH_TWO(M) LEAN_TO_6(M, 2)
#define LEAN_EACH_THREE(M) LEAN_TO_4(M, 3)
#endif
LEAN_EACH_ONE(LEAN_DEFINE)
LEAN_EACH_TWO(LEAN_DEFINE)
LEAN_EACH_THREE(LEAN_DEFINE)
#if LEAN_WIDE
LEAN_FORM(8, 3, s, w, LEAN_STREAM_3)
#define LEAN_STREAM lean_8_3s
#else
LEAN_FORM(4, 3, s, w, LEAN_STREAM_3)
#define LEAN_STREAM lean_4_3s
#endif
static lean_fn *const lean_table[3][12][LEAN_FORMS] = {
    {LEAN_EACH_ONE(LEAN_ENTRY)}, {LEAN_EACH_TWO(LEAN_ENTRY)}, {LEAN_EACH_THREE(LEAN_ENTRY)}};
/* clang-format on */
static const uint8_t lean_most[3] = {LEAN_ONE, LEAN_TWO, LEAN_THREE}; /* rows of a tile */

/* The form for the last vector of n > 0 columns. */
VF_INLINE uint64_t lean_kind(uint64_t n)
{
    const uint64_t rest = n % VF_LANES;
    if (rest == 0) return LEAN_WHOLE;
    return LEAN_WIDE && rest <= VF_LANES / 2 ? LEAN_HALF : LEAN_MASK;
}

/* n columns, up to three vectors of them, all rows. */
VF_INLINE void lean_columns(const gemm_tiny *t, const vf_real *b, vf_real *c, uint64_t n)
{
    const uint64_t form = (n - 1) / VF_LANES, kind = lean_kind(n);
    const uint64_t most = lean_most[form];
    if ((uint64_t)t->m <= most) {
        lean_table[form][t->m - 1][kind](t, t->a, b, c, (int64_t)n);
        return;
    }
    const vf_real *a = t->a;
    const uint64_t tiles = ((uint64_t)t->m + most - 1) / most, each = (uint64_t)t->m / tiles;
    uint64_t longer = (uint64_t)t->m % tiles; /* tiles of a row more */
    for (uint64_t i = tiles; i > 0; i--) {
        const uint64_t m = each + (longer > 0);
        longer -= longer > 0;
        lean_table[form][m - 1][kind](t, a, b, c, (int64_t)n);
        a += (int64_t)m * t->lda, c += (int64_t)m * t->ldc;
    }
}

/* A group of rows after the other: C is written in the order of its memory, or nearly so. */
static void tiny_rows(const gemm_tiny *t)
{
    enum { WIDTH = 3 * VF_LANES };
    const uintptr_t spread = (uintptr_t)t->c | (uintptr_t)t->ldc * sizeof(vf_real);
    const bool stream = t->past && !t->beta && spread % 64 == 0;
    gemm_tiny part = *t;
    for (int64_t i = 0; i < t->m; i += part.m) {
        part.m = lmn_min_i64(LEAN_THREE, t->m - i);
        part.a = t->a + i * t->lda, part.c = t->c + i * t->ldc;
        for (int64_t j = 0; j < t->n; j += WIDTH) {
            const int64_t n = lmn_min_i64(WIDTH, t->n - j);
            if (stream && n == WIDTH && part.m == LEAN_THREE)
                LEAN_STREAM(&part, part.a, t->b + j, part.c + j, n);
            else
                lean_columns(&part, t->b + j, part.c + j, (uint64_t)n);
        }
    }
    if (stream) vf_fence();
}

#if LEAN_WIDE
/*
 * Up to 16 rows by one vector of columns, A and B from beyond L2: rows that lie far apart are
 * copied piece by piece, so that they do not meet in L1, and every line of both is fetched once,
 * some lines before.
 */
enum {
    FAR_MR = 16,
    FAR_K = 64,                /* of a copied piece ... */
    FAR_LD = FAR_K + VF_LANES, /* ... whose rows lie so far apart */
    FAR_A = 512,               /* elements of a row fetched ahead */
    FAR_B = 64                 /* rows fetched ahead */
};
#define FAR_EACH(M) LEAN_12(M, w) M(12, w) M(13, w) M(14, w) M(15, w)

/* The first `some` of FAR_K elements of m rows; the other rows stay as they are. */
VF_INLINE void far_copy(vf_real *to, const vf_real *a, int64_t lda, int64_t m, int64_t some)
{
    for (int64_t i = 0; i < m; i++, a += lda, to += FAR_LD)
        for (int64_t k = 0; k < some; k += VF_LANES)
            vf_store(to + k,
                     some - k < VF_LANES ? vf_loadm(a + k, vm_first(some - k)) : vf_load(a + k));
}

/* mr, a constant, at least t->m: rows that are not there are zeros. */
VF_INLINE void far_run(const gemm_tiny *t, const int mr)
{
    vf_real piece[FAR_MR * FAR_LD] __attribute__((aligned(64)));
    const vm tail = vm_first(t->n);
    const int64_t m = t->m, lda = t->lda, ldb = t->ldb;
    const vf_real *a = t->a, *b = t->b;
    vf acc[FAR_MR];
#define FAR_OPEN(i, L) \
    if ((i) < mr) acc[i] = t->beta && (i) < m ? vf_loadm(t->c + (i)*t->ldc, tail) : vf_zero();
#define FAR_STEP(i, L) \
    if ((i) < mr) vf_fma_at(&acc[i], bv, at + (i)*FAR_LD);
#define FAR_CLOSE(i, L) \
    if ((i) < mr && (i) < m) vf_storem(t->c + (i)*t->ldc, tail, acc[i]);
    FAR_EACH(FAR_OPEN)
    for (int64_t i = m; i < mr; i++)
        for (int64_t k = 0; k < FAR_K; k += VF_LANES) vf_store(piece + i * FAR_LD + k, vf_zero());
    for (int64_t left = t->k; left > 0; left -= FAR_K, a += FAR_K) {
        const int64_t some = left < FAR_K ? left : FAR_K;
        far_copy(piece, a, lda, m, some);
        const vf_real *next = a + FAR_A;
#pragma GCC unroll 1
        for (int64_t k = 0; k < some; k++, b += ldb, next += lda) {
            const int64_t line = k % VF_LANES;
            if (line == 0) next = a + FAR_A + k;
            if (line < m) __builtin_prefetch(next, 0, 2);
            __builtin_prefetch(b + FAR_B * ldb, 0, 2);
            const vf bv = vf_loadm(b, tail);
            const vf_real *at = piece + k;
            FAR_EACH(FAR_STEP)
        }
    }
    FAR_EACH(FAR_CLOSE)
}

static __attribute__((noinline)) void far_8(const gemm_tiny *t)
{
    far_run(t, 8);
}
static __attribute__((noinline)) void far_16(const gemm_tiny *t)
{
    far_run(t, 16);
}
#endif

static __attribute__((noinline)) void tiny_tiles(const gemm_tiny *t)
{
    if (t->n == 0 || t->m == 0) return;
#if LEAN_WIDE
    if (t->far) {
        (t->m <= 8 ? far_8 : far_16)(t);
        return;
    }
#endif
    if (t->by_rows) {
        tiny_rows(t);
        return;
    }
    if (t->n <= 3 * VF_LANES) {
        lean_columns(t, t->b, t->c, (uint64_t)t->n);
        return;
    }
    int64_t left = (t->n + VF_LANES - 1) / VF_LANES, j = 0;
    for (int64_t panels = (left + 2) / 3; panels > 0; panels--) {
        const int64_t vectors = (left + panels - 1) / panels;
        const int64_t n = panels == 1 ? t->n - j : vectors * VF_LANES;
        lean_columns(t, t->b + j, t->c + j, (uint64_t)n);
        j += n, left -= vectors;
    }
}

/* A single tile, of which there are the smallest products, has nothing of others in its way. */
VF_INLINE void tiny_run(const gemm_tiny *t)
{
    const uint64_t n = (uint64_t)t->n - 1, m = (uint64_t)t->m - 1, form = n / VF_LANES;
    if (form < 3 && m < lean_most[form] && !(t->by_rows | t->far))
        lean_table[form][m][lean_kind(n + 1)](t, t->a, t->b, t->c, t->n);
    else
        tiny_tiles(t);
}

#endif
