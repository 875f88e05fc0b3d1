/*
 * qgemm row for AVX-512 VNNI: tiles of up to 8 x 48, k in groups of four by vpdpbusd, which is
 * exact (it does not saturate). Accumulators are spelled out, the number of rows and of vectors a
 * row is constant in every instance. Sums begin with the term of their column; the usual ends are
 * computed in registers, the others on the tile in the first cache.
 */
#include "kernels/qgemm/qgemm_avx512_tmpl.h"

enum { MR = 8, NR = 48, GROUP = 4, NEAR_BYTES = 20 << 10, SHORT_K = 64 };

#define EACH_ROW(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7)

lmn_qgemm_block_fn lmn_qgemm_i8_block_avx512vnni;
lmn_qgemm_pack_fn lmn_qgemm_i8_pack_a_avx512vnni, lmn_qgemm_i8_pack_b_avx512vnni,
    lmn_qgemm_i8_pack_bt_avx512vnni;
lmn_qgemm_short_fn lmn_qgemm_i8_short_avx512vnni;

/* The ends of tiles of fewer than MR rows, and those that no instance computes in registers. */
static __attribute__((noinline)) void leave(const lmn_qgemm_block *t, int64_t i0, int64_t j0,
                                            leaving how, const int32_t *sums, int rows)
{
    const lmn_qgemm_end end = t->end; /* ours: no store to C makes it be read again */
    const tile_sums s = {sums, NR, i0, j0, rows, lmn_min_i64(NR, t->n - j0)};
    if (how == ANY_END)
        any_end(&end, &s);
    else if (how == BYTES || how == SMALL_BYTES)
        bytes_end(&end, &s, false);
    else
        floats_end(&end, &s, false);
}

/* The first bytes of a group of k that has fewer than four. */
ALWAYS __m512i few(const uint8_t *p, __mmask16 in)
{
    return _mm512_broadcastd_epi32(_mm_maskz_loadu_epi8(in, p));
}

/* rows x (vectors * 16) sums from row i0 and the panel at column j0 on. A line a step is fetched
   from `ahead` on, which need not be ours. */
