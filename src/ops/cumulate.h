/*
 * What CumSum and CumProd share apart from the operation: an axis input, `exclusive` (an element
 * does not take part in its own result) and `reverse`.
 */
#ifndef LMN_OPS_CUMULATE_H
#define LMN_OPS_CUMULATE_H

#include "ops/lines.h"

/* Columns of f32 side by side, n <= LMN_CUMULATE_STRIP of a table of len rows, `step` apart. */
enum { LMN_CUMULATE_STRIP = 256 };
struct lmn_cumulate_arg;
typedef void lmn_cumulate_columns(const float *x, float *y, int64_t len, int64_t step, int64_t n,
                                  const struct lmn_cumulate_arg *arg);

typedef struct lmn_cumulate {
    lmn_line_fn *f64,
        *i64; /* i64 serves unsigned types too: the bits of sums and products are the same */
    lmn_cumulate_columns *columns; /* optional, to the bits of f64 */
} lmn_cumulate;

typedef struct lmn_cumulate_arg {
    bool exclusive, reverse;
} lmn_cumulate_arg;

lamina_status lmn_cumulate_eval(lmn_eval *ec, const lmn_cumulate *impl);
lamina_status lmn_cumulate_infer(lmn_infer *ic);

#define LMN_CUMULATE_LINE(fname, T, start, expr)                                              \
    static void fname(const void *x, int64_t len, void *const *y, void *tmp, const void *arg) \
    {                                                                                         \
        (void)tmp;                                                                            \
        const lmn_cumulate_arg *c = arg;                                                      \
        const T *p = x;                                                                       \
        T *r = y[0], a = start;                                                               \
        for (int64_t k = 0; k < len; k++) {                                                   \
            const int64_t i = c->reverse ? len - 1 - k : k;                                   \
            const T b = p[i];                                                                 \
            if (c->exclusive) r[i] = a;                                                       \
            a = expr;                                                                         \
            if (!c->exclusive) r[i] = a;                                                      \
        }                                                                                     \
    }

#endif
