/*
 * Plug-ins that break their contract, one a build: LIE says which way (see test_plugin.c). The
 * operator is Copy(X) -> Y of the domain "my", float32.
 */
#include "lamina/plugin.h"

#include <string.h>

static lamina_status rule(const lamina_op_host *h, const lamina_node *node, lamina_shapes *s)
{
    lamina_dim dims[LAMINA_MAX_RANK];
    const int32_t rank = h->input_dims(s, 0, dims);
    (void)node;
#if LIE == 8
    dims[0] = -77; /* no handle that was given out */
#elif LIE == 9
    return 99;
#elif LIE == 13
    return h->output(s, 5, LAMINA_DTYPE_NONE, rank, dims);
#elif LIE == 14
    (void)h->refuse(s, LAMINA_E_SHAPE, "it is too square"); /* and then agrees */
#endif
    return h->output(s, 0, LAMINA_DTYPE_NONE, rank, dims);
}

static lamina_status eval(const lamina_op_host *h, const lamina_node *node, lamina_call *call)
{
    const lamina_tensor *x = h->call_input(call, 0);
    lamina_tensor *y = NULL;
    int64_t dims[LAMINA_MAX_RANK] = {0};
    lamina_dtype type = LAMINA_F32;
    (void)node;
    for (int32_t i = 0; i < h->rank(x); i++) dims[i] = h->dims(x)[i];
#if LIE == 1
    dims[0]++;
#elif LIE == 2
    return 17;
#elif LIE == 3
    return LAMINA_OK;
#elif LIE == 7
    type = LAMINA_I32;
#elif LIE == 15
    return h->call_fail(call, LAMINA_E_RANGE, "it is a Tuesday");
#endif
    lamina_status st = h->call_output(call, 0, type, h->rank(x), dims, &y);
    if (st != LAMINA_OK || !y) return st;
    memset(h->mutable_data(y), 0, (size_t)h->count(y) * 4);
    return LAMINA_OK;
}

#if LIE == 6
#define DOMAIN "com.microsoft"
#define NAME "BiasGelu"
#elif LIE == 11
#define DOMAIN ""
#define NAME "Copy"
#else
#define DOMAIN "my"
#define NAME "Copy"
#endif
#if LIE == 10
#define SIZE 8
#else
#define SIZE sizeof(lamina_op_v1)
#endif
#if LIE == 16
#define EVAL NULL
#else
#define EVAL eval
#endif

static const lamina_op_port X[] = {{"X", LAMINA_TYPE(LAMINA_F32), 0, 'T'}, {0}};
static const lamina_op_port Y[] = {{"Y", LAMINA_TYPE(LAMINA_F32), 0, 'T'}, {0}};
static const lamina_op_v1 COPY = {SIZE, DOMAIN, NAME, 1, 0, X, Y, NULL, rule, EVAL};
/* Used or not, so that every build is free of warnings. */
LAMINA_API lamina_status (*const lying_eval)(const lamina_op_host *, const lamina_node *,
                                             lamina_call *) = eval;
static const lamina_op_v1 *const OPS[] = {&COPY, &COPY};

#if LIE == 5
#define SYMBOL lamina_plugin_of_another_age
#else
#define SYMBOL lamina_plugin_v1
#endif
LAMINA_API const lamina_plugin SYMBOL = {LIE == 4 ? 7 : LAMINA_OP_ABI, "lying", LIE == 12 ? 2 : 1,
                                         OPS};
