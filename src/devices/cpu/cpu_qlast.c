/*
 * QLinearConv of com.microsoft with its channels last, on the driver of such convolutions: weights
 * are packed once a session where they are constant, and once a run where not.
 */
#include "devices/cpu/cpu_geom.h"
#include "devices/cpu/cpu_quant.h"
#include "kernels/qgemm/qlast_plan.h"

/* Of what pack() writes: another order of bytes is another number. */
#define LAYOUT_VERSION 1

typedef struct qlast_state {
    lmn_packed *packed; /* NULL: the weights are not constant, or there is no store */
} qlast_state;

typedef struct qlast_job {
    lmn_qlast_plan plan;
    lmn_qconv_args args;
    uint8_t *scratch;
    size_t scratch_step;
} qlast_job;

static void qlast_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const qlast_job *j = arg;
    uint8_t *scratch = j->scratch ? j->scratch + (size_t)worker * j->scratch_step : NULL;
    lmn_qlast_chunk(&j->plan, &j->args, chunk, scratch);
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

static lamina_status init(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                          lamina_error *err)
{
    qlast_state *s = state;
    const lmn_qgemm_row *row = dev->kset.qgemm_i8;
    const lamina_tensor *w = node->op->n_in > 3 ? node->in_const[3] : NULL;
    lmn_qlast_weights from;
    if (!node->prepack || !weights_of(w, &from)) return LAMINA_OK;
    lmn_pack_job job = {.w = w, .pack = pack, .row = row};
    job.bytes = (uint64_t)lmn_qlast_packed_bytes(row, &from);
    (void)lmn_format(job.layout, sizeof job.layout, "%s.%s:%s.%d.%d last %lldx%lldx%lld %c",
                     row->head.family, row->head.dtype, row->head.variant, LAYOUT_VERSION,
                     (int)row->nr, (long long)from.c_out, (long long)from.c_in,
                     (long long)from.taps, from.is_signed ? 's' : 'u');
    if (node->prepack->want(node->prepack, &job, &s->packed) == LAMINA_OK) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for packed weights");
}

/* ---- running -----------------------------------------------------------------------------------
 */

/* Geometry, data and zero points; false leaves it to the reference. `dims`: those of y. */
static bool read_operands(lmn_eval *ec, qlast_job *j, lmn_conv_geom *g, int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 3);
    lmn_qconv_args *a = &j->args;
    lmn_qlast_weights from;
    lmn_cpu_window win;
    const int32_t *none;
    if (!lmn_attr_i(ec->node, "channels_last", 0) || !lmn_cpu_is_8bit(x) || !weights_of(w, &from) ||
        x->rank != w->rank || x->rank > 5)
        return false;
    lamina_tensor turned = {.rank = x->rank};
    for (int32_t i = 2; i < x->rank; i++) turned.dims[i] = x->dims[i - 1];
    int64_t spatial[3];
    if (!lmn_cpu_window_of(ec->node, &turned, w->dims + 2, &win, spatial)) return false;
    *g = lmn_cpu_geom(&win, x->dims[0], x->dims[x->rank - 1], from.c_out);
    g->threads = lmn_par_width(ec->par);
    dims[0] = g->n, dims[x->rank - 1] = g->c_out;
    for (int32_t i = 1; i + 1 < x->rank; i++) dims[i] = spatial[i - 1];
    if (g->groups != 1 || g->n < 1 || g->c_in != from.c_in || g->c_out >= LMN_CPU_EXTENT_MAX ||
        from.c_in * from.taps >= LMN_CPU_EXTENT_MAX ||
        lmn_conv_volume(g->out) >= LMN_CPU_EXTENT_MAX / g->n)
        return false;
    a->x = x->data, a->x_signed = lmn_cpu_is_signed(x), a->w_signed = from.is_signed;
    return lmn_cpu_zero_point(ec, lmn_in(ec, 2), a->x_signed, -1, &a->x_zp, &none) &&
           lmn_cpu_zero_point(ec, lmn_in(ec, 5), a->w_signed, g->c_out, &a->w_zp, &a->w_zps) &&
           lmn_cpu_qconv_ends(ec, g->c_out, a);
}

/* The weights as panels. */
static lamina_status panels_of(const lamina_kernel *k, lmn_eval *ec, const uint8_t **out)
{
    const qlast_state *s = k->state;
    const lmn_qgemm_row *row = k->dev->kset.qgemm_i8;
    lmn_qlast_weights from;
    if (s->packed) {
        *out = lmn_packed_data(s->packed);
    } else {
        (void)weights_of(lmn_in(ec, 3), &from);
        void *own = lmn_scratch(ec, (size_t)lmn_qlast_packed_bytes(row, &from));
        if (own) lmn_qlast_prepack(row, &from, own);
        *out = own;
    }
    if (*out) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of memory for packed weights");
}

static lamina_status run(const lamina_kernel *k, lmn_eval *ec)
{
    qlast_job j = {0};
    lmn_conv_geom g;
    int64_t dims[LMN_MAX_RANK];
    if (!read_operands(ec, &j, &g, dims)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, lmn_in(ec, 7)->dtype, lmn_in(ec, 0)->rank, dims, &y));
    if (!y) return LAMINA_OK;
    j.args.y = y->data;
    LMN_TRY(panels_of(k, ec, &j.args.w));
    lmn_qlast_plan_make(k->dev->kset.qgemm_i8, &g, &j.plan);
    LMN_TRY(lmn_cpu_worker_scratch(ec, j.plan.scratch_bytes, &j.scratch, &j.scratch_step));
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
    .state_bytes = sizeof(qlast_state),
    .init = init,
    .run = run,
};
