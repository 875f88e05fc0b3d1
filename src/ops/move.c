/*
 * The byte-move engine. A strided copy drops unit axes, merges axes that are contiguous on both
 * sides, and then runs one of three inner loops: memcpy, a strided row, or a tiled 2-D transpose
 * when the destination is contiguous along one axis and the source along another.
 *
 * Invariant: the grid of chunks depends on the extents only, so any thread count gives equal bytes.
 */
#include "ops/move.h"

#include <string.h>

typedef uint16_t __attribute__((aligned(1), may_alias)) u16m;
typedef uint32_t __attribute__((aligned(1), may_alias)) u32m;
typedef uint64_t __attribute__((aligned(1), may_alias)) u64m;
typedef struct __attribute__((packed, may_alias)) u128m {
    uint64_t lo, hi;
} u128m;

/* ---- plain elements ----------------------------------------------------------------------------
 */

static bool is_packed(lamina_dtype dt)
{
    return lmn_dtype_bytes(dt) == 0;
}

static lamina_status no_memory(lmn_eval *ec, int64_t n)
{
    return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for a temporary of %lld elements",
                         (long long)n);
}

lamina_status lmn_plain_temp(lmn_eval *ec, lamina_dtype dt, int64_t n, lmn_plain *e)
{
    size_t bytes;
    *e = (lmn_plain){.eb = is_packed(dt) ? 1 : lmn_dtype_bytes(dt), .n = n};
    if (!lmn_mul_size((size_t)n, e->eb, &bytes)) return no_memory(ec, n);
    e->p = lmn_scratch(ec, bytes ? bytes : 1);
    if (!e->p) return no_memory(ec, n);
    if (dt == LAMINA_STRING) memset(e->p, 0, bytes);
    return LAMINA_OK;
}

lamina_status lmn_plain_in(lmn_eval *ec, const lamina_tensor *x, lmn_plain *e)
{
    const int64_t n = lmn_count(x);
    if (!is_packed(x->dtype)) {
        *e = (lmn_plain){.p = x->data, .eb = lmn_dtype_bytes(x->dtype), .n = n};
        return LAMINA_OK;
    }
    LMN_TRY(lmn_plain_temp(ec, x->dtype, n, e));
    for (int64_t i = 0; i < n; i++) e->p[i] = (uint8_t)lmn_sub_get(x->dtype, x->data, i);
    return LAMINA_OK;
}

lamina_status lmn_plain_out(lmn_eval *ec, int32_t o, lamina_dtype dt, int32_t rank,
                            const int64_t *dims, lmn_plain *e)
{
    lamina_tensor *t = NULL;
    *e = (lmn_plain){.eb = is_packed(dt) ? 1 : lmn_dtype_bytes(dt)};
    LMN_TRY(lmn_out(ec, o, dt, rank, dims, &t));
    if (!t) return LAMINA_OK;
    if (is_packed(dt) || dt == LAMINA_STRING)
        LMN_TRY(lmn_plain_temp(ec, dt, lmn_count(t), e));
    else
        *e = (lmn_plain){.p = t->data, .eb = lmn_dtype_bytes(dt), .n = lmn_count(t)};
    e->t = t;
    return LAMINA_OK;
}

static lamina_status store_strings(lmn_eval *ec, const lmn_plain *e, lamina_tensor *t)
{
    const lmn_str *s = (const lmn_str *)(const void *)e->p;
    for (int64_t i = 0; i < e->n; i++) {
        if (s[i].n == 0) continue;
        if (lamina_tensor_set_string(t, i, s[i].p, s[i].n) != LAMINA_OK)
            return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for a string of %zu bytes", s[i].n);
    }
    return LAMINA_OK;
}

lamina_status lmn_plain_store(lmn_eval *ec, const lmn_plain *e, lamina_tensor *t)
{
    if (e->n == 0 || e->p == t->data) return LAMINA_OK;
    if (t->dtype == LAMINA_STRING) return store_strings(ec, e, t);
    if (!is_packed(t->dtype)) {
        memcpy(t->data, e->p, (size_t)e->n * e->eb);
        return LAMINA_OK;
    }
    memset(t->data, 0, t->data_bytes); /* the padding bits of the last byte are zero */
    for (int64_t i = 0; i < e->n; i++) lmn_sub_set(t->dtype, t->data, i, e->p[i]);
    return LAMINA_OK;
}

