/*
 * Gather (ai.onnx, since 1): numpy.take along `axis` (default 0). Negative indices count from the
 * back; one outside the axis is an error.
 */
#include "ops/gather.h"

#include "base/atomic.h"

/* Shapes and lengths chosen by constant indices. */
static void gather_elems(lmn_infer *ic)
{
    const lmn_dim *src, *idx;
    const int32_t n = lmn_infer_elems(ic, 0, &src), m = lmn_infer_elems(ic, 1, &idx);
    if (n < 0 || m < 0 || lmn_infer_rank(ic, 0) != 1) return;
    lmn_dim *e = lmn_infer_set_elems(ic, 0, m);
    for (int32_t k = 0; e && k < m; k++) {
        int64_t v = lmn_dim_known(idx[k]) && lmn_dim_is_const(idx[k]) ? lmn_dim_value(idx[k]) : n;
        if (v < 0) v += n;
        e[k] = v >= 0 && v < n ? src[v] : LMN_DIM_UNKNOWN;
    }
}

static lamina_status infer_gather(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0), q = lmn_infer_rank(ic, 1);
    int32_t axis = 0, o = 0;
    lmn_fact *f;
    if (r >= 0) LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), r, &axis));
    LMN_TRY(lmn_infer_shape(ic, 0, r >= 0 && q >= 0 ? r + q - 1 : -1, &f));
    if (f->rank < 0) return LAMINA_OK;
    for (int32_t k = 0; k < axis; k++) f->dims[o++] = ic->in[0]->dims[k];
    for (int32_t k = 0; k < q; k++) f->dims[o++] = ic->in[1]->dims[k];
    for (int32_t k = axis + 1; k < r; k++) f->dims[o++] = ic->in[0]->dims[k];
    gather_elems(ic);
    return LAMINA_OK;
}

/* Items of the output: index i of every outer place. */
typedef struct take_job {
    lmn_index_row row;
    int64_t n, items, per_chunk;
    const uint8_t *src;
    uint8_t *dst;
    lmn_atomic(int32_t) bad;
} take_job;

static void take_items(void *arg, int64_t chunk, int32_t worker)
{
    take_job *j = arg;
    const int64_t end = lmn_min_i64(j->items, (chunk + 1) * j->per_chunk);
    const size_t unit = j->row.unit;
    (void)worker;
    for (int64_t at = chunk * j->per_chunk, run; at < end; at += run) {
        const int64_t o = at / j->n, i = at % j->n;
        run = lmn_min_i64(end - at, j->n - i);
        if (lmn_index_take(&j->row, i, run, j->dst + (size_t)at * unit,
                           j->src + (size_t)(o * j->row.extent) * unit) < run)
            lmn_atomic_store(&j->bad, 1, relaxed);
    }
}

static lamina_status eval_gather(lmn_eval *ec)
{
    const lamina_tensor *x, *idx;
    int64_t dims[2 * LMN_MAX_RANK];
    int32_t axis, rank = 0;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_index_input(ec, 1, &idx));
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", 0), x->rank, &axis));
    for (int32_t k = 0; k < axis; k++) dims[rank++] = x->dims[k];
    for (int32_t k = 0; k < idx->rank; k++) dims[rank++] = idx->dims[k];
    for (int32_t k = axis + 1; k < x->rank; k++) dims[rank++] = x->dims[k];
    LMN_TRY(lmn_check_grown(ec, x->dtype, rank, dims));
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, rank, dims, &out));
    if (!out.t) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    enum { CHUNK_BYTES = 1 << 17 };
    const int64_t extent = x->dims[axis];
    take_job j = {.n = lmn_count(idx), .src = in.p, .dst = out.p};
    j.row = (lmn_index_row){.idx = idx, .extent = extent, .step = 1};
    j.row.unit = (size_t)lmn_span_count(x->dims, axis + 1, x->rank) * in.eb;
    j.items = lmn_span_count(x->dims, 0, axis) * j.n;
    if (j.items == 0 || j.row.unit == 0) return lmn_index_all(ec, idx, extent);
    j.per_chunk = lmn_max_i64(1, CHUNK_BYTES / (int64_t)j.row.unit);
    lmn_par_for(ec->par, (j.items + j.per_chunk - 1) / j.per_chunk, take_items, &j);
    if (lmn_atomic_load(&j.bad, relaxed)) return lmn_index_all(ec, idx, extent);
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {
    {"data", 'T', LMN_PORT_FAR | LMN_PORT_BYTES, LMN_D_ALL}, {"indices", 0, 0, LMN_D_INDEX}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Gather = {
    .name = "Gather",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_gather,
    .eval = eval_gather,
    .cost = lmn_gather_cost,
};