ALWAYS void tile(const lmn_qgemm_block *t, int64_t i0, int64_t j0, const leaving how,
                 uintptr_t ahead, const int rows, const int vectors)
{
    const int64_t groups = t->k / GROUP, left = t->k % GROUP, lda = t->lda;
    const uint8_t *a = (const uint8_t *)t->a + i0 * lda;
    const int8_t *b = (const int8_t *)t->b + j0 / NR * t->b_panel;
    int32_t *part = t->part ? t->part + i0 * t->ld_part + j0 : NULL;
    const bool more = part && !t->first;
    __m512i t0 = _mm512_setzero_si512(), t1 = t0, t2 = t0;
    if (how >= INTS) {
        t0 = _mm512_loadu_si512(t->end.col_add + j0);
        if (vectors > 1) t1 = _mm512_loadu_si512(t->end.col_add + j0 + LANES);
        if (vectors > 2) t2 = _mm512_loadu_si512(t->end.col_add + j0 + 2 * LANES);
    }
#define PART(i, v) _mm512_loadu_si512(part + i * t->ld_part + (v)*LANES)
#define START(i)                                                          \
    __m512i c##i##0 = t0, c##i##1 = t1, c##i##2 = t2;                     \
    if (rows > i && more) {                                               \
        c##i##0 = _mm512_add_epi32(c##i##0, PART(i, 0));                  \
        if (vectors > 1) c##i##1 = _mm512_add_epi32(c##i##1, PART(i, 1)); \
        if (vectors > 2) c##i##2 = _mm512_add_epi32(c##i##2, PART(i, 2)); \
    }
    EACH_ROW(START)
#define STEP(i, x)                                                      \
    if (rows > i) {                                                     \
        const __m512i y = x;                                            \
        c##i##0 = _mm512_dpbusd_epi32(c##i##0, y, b0);                  \
        if (vectors > 1) c##i##1 = _mm512_dpbusd_epi32(c##i##1, y, b1); \
        if (vectors > 2) c##i##2 = _mm512_dpbusd_epi32(c##i##2, y, b2); \
    }
#define WHOLE(i) STEP(i, four(a + i * lda))
#define REST(i) STEP(i, few(a + i * lda, some))
    for (int64_t g = 0; g < groups; g++, ahead += 64) {
        if (vectors == 3) _mm_prefetch((const void *)ahead, _MM_HINT_T1);
        const __m512i b0 = _mm512_loadu_si512(b);
        const __m512i b1 = vectors > 1 ? _mm512_loadu_si512(b + 64) : b0;
        const __m512i b2 = vectors > 2 ? _mm512_loadu_si512(b + 128) : b0;
        EACH_ROW(WHOLE)
        a += GROUP, b += (int64_t)NR * GROUP;
    }
    if (left) {
        const __mmask16 some = (__mmask16)((1u << left) - 1);
        const __m512i b0 = _mm512_loadu_si512(b);
        const __m512i b1 = vectors > 1 ? _mm512_loadu_si512(b + 64) : b0;
        const __m512i b2 = vectors > 2 ? _mm512_loadu_si512(b + 128) : b0;
        EACH_ROW(REST)
    }
    int32_t sums[MR * NR];
    int32_t *to = how == KEEP ? part : sums;
    const int64_t step = how == KEEP ? t->ld_part : NR, ldc = t->end.ldc;
    const __mmask16 last = lanes(t->n - j0 - (vectors - 1) * LANES);
#define SAVE(i)                                                                   \
    if (rows > i) {                                                               \
        _mm512_storeu_si512(to + i * step, c##i##0);                              \
        if (vectors > 1) _mm512_storeu_si512(to + i * step + LANES, c##i##1);     \
        if (vectors > 2) _mm512_storeu_si512(to + i * step + 2 * LANES, c##i##2); \
    }
    const bool few_rows = (rows < MR && how == BYTES) || (rows < MR - 1 && how == SMALL_BYTES);
    if (how <= ANY_END || how == FLOATS || few_rows) {
        EACH_ROW(SAVE)
        if (how != KEEP) leave(t, i0, j0, how, sums, rows);
        return;
    }
    const int32_t *row_add = t->end.row_add + i0;
#define ADDED(i, v) _mm512_add_epi32(c##i##v, _mm512_set1_epi32(row_add[i]))
#define OUT_INTS(i, v, x)                                                   \
    if (rows > i && (v) < vectors) {                                        \
        int32_t *p = (int32_t *)t->end.c + (i0 + i) * ldc + j0 + (v)*LANES; \
        if ((v) < vectors - 1)                                              \
            _mm512_storeu_si512(p, x);                                      \
        else                                                                \
            _mm512_mask_storeu_epi32(p, last, x);                           \
    }
#define ADD_ROW(i)                                                 \
    if (rows > i) {                                                \
        const __m512i add = _mm512_set1_epi32(row_add[i]);         \
        c##i##0 = _mm512_add_epi32(c##i##0, add);                  \
        if (vectors > 1) c##i##1 = _mm512_add_epi32(c##i##1, add); \
        if (vectors > 2) c##i##2 = _mm512_add_epi32(c##i##2, add); \
    }
#define INTS_ROW(i) OUT_INTS(i, 0, c##i##0) OUT_INTS(i, 1, c##i##1) OUT_INTS(i, 2, c##i##2)
    if (how == INTS || how == BARE_INTS) {
        if (how == INTS) {
            EACH_ROW(ADD_ROW)
        }
        EACH_ROW(INTS_ROW)
        return;
    }
    if (rows < MR - 1) return;
    const float *col_mul = t->end.col_mul;
    const float *row_mul = col_mul ? NULL : t->end.row_mul + i0;
    const __m512 zero = _mm512_setzero_ps();
#define COL_MUL(v) (col_mul ? _mm512_loadu_ps(col_mul + j0 + (v)*LANES) : zero)
    const packer by = packer_of(&t->end);
    const __mmask64 in = bytes(t->n - j0);
    uint8_t *c = (uint8_t *)t->end.c + i0 * ldc + j0;
    const __m512 m0 = COL_MUL(0), m1 = vectors > 1 ? COL_MUL(1) : zero,
                 m2 = vectors > 2 ? COL_MUL(2) : zero;
#define TIMES(i, v, mul) _mm512_mul_ps(_mm512_cvtepi32_ps(ADDED(i, v)), mul)
#define OUT_BYTES(i, f0, f1, f2)                                                      \
    {                                                                                 \
        const __m512 x0 = TIMES(i, 0, f0), x1 = vectors > 1 ? TIMES(i, 1, f1) : zero, \
                     x2 = vectors > 2 ? TIMES(i, 2, f2) : zero;                       \
        _mm512_mask_storeu_epi8(c + i * ldc, in, packed_bytes(&by, x0, x1, x2));      \
    }
#define BYTES_BY_COL(i) OUT_BYTES(i, m0, m1, m2)
#define BYTES_BY_ROW(i)                              \
    {                                                \
        const __m512 f = _mm512_set1_ps(row_mul[i]); \
        OUT_BYTES(i, f, f, f)                        \
    }
#define SMALL(i, v, mul) _mm512_mul_ps(_mm512_cvtepi32_ps(c##i##v), mul)
#define OUT_SMALL(i, u8)                                                                \
    if (rows > i) {                                                                     \
        const __m512 x0 = SMALL(i, 0, m0), x1 = vectors > 1 ? SMALL(i, 1, m1) : zero,   \
                     x2 = vectors > 2 ? SMALL(i, 2, m2) : zero;                         \
        _mm512_mask_storeu_epi8(c + i * ldc, in, small_bytes(&by, zp, x0, x1, x2, u8)); \
    }
#define SMALL_U8(i) OUT_SMALL(i, true)
#define SMALL_S8(i) OUT_SMALL(i, false)
    if (how == SMALL_BYTES) {
        const __m512i zp = _mm512_set1_epi16((short)t->end.zp);
        if (t->end.hi > 127) {
            EACH_ROW(SMALL_U8)
        } else {
            EACH_ROW(SMALL_S8)
        }
        return;
    }
    if (rows < MR) return;
    if (col_mul) {
        EACH_ROW(BYTES_BY_COL)
    } else {
        EACH_ROW(BYTES_BY_ROW)
    }
}

/* One instance for every number of rows and vectors; a function of its own each, so that registers
   are given out one by one. */
#define INSTANCE(rows, vectors)                                                       \
    static __attribute__((noinline)) void tile_##rows##_##vectors(                    \
        const lmn_qgemm_block *t, int64_t i, int64_t j, leaving how, uintptr_t ahead) \
    {                                                                                 \
        tile(t, i, j, how, ahead, rows, vectors);                                     \
    }
#define INSTANCES(rows) INSTANCE(rows, 1) INSTANCE(rows, 2) INSTANCE(rows, 3)
INSTANCES(1)
INSTANCES(2)
INSTANCES(3)
INSTANCES(4)
INSTANCES(5)
INSTANCES(6)
INSTANCES(7)
INSTANCES(8)

typedef void tile_fn(const lmn_qgemm_block *t, int64_t i, int64_t j, leaving how, uintptr_t ahead);

/* Rows of the strip that begins at row i, of `strips` that are left: dealt evenly. */
static inline int64_t strip_of(const lmn_qgemm_block *t, int64_t i, int64_t strips)
{
    return (t->m - i + strips - 1) / strips;
}
static inline int vectors_at(const lmn_qgemm_block *t, int64_t j)
{
    return (int)lmn_min_i64(3, (t->n - j + LANES - 1) / LANES);
}

/* The rows pass one panel after the other. The first of them fetch the lines of the next panel,
   which may be the first one of another block, or nothing that is read. Strips in pairs, the second
   one first: stores in even steps cores foresee, four to six steps ahead, and would take the rows
   behind the block from the thread that writes them. */
static void by_panels(const lmn_qgemm_block *t, tile_fn *const tiles[MR][3], leaving how)
{
    const int64_t lines = t->k / GROUP, strips = (t->m + MR - 1) / MR;
    const int64_t few = strips ? t->m / strips : 0, more = strips ? t->m % strips : 0;
    for (int64_t j = 0; j < t->n; j += NR) {
        const int vectors = vectors_at(t, j);
        uintptr_t ahead = (uintptr_t)t->b + (uintptr_t)((j / NR + 1) * t->b_panel);
        for (int64_t s = 0; s < strips; s++) {
            const int64_t nth = (s ^ 1) < strips ? s ^ 1 : s, rows = few + (nth < more);
            const int64_t i = nth * few + lmn_min_i64(nth, more);
            tiles[rows - 1][vectors - 1](t, i, j, how, ahead + (uintptr_t)(s % 3 * lines * 64));
        }
    }
}

/* Panels that stay in the first cache, or short ones in the second: whole lines of C are written
   one after the other. */
static void by_rows(const lmn_qgemm_block *t, tile_fn *const tiles[MR][3], leaving how)
{
    int64_t strips = (t->m + MR - 1) / MR;
    for (int64_t i = 0, rows; i < t->m; i += rows, strips--) {
        rows = strip_of(t, i, strips);
        for (int64_t j = 0; j < t->n; j += NR)
            tiles[rows - 1][vectors_at(t, j) - 1](t, i, j, how, (uintptr_t)t->b);
    }
}

void lmn_qgemm_i8_block_avx512vnni(const lmn_qgemm_block *t)
{
#define TILES(rows)                                       \
    {                                                     \
        tile_##rows##_1, tile_##rows##_2, tile_##rows##_3 \
    }
    static tile_fn *const tiles[MR][3] = {TILES(1), TILES(2), TILES(3), TILES(4),
                                          TILES(5), TILES(6), TILES(7), TILES(8)};
#undef TILES
    leaving how = leaving_of(t);
    if (how == BYTES && gives_small_bytes(t)) how = SMALL_BYTES;
    if (how == INTS && rows_add_nothing(t)) how = BARE_INTS;
    if (how == SMALL_BYTES && is_short(t)) {
        lmn_qgemm_i8_short_avx512vnni(t, NR);
        return;
    }
    const bool rows = t->n * t->k <= NEAR_BYTES || t->k <= SHORT_K;
    (rows ? by_rows : by_panels)(t, tiles, how);
}

void lmn_qgemm_i8_pack_a_avx512vnni(const lmn_qgemm_pack *p)
{
    pack_a_run(p, GROUP);
}

void lmn_qgemm_i8_pack_b_avx512vnni(const lmn_qgemm_pack *p)
{
    pack_b_run(p, NR, GROUP);
}

void lmn_qgemm_i8_pack_bt_avx512vnni(const lmn_qgemm_pack *p)
{
    pack_bt_run(p, NR, GROUP);
}
