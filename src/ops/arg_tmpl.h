/*
 * Template of ArgMax and ArgMin: the index of the extreme element along an axis. Before inclusion
 * define ARG_NAME (ArgMax) and ARG_BETTER (> or <). The first NaN wins, as in numpy;
 * select_last_index takes the last of equals. Include once per file.
 */
#include "ops/arg.h"

#define ARG_LINE(fname, T)                                                                    \
    static void fname(const void *x, int64_t len, void *const *y, void *tmp, const void *arg) \
    {                                                                                         \
        (void)tmp;                                                                            \
        const T *a = x;                                                                       \
        const bool take_last = *(const bool *)arg;                                            \
        int64_t best = 0;                                                                     \
        for (int64_t i = 1; i < len && a[best] == a[best]; i++)                               \
            if (a[i] ARG_BETTER a[best] || a[i] != a[i] || (take_last && a[i] == a[best]))    \
                best = i;                                                                     \
        *(int64_t *)y[0] = best;                                                              \
    }
ARG_LINE(line_f64, double)
ARG_LINE(line_i64, int64_t)
ARG_LINE(line_u64, uint64_t)

static lamina_status eval_op(lmn_eval *ec)
{
    static const lmn_arg_impl IMPL = {line_f64, line_i64, line_u64};
    return lmn_arg_eval(ec, &IMPL);
}

static const lmn_port IN[] = {{"data", 'T', 0, LMN_D_NUM}, {0}};
static const lmn_port OUT[] = {{"reduced", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0},
                                        {"keepdims", LMN_ATTR_INT, 0},
                                        {"select_last_index", LMN_ATTR_INT, 0},
                                        {0}};

#define ARG_DEF_(Name)                                        \
    const lmn_op_def lmn_op_##Name = {.domain = "",           \
                                      .name = #Name,          \
                                      .since = 1,             \
                                      .in = IN,               \
                                      .out = OUT,             \
                                      .attrs = ATTRS,         \
                                      .infer = lmn_arg_infer, \
                                      .eval = eval_op}
#define ARG_DEF(Name) ARG_DEF_(Name)
ARG_DEF(ARG_NAME);
