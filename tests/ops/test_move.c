/*
 * test_move.c - strided moves of every element size, pads of every mode, and rows taken and put by
 * indices, each against copying element by element from its definition.
 */
#include "op_bench.h"
#include "ops/move.h"

enum { MAX_RANK = 4, MAX_ELEMS = 1 << 13 };

/* Order of axes drawn at random. */
static void draw_order(t_env *env, int32_t rank, int32_t *order)
{
    for (int32_t k = 0; k < rank; k++) {
        const int32_t at = (int32_t)t_rand_int(env, 0, k);
        order[k] = order[at];
        order[at] = k;
    }
}

/* Strides of a layout that is dense in `order` but for a step within the innermost axis. */
static int64_t lay_out(int32_t rank, const int64_t *dims, const int32_t *order, int64_t step,
                       int64_t *st)
{
    int64_t n = step;
    for (int32_t k = rank - 1; k >= 0; k--) {
        st[order[k]] = n;
        n *= dims[order[k]];
    }
    return n;
}

static void check_move(t_env *env)
{
    static const int64_t EXTENTS[] = {1, 2, 2, 3, 3, 4, 5, 7, 16, 33, 64, 100};
    static const size_t SIZES[] = {1, 2, 4, 4, 4, 8, 16};
    lmn_move m = {.eb = SIZES[t_rand_int(env, 0, 6)], .rank = (int32_t)t_rand_int(env, 1, 4)};
    int32_t order[MAX_RANK];
    int64_t n = 1, src_n;
    for (int32_t k = 0; k < m.rank; k++) {
        m.dims[k] = EXTENTS[t_rand_int(env, 0, T_COUNT(EXTENTS) - 1)];
        if (n * m.dims[k] > MAX_ELEMS) m.dims[k] = 2;
        n *= m.dims[k];
    }
    draw_order(env, m.rank, order);
    (void)lay_out(m.rank, m.dims, order, 1, m.dst_st);
    draw_order(env, m.rank, order);
    src_n = lay_out(m.rank, m.dims, order, t_rand_int(env, 1, 3), m.src_st);
    int64_t first = 0;
    for (int32_t k = 0; k < m.rank; k++) {
        const int64_t how = t_rand_int(env, 0, 7);
        if (how == 0) m.src_st[k] = 0; /* repeated */
        if (how == 1) {                /* backwards */
            first += (m.dims[k] - 1) * m.src_st[k];
            m.src_st[k] = -m.src_st[k];
        }
    }
    /* One byte past an alignment; the ends are the ends of the blocks. */
    uint8_t *src = malloc((size_t)src_n * m.eb + 1), *dst = malloc((size_t)n * m.eb + 1);
    T_REQUIRE(src && dst);
    for (int64_t i = 0; i <= src_n * (int64_t)m.eb; i++) src[i] = (uint8_t)(i * 37 + (i >> 8) * 11);
    memset(dst, 0xee, (size_t)n * m.eb + 1);
    m.src = src + 1 + first * (int64_t)m.eb, m.dst = dst + 1;
    const lmn_move was = m;
    lmn_move_run(NULL, &m);
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t d = 0, s = 0, rest = i;
        for (int32_t k = was.rank - 1; k >= 0; k--) {
            d += rest % was.dims[k] * was.dst_st[k];
            s += rest % was.dims[k] * was.src_st[k];
            rest /= was.dims[k];
        }
        bad += memcmp(was.dst + d * (int64_t)was.eb, was.src + s * (int64_t)was.eb, was.eb) != 0;
    }
    T_EQ(bad, 0);
    T_EQ(dst[0], 0xee);
    free(src);
    free(dst);
}

static void test_strided(t_env *env)
{
    for (int32_t i = 0; i < 3000; i++) check_move(env);
}

/* Long runs of two, three and four planes, both ways, and longer than a chunk. */
static void test_planes(LMN_UNUSED t_env *env)
{
    static const int64_t LONG[] = {1, 3, 4, 5, 8, 1023, 4096, 16384, 65536, 100003};
    for (int64_t planes = 2; planes <= 5; planes++)
        for (size_t i = 0; i < 2 * T_COUNT(LONG); i++) {
            const int64_t n = LONG[i / 2];
            uint32_t *src = malloc((size_t)(planes * n) * 4),
                     *dst = malloc((size_t)(planes * n) * 4);
            T_REQUIRE(src && dst);
            for (int64_t k = 0; k < planes * n; k++) src[k] = (uint32_t)k * 2654435761u;
            const int64_t rows = i % 2 ? planes : n, columns = i % 2 ? n : planes;
            lmn_move m = {.eb = 4,
                          .rank = 2,
                          .dims = {columns, rows},
                          .dst_st = {rows, 1},
                          .src_st = {1, columns},
                          .dst = (uint8_t *)dst,
                          .src = (const uint8_t *)src};
            lmn_move_run(NULL, &m);
            int64_t bad = 0;
            for (int64_t k = 0; k < planes * n; k++)
                bad += dst[k % columns * rows + k / columns] != src[k];
            T_EQ(bad, 0);
            free(src);
            free(dst);
        }
}

