/*
 * What the bindings of quantised operators share: 8-bit operands and their parameters as the qgemm
 * driver takes them. As everywhere, false leaves the case to the reference.
 */
#ifndef LMN_DEVICES_CPU_QUANT_H
#define LMN_DEVICES_CPU_QUANT_H

#include "devices/cpu/cpu_tools.h"
#include "kernels/qgemm/qconv_plan.h"
#include "kernels/qmap/qmap.h"

static inline bool lmn_cpu_is_8bit(const lamina_tensor *t)
{
    return t && t->kind == LAMINA_KIND_TENSOR && (t->dtype == LAMINA_U8 || t->dtype == LAMINA_I8);
}
static inline bool lmn_cpu_is_signed(const lamina_tensor *t)
{
    return t->dtype == LAMINA_I8;
}
/* Element i of an 8-bit tensor. */
static inline int32_t lmn_cpu_8bit_at(const lamina_tensor *t, int64_t i)
{
    const uint8_t *p = t->data;
    return lmn_cpu_is_signed(t) ? (int8_t)p[i] : p[i];
}

/* supports(): is input i known to be of 8 bits? `text` as there. */
bool lmn_cpu_takes_8bit(const lmn_cpu_dev *dev, const lamina_node *node, int32_t i, char *text,
                        size_t cap);

/* Zero point of an operand: NULL is 0, one element goes to *one, n along the product's rows or
   columns go to *many in scratch. False: another shape or type, or no memory. */
bool lmn_cpu_zero_point(lmn_eval *ec, const lamina_tensor *zp, bool is_signed, int64_t n,
                        int32_t *one, const int32_t **many);

/* A scale of one element as f32; false if it is not that. */
bool lmn_cpu_scale(const lamina_tensor *t, float *out);

/* Zero point of y, of one element, and the range of its type. */
void lmn_cpu_out_range(const lamina_tensor *y_zp, int32_t *zp, int32_t *lo, int32_t *hi);

/* Requantisation of QLinearConv: bias, and factors as the reference forms them. */
bool lmn_cpu_qconv_ends(lmn_eval *ec, int64_t c_out, lmn_qconv_args *a);

/* QLinearGlobalAveragePool with its channels last, between the two sides. */
lamina_status lmn_cpu_qlast_mean(const lamina_kernel *k, lmn_eval *ec, const lmn_qmap_side side[2]);

#endif
