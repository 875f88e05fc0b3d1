/*
 * What the bindings share: the questions supports() asks of facts, the same questions asked again
 * of tensors, and scratch for every worker. run() of a binding computes only what it knows to be
 * right and leaves everything else, wrong shapes included, to the reference (lmn_cpu_reference),
 * which also words the errors.
 */
#ifndef LMN_DEVICES_CPU_TOOLS_H
#define LMN_DEVICES_CPU_TOOLS_H

#include "devices/cpu/cpu_bind.h"

/* Extents of the GEMM and convolution drivers stay below this. */
#define LMN_CPU_EXTENT_MAX INT32_MAX

static inline bool lmn_cpu_is_f32(const lamina_tensor *t)
{
    return t && t->kind == LAMINA_KIND_TENSOR && t->dtype == LAMINA_F32;
}

/* Is input i present and known to be f32? `text` as in supports(): the kernel's name or the reason.
 */
bool lmn_cpu_takes_f32(const lamina_node *node, int32_t i, const lmn_krow *row, char *text,
                       size_t cap);
/* Rank of input i, -1 = not known. */
static inline int32_t lmn_cpu_rank(const lamina_node *node, int32_t i)
{
    return i < node->op->n_in && node->in[i] ? node->in[i]->rank : -1;
}

/* Evaluate by the definition; inputs at odd addresses, which it could not read, as copies. */
lamina_status lmn_cpu_reference(lmn_eval *ec);

/* Scratch of every worker, blocks of `step` bytes; base NULL: none is needed. */
typedef struct lmn_cpu_scratch {
    uint8_t *base;
    size_t step;
} lmn_cpu_scratch;
/* At least `bytes` for each, on a cache line; they last as lmn_scratch does. */
lamina_status lmn_cpu_worker_scratch(lmn_eval *ec, size_t bytes, lmn_cpu_scratch *out);
static inline uint8_t *lmn_cpu_scratch_of(const lmn_cpu_scratch *s, int32_t worker)
{
    return s->base ? s->base + (size_t)worker * s->step : NULL;
}

#endif