lamina_status lmn_plain_done(lmn_eval *ec, const lmn_plain *e)
{
    return e->t ? lmn_plain_store(ec, e, e->t) : LAMINA_OK;
}

/* ---- fill ---------------------------------------------------------------------------------------
 */

#define FILL(type)                                \
    do {                                          \
        const type v = *(const type *)value;      \
        type *d = (type *)(void *)dst;            \
        for (int64_t i = 0; i < n; i++) d[i] = v; \
    } while (0)

void lmn_move_fill(uint8_t *dst, size_t eb, int64_t n, const void *value)
{
    if (n <= 0) return;
    switch (eb) {
    case 1: memset(dst, *(const uint8_t *)value, (size_t)n); break;
    case 2: FILL(u16m); break;
    case 4: FILL(u32m); break;
    case 8: FILL(u64m); break;
    default: FILL(u128m); break;
    }
}

/* ---- strided copy -------------------------------------------------------------------------------
 */

/* Bytes of one chunk of a parallel move, and rows of one chunk of a tiled transpose. */
#define CHUNK_BYTES ((int64_t)1 << 18)
#define TILE 16

typedef struct plan {
    const lmn_move *m;
    int32_t tile_axis; /* axis along which the source is contiguous, or -1: rows */
    int64_t n_outer;   /* rows, or planes of (tile_axis, last) */
    int64_t per_chunk; /* of n_outer */
} plan;

#define ROW(type)                                              \
    do {                                                       \
        type *d = (type *)(void *)dst;                         \
        const type *s = (const type *)(const void *)src;       \
        for (int64_t i = 0; i < n; i++) d[i * ds] = s[i * ss]; \
    } while (0)

static void move_row(const lmn_move *m, uint8_t *dst, const uint8_t *src)
{
    const int32_t last = m->rank - 1;
    const int64_t n = m->dims[last], ds = m->dst_st[last], ss = m->src_st[last];
    if (ds == 1 && ss == 1) {
        memcpy(dst, src, (size_t)n * m->eb);
        return;
    }
    if (ds == 1 && ss == 0) {
        lmn_move_fill(dst, m->eb, n, src);
        return;
    }
    switch (m->eb) {
    case 1: ROW(uint8_t); break;
    case 2: ROW(u16m); break;
    case 4: ROW(u32m); break;
    case 8: ROW(u64m); break;
    default: ROW(u128m); break;
    }
}

#define PLANE(type)                                                            \
    do {                                                                       \
        type *d = (type *)(void *)dst;                                         \
        const type *s = (const type *)(const void *)src;                       \
        for (int64_t a = a0; a < a1; a++)                                      \
            for (int64_t b = b0; b < b1; b++) d[a * dsa + b] = s[a + b * ssb]; \
    } while (0)

/* Four neighbours of four bytes. */
typedef uint32_t __attribute__((vector_size(16), aligned(4), may_alias)) quad;

#define QUAD_LOW(x, y) __builtin_shufflevector(x, y, 0, 4, 1, 5)
#define QUAD_HIGH(x, y) __builtin_shufflevector(x, y, 2, 6, 3, 7)

/* d[a dsa + b] = s[a + b ssb] for 4 x 4 elements. */
static inline void turn_quad(u32m *d, int64_t dsa, const u32m *s, int64_t ssb)
{
    const quad r0 = *(const quad *)s, r1 = *(const quad *)(s + ssb),
               r2 = *(const quad *)(s + 2 * ssb), r3 = *(const quad *)(s + 3 * ssb);
    const quad p = QUAD_LOW(r0, r2), q = QUAD_LOW(r1, r3), t = QUAD_HIGH(r0, r2),
               u = QUAD_HIGH(r1, r3);
    *(quad *)d = QUAD_LOW(p, q), *(quad *)(d + dsa) = QUAD_HIGH(p, q);
    *(quad *)(d + 2 * dsa) = QUAD_LOW(t, u), *(quad *)(d + 3 * dsa) = QUAD_HIGH(t, u);
}

