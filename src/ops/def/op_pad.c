/*
 * Pad (ai.onnx, since 1; pads as input since 11, axes since 18, wrap since 19): constant, reflect,
 * edge or wrap. Negative pads crop first; the rest then pads what is left. An axis cropped to
 * nothing can only be padded with a constant.
 */
#include "ops/move.h"
#include "ops/runs.h"
#include "ops/shapes.h"

#include <string.h>

static lamina_status infer_pad(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    const lmn_dim *p;
    int64_t ax[LMN_MAX_RANK];
    lmn_fact *f;
    LMN_TRY(lmn_infer_shape(ic, 0, r, &f));
    const int32_t n = lmn_infer_elems(ic, 1, &p);
    const bool named = ic->node->n_in > 3 && ic->in[3];
    const int32_t na = named ? lmn_infer_ints(ic, 3, ax, LMN_MAX_RANK) : r;
    if (r < 0 || na < 0 || (n < 0 && !named)) return LAMINA_OK;
    if (n >= 0 && n != 2 * na)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give a begin and an end for each padded axis",
                              "%d pads for %d axes", n, na);
    for (int32_t k = 0; k < r; k++) f->dims[k] = ic->in[0]->dims[k];
    for (int32_t k = 0; k < na; k++) {
        int32_t a = k;
        if (named) LMN_TRY(lmn_infer_axis(ic, ax[k], r, &a));
        f->dims[a] =
            n < 0 ? LMN_DIM_UNKNOWN
                  : lmn_dim_add(ic->dims, f->dims[a], lmn_dim_add(ic->dims, p[k], p[na + k]));
    }
    return LAMINA_OK;
}

/* One axis: where the kept part starts in the input, its extent, where it lands, extent of the
 * output. */
typedef struct pad_axis {
    int64_t skip, keep, at, out;
} pad_axis;

static lamina_status read_pads(lmn_eval *ec, const lamina_tensor *x, pad_axis *p)
{
    int64_t v[2 * LMN_MAX_RANK], ax[LMN_MAX_RANK];
    int32_t n, na;
    uint32_t seen = 0;
    LMN_TRY(lmn_ints(ec, 1, v, 2 * LMN_MAX_RANK, &n));
    LMN_TRY(lmn_ints(ec, 3, ax, LMN_MAX_RANK, &na));
    const bool named = lmn_in(ec, 3) != NULL;
    if (!named) na = x->rank;
    if (n != 2 * na) return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%d pads for %d axes", n, na);
    for (int32_t k = 0; k < x->rank; k++) p[k] = (pad_axis){0, x->dims[k], 0, x->dims[k]};
    for (int32_t k = 0; k < na; k++) {
        const int64_t begin = v[k], end = v[na + k], limit = LMN_DIM_MAX_CONST;
        int32_t a = k;
        if (named) LMN_TRY(lmn_axis(ec, ax[k], x->rank, &a));
        const int64_t d = x->dims[a];
        if (begin > limit || end > limit || begin < -d || end < -d || begin + end < -d ||
            (seen >> a & 1))
            return lmn_eval_fail(ec, LAMINA_E_RANGE,
                                 "pads %lld and %lld do not fit axis %d of %lld", (long long)begin,
                                 (long long)end, a, (long long)d);
        seen |= 1u << a;
        p[a].skip = lmn_max_i64(0, -begin);
        p[a].keep = lmn_max_i64(0, d - p[a].skip - lmn_max_i64(0, -end));
        p[a].at = lmn_max_i64(0, begin);
        p[a].out = d + begin + end;
    }
    return LAMINA_OK;
}

/* The element that constant mode puts around. */
static lamina_status read_constant(lmn_eval *ec, const lamina_tensor *x, uint8_t value[16])
{
    const lamina_tensor *c = lmn_in(ec, 2);
    lmn_plain fill;
    memset(value, 0, 16);
    if (!c) return LAMINA_OK;
    if (c->kind != LAMINA_KIND_TENSOR || c->dtype != x->dtype || lmn_count(c) != 1)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "constant_value must be one %s",
                             lamina_dtype_name(x->dtype));
    LMN_TRY(lmn_plain_in(ec, c, &fill));
    memcpy(value, fill.p, fill.eb);
    return LAMINA_OK;
}

