/*
 * CumSum and CumProd on facts and tensors.
 */
#include "ops/cumulate.h"
#include "ops/shapes.h"

typedef struct column_job {
    lmn_cumulate_columns *fn;
    const lmn_cumulate_arg *arg;
    const float *x;
    float *y;
    int64_t len, inner, strips; /* strips of a plane */
} column_job;

static void column_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const column_job *j = arg;
    const int64_t at = chunk % j->strips * LMN_CUMULATE_STRIP;
    const int64_t first = chunk / j->strips * j->len * j->inner + at;
    (void)worker;
    j->fn(j->x + first, j->y + first, j->len, j->inner,
          lmn_min_i64(LMN_CUMULATE_STRIP, j->inner - at), j->arg);
}

/* Lines of f32 that lie side by side, if they do and there is something to do. */
static bool run_columns(lmn_eval *ec, const lmn_cumulate *impl, const lmn_lines *job)
{
    const lamina_tensor *x = job->x, *y = job->out[0].t;
    if (!impl->columns || x->dtype != LAMINA_F32 || x->rank == 0 || !y || lmn_count(y) == 0)
        return false;
    column_job j = {.fn = impl->columns, .arg = job->arg, .x = x->data, .y = y->data};
    j.len = x->dims[job->axis];
    j.inner = lmn_span_count(x->dims, job->axis + 1, x->rank);
    j.strips = (j.inner + LMN_CUMULATE_STRIP - 1) / LMN_CUMULATE_STRIP;
    if (j.inner == 1) return false;
    lmn_par_for(ec->par, lmn_span_count(x->dims, 0, job->axis) * j.strips, column_chunk, &j);
    return true;
}

lamina_status lmn_cumulate_eval(lmn_eval *ec, const lmn_cumulate *impl)
{
    const lamina_tensor *x = lmn_in(ec, 0), *axis = lmn_in(ec, 1);
    if (!x || !axis) return lmn_eval_fail(ec, LAMINA_E_INVALID, "an input is missing");
    if (lmn_count(axis) != 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the axis must be one number");
    const lmn_cumulate_arg arg = {.exclusive = lmn_attr_i(ec->node, "exclusive", 0) != 0,
                                  .reverse = lmn_attr_i(ec->node, "reverse", 0) != 0};
    lmn_lines job = {.arg = &arg, .x = x, .as = lmn_class_type(x->dtype), .n_out = 1};
    if (!job.as)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "element type %s is not supported",
                             lamina_dtype_name(x->dtype));
    job.fn = job.as == LAMINA_F64 ? impl->f64 : impl->i64;
    LMN_TRY(lmn_lines_axis(ec, lmn_get_i64(axis, 0), x, &job.axis));
    job.out[0] = (lmn_line_out){.as = job.as, .len = x->rank ? x->dims[job.axis] : 1};
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &job.out[0].t));
    return run_columns(ec, impl, &job) ? LAMINA_OK : lmn_lines_run(ec, &job);
}

lamina_status lmn_cumulate_infer(lmn_infer *ic)
{
    int64_t axis;
    int32_t at;
    if (lmn_infer_has(ic, 0) && ic->in[0]->rank > 0 && lmn_infer_ints(ic, 1, &axis, 1) == 1)
        LMN_TRY(lmn_infer_axis(ic, axis, ic->in[0]->rank, &at));
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}