/* The same where one of the two axes is shorter than a block: along the other one. */
static void turn_few(const lmn_move *m, int32_t axis, u32m *d, const u32m *s)
{
    enum { RUN = 1024 };
    const int32_t last = m->rank - 1;
    const int64_t na = m->dims[axis], nb = m->dims[last];
    const int64_t dsa = m->dst_st[axis], ssb = m->src_st[last];
    const bool few_a = na < nb;
    for (int64_t i0 = 0; i0 < (few_a ? nb : na); i0 += RUN) {
        const int64_t i1 = lmn_min_i64(few_a ? nb : na, i0 + RUN);
        for (int64_t k = 0; few_a && k < na; k++)
            for (int64_t b = i0; b < i1; b++) d[k * dsa + b] = s[k + b * ssb];
        for (int64_t k = 0; !few_a && k < nb; k++)
            for (int64_t a = i0; a < i1; a++) d[a * dsa + k] = s[a + k * ssb];
    }
}

/* Elements of four bytes by blocks of 4 x 4: whole columns of WIDE elements of the source, so that
   few lines of the destination are open at once. */
static void turn_words(const lmn_move *m, int32_t axis, u32m *d, const u32m *s)
{
    enum { WIDE = 8 };
    const int32_t last = m->rank - 1;
    const int64_t na = m->dims[axis], nb = m->dims[last], n4 = nb / 4 * 4;
    const int64_t dsa = m->dst_st[axis], ssb = m->src_st[last];
    if (na < 4 || nb < 4) {
        turn_few(m, axis, d, s);
        return;
    }
    for (int64_t a0 = 0; a0 < na; a0 += WIDE) {
        const int64_t a1 = lmn_min_i64(na, a0 + WIDE), a4 = a0 + (a1 - a0) / 4 * 4;
        for (int64_t b = 0; b < n4; b += 4) {
            for (int64_t a = a0; a < a4; a += 4)
                turn_quad(d + a * dsa + b, dsa, s + a + b * ssb, ssb);
            for (int64_t a = a4; a < a1; a++)
                for (int64_t k = b; k < b + 4; k++) d[a * dsa + k] = s[a + k * ssb];
        }
        for (int64_t b = n4; b < nb; b++)
            for (int64_t a = a0; a < a1; a++) d[a * dsa + b] = s[a + b * ssb];
    }
}

/* Source contiguous along axis a, destination along the last axis b. */
static void move_plane(const lmn_move *m, int32_t axis, uint8_t *dst, const uint8_t *src)
{
    const int32_t last = m->rank - 1;
    const int64_t na = m->dims[axis], nb = m->dims[last];
    const int64_t dsa = m->dst_st[axis], ssb = m->src_st[last];
    if (m->eb == sizeof(u32m)) {
        turn_words(m, axis, (u32m *)(void *)dst, (const u32m *)(const void *)src);
        return;
    }
    for (int64_t b0 = 0; b0 < nb; b0 += TILE) {
        const int64_t b1 = lmn_min_i64(nb, b0 + TILE);
        for (int64_t a0 = 0; a0 < na; a0 += TILE) {
            const int64_t a1 = lmn_min_i64(na, a0 + TILE);
            switch (m->eb) {
            case 1: PLANE(uint8_t); break;
            case 2: PLANE(u16m); break;
            case 8: PLANE(u64m); break;
            default: PLANE(u128m); break;
            }
        }
    }
}

