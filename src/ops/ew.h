/*
 * The elementwise engine: every operator whose output element depends on one element of each
 * (broadcast) input. An operator brings block functions for the classes of numbers; the engine does
 * broadcasting, conversion to and from the class type, parallel chunks and memory.
 *
 * Classes: floats compute in f64 and are rounded once to their type; signed integers in i64,
 * unsigned and bool in u64, and narrowing wraps. F32 may have a function of its own where f32
 * arithmetic gives the same bits. Results never depend on the number of threads.
 */
#ifndef LMN_OPS_EW_H
#define LMN_OPS_EW_H

#include "ops/op.h"

/* Elements handed to a block function at once, at most. */
#define LMN_EW_BLOCK 256

/* out[i] = f(in[0][i], in[1][i] ...), i < n. `out` may be one of the inputs. */
typedef void lmn_ew_fn(const void *const *in, void *out, int64_t n, const void *arg);

/* Functions by class of the input type; NULL = class not supported. */
typedef struct lmn_ew_impl {
    lmn_ew_fn *f32; /* optional: without it F32 goes through f64 */
    lmn_ew_fn *f64, *i64, *u64;
    lmn_ew_fn *i32;  /* optional: without it I32 goes through i64 */
    lmn_ew_fn *b8;   /* optional: bool as bytes of 0 and 1 to such; without it through u64 */
    lmn_ew_fn *str;  /* in: lmn_str */
    bool out_bool;   /* the functions write bool bytes */
    bool fold;       /* any number of inputs: f(acc, next) -> acc, started by the first */
    lmn_ew_fn *last; /* of a fold: acc -> acc at the end; arg is int64_t, the number of inputs */
} lmn_ew_impl;

/* One evaluation in raw form: what types the function sees. */
typedef struct lmn_ew_job {
    lmn_ew_fn *fn, *last;
    const void *arg;
    const lamina_tensor *const *in;
    const lamina_dtype
        *in_as;   /* n_in (fold: 1): type of fn's inputs; equal to the tensor's = raw */
    int32_t n_in; /* <= LMN_EW_MAX_IN unless fold */
    bool fold;
    lamina_dtype out_as, out_dtype; /* what fn writes, what is stored */
} lmn_ew_job;
#define LMN_EW_MAX_IN 4

/* Broadcast shape of inputs first..last at run time; E_SHAPE with a sentence. */
lamina_status lmn_ew_shape(lmn_eval *ec, int32_t first, int32_t last, int32_t *rank, int64_t *dims);
/* Run a job into dense `out` of the given shape, to which every input must broadcast. */
lamina_status lmn_ew_run(lmn_eval *ec, const lmn_ew_job *job, int32_t rank, const int64_t *dims,
                         void *out);
/* The whole evaluation: output 0 = impl over all inputs of the node. The type of input 0 chooses
   the class; every other input is converted to it (Pow). */
lamina_status lmn_ew_eval(lmn_eval *ec, const lmn_ew_impl *impl, const void *arg);

/* ---- integer lattice ---------------------------------------------------------------------------
 */

/* Result of one element from known or unknown ones; LMN_DIM_UNKNOWN when it cannot be said. */
typedef lmn_dim lmn_ew_dim_fn(const lmn_infer *ic, const lmn_dim *v);
/* Shape by broadcast; where the elements of all (at most 3) inputs are carried, so are the
 * output's. */
lamina_status lmn_ew_infer(lmn_infer *ic, lmn_ew_dim_fn *fn);
/* A constant far enough from the saturation bound to compute with, or any expression. */
static inline bool lmn_ew_dim_usable(lmn_dim d)
{
    return lmn_dim_known(d) && !(lmn_dim_is_const(d) && (lmn_dim_value(d) >= LMN_DIM_MAX_CONST ||
                                                         lmn_dim_value(d) <= -LMN_DIM_MAX_CONST));
}

/* Proven bounds, also without a pool. */
void lmn_ew_dim_range(const lmn_infer *ic, lmn_dim d, int64_t *lo, int64_t *hi);

/* Opset < 7: the attributes `broadcast` and `axis` of binary operators, made explicit. */
lamina_status lmn_ew_canon_binary(lmn_canon *c);

/* ---- templates ---------------------------------------------------------------------------------
 */

#define LMN_EW_UN(fname, T, R, expr)                                                           \
    static void fname(const void *const *in, void *out, int64_t n, LMN_UNUSED const void *arg) \
    {                                                                                          \
        const T *a = in[0];                                                                    \
        R *y = out;                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                      \
            const T x = a[i];                                                                  \
            y[i] = (R)(expr);                                                                  \
        }                                                                                      \
    }

