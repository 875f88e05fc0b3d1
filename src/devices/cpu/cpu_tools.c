/*
 * Facts and scratch for the bindings of the CPU device (cpu_tools.h).
 */
#include "devices/cpu/cpu_tools.h"

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

lamina_status lmn_cpu_worker_scratch(lmn_eval *ec, size_t bytes, uint8_t **base, size_t *step)
{
    size_t total;
    *base = NULL;
    *step = 0;
    if (bytes == 0) return LAMINA_OK;
    *step = lmn_align_up(bytes, 64);
    if (!lmn_mul_size(*step, (size_t)lmn_par_width(ec->par), &total))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "scratch memory overflows");
    *base = lmn_scratch(ec, total);
    return *base ? LAMINA_OK : lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
}