static void run_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const plan *p = arg;
    const lmn_move *m = p->m;
    const int64_t first = chunk * p->per_chunk;
    const int64_t end = lmn_min_i64(p->n_outer, first + p->per_chunk);
    int64_t idx[LMN_MOVE_RANK] = {0};
    int64_t rest = first, d = 0, s = 0;
    (void)worker;
    for (int32_t k = m->rank - 2; k >= 0; k--) {
        if (k == p->tile_axis) continue;
        idx[k] = rest % m->dims[k];
        rest /= m->dims[k];
        d += idx[k] * m->dst_st[k];
        s += idx[k] * m->src_st[k];
    }
    const int64_t eb = (int64_t)m->eb;
    for (int64_t i = first; i < end; i++) {
        if (p->tile_axis >= 0)
            move_plane(m, p->tile_axis, m->dst + d * eb, m->src + s * eb);
        else
            move_row(m, m->dst + d * eb, m->src + s * eb);
        for (int32_t k = m->rank - 2; k >= 0; k--) {
            if (k == p->tile_axis) continue;
            d += m->dst_st[k];
            s += m->src_st[k];
            if (++idx[k] < m->dims[k]) break;
            d -= m->dims[k] * m->dst_st[k];
            s -= m->dims[k] * m->src_st[k];
            idx[k] = 0;
        }
    }
}

/* Drop unit axes and merge neighbours that are one run on both sides. False when nothing moves. */
static bool simplify(lmn_move *m)
{
    int32_t r = 0;
    for (int32_t k = 0; k < m->rank; k++) {
        if (m->dims[k] <= 0) return false;
        if (m->dims[k] == 1) continue;
        if (r > 0 && m->dst_st[r - 1] == m->dims[k] * m->dst_st[k] &&
            m->src_st[r - 1] == m->dims[k] * m->src_st[k]) {
            m->dims[r - 1] *= m->dims[k];
            m->dst_st[r - 1] = m->dst_st[k];
            m->src_st[r - 1] = m->src_st[k];
            continue;
        }
        m->dims[r] = m->dims[k];
        m->dst_st[r] = m->dst_st[k];
        m->src_st[r] = m->src_st[k];
        r++;
    }
    if (r == 0) {
        m->dims[0] = m->dst_st[0] = m->src_st[0] = 1;
        r = 1;
    }
    m->rank = r;
    return true;
}

/* Cut the longest axis of a plane or row in two where one chunk would otherwise hold everything. */
static void split_axis(lmn_move *m, int32_t axis, int64_t step)
{
    const int64_t n = m->dims[axis];
    if (m->rank >= LMN_MOVE_RANK || n < 2 * step || n % step != 0) return;
    for (int32_t k = m->rank; k > axis; k--) {
        m->dims[k] = m->dims[k - 1];
        m->dst_st[k] = m->dst_st[k - 1];
        m->src_st[k] = m->src_st[k - 1];
    }
    m->rank++;
    m->dims[axis] = n / step;
    m->dst_st[axis] *= step;
    m->src_st[axis] *= step;
    m->dims[axis + 1] = step;
}

void lmn_move_run(const lmn_par *par, lmn_move *m)
{
    if (!simplify(m)) return;
    plan p = {.m = m, .tile_axis = -1};
    int32_t last = m->rank - 1;
    if (m->dst_st[last] == 1 && m->src_st[last] != 1 && m->src_st[last] != 0)
        for (int32_t k = 0; k < last; k++)
            if (m->src_st[k] == 1 && m->dims[k] > 1) p.tile_axis = k;
    if (p.tile_axis >= 0) {
        const int32_t before = m->rank;
        split_axis(m, p.tile_axis, 4 * TILE);
        p.tile_axis += m->rank - before;
    } else {
        split_axis(m, last, (int64_t)1 << 16);
    }
    last = m->rank - 1;
    int64_t unit = m->dims[last] * (int64_t)m->eb;
    if (p.tile_axis >= 0) unit *= m->dims[p.tile_axis];
    p.n_outer = 1;
    for (int32_t k = 0; k < last; k++)
        if (k != p.tile_axis) p.n_outer *= m->dims[k];
    p.per_chunk = lmn_max_i64(1, CHUNK_BYTES / unit);
    const int64_t chunks = (p.n_outer + p.per_chunk - 1) / p.per_chunk;
    lmn_par_for(chunks > 1 ? par : NULL, chunks, run_chunk, &p);
}