#define LMN_EW_BIN(fname, T, R, expr)                                                          \
    static void fname(const void *const *in, void *out, int64_t n, LMN_UNUSED const void *arg) \
    {                                                                                          \
        const T *pa = in[0], *pb = in[1];                                                      \
        R *y = out;                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                      \
            const T a = pa[i], b = pb[i];                                                      \
            y[i] = (R)(expr);                                                                  \
        }                                                                                      \
    }

/* A float-only unary operator without attributes: `expr` of double x. */
#define LMN_EW_OP_FLOAT(Name, first, port_in, port_out, expr)                       \
    LMN_EW_UN(f64_fn, double, double, expr)                                         \
    static lamina_status eval_op(lmn_eval *ec)                                      \
    {                                                                               \
        static const lmn_ew_impl IMPL = {.f64 = f64_fn};                            \
        return lmn_ew_eval(ec, &IMPL, NULL);                                        \
    }                                                                               \
    static const lmn_port IN[] = {{port_in, 'T', 0, LMN_D_FLOAT}, {0}};             \
    static const lmn_port OUT[] = {{port_out, 'T', 0, LMN_D_FLOAT}, {0}};           \
    const lmn_op_def lmn_op_##Name = {.domain = "",                                 \
                                      .name = #Name,                                \
                                      .since = first,                               \
                                      .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE, \
                                      .in = IN,                                     \
                                      .out = OUT,                                   \
                                      .eval = eval_op}

/* A float-only activation X -> Y with float attributes n1 (d1) and n2 (d2): `expr` of x, p1, p2. An
   operator with one attribute names it twice. */
#define LMN_EW_OP_ACT(Name, first, n1, d1, n2, d2, expr)                             \
    static void f64_fn(const void *const *in, void *out, int64_t n, const void *arg) \
    {                                                                                \
        const double *a = in[0];                                                     \
        const double p1 = ((const double *)arg)[0], p2 = ((const double *)arg)[1];   \
        double *y = out;                                                             \
        (void)p2;                                                                    \
        for (int64_t i = 0; i < n; i++) {                                            \
            const double x = a[i];                                                   \
            y[i] = (expr);                                                           \
        }                                                                            \
    }                                                                                \
    static lamina_status eval_op(lmn_eval *ec)                                       \
    {                                                                                \
        static const lmn_ew_impl IMPL = {.f64 = f64_fn};                             \
        const double arg[2] = {(double)lmn_attr_f(ec->node, n1, d1),                 \
                               (double)lmn_attr_f(ec->node, n2, d2)};                \
        return lmn_ew_eval(ec, &IMPL, arg);                                          \
    }                                                                                \
    static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};                  \
    static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};                 \
    static const lmn_attr_schema ATTRS[] = {                                         \
        {n1, LMN_ATTR_FLOAT, 0}, {n2, LMN_ATTR_FLOAT, 0}, {0}};                      \
    const lmn_op_def lmn_op_##Name = {.domain = "",                                  \
                                      .name = #Name,                                 \
                                      .since = first,                                \
                                      .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE,  \
                                      .in = IN,                                      \
                                      .out = OUT,                                    \
                                      .attrs = ATTRS,                                \
                                      .eval = eval_op}

/* eval_op and infer_op of an operator whose IMPL and dim_fn (may be NULL) stand above. */
#define LMN_EW_RULES                             \
    static lamina_status eval_op(lmn_eval *ec)   \
    {                                            \
        return lmn_ew_eval(ec, &IMPL, NULL);     \
    }                                            \
    static lamina_status infer_op(lmn_infer *ic) \
    {                                            \
        return lmn_ew_infer(ic, dim_fn);         \
    }

/* A unary operator of one type over `set`; IMPL and dim_fn stand above it. */
#define LMN_EW_OP_UN(Name, first, port_in, port_out, set)                            \
    LMN_EW_RULES                                                                     \
    static const lmn_port IN[] = {{port_in, 'T', 0, set}, {0}};                      \
    static const lmn_port OUT[] = {{port_out, 'T', 0, set}, {0}};                    \
    const lmn_op_def lmn_op_##Name = {.domain = "",                                  \
                                      .name = #Name,                                 \
                                      .since = first,                                \
                                      .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE | \
                                               LMN_OP_INT_LATTICE,                   \
                                      .in = IN,                                      \
                                      .out = OUT,                                    \
                                      .infer = infer_op,                             \
                                      .eval = eval_op}