/* Source place of output place i on an axis: i counts from the kept part's first element. */
static int64_t source_of(const pad_axis *p, char mode, int64_t i)
{
    const int64_t n = p->keep;
    if (mode == 'e') return p->skip + (i < 0 ? 0 : i >= n ? n - 1 : i);
    const int64_t period = mode == 'w' ? n : n > 1 ? 2 * (n - 1) : 1;
    int64_t r = i % period;
    if (r < 0) r += period;
    return p->skip + (r < n ? r : period - r);
}

/*
 * The axes after the last padded one are units; a row is units along that one: what stands before
 * the kept part, it as one run, what stands after. All modes but the constant one have a table for
 * every padded axis. Chunks are rows.
 */
enum { CHUNK_BYTES = 1 << 15 };

typedef struct pad_job {
    const pad_axis *p;
    int32_t row_axis;
    const int64_t *map[LMN_MAX_RANK]; /* to bytes of the source; NULL in constant mode */
    int64_t step[LMN_MAX_RANK];       /* bytes of the source */
    size_t eb, unit;                  /* bytes */
    int64_t rows, per_chunk;
    uint8_t value[16];
    const uint8_t *src;
    uint8_t *dst;
} pad_job;

/* Where place i of axis k lies in the source, -1 = in the constant. */
static int64_t place_of(const pad_job *j, int32_t k, int64_t i)
{
    const pad_axis *p = &j->p[k];
    if (j->map[k]) return j->map[k][i];
    return i < p->at || i >= p->at + p->keep ? -1 : (p->skip + i - p->at) * j->step[k];
}

/* The units [from, to) of a row, outside the kept part. */
static void put_units(const pad_job *j, uint8_t *dst, const uint8_t *row, int64_t from, int64_t to)
{
    const int64_t *map = j->map[j->row_axis];
    uint8_t *d = dst + (size_t)from * j->unit;
    if (!map)
        lmn_run_fill(d, j->eb, (size_t)(to - from) * j->unit / j->eb, j->value);
    else if (j->unit == sizeof(uint32_t))
        for (int64_t i = from; i < to; i++, d += sizeof(uint32_t))
            LMN_RUN_WORD(uint32_t, d, row + map[i]);
    else
        for (int64_t i = from; i < to; i++, d += j->unit) lmn_run_copy(d, row + map[i], j->unit);
}

/* One row that holds some of the input. Flooded: what is around it stands there already. */
static void pad_row(const pad_job *j, uint8_t *dst, const uint8_t *row, bool flooded)
{
    const pad_axis *p = &j->p[j->row_axis];
    if (!flooded) put_units(j, dst, row, 0, p->at);
    lmn_run_copy(dst + (size_t)p->at * j->unit, row + p->skip * j->step[j->row_axis],
                 (size_t)p->keep * j->unit);
    if (!flooded) put_units(j, dst, row, p->at + p->keep, p->out);
}

static void pad_rows(void *arg, int64_t chunk, int32_t worker)
{
    const pad_job *j = arg;
    const int64_t first = chunk * j->per_chunk, end = lmn_min_i64(j->rows, first + j->per_chunk);
    const size_t bytes = (size_t)j->p[j->row_axis].out * j->unit;
    const bool constant = !j->map[j->row_axis], flooded = constant && bytes <= CHUNK_BYTES;
    int64_t idx[LMN_MAX_RANK], rest = first;
    (void)worker;
    if (flooded)
        lmn_run_fill(j->dst + (size_t)first * bytes, j->eb, (size_t)(end - first) * bytes / j->eb,
                     j->value);
    for (int32_t k = j->row_axis - 1; k >= 0; k--) {
        idx[k] = rest % j->p[k].out;
        rest /= j->p[k].out;
    }
    for (int64_t r = first; r < end; r++) {
        uint8_t *dst = j->dst + (size_t)r * bytes;
        int64_t base = 0;
        bool inside = j->p[j->row_axis].keep > 0;
        for (int32_t k = 0; k < j->row_axis; k++) {
            const int64_t at = place_of(j, k, idx[k]);
            inside = inside && at >= 0;
            base += at;
        }
        for (int32_t k = j->row_axis - 1; k >= 0 && ++idx[k] == j->p[k].out; k--) idx[k] = 0;
        if (inside)
            pad_row(j, dst, j->src + base, flooded);
        else if (!flooded)
            lmn_run_fill(dst, j->eb, bytes / j->eb, j->value);
    }
}

