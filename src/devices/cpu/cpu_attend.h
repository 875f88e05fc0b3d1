/*
 * The attention driver (kernels/attention/attention_plan.h) on the worker pool, for every operator
 * that attends: the bindings say where queries, keys and values lie and what masks them.
 */
#ifndef LMN_DEVICES_CPU_ATTEND_H
#define LMN_DEVICES_CPU_ATTEND_H

#include "devices/cpu/cpu_tools.h"
#include "kernels/attention/attention_plan.h"

/* `supports` for input 0 of f32, by the precision of the session, or of 16 bits, and the `init`
   that goes with it: the state of a kernel that attends is an lmn_cpu_trial. */
bool lmn_cpu_attend_takes(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap);
lamina_status lmn_cpu_attend_init(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                                  lamina_error *err);
/* May the driver take these extents? */
bool lmn_cpu_attend_fits(const lmn_attention_shape *shape);
/* Chunks, then merges; `shared` of the arguments is filled in here. Operands are of type dt, f32 or
   lmn_cpu_is_half. y is dense as a whole, in any order of axes. */
lamina_status lmn_cpu_attend(lmn_eval *ec, const lamina_kernel *k, lamina_dtype dt,
                             const lmn_attention_shape *shape, lmn_attention_args *args);
/* s = cap tanh(s / cap) for the whole block. */
void lmn_cpu_attend_cap(const lmn_cpu_dev *dev, const lmn_attention_scores *s, float cap);

#endif
