/*
 * The byte-move engine. A strided copy puts its axes in the order of the destination, drops unit
 * axes, merges axes that are contiguous on both sides, and then runs one of three inner loops: rows
 * copied or repeated, a strided row, or a plane turned (turn.h) when the destination is contiguous
 * along one axis and the source along another.
 *
 * Invariant: the grid of chunks depends on the extents only, so any thread count gives equal bytes.
 */
#include "ops/move.h"
#include "ops/runs.h"
#include "ops/turn.h"

#include <stdlib.h>
#include <string.h>

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

void lmn_move_fill(uint8_t *dst, size_t eb, int64_t n, const void *value)
{
    if (n > 0) lmn_run_fill(dst, eb, (size_t)n, value);
}

/* ---- strided copy -------------------------------------------------------------------------------
 */

/* Bytes of one chunk of a parallel move: a few microseconds. */
#define CHUNK_BYTES ((int64_t)1 << 16)

typedef struct plan {
    const lmn_move *m;
    int32_t tile_axis;     /* axis along which the source is contiguous, or -1: rows */
    int32_t near_axis;     /* the innermost axis of what is counted outside, or -1 */
    int64_t n_outer;       /* rows, or planes of (tile_axis, last) */
    int64_t per_chunk;     /* of n_outer */
    int32_t cut_axis;      /* axis that chunks cut: the last one or tile_axis ... */
    int64_t piece, pieces; /* ... into so many pieces of so many elements, the last one shorter */
} plan;

/* n elements one a time, wherever they lie. */
static void move_steps(const lmn_move *m, int64_t n, uint8_t *dst, const uint8_t *src)
{
    const int32_t last = m->rank - 1;
    const int64_t eb = (int64_t)m->eb, ds = m->dst_st[last] * eb, ss = m->src_st[last] * eb;
    for (int64_t i = 0; i < n; i++, dst += ds, src += ss) lmn_move_one(dst, src, m->eb);
}

/* `count` rows or planes with n elements along the axis that is cut, a step apart. */
static void move_some(const plan *p, int64_t count, int64_t n, uint8_t *dst, const uint8_t *src)
{
    const lmn_move *m = p->m;
    const int32_t last = m->rank - 1;
    const int64_t step = m->src_st[last];
    const size_t bytes = (size_t)n * m->eb;
    const int64_t ds = p->near_axis < 0 ? 0 : m->dst_st[p->near_axis] * (int64_t)m->eb,
                  ss = p->near_axis < 0 ? 0 : m->src_st[p->near_axis] * (int64_t)m->eb;
    if (p->tile_axis >= 0) {
        const int64_t na = p->cut_axis == last ? m->dims[p->tile_axis] : n;
        const int64_t nb = p->cut_axis == last ? n : m->dims[last];
        const lmn_plane plane = {m->eb, na, nb, m->dst_st[p->tile_axis], step};
        for (int64_t i = 0; i < count; i++, dst += ds, src += ss) lmn_plane_turn(&plane, dst, src);
    } else if (m->dst_st[last] != 1) {
        for (int64_t i = 0; i < count; i++, dst += ds, src += ss) move_steps(m, n, dst, src);
    } else if (step == 1) {
        for (int64_t i = 0; i < count; i++, dst += ds, src += ss) lmn_run_copy(dst, src, bytes);
    } else if (step == 0) {
        for (int64_t i = 0; i < count; i++, dst += ds, src += ss)
            lmn_run_fill(dst, m->eb, (size_t)n, src);
    } else {
        for (int64_t i = 0; i < count; i++, dst += ds, src += ss)
            lmn_plane_pick(m->eb, n, step, dst, src);
    }
}

static void run_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const plan *p = arg;
    const lmn_move *m = p->m;
    const int32_t near = p->near_axis, cut = p->cut_axis;
    const int64_t at = chunk % p->pieces * p->piece, eb = (int64_t)m->eb;
    const int64_t n = lmn_min_i64(p->piece, m->dims[cut] - at);
    const int64_t first = chunk / p->pieces * p->per_chunk;
    const int64_t end = lmn_min_i64(p->n_outer, first + p->per_chunk);
    int64_t idx[LMN_MOVE_RANK] = {0};
    int64_t rest = first, d = at * m->dst_st[cut], s = at * m->src_st[cut];
    (void)worker;
    if (near < 0) {
        move_some(p, 1, n, m->dst + d * eb, m->src + s * eb);
        return;
    }
    for (int32_t k = near; k >= 0; k--) {
        if (k == p->tile_axis) continue;
        idx[k] = rest % m->dims[k];
        rest /= m->dims[k];
        d += idx[k] * m->dst_st[k];
        s += idx[k] * m->src_st[k];
    }
    for (int64_t i = first, run; i < end; i += run) {
        run = lmn_min_i64(end - i, m->dims[near] - idx[near]);
        move_some(p, run, n, m->dst + d * eb, m->src + s * eb);
        idx[near] += run, d += run * m->dst_st[near], s += run * m->src_st[near];
        for (int32_t k = near; k > 0 && idx[k] == m->dims[k];) {
            d -= m->dims[k] * m->dst_st[k];
            s -= m->dims[k] * m->src_st[k];
            idx[k--] = 0;
            if (k == p->tile_axis) k--;
            if (k < 0) break;
            idx[k]++, d += m->dst_st[k], s += m->src_st[k];
        }
    }
}

static void axis_swap(lmn_move *m, int32_t i, int32_t k)
{
    const int64_t dim = m->dims[i], dst = m->dst_st[i], src = m->src_st[i];
    m->dims[i] = m->dims[k], m->dst_st[i] = m->dst_st[k], m->src_st[i] = m->src_st[k];
    m->dims[k] = dim, m->dst_st[k] = dst, m->src_st[k] = src;
}

