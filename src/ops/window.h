/*
 * Window functions: a0 - a1 cos(2 pi n / N) + a2 cos(4 pi n / N), N the size (periodic) or the size
 * - 1 (symmetric). One element is always 1.
 */
#ifndef LMN_OPS_WINDOW_H
#define LMN_OPS_WINDOW_H

#include "ops/op.h"

lamina_status lmn_window_infer(lmn_infer *ic);
lamina_status lmn_window_eval(lmn_eval *ec, double a0, double a1, double a2);

#endif
