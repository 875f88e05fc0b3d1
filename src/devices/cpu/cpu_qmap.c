/*
 * Elementwise operators on 8-bit integers on the qmap family: QuantizeLinear, DequantizeLinear,
 * Clip, and of com.microsoft QLinearAdd, QLinearMul and QLinearConcat. Chunks are fixed runs of
 * elements; every step is one of the reference.
 */
#include "devices/cpu/cpu_quant.h"
#include "kernels/qmap/qmap.h"
#include "ops/quant.h"

#include <string.h>

static const int64_t chunk_elems = 16 << 10;

static uint8_t flip_of(lamina_dtype dt)
{
    return dt == LAMINA_I8 ? 0x80 : 0;
}

/* Side of a tensor of type dt: one scale, one zero point or none. */
static bool read_side(const lamina_tensor *scale, const lamina_tensor *zp, lamina_dtype dt,
                      lmn_qmap_side *q)
{
    if (!lmn_cpu_scale(scale, &q->scale) || scale->rank > 1) return false;
    q->zp = flip_of(dt);
    if (!zp) return true;
    if (zp->kind != LAMINA_KIND_TENSOR || zp->dtype != dt || lmn_count(zp) != 1 || zp->rank > 1)
        return false;
    q->zp = *(const uint8_t *)zp->data ^ flip_of(dt);
    return true;
}

/* ---- QuantizeLinear, DequantizeLinear ---------------------------------------------------------
 */

typedef struct lines_job {
    const lmn_qmap_row *row;
    const float *scale;
    const uint8_t *zp; /* NULL = 0 */
    bool zp_one;
    int64_t dim, inner; /* a scale for each of dim lines of inner elements, over and over */
    int64_t total;
    const void *x;
    void *y;
    bool quantize;
    uint8_t flip;
} lines_job;

static void lines_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const lines_job *j = arg;
    const int64_t end = lmn_min_i64(j->total, (chunk + 1) * chunk_elems);
    for (int64_t at = chunk * chunk_elems; at < end;) {
        const int64_t line = at / j->inner, c = line % j->dim;
        const int64_t n = lmn_min_i64(end, (line + 1) * j->inner) - at;
        lmn_qmap_side q = {j->scale[c], j->flip};
        if (j->zp) q.zp = j->zp[j->zp_one ? 0 : c] ^ j->flip;
        if (j->quantize)
            j->row->quantize((uint8_t *)j->y + at, (const float *)j->x + at, n, &q, j->flip);
        else
            j->row->dequantize((float *)j->y + at, (const uint8_t *)j->x + at, n, &q, j->flip);
        at += n;
    }
}

/* Scales and zero points of x, whose integers are of type dt. False leaves it to the reference. */
static bool read_lines(lmn_eval *ec, lamina_dtype dt, lines_job *j)
{
    const lamina_tensor *x = lmn_in(ec, 0), *s = lmn_in(ec, 1), *zp = lmn_in(ec, 2);
    lmn_quant_map map;
    if (!lmn_cpu_is_f32(s) || lmn_attr_i(ec->node, "block_size", 0) != 0) return false;
    if (zp && (zp->kind != LAMINA_KIND_TENSOR || zp->dtype != dt ||
               (lmn_count(zp) != 1 && lmn_count(zp) != lmn_count(s))))
        return false;
    if (lmn_count(s) == 0 || lmn_quant_map_init(ec, x, s, &map) != LAMINA_OK) return false;
    j->scale = s->data, j->zp = zp ? zp->data : NULL, j->zp_one = zp && lmn_count(zp) == 1;
    j->dim = map.dim, j->inner = map.inner, j->total = lmn_count(x);
    j->x = x->data, j->flip = flip_of(dt);
    /* Lines of a few elements are not worth a call each. */
    return j->total > 0 && j->inner >= 4;
}

static lamina_status run_lines(lmn_eval *ec, lamina_dtype out, lines_job *j)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, out, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    j->y = y->data;
    lmn_par_for(ec->par, (j->total + chunk_elems - 1) / chunk_elems, lines_chunk, j);
    return LAMINA_OK;
}

static lamina_status run_quantize(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *zp = lmn_in(ec, 2);
    const int64_t attr = lmn_attr_i(ec->node, "output_dtype", 0);
    const int64_t precision = lmn_attr_i(ec->node, "precision", 0);
    const lamina_dtype dt = zp ? zp->dtype : attr == LAMINA_I8 ? LAMINA_I8 : LAMINA_U8;
    lines_job j = {.row = k->dev->kset.qmap_i8, .quantize = true};
    if (!lmn_cpu_is_f32(lmn_in(ec, 0)) || (dt != LAMINA_U8 && dt != LAMINA_I8) ||
        (!zp && attr != 0 && attr != dt) || (precision != 0 && precision != LAMINA_F32) ||
        !read_lines(ec, dt, &j))
        return lmn_cpu_reference(ec);
    return run_lines(ec, dt, &j);
}

