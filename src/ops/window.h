/*
 * Window functions: a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N), N the size (periodic) or the size
 * - 1 (symmetric). One element is always 1.
 */
#ifndef LMN_OPS_WINDOW_H
#define LMN_OPS_WINDOW_H

#include "ops/op.h"

lamina_status lmn_window_infer(lmn_infer *ic);
lamina_status lmn_window_eval(lmn_eval *ec, double a0, double a1, double a2);

/* The operator Name, of coefficients a0, a1, a2. */
#define LMN_WINDOW_OP(Name, a0, a1, a2)                                                        \
    static lamina_status eval_op(lmn_eval *ec)                                                 \
    {                                                                                          \
        return lmn_window_eval(ec, a0, a1, a2);                                                \
    }                                                                                          \
    static const lmn_port IN[] = {{"size", 0, 0, LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64)}, \
                                  {0}};                                                        \
    static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_NUM}, {0}};                          \
    static const lmn_attr_schema ATTRS[] = {                                                   \
        {"output_datatype", LMN_ATTR_INT, 0}, {"periodic", LMN_ATTR_INT, 0}, {0}};             \
    const lmn_op_def lmn_op_##Name = {.name = #Name,                                           \
                                      .domain = "",                                            \
                                      .since = 17,                                             \
                                      .in = IN,                                                \
                                      .out = OUT,                                              \
                                      .attrs = ATTRS,                                          \
                                      .infer = lmn_window_infer,                               \
                                      .eval = eval_op}

#endif
