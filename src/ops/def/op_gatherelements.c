/*
 * GatherElements (ai.onnx, since 11): out[i][j][k] = data[indices[i][j][k]][j][k] for axis 0. The
 * output has the shape of indices; off the axis indices may be smaller than data.
 */
#include "ops/gather.h"

#include "base/atomic.h"

static lamina_status infer_gatherelements(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0), q = lmn_infer_rank(ic, 1);
    int32_t axis;
    lmn_fact *f;
    if (r >= 0) LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), r, &axis));
    if (r >= 0 && q >= 0 && r != q)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give indices the rank of data",
                              "data has rank %d, indices have rank %d", r, q);
    LMN_TRY(lmn_infer_shape(ic, 0, q >= 0 ? q : r, &f));
    for (int32_t k = 0; k < q; k++) f->dims[k] = ic->in[1]->dims[k];
    return LAMINA_OK;
}

/* Rows along the last axis of the indices. */
typedef struct take_job {
    lmn_index_row row;
    const lamina_tensor *idx;
    int64_t st[LMN_MAX_RANK]; /* of data, in elements; 0 along the axis */
    int64_t rows, len, per_chunk;
    const uint8_t *src;
    uint8_t *dst;
    lmn_atomic(int32_t) bad;
} take_job;

static void take_rows(void *arg, int64_t chunk, int32_t worker)
{
    take_job *j = arg;
    const int32_t last = j->idx->rank - 1;
    const int64_t end = lmn_min_i64(j->rows, (chunk + 1) * j->per_chunk);
    (void)worker;
    for (int64_t r = chunk * j->per_chunk; r < end; r++) {
        int64_t base = 0, rest = r;
        for (int32_t k = last - 1; k >= 0; k--) {
            base += rest % j->idx->dims[k] * j->st[k];
            rest /= j->idx->dims[k];
        }
        const int64_t first = r * j->len;
        if (lmn_index_take(&j->row, first, j->len, j->dst + (size_t)first * j->row.unit,
                           j->src + (size_t)base * j->row.unit) < j->len)
            lmn_atomic_store(&j->bad, 1, relaxed);
    }
}

static lamina_status eval_gatherelements(lmn_eval *ec)
{
    enum { CHUNK_ELEMS = 16384 };
    const lamina_tensor *x, *idx;
    int32_t axis;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_index_input(ec, 1, &idx));
    LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", 0), x->rank, &axis));
    if (idx->rank != x->rank)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "data has rank %d, indices have rank %d", x->rank,
                             idx->rank);
    for (int32_t k = 0; k < x->rank; k++)
        if (k != axis && idx->dims[k] > x->dims[k])
            return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                 "axis %d of indices is longer than that of data", k);
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, idx->rank, idx->dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    take_job j = {.idx = idx, .src = in.p, .dst = out.p};
    lmn_dense_strides(x->rank, x->dims, j.st);
    j.len = idx->dims[x->rank - 1];
    j.rows = out.n / j.len;
    j.row = (lmn_index_row){.idx = idx,
                            .extent = x->dims[axis],
                            .step = j.st[axis],
                            .along = axis == x->rank - 1 ? 0 : 1,
                            .unit = in.eb};
    j.st[axis] = 0;
    j.per_chunk = lmn_max_i64(1, CHUNK_ELEMS / j.len);
    lmn_par_for(ec->par, (j.rows + j.per_chunk - 1) / j.per_chunk, take_rows, &j);
    if (lmn_atomic_load(&j.bad, relaxed)) return lmn_index_all(ec, idx, x->dims[axis]);
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"data", 'T', 0, LMN_D_ALL}, {"indices", 0, 0, LMN_D_INDEX}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_GatherElements = {
    .name = "GatherElements",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_gatherelements,
    .eval = eval_gatherelements,
    .cost = lmn_gather_cost,
};