static lamina_status run_dequantize(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    const int64_t attr = lmn_attr_i(ec->node, "output_dtype", 0);
    lines_job j = {.row = k->dev->kset.qmap_i8};
    if (!lmn_cpu_is_8bit(x) || (attr != 0 && attr != LAMINA_F32) || !read_lines(ec, x->dtype, &j))
        return lmn_cpu_reference(ec);
    return run_lines(ec, LAMINA_F32, &j);
}

/* ---- QLinearAdd, QLinearMul -------------------------------------------------------------------
 */

typedef struct pair_job {
    const lmn_qmap_row *row;
    lmn_qmap_pair pair;
    int64_t n_a, n_b; /* a side of fewer elements than pair.n repeats */
    int64_t run;      /* elements that lie on end in both */
} pair_job;

static void pair_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const pair_job *j = arg;
    const int64_t end = lmn_min_i64(j->pair.n, (chunk + 1) * chunk_elems);
    for (int64_t at = chunk * chunk_elems; at < end;) {
        lmn_qmap_pair p = j->pair;
        p.n = lmn_min_i64(end, (at / j->run + 1) * j->run) - at;
        p.dst += at;
        if (!p.a_one) p.a += at % j->n_a;
        if (!p.b_one) p.b += at % j->n_b;
        j->row->pair(&p);
        at += p.n;
    }
}

/* Are the extents of `small` the last ones of `large`? Leading ones do not count. */
static bool is_tail(const lamina_tensor *small, const lamina_tensor *large)
{
    int32_t skip = 0;
    while (skip < small->rank && small->dims[skip] == 1) skip++;
    for (int32_t i = small->rank - 1, o = large->rank - 1; i >= skip; i--, o--)
        if (o < 0 || small->dims[i] != large->dims[o]) return false;
    return small->rank <= large->rank;
}

static lamina_status run_pair(const lamina_kernel *k, lmn_eval *ec, lmn_qmap_kind kind)
{
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 3);
    pair_job j = {.row = k->dev->kset.qmap_i8, .pair = {.kind = kind}};
    lmn_qmap_pair *p = &j.pair;
    if (!lmn_cpu_is_8bit(a) || !lmn_cpu_is_8bit(b) || a->dtype != b->dtype ||
        !read_side(lmn_in(ec, 1), lmn_in(ec, 2), a->dtype, &p->qa) ||
        !read_side(lmn_in(ec, 4), lmn_in(ec, 5), a->dtype, &p->qb) ||
        !read_side(lmn_in(ec, 6), lmn_in(ec, 7), a->dtype, &p->qc))
        return lmn_cpu_reference(ec);
    const lamina_tensor *shape = lmn_count(a) >= lmn_count(b) && a->rank >= b->rank ? a : b;
    if (lmn_count(a) == 0 || lmn_count(b) == 0 || !is_tail(a, shape) || !is_tail(b, shape))
        return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, a->dtype, shape->rank, shape->dims, &y));
    if (!y) return LAMINA_OK;
    p->a = a->data, p->b = b->data, p->dst = y->data, p->n = lmn_count(y);
    p->flip = flip_of(a->dtype);
    j.n_a = lmn_count(a), j.n_b = lmn_count(b);
    p->a_one = j.n_a == 1, p->b_one = j.n_b == 1;
    j.run = p->a_one ? j.n_b : p->b_one ? j.n_a : lmn_min_i64(j.n_a, j.n_b);
    lmn_par_for(ec->par, (p->n + chunk_elems - 1) / chunk_elems, pair_chunk, &j);
    return LAMINA_OK;
}

static lamina_status run_qlinear_add(const lamina_kernel *k, lmn_eval *ec)
{
    return run_pair(k, ec, LMN_QMAP_ADD);
}
static lamina_status run_qlinear_mul(const lamina_kernel *k, lmn_eval *ec)
{
    return run_pair(k, ec, LMN_QMAP_MUL);
}

/* ---- Clip -------------------------------------------------------------------------------------
 */

typedef struct clip_job {
    const lmn_qmap_row *row;
    const uint8_t *x;
    uint8_t *y;
    int64_t n;
    uint8_t lo_hi[2], flip;
} clip_job;

static void clip_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const clip_job *j = arg;
    const int64_t at = chunk * chunk_elems, n = lmn_min_i64(chunk_elems, j->n - at);
    j->row->clip(j->y + at, j->x + at, n, j->lo_hi, j->flip);
}

static lamina_status run_qclip(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!lmn_cpu_is_8bit(x)) return lmn_cpu_reference(ec);
    clip_job j = {.row = k->dev->kset.qmap_i8, .lo_hi = {0, 255}, .flip = flip_of(x->dtype)};
    for (int32_t i = 0; i < 2; i++) {
        const lamina_tensor *bound = lmn_in(ec, i + 1);
        if (!bound) continue;
        if (bound->kind != LAMINA_KIND_TENSOR || bound->dtype != x->dtype || lmn_count(bound) != 1)
            return lmn_cpu_reference(ec);
        j.lo_hi[i] = *(const uint8_t *)bound->data ^ j.flip;
    }
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    j.x = x->data, j.y = y->data, j.n = lmn_count(y);
    lmn_par_for(ec->par, (j.n + chunk_elems - 1) / chunk_elems, clip_chunk, &j);
    return LAMINA_OK;
}

