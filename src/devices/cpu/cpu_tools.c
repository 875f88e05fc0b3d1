/*
 * Facts and scratch for the bindings of the CPU device (cpu_tools.h).
 */
#include "devices/cpu/cpu_tools.h"

#include <string.h>

bool lmn_cpu_takes_f32(const lamina_node *node, int32_t i, const lmn_krow *row, char *text,
                       size_t cap)
{
    const lmn_fact *f = i < node->op->n_in ? node->in[i] : NULL;
    if (!f || f->kind != LMN_FACT_TENSOR || f->dtype == LAMINA_DTYPE_NONE) {
        (void)lmn_format(text, cap, "the type of input %d is not known", i);
        return false;
    }
    if (f->dtype != LAMINA_F32) {
        (void)lmn_format(text, cap, "no fast kernel for this element type on the CPU yet");
        return false;
    }
    (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
    return true;
}

lamina_status lmn_cpu_worker_scratch(lmn_eval *ec, size_t bytes, lmn_cpu_scratch *out)
{
    const size_t n = (size_t)lmn_par_width(ec->par);
    size_t total;
    *out = (lmn_cpu_scratch){0};
    if (bytes == 0) return LAMINA_OK;
    out->step = lmn_worker_step(bytes, n);
    if (!lmn_mul_size(out->step, n, &total))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "scratch memory overflows");
    out->base = lmn_scratch(ec, total);
    return out->base ? LAMINA_OK : lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
}

lamina_status lmn_cpu_reference(lmn_eval *ec)
{
    lamina_tensor *const *given = ec->in;
    int32_t odd = 0;
    for (int32_t i = 0; i < ec->n_in; i++) odd += given[i] && !lmn_tensor_aligned(given[i]);
    if (!odd) return ec->node->def->eval(ec);
    lamina_tensor **use = lmn_scratch(ec, (size_t)ec->n_in * sizeof *use);
    lamina_tensor *copies = lmn_scratch(ec, (size_t)odd * sizeof *copies);
    if (!use || !copies) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    for (int32_t i = 0; i < ec->n_in; i++) {
        use[i] = given[i];
        if (!given[i] || lmn_tensor_aligned(given[i])) continue;
        *copies = *given[i];
        copies->buf = NULL; /* nobody may keep it */
        copies->data = lmn_scratch(ec, given[i]->data_bytes);
        if (!copies->data) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
        memcpy(copies->data, given[i]->data, given[i]->data_bytes);
        use[i] = copies++;
    }
    ec->in = use;
    const lamina_status st = ec->node->def->eval(ec);
    ec->in = given;
    return st;
}
