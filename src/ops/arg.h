/*
 * What ArgMax and ArgMin share apart from the comparison (arg_tmpl.h): one axis, kept as 1 or
 * dropped.
 */
#ifndef LMN_OPS_ARG_H
#define LMN_OPS_ARG_H

#include "ops/lines.h"

/* Columns of f32, at most LMN_ARG_STRIP side by side: x[k step + i], k < len, i < n, to out[i]. */
enum { LMN_ARG_STRIP = 256 };
typedef void lmn_arg_columns(const float *x, int64_t len, int64_t step, int64_t n, bool take_last,
                             int64_t *out);

typedef struct lmn_arg_impl {
    lmn_line_fn *f32, *f64, *i64, *u64; /* arg: bool, take the last of equals */
    lmn_arg_columns *columns;           /* of f32 */
} lmn_arg_impl;

lamina_status lmn_arg_eval(lmn_eval *ec, const lmn_arg_impl *impl);
lamina_status lmn_arg_infer(lmn_infer *ic);

#endif
