/*
 * The optimiser operators (Adagrad, Adam, Momentum): inputs are the learning rate R, the update
 * count T and then groups of n tensors each: the values X, the gradients G and one or two groups of
 * state. Outputs are the new X and the new states, in the same order. Element by element, in f64.
 */
#ifndef LMN_OPS_OPTIM_H
#define LMN_OPS_OPTIM_H

#include "ops/op.h"

typedef struct lmn_optim {
    double rate; /* R adjusted by the operator */
    double a, b, norm, norm_post, epsilon;
    bool nesterov;
} lmn_optim;

/* New value and states of one element, in place. s1 is unused by operators with one state. */
typedef void lmn_optim_step(const lmn_optim *o, double *x, double g, double *s0, double *s1);

lamina_status lmn_optim_infer(lmn_infer *ic, int32_t n_states);
/* Reads R and T into *rate and *count. */
lamina_status lmn_optim_args(lmn_eval *ec, double *rate, int64_t *count);
lamina_status lmn_optim_eval(lmn_eval *ec, int32_t n_states, const lmn_optim *o,
                             lmn_optim_step *step);

#define LMN_OPTIM_TYPES (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F64))
#define LMN_OPTIM_IN                                                       \
    {                                                                      \
        {"R", 'R', 0, LMN_OPTIM_TYPES}, {"T", 0, 0, LMN_DBIT(LAMINA_I64)}, \
            {"inputs", 'T', LMN_PORT_VARIADIC, LMN_OPTIM_TYPES},           \
        {                                                                  \
            0                                                              \
        }                                                                  \
    }
#define LMN_OPTIM_OUT                                         \
    {                                                         \
        {"outputs", 'T', LMN_PORT_VARIADIC, LMN_OPTIM_TYPES}, \
        {                                                     \
            0                                                 \
        }                                                     \
    }

#endif
