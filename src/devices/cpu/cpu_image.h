/*
 * What the bindings of convolutions of bf16 images with their channels last share: their weights,
 * rounded and packed once a session where they are constant, and once a run where not. As
 * everywhere, false leaves the case to the reference.
 */
#ifndef LMN_DEVICES_CPU_IMAGE_H
#define LMN_DEVICES_CPU_IMAGE_H

#include "devices/cpu/cpu_last.h"
#include "kernels/conv/dwlast.h"
#include "kernels/hgemm/hlast_plan.h"

/* Weights of f32 [c_out][c_in / groups][one to three axes]. */
bool lmn_cpu_image_weights(const lamina_tensor *w, lmn_hlast_weights *out);

/* Have input i of the node packed, if it is constant; deep: of a depthwise convolution. */
lamina_status lmn_cpu_image_want(const lmn_cpu_dev *dev, const lamina_node *node, int32_t i,
                                 bool deep, lmn_cpu_last_weights *w, lamina_error *err);
/* Those bytes, or input i packed now; it is known to be weights. */
lamina_status lmn_cpu_image_packed(const lmn_cpu_dev *dev, lmn_eval *ec, int32_t i, bool deep,
                                   const lmn_cpu_last_weights *w, const void **out);

static inline bool lmn_cpu_is_image(const lamina_tensor *t, int32_t rank)
{
    return t && t->kind == LAMINA_KIND_TENSOR && t->dtype == LAMINA_BF16 && t->rank == rank;
}

#endif
