/*
 * QLinearConv of com.microsoft with its channels last, on the driver of such convolutions: weights
 * are packed once a session where they are constant, and once a run where not.
 */
#include "devices/cpu/cpu_last.h"
#include "devices/cpu/cpu_quant.h"
#include "kernels/qgemm/qlast_plan.h"

typedef struct qlast_job {
    lmn_qlast_plan plan;
    lmn_qconv_args args;
    lmn_cpu_scratch scratch;
} qlast_job;

static void qlast_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const qlast_job *j = arg;
    lmn_qlast_chunk(&j->plan, &j->args, chunk, lmn_cpu_scratch_of(&j->scratch, worker));
}

/* ---- weights -----------------------------------------------------------------------------------
 */

static bool weights_of(const lamina_tensor *w, lmn_qlast_weights *out)
{
    if (!lmn_cpu_is_8bit(w) || w->rank < 3 || lmn_count(w) == 0) return false;
    *out = (lmn_qlast_weights){.w = w->data,
                               .is_signed = lmn_cpu_is_signed(w),
                               .c_out = w->dims[0],
                               .c_in = w->dims[1],
                               .taps = lmn_count(w) / w->dims[0] / w->dims[1]};
    return true;
}

static void pack(const void *row, int32_t flags, const lamina_tensor *w, void *dst)
{
    lmn_qlast_weights from;
    (void)flags;
    if (weights_of(w, &from)) lmn_qlast_prepack(row, &from, dst);
}

/* What packing is to do, in an order of bytes by the name of `kind`: another order is another
   number. False: no weights of this kind. */
static bool job_of(const lmn_qgemm_row *row, const lamina_tensor *w, lmn_pack_job *job,
                   const char **kind)
{
    lmn_qlast_weights from;
    if (!weights_of(w, &from)) return false;
    *job = (lmn_pack_job){.w = w, .pack = pack, .row = row};
    job->bytes = (uint64_t)lmn_qlast_packed_bytes(row, &from);
    *kind = from.is_signed ? "last.1 s" : "last.1 u";
    return true;
}

static lamina_status init(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                          lamina_error *err)
{
    const lmn_qgemm_row *row = dev->kset.qgemm_i8;
    const lamina_tensor *w = node->op->n_in > 3 ? node->in_const[3] : NULL;
    lmn_pack_job job;
    const char *kind;
    if (!node->prepack || !job_of(row, w, &job, &kind)) return LAMINA_OK;
    return lmn_cpu_last_want(node, &job, row->nr, kind, state, err);
}

/* ---- running -----------------------------------------------------------------------------------
 */

/* Geometry, data and zero points; false leaves it to the reference. `dims`: those of y. */
static bool read_operands(lmn_eval *ec, qlast_job *j, lmn_conv_geom *g, int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 3);
    lmn_qconv_args *a = &j->args;
    lmn_qlast_weights from;
    const int32_t *none;
    if (!lmn_attr_i(ec->node, "channels_last", 0) || !lmn_cpu_is_8bit(x) || !weights_of(w, &from) ||
        !lmn_cpu_last_geom(ec, x, w, g, dims) || g->groups != 1 || g->c_in != from.c_in)
        return false;
    a->x = x->data, a->x_signed = lmn_cpu_is_signed(x), a->w_signed = from.is_signed;
    return lmn_cpu_zero_point(ec, lmn_in(ec, 2), a->x_signed, -1, &a->x_zp, &none) &&
           lmn_cpu_zero_point(ec, lmn_in(ec, 5), a->w_signed, g->c_out, &a->w_zp, &a->w_zps) &&
           lmn_cpu_qconv_ends(ec, g->c_out, a);
}

static lamina_status run(const lamina_kernel *k, lmn_eval *ec)
{
    qlast_job j = {0};
    lmn_conv_geom g;
    int64_t dims[LMN_MAX_RANK];
    const lmn_qgemm_row *row = k->dev->kset.qgemm_i8;
    lmn_pack_job job;
    const char *kind;
    const void *panels;
    if (!read_operands(ec, &j, &g, dims)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, lmn_in(ec, 7)->dtype, lmn_in(ec, 0)->rank, dims, &y));
    if (!y) return LAMINA_OK;
    j.args.y = y->data;
    (void)job_of(row, lmn_in(ec, 3), &job, &kind);
    LMN_TRY(lmn_cpu_last_packed(ec, k->state, &job, &panels));
    j.args.w = panels;
    lmn_qlast_plan_make(row, &g, lmn_qlast_plain(&j.args), &j.plan);
    LMN_TRY(lmn_cpu_worker_scratch(ec, j.plan.scratch_bytes, &j.scratch));
    lmn_par_for(ec->par, j.plan.n_chunks, qlast_chunk, &j);
    return LAMINA_OK;
}

static bool supports(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    if (lmn_cpu_rank(node, 0) > 5) {
        (void)lmn_format(text, cap, "more than three spatial axes");
        return false;
    }
    return lmn_cpu_takes_8bit(dev, node, 0, text, cap);
}

const lmn_cpu_binding lmn_cpu_qlast_conv = {
    .domain = "com.microsoft",
    .op = "QLinearConv",
    .families = "qgemm.i8",
    .supports = supports,
    .state_bytes = sizeof(lmn_cpu_last_weights),
    .init = init,
    .run = run,
};
