/*
 * What ArgMax and ArgMin share apart from the comparison (arg_tmpl.h): one axis, kept as 1 or
 * dropped.
 */
#ifndef LMN_OPS_ARG_H
#define LMN_OPS_ARG_H

#include "ops/lines.h"

typedef struct lmn_arg_impl {
    lmn_line_fn *f64, *i64, *u64; /* arg: bool, take the last of equals */
} lmn_arg_impl;

lamina_status lmn_arg_eval(lmn_eval *ec, const lmn_arg_impl *impl);
lamina_status lmn_arg_infer(lmn_infer *ic);

#endif
