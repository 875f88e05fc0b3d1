/*
 * ArgMax and ArgMin on facts and tensors: attributes axis (0), keepdims (1), select_last_index (0).
 */
#include "ops/arg.h"
#include "ops/shapes.h"

/* Lines of f32 that lie side by side. */
typedef struct column_job {
    lmn_arg_columns *fn;
    const float *x;
    int64_t *y;
    int64_t len, inner, strips; /* strips of a plane */
    bool take_last;
} column_job;

static void column_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const column_job *j = arg;
    const int64_t plane = chunk / j->strips, at = chunk % j->strips * LMN_ARG_STRIP;
    (void)worker;
    j->fn(j->x + plane * j->len * j->inner + at, j->len, j->inner,
          lmn_min_i64(LMN_ARG_STRIP, j->inner - at), j->take_last, j->y + plane * j->inner + at);
}

static void run_columns(lmn_eval *ec, const lmn_arg_impl *impl, const lmn_lines *job)
{
    const lamina_tensor *x = job->x, *y = job->out[0].t;
    column_job j = {.fn = impl->columns, .x = x->data, .take_last = *(const bool *)job->arg};
    if (!y || lmn_count(y) == 0) return;
    j.y = y->data, j.len = x->dims[job->axis];
    j.inner = lmn_span_count(x->dims, job->axis + 1, x->rank);
    j.strips = (j.inner + LMN_ARG_STRIP - 1) / LMN_ARG_STRIP;
    lmn_par_for(ec->par, lmn_span_count(x->dims, 0, job->axis) * j.strips, column_chunk, &j);
}

lamina_status lmn_arg_eval(lmn_eval *ec, const lmn_arg_impl *impl)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!x) return lmn_eval_fail(ec, LAMINA_E_INVALID, "input 0 is missing");
    const bool take_last = lmn_attr_i(ec->node, "select_last_index", 0) != 0;
    const bool keep = lmn_attr_i(ec->node, "keepdims", 1) != 0;
    lmn_lines job = {.arg = &take_last,
                     .x = x,
                     .as = lmn_class_type(x->dtype),
                     .n_out = 1,
                     .out = {{.as = LAMINA_I64, .len = 1}}};
    job.fn = job.as == LAMINA_F64 ? impl->f64 : job.as == LAMINA_I64 ? impl->i64 : impl->u64;
    if (!job.as)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "element type %s is not supported",
                             lamina_dtype_name(x->dtype));
    LMN_TRY(lmn_lines_axis(ec, lmn_attr_i(ec->node, "axis", 0), x, &job.axis));
    int64_t dims[LMN_MAX_RANK];
    int32_t rank = 0;
    for (int32_t d = 0; d < x->rank; d++) {
        if (d != job.axis)
            dims[rank++] = x->dims[d];
        else if (keep)
            dims[rank++] = 1;
    }
    LMN_TRY(lmn_out(ec, 0, LAMINA_I64, rank, dims, &job.out[0].t));
    if (x->rank && x->dims[job.axis] == 0 && job.out[0].t && lmn_count(job.out[0].t) > 0)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "axis %d has 0 elements and so no extreme",
                             job.axis);
    if (x->dtype == LAMINA_F32 && x->rank && x->dims[job.axis] <= INT32_MAX) {
        job.as = LAMINA_F32, job.fn = impl->f32;
        if (lmn_span_count(x->dims, job.axis + 1, x->rank) > 1) {
            run_columns(ec, impl, &job);
            return LAMINA_OK;
        }
    }
    return lmn_lines_run(ec, &job);
}

lamina_status lmn_arg_infer(lmn_infer *ic)
{
    if (!lmn_infer_has(ic, 0) || ic->in[0]->rank < 0) return LAMINA_OK;
    const lmn_fact *x = ic->in[0];
    const bool keep = lmn_attr_i(ic->node, "keepdims", 1) != 0;
    int32_t axis = 0;
    if (x->rank > 0) LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), x->rank, &axis));
    lmn_fact out = lmn_fact_tensor(LAMINA_I64, 0);
    for (int32_t d = 0; d < x->rank; d++) {
        if (d != axis)
            out.dims[out.rank++] = x->dims[d];
        else if (keep)
            out.dims[out.rank++] = lmn_dim_c(1);
    }
    ic->out[0] = out;
    return LAMINA_OK;
}
