/*
 * The reduction engine: operators that fold the elements of some axes into one (ReduceSum ...). An
 * operator brings, by class of its type, a reducer: start, fold, finish. Floats accumulate in f64
 * and are rounded once; integers in 64 bits and wrap. The order of the fold is that of memory,
 * whatever the number of threads.
 *
 * Axes come as optional input 1. Without any: all axes, or none where noop_with_empty_axes says so
 * (each element is then a fold of one). A fold of nothing is what `finish` makes of `init`.
 */
#ifndef LMN_OPS_REDUCE_H
#define LMN_OPS_REDUCE_H

#include "ops/op.h"

#define LMN_REDUCE_ACC_MAX 16 /* bytes of one accumulator */

typedef struct lmn_reducer {
    size_t acc_bytes;
    void (*init)(void *acc, int64_t n, lamina_dtype dt); /* n accumulators */
    void (*fold)(void *acc, const void *x, int64_t n);   /* n elements into one accumulator */
    void (*lanes)(void *acc, const void *x, int64_t n);  /* x[i] into accumulator i */
    void (*finish)(const void *acc, void *y, int64_t n, int64_t count); /* of `count` folded each */
} lmn_reducer;

typedef struct lmn_reduce_impl {
    const lmn_reducer *f64, *i64, *u64; /* i64, u64 NULL: integers go through f64 */
} lmn_reduce_impl;

lamina_status lmn_reduce_eval(lmn_eval *ec, const lmn_reduce_impl *impl);
/* Fold of known elements to a scalar; NULL where the lattice does not follow. */
typedef lmn_dim lmn_reduce_dim_fn(lmn_dim_pool *p, lmn_dim acc, lmn_dim next);
lamina_status lmn_reduce_infer(lmn_infer *ic, lmn_reduce_dim_fn *fn);
/* Attribute axes of older opsets becomes input 1. */
lamina_status lmn_reduce_canon(lmn_canon *c);
void lmn_reduce_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                     lmn_cost *c);

/* Lowest and highest value of an integer or bool type: the start of Max and Min. */
int64_t lmn_reduce_lowest(lamina_dtype dt);
uint64_t lmn_reduce_highest(lamina_dtype dt);

/* ---- templates ---------------------------------------------------------------------------------
 */

/*
 * A reducer `name` over elements T with accumulators A. In `start`: dt. In the statement `step`: a
 * (accumulator), x (element). In `end`, of type T: a, count.
 */
#define LMN_REDUCER(name, T, A, start, step, end)                                              \
    static void name##_init(void *acc, int64_t n, LMN_UNUSED lamina_dtype dt)                  \
    {                                                                                          \
        A *p = acc;                                                                            \
        const A first = start;                                                                 \
        for (int64_t i = 0; i < n; i++) p[i] = first;                                          \
    }                                                                                          \
    static void name##_fold(void *acc, const void *data, int64_t n)                            \
    {                                                                                          \
        const T *p = data;                                                                     \
        A a = *(A *)acc;                                                                       \
        for (int64_t i = 0; i < n; i++) {                                                      \
            const T x = p[i];                                                                  \
            step;                                                                              \
        }                                                                                      \
        *(A *)acc = a;                                                                         \
    }                                                                                          \
    static void name##_lanes(void *acc, const void *data, int64_t n)                           \
    {                                                                                          \
        const T *p = data;                                                                     \
        A *to = acc;                                                                           \
        for (int64_t i = 0; i < n; i++) {                                                      \
            const T x = p[i];                                                                  \
            A a = to[i];                                                                       \
            step;                                                                              \
            to[i] = a;                                                                         \
        }                                                                                      \
    }                                                                                          \
    static void name##_finish(const void *acc, void *out, int64_t n, LMN_UNUSED int64_t count) \
    {                                                                                          \
        const A *p = acc;                                                                      \
        T *y = out;                                                                            \
        for (int64_t i = 0; i < n; i++) {                                                      \
            const A a = p[i];                                                                  \
            y[i] = (T)(end);                                                                   \
        }                                                                                      \
    }                                                                                          \
    static const lmn_reducer name = {sizeof(A), name##_init, name##_fold, name##_lanes,        \
                                     name##_finish};

#define LMN_REDUCE_WIDE                                                                 \
    (LMN_D_FLOAT | LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64) | LMN_DBIT(LAMINA_U32) | \
     LMN_DBIT(LAMINA_U64))

/* The operator Reduce<Name>; IMPL and dim_fn (may be a NULL pointer) stand above it. */
#define LMN_REDUCE_OP(Name, set, more_flags)                                               \
    static lamina_status eval_op(lmn_eval *ec)                                             \
    {                                                                                      \
        return lmn_reduce_eval(ec, &IMPL);                                                 \
    }                                                                                      \
    static lamina_status infer_op(lmn_infer *ic)                                           \
    {                                                                                      \
        return lmn_reduce_infer(ic, dim_fn);                                               \
    }                                                                                      \
    static const lmn_port IN[] = {                                                         \
        {"data", 'T', 0, set}, {"axes", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)}, {0}}; \
    static const lmn_port OUT[] = {{"reduced", 'T', 0, set}, {0}};                         \
    static const lmn_attr_schema ATTRS[] = {                                               \
        {"keepdims", LMN_ATTR_INT, 0}, {"noop_with_empty_axes", LMN_ATTR_INT, 0}, {0}};    \
    const lmn_op_def lmn_op_Reduce##Name = {.domain = "",                                  \
                                            .name = "Reduce" #Name,                        \
                                            .since = 1,                                    \
                                            .flags = (more_flags),                         \
                                            .in = IN,                                      \
                                            .out = OUT,                                    \
                                            .attrs = ATTRS,                                \
                                            .infer = infer_op,                             \
                                            .eval = eval_op,                               \
                                            .canon = lmn_reduce_canon,                     \
                                            .cost = lmn_reduce_cost}

#endif