typedef struct shared {
    int64_t chunks;
} shared;

/* As threads may take them: in any order, here the last one first. */
static void run_backwards(void *ctx, int64_t n_chunks, lmn_par_fn *fn, void *arg)
{
    ((shared *)ctx)->chunks = n_chunks;
    for (int64_t i = n_chunks; i > 0; i--) fn(arg, i - 1, (int32_t)(i % 2));
}

/* Moves of many bytes are cut for threads whatever their extents divide by: a joined part, rows
   of many parts, a transpose, a repeated row, a strided one. No chunk is more than 256 KiB. */
static void test_shared(LMN_UNUSED t_env *env)
{
    static const struct {
        int64_t rows, columns, dst[2], src[2];
    } MOVES[] = {
        {1, 409601, {0, 1}, {0, 1}},      {12, 8192, {8256, 1}, {8192, 1}},
        {3, 70001, {70001, 1}, {1, 3}},   {1500, 384, {384, 1}, {1, 1500}},
        {1501, 211, {211, 1}, {1, 1501}}, {1, 300007, {0, 1}, {0, 3}},
        {300007, 2, {2, 1}, {1, 300007}}, {1, 300007, {0, 1}, {0, 0}},
        {1, 200003, {0, 2}, {0, 1}},
    };
    enum { MOST = 1 << 20 };
    uint32_t *src = malloc(MOST * 4), *dst = malloc(MOST * 4);
    T_REQUIRE(src && dst);
    for (int64_t k = 0; k < MOST; k++) src[k] = (uint32_t)k * 2654435761u;
    for (size_t i = 0; i < T_COUNT(MOVES); i++) {
        const int64_t rows = MOVES[i].rows, n = MOVES[i].columns, *ds = MOVES[i].dst,
                      *ss = MOVES[i].src;
        lmn_move m = {.eb = 4,
                      .rank = 2,
                      .dims = {rows, n},
                      .dst_st = {ds[0], ds[1]},
                      .src_st = {ss[0], ss[1]},
                      .dst = (uint8_t *)dst,
                      .src = (const uint8_t *)src};
        shared seen = {0};
        const lmn_par par = {&seen, 2, run_backwards};
        memset(dst, 0xee, MOST * 4);
        lmn_move_run(&par, &m);
        int64_t bad = 0, strays = 0;
        for (int64_t r = 0; r < rows; r++)
            for (int64_t k = 0; k < n; k++) {
                uint32_t *d = &dst[r * ds[0] + k * ds[1]];
                bad += *d != src[r * ss[0] + k * ss[1]];
                *d = 0xeeeeeeeeu;
            }
        for (int64_t k = 0; k < MOST; k++) strays += dst[k] != 0xeeeeeeeeu;
        T_EQ(bad, 0);
        T_EQ(strays, 0);
        T_CHECK(seen.chunks >= rows * n * 4 / (256 << 10));
    }
    free(src);
    free(dst);
}

/* Place in the input of place i of an axis padded by `begin`; -1 = the constant. */
static int64_t padded_from(const char *mode, int64_t i, int64_t begin, int64_t end, int64_t n)
{
    const int64_t skip = begin < 0 ? -begin : 0, keep = n - skip - (end < 0 ? -end : 0);
    int64_t at = i - (begin > 0 ? begin : 0);
    if (at >= 0 && at < keep) return skip + at;
    if (mode[0] == 'c') return -1;
    if (mode[0] == 'e') return skip + (at < 0 ? 0 : keep - 1);
    while (at < 0 || at >= keep) {
        if (mode[0] == 'w')
            at += at < 0 ? keep : -keep;
        else if (keep == 1)
            at = 0;
        else
            at = at < 0 ? -at : 2 * (keep - 1) - at;
    }
    return skip + at;
}

static void check_pad(t_env *env, char *mode, lamina_dtype dt)
{
    int64_t dims[MAX_RANK], pads[2 * MAX_RANK];
    double v[2 * MAX_RANK];
    const int32_t rank = (int32_t)t_rand_int(env, 1, MAX_RANK);
    for (int32_t k = 0; k < rank; k++) {
        dims[k] = t_rand_int(env, 3, k == rank - 1 ? 40 : 7);
        pads[k] = t_rand_int(env, 0, 2) ? t_rand_int(env, -1, 5) : 0;
        pads[rank + k] = t_rand_int(env, 0, 2) ? t_rand_int(env, -1, 5) : 0;
    }
    if (t_rand_int(env, 0, 9) == 0) dims[rank - 1] += 9000; /* longer than a chunk */
    for (int32_t k = 0; k < 2 * rank; k++) v[k] = (double)pads[k];
    const int64_t n_pads = 2 * rank;
    op_bench b;
    op_begin(&b, env, "Pad", 1);
    lamina_tensor *x = op_in(&b, dt, rank, dims, NULL);
    (void)op_in(&b, LAMINA_I64, 1, &n_pads, v);
    op_in1(&b, dt, 77);
    T_REQUIRE(x);
    for (int64_t i = 0; i < lmn_count(x); i++) lmn_set_i64(x, i, t_rand_int(env, 0, 120));
    op_attr_s(&b, "mode", mode);
    if (T_OK_ERR(op_eval(&b), &b.err)) {
        const lamina_tensor *y = b.out[0];
        int64_t bad = 0;
        for (int64_t i = 0; i < lmn_count(y); i++) {
            int64_t rest = i, at = 0, step = 1;
            for (int32_t k = rank - 1; k >= 0; k--) {
                const int64_t from =
                    padded_from(mode, rest % y->dims[k], pads[k], pads[rank + k], dims[k]);
                at = from < 0 || at < 0 ? -1 : at + from * step;
                step *= dims[k];
                rest /= y->dims[k];
            }
            bad += lmn_get_i64(y, i) != (at < 0 ? 77 : lmn_get_i64(x, at));
        }
        T_EQ(bad, 0);
    }
    op_end(&b);
}

