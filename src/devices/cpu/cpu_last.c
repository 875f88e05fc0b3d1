/*
 * Geometry and packed weights of images with their channels last (cpu_last.h).
 */
#include "devices/cpu/cpu_last.h"

bool lmn_cpu_last_window(const lmn_opnode *n, const lamina_tensor *x, const int64_t *kernel,
                         lmn_cpu_window *out, int64_t *dims)
{
    if (x->rank < 3 || x->rank > 5) return false;
    lamina_tensor turned = {.rank = x->rank};
    for (int32_t i = 2; i < x->rank; i++) turned.dims[i] = x->dims[i - 1];
    dims[0] = x->dims[0];
    return lmn_cpu_window_of(n, &turned, kernel, out, dims + 1);
}

bool lmn_cpu_last_geom(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *w,
                       lmn_conv_geom *g, int64_t *dims)
{
    lmn_cpu_window win;
    if (x->rank != w->rank || lmn_count(w) == 0 ||
        !lmn_cpu_last_window(ec->node, x, w->dims + 2, &win, dims))
        return false;
    *g = lmn_cpu_geom(&win, x->dims[0], x->dims[x->rank - 1], w->dims[0]);
    g->threads = lmn_par_width(ec->par);
    dims[x->rank - 1] = g->c_out;
    return g->n >= 1 && g->c_out < LMN_CPU_EXTENT_MAX &&
           lmn_count(w) / g->c_out < LMN_CPU_EXTENT_MAX &&
           lmn_conv_volume(g->out) < LMN_CPU_EXTENT_MAX / g->n;
}

lamina_status lmn_cpu_last_want(const lamina_node *node, lmn_pack_job *job, int32_t nr,
                                const char *kind, lmn_cpu_last_weights *w, lamina_error *err)
{
    const lmn_krow *head = job->row; /* every row begins with one */
    const int64_t c_out = job->w->dims[0], c_in = job->w->dims[1];
    (void)lmn_format(job->layout, sizeof job->layout, "%s.%s:%s.%d %s %lldx%lldx%lldx%lld",
                     head->family, head->dtype, head->variant, (int)nr, kind, (long long)c_out,
                     (long long)c_in, (long long)(lmn_count(job->w) / c_out / c_in),
                     (long long)job->w->dims[job->w->rank - 1]);
    if (node->prepack->want(node->prepack, job, &w->packed) == LAMINA_OK) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for packed weights");
}

lamina_status lmn_cpu_last_packed(lmn_eval *ec, const lmn_cpu_last_weights *w,
                                  const lmn_pack_job *job, const void **out)
{
    if (w->packed) {
        *out = lmn_packed_data(w->packed);
    } else {
        void *own = lmn_scratch(ec, (size_t)job->bytes);
        if (own) job->pack(job->row, job->flags, job->w, own);
        *out = own;
    }
    if (*out) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of memory for packed weights");
}