/* ---- QLinearConcat ----------------------------------------------------------------------------
 */

/* One input joins rows of n_row bytes of the output, with n_part bytes of each. */
typedef struct join_job {
    const lmn_qmap_row *row;
    const uint8_t *x;
    uint8_t *y;
    int64_t n_row, n_part;
    lmn_qmap_side sides[2];
    uint8_t flips[2];
} join_job;

static void join_rows(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const join_job *j = arg;
    uint8_t *dst = j->y + chunk * j->n_row;
    const uint8_t *src = j->x + chunk * j->n_part;
    j->row->requantize(dst, src, j->n_part, j->sides, j->flips);
}

/* Extents of the output; false: something else than equal shapes but for the axis. */
static bool join_dims(const lmn_eval *ec, int32_t axis, int64_t *dims)
{
    const lamina_tensor *first = lmn_in(ec, 2);
    memcpy(dims, first->dims, (size_t)first->rank * sizeof *dims);
    for (int32_t i = 5; i < ec->n_in; i += 3) {
        const lamina_tensor *t = lmn_in(ec, i);
        if (!lmn_cpu_is_8bit(t) || t->rank != first->rank) return false;
        for (int32_t d = 0; d < t->rank; d++)
            if (d != axis && t->dims[d] != first->dims[d]) return false;
        dims[axis] += t->dims[axis];
    }
    return true;
}

static lamina_status run_qlinear_concat(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *zp = lmn_in(ec, 1), *first = lmn_in(ec, 2);
    join_job j = {.row = k->dev->kset.qmap_i8};
    int64_t axis = lmn_attr_i(ec->node, "axis", 0), dims[LMN_MAX_RANK], outer = 1, inner = 1;
    if (!lmn_cpu_is_8bit(zp) || !lmn_cpu_is_8bit(first) || ec->n_in % 3 != 2 ||
        axis < -first->rank || axis >= first->rank)
        return lmn_cpu_reference(ec);
    axis += axis < 0 ? first->rank : 0;
    if (!join_dims(ec, (int32_t)axis, dims) ||
        !read_side(lmn_in(ec, 0), zp, zp->dtype, &j.sides[1]))
        return lmn_cpu_reference(ec);
    for (int32_t i = 2; i < ec->n_in; i += 3) {
        lmn_qmap_side side;
        if (!read_side(lmn_in(ec, i + 1), lmn_in(ec, i + 2), lmn_in(ec, i)->dtype, &side))
            return lmn_cpu_reference(ec);
    }
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, zp->dtype, first->rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    for (int32_t d = 0; d < first->rank; d++) {
        if (d < axis) outer *= dims[d];
        if (d > axis) inner *= dims[d];
    }
    j.n_row = dims[axis] * inner, j.y = y->data, j.flips[1] = flip_of(zp->dtype);
    for (int32_t i = 2; i < ec->n_in; i += 3) {
        const lamina_tensor *x = lmn_in(ec, i);
        (void)read_side(lmn_in(ec, i + 1), lmn_in(ec, i + 2), x->dtype, &j.sides[0]);
        j.x = x->data, j.n_part = x->dims[axis] * inner, j.flips[0] = flip_of(x->dtype);
        if (j.n_part > 0) lmn_par_for(ec->par, outer, join_rows, &j);
        j.y += j.n_part;
    }
    return LAMINA_OK;
}

/* ---- table ------------------------------------------------------------------------------------
 */

static bool say_row(const lmn_cpu_dev *dev, char *text, size_t cap)
{
    const lmn_krow *row = &dev->kset.qmap_i8->head;
    (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
    return true;
}

static bool supports_bytes(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_8bit(dev, node, 0, text, cap) && say_row(dev, text, cap);
}

static bool supports_quantize(const lmn_cpu_dev *dev, const lamina_node *node, char *text,
                              size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.qmap_i8->head, text, cap);
}

static bool supports_concat(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_8bit(dev, node, 2, text, cap) && say_row(dev, text, cap);
}

#define BINDING(symbol, Domain, Op, Supports)                        \
    const lmn_cpu_binding lmn_cpu_##symbol = {.domain = Domain,      \
                                              .op = Op,              \
                                              .families = "qmap.i8", \
                                              .supports = Supports,  \
                                              .run = run_##symbol}
BINDING(quantize, "", "QuantizeLinear", supports_quantize);
BINDING(dequantize, "", "DequantizeLinear", supports_bytes);
BINDING(qclip, "", "Clip", supports_bytes);
BINDING(qlinear_add, "com.microsoft", "QLinearAdd", supports_bytes);
BINDING(qlinear_mul, "com.microsoft", "QLinearMul", supports_bytes);
BINDING(qlinear_concat, "com.microsoft", "QLinearConcat", supports_concat);
