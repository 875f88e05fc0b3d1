/*
 * Parameters of quantised operators (cpu_quant.h).
 */
#include "devices/cpu/cpu_quant.h"

bool lmn_cpu_takes_8bit(const lmn_cpu_dev *dev, const lamina_node *node, int32_t i, char *text,
                        size_t cap)
{
    const lmn_fact *f = i < node->op->n_in ? node->in[i] : NULL;
    if (!f || f->kind != LMN_FACT_TENSOR || f->dtype == LAMINA_DTYPE_NONE) {
        (void)lmn_format(text, cap, "the type of input %d is not known", i);
        return false;
    }
    if (f->dtype != LAMINA_U8 && f->dtype != LAMINA_I8) {
        (void)lmn_format(text, cap, "no fast kernel for this element type on the CPU yet");
        return false;
    }
    const lmn_krow *row = &dev->kset.qgemm_i8->head;
    (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
    return true;
}

bool lmn_cpu_zero_point(lmn_eval *ec, const lamina_tensor *zp, bool is_signed, int64_t n,
                        int32_t *one, const int32_t **many)
{
    *one = 0;
    *many = NULL;
    if (!zp) return true;
    if (!lmn_cpu_is_8bit(zp) || lmn_cpu_is_signed(zp) != is_signed) return false;
    const int64_t count = lmn_count(zp);
    if (count == 1) {
        *one = lmn_cpu_8bit_at(zp, 0);
        return true;
    }
    if (zp->rank != 1 || count != n || n == 0) return false;
    int32_t *all = lmn_scratch(ec, (size_t)n * sizeof *all);
    if (!all) return false;
    bool same = true;
    for (int64_t i = 0; i < n; i++) {
        all[i] = lmn_cpu_8bit_at(zp, i);
        same = same && all[i] == all[0];
    }
    *one = all[0];
    if (!same) *many = all;
    return true;
}

bool lmn_cpu_scale(const lamina_tensor *t, float *out)
{
    if (!lmn_cpu_is_f32(t) || lmn_count(t) != 1) return false;
    *out = *(const float *)t->data;
    return true;
}

void lmn_cpu_out_range(const lamina_tensor *y_zp, int32_t *zp, int32_t *lo, int32_t *hi)
{
    *zp = lmn_cpu_8bit_at(y_zp, 0);
    *lo = lmn_cpu_is_signed(y_zp) ? -128 : 0;
    *hi = *lo + 255;
}