/* Which of all inputs is first by op, > or <, with broadcast; a NaN wins. */
#define LMN_EW_OP_EXTREME(Name, port_out, op, of_dims)                                   \
    LMN_EW_BIN(f32_fn, float, float, a != a || a op b ? a : b)                           \
    LMN_EW_BIN(f64_fn, double, double, a != a || a op b ? a : b)                         \
    LMN_EW_BIN(i64_fn, int64_t, int64_t, a op b ? a : b)                                 \
    LMN_EW_BIN(u64_fn, uint64_t, uint64_t, a op b ? a : b)                               \
    static const lmn_ew_impl IMPL = {                                                    \
        .f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn, .u64 = u64_fn, .fold = true};       \
    static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)                         \
    {                                                                                    \
        lmn_dim r = v[0];                                                                \
        for (int32_t i = 1; i < ic->node->n_in; i++) r = of_dims(ic->dims, r, v[i]);     \
        return r;                                                                        \
    }                                                                                    \
    LMN_EW_RULES                                                                         \
    static const lmn_port IN[] = {{"data_0", 'T', LMN_PORT_VARIADIC, LMN_D_NUM}, {0}};   \
    static const lmn_port OUT[] = {{port_out, 'T', 0, LMN_D_NUM}, {0}};                  \
    const lmn_op_def lmn_op_##Name = {.domain = "",                                      \
                                      .name = #Name,                                     \
                                      .since = 1,                                        \
                                      .flags = LMN_OP_ELEMENTWISE | LMN_OP_INT_LATTICE | \
                                               LMN_OP_COMMUTES,                          \
                                      .in = IN,                                          \
                                      .out = OUT,                                        \
                                      .infer = infer_op,                                 \
                                      .eval = eval_op}

/* A comparison or logic operator A, B -> C (bool) over `set`; IMPL and dim_fn stand above it. */
#define LMN_EW_OP_BOOL(Name, first, set, more_flags)                                              \
    LMN_EW_RULES                                                                                  \
    static const lmn_port IN[] = {{"A", 'T', 0, set}, {"B", 'T', 0, set}, {0}};                   \
    static const lmn_port OUT[] = {{"C", 0, 0, LMN_D_BOOL}, {0}};                                 \
    const lmn_op_def lmn_op_##Name = {.domain = "",                                               \
                                      .name = #Name,                                              \
                                      .since = first,                                             \
                                      .flags =                                                    \
                                          LMN_OP_ELEMENTWISE | LMN_OP_INT_LATTICE | (more_flags), \
                                      .in = IN,                                                   \
                                      .out = OUT,                                                 \
                                      .infer = infer_op,                                          \
                                      .eval = eval_op,                                            \
                                      .canon = lmn_ew_canon_binary}

/* A comparison A op B of numbers. `worst` is the bound of A, lo or hi, with which it holds least
   readily, and `best` the other one; of B they change places. */
#define LMN_EW_OP_COMPARE(Name, first, op, worst, best)                                \
    LMN_EW_BIN(f32_fn, float, bool, a op b)                                            \
    LMN_EW_BIN(f64_fn, double, bool, a op b)                                           \
    LMN_EW_BIN(i64_fn, int64_t, bool, a op b)                                          \
    LMN_EW_BIN(u64_fn, uint64_t, bool, a op b)                                         \
    static const lmn_ew_impl IMPL = {                                                  \
        .f32 = f32_fn, .f64 = f64_fn, .i64 = i64_fn, .u64 = u64_fn, .out_bool = true}; \
    static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)                       \
    {                                                                                  \
        int64_t lo[2], hi[2];                                                          \
        for (int32_t i = 0; i < 2; i++) {                                              \
            if (!lmn_ew_dim_usable(v[i])) return LMN_DIM_UNKNOWN;                      \
            lmn_ew_dim_range(ic, v[i], &lo[i], &hi[i]);                                \
        }                                                                              \
        if (worst[0] op best[1]) return lmn_dim_c(1);                                  \
        return best[0] op worst[1] ? LMN_DIM_UNKNOWN : lmn_dim_c(0);                   \
    }                                                                                  \
    LMN_EW_OP_BOOL(Name, first, LMN_D_NUM, 0)

/* A binary operator A, B -> C of one type over `set`; IMPL and dim_fn (may be NULL) stand above it.
 */
#define LMN_EW_OP_BIN(Name, first, set, more_flags)                                                \
    LMN_EW_RULES                                                                                   \
    static const lmn_port IN[] = {{"A", 'T', 0, set}, {"B", 'T', 0, set}, {0}};                    \
    static const lmn_port OUT[] = {{"C", 'T', 0, set}, {0}};                                       \
    const lmn_op_def lmn_op_##Name = {.domain = "",                                                \
                                      .name = #Name,                                               \
                                      .since = first,                                              \
                                      .flags = LMN_OP_ELEMENTWISE | LMN_OP_INPLACE | (more_flags), \
                                      .in = IN,                                                    \
                                      .out = OUT,                                                  \
                                      .infer = infer_op,                                           \
                                      .eval = eval_op,                                             \
                                      .canon = lmn_ew_canon_binary}

#endif
