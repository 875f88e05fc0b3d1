/*
 * The product of the nbits rows. The file that includes it brings sixteen floats as v16 with
 * v16_zero, v16_fma (c + w * the sixteen at p), v16_sum (the tree of nbits.h), widen4 and widen8
 * (32 weights of a row as two halves) and base4 and base8, what these take of a zero point.
 */
#define EACH_CELL(X) \
    X(0, 0)          \
    X(0, 1)          \
    X(0, 2)          \
    X(0, 3)          \
    X(1, 0) X(1, 1) X(1, 2) X(1, 3) X(2, 0) X(2, 1) X(2, 2) X(2, 3) X(3, 0) X(3, 1) X(3, 2) X(3, 3)

/* Rows i0 .. i0 + m - 1 of a against rows j .. j + n - 1 of weights; m, n and bits are constants of
   every instance. */
static inline __attribute__((always_inline)) void
mul_tile(const lmn_nbits_block *b, int64_t i0, int64_t j, const int m, const int n, const int bits)
{
    const lmn_nbdot_weights *w = &b->w;
    const uint8_t *q = w->q + j * w->row_bytes;
    const float *scale = w->scale + j * w->n_blocks, *a = b->a + i0 * b->a_step;
    const int64_t q_step = w->row_bytes, s_step = w->n_blocks, a_step = b->a_step;
    const bool plain = !b->zp_f32 && !w->zp;
    const v16 middle =
        bits == 4 ? base4((float)(1 << (bits - 1))) : base8((float)(1 << (bits - 1)));
#define START(i, r) v16 c##i##r = v16_zero();
    EACH_CELL(START)
#undef START
    for (int64_t g = 0; g < b->groups; g++, q += 4 * bits, a += 32) {
        const int64_t block = g >> w->shift;
#define STEP(i, r)                                               \
    if (m > i) {                                                 \
        c##i##r = v16_fma(first, a + i * a_step, c##i##r);       \
        c##i##r = v16_fma(second, a + i * a_step + 16, c##i##r); \
    }
#define ROW(r)                                                                                \
    if (n > r) {                                                                              \
        const float *by = scale + r * s_step + block;                                         \
        v16 base = middle, first, second;                                                     \
        if (!plain) {                                                                         \
            const float zp = lmn_nbits_zp_at(b, j + r, block);                                \
            base = bits == 4 ? base4(zp) : base8(zp);                                         \
        }                                                                                     \
        /* The rows that come next: the hardware finds such short ones too late. */           \
        if (i0 == 0)                                                                          \
            __builtin_prefetch((const void *)((uintptr_t)q + (uintptr_t)((n + r) * q_step))); \
        if (bits == 4)                                                                        \
            widen4(q + r * q_step, by, base, &first, &second);                                \
        else                                                                                  \
            widen8(q + r * q_step, by, base, &first, &second);                                \
        STEP(0, r) STEP(1, r) STEP(2, r) STEP(3, r)                                           \
    }
        ROW(0) ROW(1) ROW(2) ROW(3)
#undef ROW
#undef STEP
    }
#define STORE(i, r)                                                         \
    if (m > i && n > r) {                                                   \
        const float y = v16_sum(c##i##r);                                   \
        b->y[(i0 + i) * b->ldy + j + r] = b->bias ? y + b->bias[j + r] : y; \
    }
    EACH_CELL(STORE)
#undef STORE
}

#define MUL_INSTANCE(m, n, bits)                                                           \
    static __attribute__((noinline)) void mul_##m##_##n##_##bits(const lmn_nbits_block *b, \
                                                                 int64_t i, int64_t j)     \
    {                                                                                      \
        mul_tile(b, i, j, m, n, bits);                                                     \
    }
typedef void mul_fn(const lmn_nbits_block *b, int64_t i, int64_t j);

/* tiles[tall][wide]: of `high` rows of a or one, of `broad` rows of weights or one. */
static inline void mul_run(const lmn_nbits_block *b, mul_fn *const tiles[2][2], int64_t high,
                           int64_t broad)
{
    for (int64_t j = 0; j < b->n;) {
        const bool wide = b->n - j >= broad;
        for (int64_t i = 0; i < b->m;) {
            const bool tall = b->m - i >= high;
            tiles[tall][wide](b, i, j);
            i += tall ? high : 1;
        }
        j += wide ? broad : 1;
    }
}
