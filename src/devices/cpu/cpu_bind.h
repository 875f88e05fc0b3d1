/*
 * Bindings of the CPU device: which nodes a fast kernel serves, and how it is called. A binding is
 * one row of cpu_bind_list.h and one file devices/cpu/cpu_<family>.c. What no binding takes runs by
 * its reference.
 */
#ifndef LMN_DEVICES_CPU_BIND_H
#define LMN_DEVICES_CPU_BIND_H

#include "base/atomic.h"
#include "kernels/kset.h"
#include "lamina/device.h"
#include "ops/node.h"

typedef struct lmn_cpu_dev {
    lamina_engine *engine;
    lmn_kset kset;                   /* rows chosen for this CPU; immutable */
    lmn_kset strict;                 /* the same without wino */
    bool pinned;                     /* the user named rows */
    lmn_atomic(int32_t) bf16_choice; /* cpu_half.c: 0 = not measured yet */
} lmn_cpu_dev;

typedef struct lmn_cpu_binding lmn_cpu_binding;

/* A compiled node. Bindings that need more state put it behind `state`. */
struct lamina_kernel {
    const lmn_cpu_binding *bind;
    const lmn_cpu_dev *dev;
    lamina_precision precision; /* of the session */
    struct lmn_tune_site *site; /* of the node: tuned choices */
    void *state;
    size_t state_bytes;
};

struct lmn_cpu_binding {
    const char *domain, *op;
    const char *families; /* of the rows that run() may call: "gemm.f32 norm.f32"; NULL = none */
    /* Text: the kernel's name on yes, the reason on no. May look at facts, attributes, constants.
     */
    bool (*supports)(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap);
    /* Bytes of state, and filling it; NULL = none. */
    size_t state_bytes;
    lamina_status (*init)(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                          lamina_error *err);
    /* Releases what init put behind the state, also after a failed init; NULL = nothing. */
    void (*finish)(const lmn_cpu_dev *dev, void *state);
    /* Shapes are checked here again: facts may have been blind. May fall back on
     * ec->node->def->eval. */
    lamina_status (*run)(const lamina_kernel *k, lmn_eval *ec);
    /* Is input i read by vector loads alone, which mind no address? NULL = no input is. */
    bool (*any_address)(const lmn_cpu_dev *dev, int32_t i);
};

#endif
