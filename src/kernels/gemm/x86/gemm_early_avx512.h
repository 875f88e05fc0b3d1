/*
 * The tile of eight rows by three vectors whose loads run ahead of their products: B by two steps
 * of k, A by two rows. Where a core's queues are shared with a neighbour, as on Sapphire and
 * Emerald Rapids most of the time, products that wait for their loads fill what is left of them,
 * and rows of A as operands in memory take loads that B needs. Every register has its name: 24
 * sums, twice three vectors of B and two numbers of A are all 32. The chain of sums is that of
 * whole_run. Included by gemm_tile_tmpl.h where GEMM_EARLY is 1.
 */
#ifndef LMN_KERNELS_GEMM_EARLY_AVX512_H
#define LMN_KERNELS_GEMM_EARLY_AVX512_H

enum { EARLY_K = 4 /* steps behind one set of pointers */ };

typedef struct early_line {
    float x[16];
} __attribute__((may_alias, aligned(1))) early_line;

/* In this order and from these registers, whatever a compiler thinks of it: `at` bytes, a constant,
   behind p, or behind row i of four that begin at p. */
#define EARLY_LOAD(x, p) \
    __asm__ volatile("vmovups %1, %0" : "=v"(x) : "m"(*(const early_line *)(const void *)(p)))
#define EARLY_A0(x, p, at) __asm__ volatile("vbroadcastss %c2(%1), %0" : "=v"(x) : "r"(p), "i"(at))
#define EARLY_A1(x, p, at) \
    __asm__ volatile("vbroadcastss %c3(%1,%2), %0" : "=v"(x) : "r"(p), "r"(a_ld), "i"(at))
#define EARLY_A2(x, p, at) \
    __asm__ volatile("vbroadcastss %c3(%1,%2,2), %0" : "=v"(x) : "r"(p), "r"(a_ld), "i"(at))
#define EARLY_A3(x, p, at) \
    __asm__ volatile("vbroadcastss %c3(%1,%2), %0" : "=v"(x) : "r"(p), "r"(a_ld3), "i"(at))
#define EARLY_FMA(c, a, b) __asm__ volatile("vfmadd231ps %2, %1, %0" : "+v"(c) : "v"(a), "v"(b))
/* clang-format off */
#define EARLY_SUMS(M) \
    M(0, 0, 8) M(0, 1, 9) M(0, 2, 10) \
    M(1, 0, 11) M(1, 1, 12) M(1, 2, 13) \
    M(2, 0, 14) M(2, 1, 15) M(2, 2, 16) \
    M(3, 0, 17) M(3, 1, 18) M(3, 2, 19) \
    M(4, 0, 20) M(4, 1, 21) M(4, 2, 22) \
    M(5, 0, 23) M(5, 1, 24) M(5, 2, 25) \
    M(6, 0, 26) M(6, 1, 27) M(6, 2, 28) \
    M(7, 0, 29) M(7, 1, 30) M(7, 2, 31)
/* clang-format on */