static lamina_status pad_run(lmn_eval *ec, const lamina_tensor *x, const pad_axis *p,
                             const lmn_plain *in, const lmn_plain *out)
{
    const char mode = lmn_attr_s(ec->node, "mode", "constant")[0];
    pad_job j = {.p = p, .eb = in->eb, .unit = in->eb, .src = in->p, .dst = out->p};
    int64_t st[LMN_MAX_RANK];
    if (x->rank == 0) {
        lmn_move_one(out->p, in->p, in->eb);
        return LAMINA_OK;
    }
    if (mode == 'c') LMN_TRY(read_constant(ec, x, j.value));
    lmn_dense_strides(x->rank, x->dims, st);
    j.row_axis = x->rank - 1;
    while (j.row_axis > 0 && p[j.row_axis].keep == x->dims[j.row_axis] &&
           p[j.row_axis].out == x->dims[j.row_axis])
        j.row_axis--;
    j.unit *= (size_t)lmn_span_count(x->dims, j.row_axis + 1, x->rank);
    for (int32_t k = 0; k <= j.row_axis; k++) {
        j.step[k] = st[k] * (int64_t)in->eb;
        if (mode == 'c') continue;
        if (p[k].keep == 0)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "axis %d is empty: nothing to pad it from", k);
        int64_t *map = lmn_scratch(ec, (size_t)p[k].out * sizeof *map);
        if (!map) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the pad tables");
        for (int64_t i = 0; i < p[k].out; i++)
            map[i] = source_of(&p[k], mode, i - p[k].at) * j.step[k];
        j.map[k] = map;
    }
    j.rows = 1;
    for (int32_t k = 0; k < j.row_axis; k++) j.rows *= p[k].out;
    const int64_t row_bytes = p[j.row_axis].out * (int64_t)j.unit;
    j.per_chunk = lmn_max_i64(1, CHUNK_BYTES / row_bytes);
    lmn_par_for(ec->par, (j.rows + j.per_chunk - 1) / j.per_chunk, pad_rows, &j);
    return LAMINA_OK;
}

static lamina_status eval_pad(lmn_eval *ec)
{
    static const char *const MODES[] = {"constant", "reflect", "edge", "wrap"};
    const char *mode = lmn_attr_s(ec->node, "mode", "constant");
    const lamina_tensor *x;
    pad_axis p[LMN_MAX_RANK];
    int64_t dims[LMN_MAX_RANK];
    lmn_plain in, out;
    bool ok = false;
    for (size_t i = 0; i < LMN_COUNT(MODES); i++) ok = ok || strcmp(mode, MODES[i]) == 0;
    if (!ok)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "mode must be constant, reflect, edge or wrap");
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(read_pads(ec, x, p));
    for (int32_t k = 0; k < x->rank; k++) dims[k] = p[k].out;
    LMN_TRY(lmn_check_grown(ec, x->dtype, x->rank, dims));
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, x->rank, dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    LMN_TRY(pad_run(ec, x, p, &in, &out));
    return lmn_plain_done(ec, &out);
}

static lamina_status canon_pad(lmn_canon *c)
{
    if (c->opset >= 11) return LAMINA_OK;
    const lmn_fact *x = c->b->fact(c->b->ctx, c->in[0]);
    const float v = lmn_attr_f(c->node, "value", 0.0f);
    const bool ok = lmn_canon_attr_to_input(c, c->opset < 2 ? "paddings" : "pads", 1);
    lmn_canon_drop_attr(c, "value");
    if (!ok || c->n_in < 2)
        return lmn_canon_fail(c, LAMINA_E_INVALID, NULL, "the pads attribute is missing");
    if (v == 0.0f) return LAMINA_OK;
    return lmn_canon_in_scalar(c, 2, x && x->dtype ? x->dtype : LAMINA_F32, v) ? LAMINA_OK
                                                                               : LAMINA_E_NOMEM;
}

static const lmn_port IN[] = {
    {"data", 'T', 0, LMN_D_ALL},
    {"pads", 0, 0, LMN_DBIT(LAMINA_I64)},
    {"constant_value", 'T', LMN_PORT_OPTIONAL, LMN_D_ALL},
    {"axes", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64)},
    {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"mode", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_Pad = {
    .name = "Pad",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_pad,
    .eval = eval_pad,
    .canon = canon_pad,
};
