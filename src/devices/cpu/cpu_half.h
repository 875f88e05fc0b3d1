/*
 * Products of 16-bit floats on the hgemm family: which row a device uses, f32 weights kept as bf16
 * for sessions that multiply in bf16, and what such sessions compute that way.
 */
#ifndef LMN_DEVICES_CPU_HALF_H
#define LMN_DEVICES_CPU_HALF_H

#include "devices/cpu/cpu_bind.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/hgemm/hgemm.h"

#include <string.h>

static inline bool lmn_cpu_is_half(lamina_dtype dt)
{
    return LMN_KSET_SHORTENS && (dt == LAMINA_BF16 || dt == LAMINA_F16);
}

/* The row for F16 or BF16. For BF16 the first call may measure (some 100 us): where vdpbf16ps is
   slower than f32 multiply-adds, the row that widens is taken. */
const lmn_hgemm_row *lmn_cpu_hgemm(const lmn_cpu_dev *dev, lamina_dtype dt);

static inline bool lmn_cpu_is_conv(const lamina_node *node)
{
    return strstr(node->op->def->name, "Conv") != NULL;
}

typedef enum lmn_cpu_verdict {
    LMN_CPU_UNTRIED = 0, /* both, to compare */
    LMN_CPU_SHORT,       /* in bf16, or in 8 bits */
    LMN_CPU_F32
} lmn_cpu_verdict;

/* How a node of f32 is computed, by the session's precision or by the first run. */
typedef struct lmn_cpu_trial {
    lmn_atomic(int32_t) verdict; /* lmn_cpu_verdict */
    float bound; /* of what is kept: how far off, of the results' root mean square */
} lmn_cpu_trial;

/* The verdict before any run, of a node that can be computed in bf16. */
void lmn_cpu_trial_open(lmn_cpu_trial *t, lamina_precision precision);
static inline lmn_cpu_verdict lmn_cpu_trial_verdict(lmn_cpu_trial *t)
{
    return (lmn_cpu_verdict)lmn_atomic_load(&t->verdict, relaxed);
}
/* n results of either kind: the verdict, for this and all later runs. */
void lmn_cpu_trial_judge(lmn_cpu_trial *t, const float *exact, const float *half, int64_t n);

/* Does the session multiply in bf16, and a row gain by it? */
bool lmn_cpu_may_bf16(const lmn_cpu_dev *dev, const lamina_node *node);
/* What supports() says of a node that multiplies so. */
void lmn_cpu_name_bf16(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap);

/* Of a node: its f32 weights, input 1, in bf16, NULL = computed in f32. Those of a convolution as
   they lie, else packed (lmn_hgemm_prepack). Or in f32 as panels (LMN_GEMM_PACKED_B) where the
   session keeps what is packed, NULL = used where they lie. Or in 8 bits (cpu_int8.h), NULL = not.
 */
typedef struct lmn_cpu_weights {
    lmn_packed *half, *panels;
    void *int8; /* lmn_qgemm_prepack */
    float *scales;
    size_t int8_bytes, n_scales;
    lmn_cpu_trial trial;
} lmn_cpu_weights;

/* Does the session multiply the node's f32 weights in bf16? They are constant and large enough to
   gain, and the row multiplies pairs. */
bool lmn_cpu_wants_bf16(const lmn_cpu_dev *dev, const lamina_node *node);
/* `init` of bindings whose state is lmn_cpu_weights: asks the session for packed weights
   (cpu_packs.c). */
lamina_status lmn_cpu_weights_init(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                                   lamina_error *err);
void lmn_cpu_weights_finish(const lmn_cpu_dev *dev, void *state);
/* The panels for a product of this shape, where they are there and keep the bits of plain weights;
   else NULL, and *st says whether that is an error. */
const float *lmn_cpu_panels(const lmn_cpu_weights *w, const lmn_gemm_shape *s, lamina_status *st);

/* How the node is to be computed now. */
static inline lmn_cpu_verdict lmn_cpu_weights_verdict(lmn_cpu_weights *w)
{
    const bool may = LMN_KSET_SHORTENS && (w->half || w->int8);
    return may ? lmn_cpu_trial_verdict(&w->trial) : LMN_CPU_F32;
}

/* Products: `supports` for f32 (rows of `f32`, or bf16 if the session wants) and, for operators of
   ONNX, for 16 bits. Text as in supports(). */
bool lmn_cpu_takes_product(const lmn_cpu_dev *dev, const lamina_node *node, const lmn_krow *f32,
                           char *text, size_t cap);

/* n elements of bf16 or f16 as f32. */
void lmn_cpu_widen(const lmn_hgemm_row *row, float *dst, const void *src, int64_t n);

#endif