static void test_pad(t_env *env)
{
    static char CONSTANT[] = "constant", REFLECT[] = "reflect", EDGE[] = "edge", WRAP[] = "wrap";
    static char *const MODES[] = {CONSTANT, REFLECT, EDGE, WRAP};
    static const lamina_dtype TYPES[] = {LAMINA_F32, LAMINA_I64, LAMINA_F16, LAMINA_U8};
    for (int32_t i = 0; i < 400; i++) check_pad(env, MODES[i % 4], TYPES[i / 4 % 4]);
}

/* `op` over random data and indices; one index outside makes it fail. */
static void check_indexed(t_env *env, const char *op, lamina_dtype dt, bool spoil)
{
    const bool puts = strcmp(op, "ScatterElements") == 0, whole = strcmp(op, "Gather") == 0;
    int64_t dims[3], want[3];
    for (int32_t k = 0; k < 3; k++) dims[k] = t_rand_int(env, 1, 9);
    const int32_t axis = (int32_t)t_rand_int(env, 0, 2);
    for (int32_t k = 0; k < 3; k++) want[k] = t_rand_int(env, 1, k == axis ? 12 : dims[k]);
    op_bench b;
    op_begin(&b, env, op, 1);
    lamina_tensor *x = op_in(&b, dt, 3, dims, NULL), *u = NULL;
    lamina_tensor *idx = op_in(&b, t_rand_int(env, 0, 1) ? LAMINA_I64 : LAMINA_I32, whole ? 1 : 3,
                               whole ? want + axis : want, NULL);
    if (puts) u = op_in(&b, dt, 3, want, NULL);
    T_REQUIRE(x && idx && (u || !puts));
    for (int64_t i = 0; i < lmn_count(x); i++) lmn_set_i64(x, i, i % 120);
    for (int64_t i = 0; u && i < lmn_count(u); i++) lmn_set_i64(u, i, (i + 7) % 120);
    for (int64_t i = 0; i < lmn_count(idx); i++)
        lmn_set_i64(idx, i, t_rand_int(env, -dims[axis], dims[axis] - 1));
    if (spoil)
        lmn_set_i64(idx, t_rand_int(env, 0, lmn_count(idx) - 1),
                    t_rand_int(env, 0, 1) ? dims[axis] : -dims[axis] - 1);
    op_attr_i(&b, "axis", axis);
    const lamina_status st = op_eval(&b);
    T_EQ(st, spoil ? LAMINA_E_RANGE : LAMINA_OK);
    const lamina_tensor *y = b.out[0];
    int64_t bad = 0, now[9 * 9 * 9];
    if (whole && axis != 0) want[0] = dims[0];
    for (int32_t k = 0; whole && k < 3; k++)
        if (k != axis) want[k] = dims[k];
    for (int64_t i = 0; puts && i < lmn_count(x); i++) now[i] = lmn_get_i64(x, i);
    for (int64_t i = 0; st == LAMINA_OK && i < want[0] * want[1] * want[2]; i++) {
        int64_t at[3] = {i / want[2] / want[1], i / want[2] % want[1], i % want[2]};
        int64_t v = lmn_get_i64(idx, whole ? at[axis] : i);
        at[axis] = v < 0 ? v + dims[axis] : v;
        const int64_t place = (at[0] * dims[1] + at[1]) * dims[2] + at[2];
        if (puts)
            now[place] = lmn_get_i64(u, i);
        else
            bad += lmn_get_i64(y, i) != lmn_get_i64(x, place);
    }
    for (int64_t i = 0; puts && st == LAMINA_OK && i < lmn_count(x); i++)
        bad += lmn_get_i64(y, i) != now[i];
    T_EQ(bad, 0);
    op_end(&b);
}

static void test_indexed(t_env *env)
{
    static const char *const OPS[] = {"Gather", "GatherElements", "ScatterElements"};
    static const lamina_dtype TYPES[] = {LAMINA_F32, LAMINA_F64, LAMINA_F16, LAMINA_I8};
    for (int32_t i = 0; i < 600; i++) check_indexed(env, OPS[i % 3], TYPES[i / 3 % 4], i % 10 == 9);
}

T_MAIN(T_TEST(test_strided), T_TEST(test_planes), T_TEST(test_shared), T_TEST(test_pad),
       T_TEST(test_indexed))