/* Axes in the order of the destination, unit axes dropped, neighbours that are one run on both
   sides merged. False when nothing moves. */
static bool simplify(lmn_move *m)
{
    int32_t n = 0, r = 0;
    for (int32_t k = 0; k < m->rank; k++) {
        if (m->dims[k] <= 0) return false;
        if (m->dims[k] == 1) continue;
        axis_swap(m, n++, k);
        for (int32_t i = n - 1; i > 0 && llabs(m->dst_st[i]) > llabs(m->dst_st[i - 1]); i--)
            axis_swap(m, i, i - 1);
    }
    for (int32_t k = 0; k < n; k++) {
        if (r > 0 && m->dst_st[r - 1] == m->dims[k] * m->dst_st[k] &&
            m->src_st[r - 1] == m->dims[k] * m->src_st[k]) {
            m->dims[r - 1] *= m->dims[k];
            m->dst_st[r - 1] = m->dst_st[k];
            m->src_st[r - 1] = m->src_st[k];
            continue;
        }
        axis_swap(m, r++, k);
    }
    if (r == 0) {
        m->dims[0] = m->dst_st[0] = m->src_st[0] = 1;
        r = 1;
    }
    m->rank = r;
    return true;
}

/* Planes are cut along their longer axis, into strips that turn in the caches. */
static void cut_planes(plan *p, const lmn_move *m)
{
    enum { STRIP = 64, MANY = 16384 };
    const int64_t na = m->dims[p->tile_axis], nb = m->dims[m->rank - 1];
    p->cut_axis = na < 4 ? m->rank - 1 : p->tile_axis;
    p->piece = na < 4 ? MANY : nb < 4 ? MANY / 4 : lmn_max_i64(STRIP, MANY / nb / STRIP * STRIP);
}

static void run_strided(const lmn_par *par, lmn_move *m)
{
    const int32_t last = m->rank - 1;
    const int64_t eb = (int64_t)m->eb;
    plan p = {.m = m, .tile_axis = -1, .near_axis = -1, .n_outer = 1, .cut_axis = last};
    p.piece = CHUNK_BYTES / eb;
    if (m->dst_st[last] == 1 && m->src_st[last] != 1 && m->src_st[last] != 0)
        for (int32_t k = 0; k < last; k++)
            if (m->src_st[k] == 1) p.tile_axis = k;
    if (p.tile_axis >= 0) cut_planes(&p, m);
    int64_t unit = lmn_min_i64(p.piece, m->dims[p.cut_axis]) * eb;
    if (p.tile_axis >= 0) unit *= m->dims[p.cut_axis == last ? p.tile_axis : last];
    for (int32_t k = 0; k < last; k++) {
        if (k == p.tile_axis) continue;
        p.n_outer *= m->dims[k];
        p.near_axis = k;
    }
    p.pieces = lmn_ceil_div_i64(m->dims[p.cut_axis], p.piece);
    p.per_chunk = lmn_max_i64(1, CHUNK_BYTES / unit);
    const int64_t chunks = lmn_ceil_div_i64(p.n_outer, p.per_chunk) * p.pieces;
    lmn_par_for(chunks > 1 ? par : NULL, chunks, run_chunk, &p);
}

/* ---- repeated blocks ---------------------------------------------------------------------------
 */

typedef struct repeat {
    uint8_t *dst;
    int64_t times, per_chunk, n; /* blocks a group, copies a chunk, copies */
    size_t block;
} repeat;

static void repeat_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const repeat *r = arg;
    const int64_t end = lmn_min_i64(r->n, (chunk + 1) * r->per_chunk);
    (void)worker;
    for (int64_t i = chunk * r->per_chunk; i < end; i++) {
        uint8_t *group = r->dst + (size_t)(i / (r->times - 1) * r->times) * r->block;
        memcpy(group + (size_t)(i % (r->times - 1) + 1) * r->block, group, r->block);
    }
}

/* The outermost axis along which blocks of a dense destination repeat, -1 = none that is worth it.
 */
static int32_t repeated_axis(const lmn_move *m)
{
    enum { LEAST = 512 };
    int64_t dense = 1;
    int32_t found = -1;
    for (int32_t k = m->rank - 1; k >= 0; k--) {
        if (m->dst_st[k] != dense) return -1;
        if (m->src_st[k] == 0 && dense * (int64_t)m->eb >= LEAST) found = k;
        dense *= m->dims[k];
    }
    return found;
}

/* One block of each group is moved, the others are its copies. */
static void run_repeated(const lmn_par *par, lmn_move *m, int32_t axis)
{
    repeat r = {.dst = m->dst, .times = m->dims[axis]};
    r.block = (size_t)m->dst_st[axis] * m->eb;
    r.n = r.times - 1;
    for (int32_t k = 0; k < axis; k++) r.n *= m->dims[k];
    m->rank--;
    for (int32_t k = axis; k < m->rank; k++) axis_swap(m, k, k + 1);
    run_strided(par, m);
    r.per_chunk = lmn_max_i64(1, CHUNK_BYTES / (int64_t)r.block);
    lmn_par_for(par, (r.n + r.per_chunk - 1) / r.per_chunk, repeat_chunk, &r);
}

void lmn_move_run(const lmn_par *par, lmn_move *m)
{
    if (!simplify(m)) return;
    const int32_t axis = repeated_axis(m);
    if (axis >= 0)
        run_repeated(par, m, axis);
    else
        run_strided(par, m);
}