/* x is what row i of A has `at` steps of k on. */
#define EARLY_ROW_0(x, at) EARLY_A0(x, a0, (at)*4)
#define EARLY_ROW_1(x, at) EARLY_A1(x, a0, (at)*4)
#define EARLY_ROW_2(x, at) EARLY_A2(x, a0, (at)*4)
#define EARLY_ROW_3(x, at) EARLY_A3(x, a0, (at)*4)
#define EARLY_ROW_4(x, at) EARLY_A0(x, a4, (at)*4)
#define EARLY_ROW_5(x, at) EARLY_A1(x, a4, (at)*4)
#define EARLY_ROW_6(x, at) EARLY_A2(x, a4, (at)*4)
#define EARLY_ROW_7(x, at) EARLY_A3(x, a4, (at)*4)
/* Row i by the vectors p of B; then x is what row `row` begins with. */
#define EARLY_ROW(i, p, x, row, at) \
    EARLY_FMA(s##i##0, x, p##0);    \
    EARLY_FMA(s##i##1, x, p##1);    \
    EARLY_FMA(s##i##2, x, p##2);    \
    EARLY_ROW_##row(x, at);
/* The row of B that comes q steps behind the first of four; one that is no panel comes in turn. */
#define EARLY_B(p, q)                                              \
    {                                                              \
        const vf_real *row = panel ? b + (q)*GEMM_NR : b;          \
        EARLY_LOAD(p##0, row);                                     \
        EARLY_LOAD(p##1, row + VF_LANES);                          \
        EARLY_LOAD(p##2, row + 2 * VF_LANES);                      \
        if (!panel) b = (const vf_real *)((const char *)b + b_ld); \
    }
#define EARLY_STEP(u, p)                       \
    EARLY_ROW(0, p, x, 2, u)                   \
    EARLY_ROW(1, p, y, 3, u)                   \
    EARLY_ROW(2, p, x, 4, u)                   \
    EARLY_ROW(3, p, y, 5, u)                   \
    EARLY_ROW(4, p, x, 6, u)                   \
    EARLY_ROW(5, p, y, 7, u)                   \
    if ((u) == EARLY_K - 1) {                  \
        a0 += EARLY_K, a4 += EARLY_K;          \
        WHOLE_HIDE(a0);                        \
        WHOLE_HIDE(a4);                        \
    }                                          \
    EARLY_ROW(6, p, x, 0, ((u) + 1) % EARLY_K) \
    EARLY_ROW(7, p, y, 1, ((u) + 1) % EARLY_K) EARLY_B(p, (u) + 2)
/* One step, nothing ahead. */
#define EARLY_LATE(i)          \
    EARLY_ROW_##i(x, 0);       \
    EARLY_FMA(s##i##0, x, b0); \
    EARLY_FMA(s##i##1, x, b1); \
    EARLY_FMA(s##i##2, x, b2);
#define EARLY_NAME(i, v, zmm) register vf s##i##v __asm__("zmm" #zmm);
#define EARLY_CLEAR(i, v, zmm) s##i##v = vf_zero();
#define EARLY_OPEN(i, v, zmm) EARLY_LOAD(s##i##v, (const char *)(t->c + (v)*VF_LANES) + (i)*c_ld);
/* c goes down by a row with the last vector of each. */
#define EARLY_STORE(i, v, zmm)           \
    vf_store(c + (v)*VF_LANES, s##i##v); \
    if ((v) == GEMM_NV - 1) c = (vf_real *)((char *)c + c_ld);
#define EARLY_KEEP(i, v, zmm) acc[i][v] = s##i##v;

/* Sums that go into an epilogue or past the caches. */
VF_INLINE void early_end(const tile *t, vf acc[8][4])
{
    const int64_t c_ld = t->ldc * (int64_t)sizeof(vf_real);
    vf_real *c0 = t->c;
    WHOLE_PAIRS(vf_real, c)
    const int mr = GEMM_MR, nv = GEMM_NV, tail_kind = TAIL_WHOLE;
    const vm tail = vm_first(0);
    (void)tail;
    if (t->f.on) TILE_FUSE
    if (t->stream) {
        EACH_ROW(WHOLE_STREAM)
    } else {
        EACH_ROW(WHOLE_STORE)
    }
}

/* Of no terms; panel, a constant: rows of B are GEMM_NR apart. */
VF_INLINE void early_run(const tile *t, const bool panel)
{
    __asm__ volatile("" : : : "memory"); /* what is loaded has been written */
    const int64_t size = sizeof(vf_real),
                  fours = lmn_max_i64(0, t->k / LINE * (LINE / EARLY_K) - 1);
    const int64_t c_ld = t->ldc * size;
    EARLY_SUMS(EARLY_NAME)
    register vf b0 __asm__("zmm0"), b1 __asm__("zmm1"), b2 __asm__("zmm2");
    register vf d0 __asm__("zmm3"), d1 __asm__("zmm4"), d2 __asm__("zmm5");
    register vf x __asm__("zmm6"), y __asm__("zmm7");
    if (t->beta) {
        EARLY_SUMS(EARLY_OPEN)
    } else {
        EARLY_SUMS(EARLY_CLEAR)
    }
    int64_t a_ld = t->lda * size, a_ld3 = 3 * a_ld, b_ld = t->ldb * size;
    WHOLE_HIDE(a_ld);
    WHOLE_HIDE(a_ld3);
    WHOLE_HIDE(b_ld);
    const vf_real *a0 = t->a, *a4 = (const vf_real *)((const char *)a0 + 4 * a_ld), *b = t->b;
    if (fours > 0) {
        const vf_real *soon = t->soon, *next = a0 + t->ahead;
        const int64_t soon_step = t->soon_step - SOON;
        EARLY_B(b, 0)
        EARLY_B(d, 1)
        EARLY_ROW_0(x, 0);
        EARLY_ROW_1(y, 0);
        int64_t turn = LINE / EARLY_K;
#pragma GCC unroll 1
        for (int64_t left = fours; left > 0; left--) {
            EARLY_STEP(0, b)
            __builtin_prefetch(next);
            EARLY_STEP(1, d)
            __builtin_prefetch((const char *)next + a_ld);
            EARLY_STEP(2, b)
            __builtin_prefetch(soon, 0, 2);
            EARLY_STEP(3, d)
            next = (const vf_real *)((const char *)next + 2 * a_ld), soon += LINE;
            if (panel) b += EARLY_K * GEMM_NR;
            WHOLE_HIDE(next);
            WHOLE_HIDE(soon);
            WHOLE_HIDE(b);
            if (--turn == 0) {
                next = (const vf_real *)((const char *)next - 8 * a_ld) + LINE;
                soon += soon_step, turn = LINE / EARLY_K;
            }
        }
        WHOLE_HIDE(t);
    }
    b = t->b + fours * EARLY_K * t->ldb;
#pragma GCC unroll 1
    for (int64_t rest = t->k - fours * EARLY_K; rest > 0; rest--) {
        EARLY_B(b, 0)
        EACH_ROW(EARLY_LATE)
        a0++, a4++;
        if (panel) b += GEMM_NR;
    }
    if (!t->f.on && !t->stream) {
        vf_real *c = t->c;
        EARLY_SUMS(EARLY_STORE)
        return;
    }
    vf acc[8][4];
    EARLY_SUMS(EARLY_KEEP)
    early_end(t, acc);
}

#endif
