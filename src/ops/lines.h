/*
 * The line engine: operators that work along one axis (Softmax, CumSum, ArgMax, TopK ...). A tensor
 * is seen as [outer, len, inner]; each of its outer * inner lines is gathered into a dense array of
 * the class type (f64, i64, u64), handed to a function, and the results are scattered and rounded
 * once.
 */
#ifndef LMN_OPS_LINES_H
#define LMN_OPS_LINES_H

#include "ops/op.h"

#define LMN_LINES_MAX_OUT 2

/* One line: x has len elements of the class type; y[k] receives out[k].len elements of out[k].as.
   tmp is `tmp_bytes` of scratch, 64-byte aligned. */
typedef void lmn_line_fn(const void *x, int64_t len, void *const *y, void *tmp, const void *arg);

typedef struct lmn_line_out {
    lamina_dtype as;  /* what fn writes; the slot's dtype is what is stored */
    int64_t len;      /* extent of the axis in the output */
    lamina_tensor *t; /* slot made by lmn_out, or NULL: not wanted */
} lmn_line_out;

typedef struct lmn_lines {
    lmn_line_fn *fn;
    const void *arg;
    const lamina_tensor *x;
    lamina_dtype as; /* class type of the input */
    int32_t axis;    /* in [0, rank); a scalar is one line of one element */
    size_t tmp_bytes;
    int32_t n_out;
    lmn_line_out out[LMN_LINES_MAX_OUT];
} lmn_lines;

/* Class type of a float, integer or bool type; NONE for others. */
lamina_dtype lmn_class_type(lamina_dtype dt);
lamina_status lmn_lines_run(lmn_eval *ec, const lmn_lines *job);
/* Axis of input 0 normalised; a scalar accepts -1 and 0. E_RANGE with a sentence. */
lamina_status lmn_lines_axis(lmn_eval *ec, int64_t axis, const lamina_tensor *x, int32_t *out);

/* Softmax family before opset 13: everything from `axis` on was one line. Rewritten by Flatten and
   Reshape unless the axis is the last. */
lamina_status lmn_lines_canon_flat(lmn_canon *c);
/* Output 0 like input 0, `axis` (default -1) checked. */
lamina_status lmn_lines_infer_axis(lmn_infer *ic);
/* Output 0 = fn along `axis` (default -1), in f64, same shape and type. */
lamina_status lmn_lines_eval_f64(lmn_eval *ec, lmn_line_fn *fn);
/* 5 flops per element: maximum, exponential, sum, division. */
void lmn_lines_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                    lmn_cost *c);

/* Output 0 = line_fn along `axis`, of floats and in f64, an operator since 1; cost_fn may be NULL.
 */
#define LMN_LINES_OP(Name, line_fn, more_flags, cost_fn)                     \
    static lamina_status eval_op(lmn_eval *ec)                               \
    {                                                                        \
        return lmn_lines_eval_f64(ec, line_fn);                              \
    }                                                                        \
    static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT}, {0}};      \
    static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};    \
    static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0}, {0}}; \
    const lmn_op_def lmn_op_##Name = {.domain = "",                          \
                                      .name = #Name,                         \
                                      .since = 1,                            \
                                      .flags = LMN_OP_SAME | (more_flags),   \
                                      .in = IN,                              \
                                      .out = OUT,                            \
                                      .attrs = ATTRS,                        \
                                      .infer = lmn_lines_infer_axis,         \
                                      .eval = eval_op,                       \
                                      .canon = lmn_lines_canon_flat,         \
                                      .cost = cost_fn}

#endif
