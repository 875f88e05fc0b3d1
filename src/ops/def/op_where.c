/*
 * Where (ai.onnx, since 9): X where the condition holds, else Y; all three broadcast. The bytes of
 * the elements are moved as they are, strings are copied.
 */
#include "ops/ew.h"

#define WHERE(fname, T)                                                             \
    static void fname(const void *const *in, void *out, int64_t n, const void *arg) \
    {                                                                               \
        (void)arg;                                                                  \
        const uint8_t *c = in[0];                                                   \
        const T *x = in[1], *z = in[2];                                             \
        T *y = out;                                                                 \
        for (int64_t i = 0; i < n; i++) {                                           \
            const T a = x[i], b = z[i]; /* both: no branch */                       \
            y[i] = c[i] ? a : b;                                                    \
        }                                                                           \
    }
typedef struct pair {
    uint64_t half[2];
} pair;
WHERE(where_1, uint8_t)
WHERE(where_2, uint16_t)
WHERE(where_4, uint32_t)
WHERE(where_8, uint64_t)
WHERE(where_16, pair)
WHERE(where_str, lmn_str)

static lmn_ew_fn *pick(lamina_dtype dt)
{
    if (dt == LAMINA_STRING) return where_str;
    switch (lmn_dtype_bytes(dt)) {
    case 1: return where_1;
    case 2: return where_2;
    case 4: return where_4;
    case 8: return where_8;
    case 16: return where_16;
    default: return NULL;
    }
}

static lamina_status eval_op(lmn_eval *ec)
{
    const lamina_tensor *c = lmn_in(ec, 0), *x = lmn_in(ec, 1), *z = lmn_in(ec, 2);
    if (!c || !x || !z) return lmn_eval_fail(ec, LAMINA_E_INVALID, "an input is missing");
    if (c->dtype != LAMINA_BOOL || x->dtype != z->dtype)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE,
                             "needs a bool condition and two branches of one type");
    const lamina_dtype as[3] = {LAMINA_BOOL, x->dtype, x->dtype};
    const lmn_ew_job job = {.fn = pick(x->dtype),
                            .in = (const lamina_tensor *const *)ec->in,
                            .in_as = as,
                            .n_in = 3,
                            .out_as = x->dtype,
                            .out_dtype = x->dtype};
    if (!job.fn)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "element type %s is not supported",
                             lamina_dtype_name(x->dtype));
    int32_t rank;
    int64_t dims[LMN_MAX_RANK];
    lamina_tensor *y;
    LMN_TRY(lmn_ew_shape(ec, 0, 2, &rank, dims));
    LMN_TRY(lmn_out(ec, 0, x->dtype, rank, dims, &y));
    if (!y) return LAMINA_OK;
    if (x->dtype != LAMINA_STRING) return lmn_ew_run(ec, &job, rank, dims, y->data);

    lmn_str *borrowed = lmn_scratch(ec, y->data_bytes);
    if (!borrowed)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %zu bytes", y->data_bytes);
    LMN_TRY(lmn_ew_run(ec, &job, rank, dims, borrowed));
    const int64_t n = lmn_count(y);
    for (int64_t i = 0; i < n; i++)
        LMN_TRY(lamina_tensor_set_string(y, i, borrowed[i].p ? borrowed[i].p : "", borrowed[i].n));
    return LAMINA_OK;
}

static lmn_dim dim_fn(const lmn_infer *ic, const lmn_dim *v)
{
    (void)ic;
    if (v[1] == v[2]) return v[1];
    return lmn_dim_is_const(v[0]) ? v[lmn_dim_value(v[0]) ? 1 : 2] : LMN_DIM_UNKNOWN;
}

static lamina_status infer_op(lmn_infer *ic)
{
    return lmn_ew_infer(ic, dim_fn);
}

#define TYPES (LMN_D_NUM | LMN_D_STRING | LMN_D_BOOL | LMN_D_COMPLEX)
static const lmn_port IN[] = {
    {"condition", 0, 0, LMN_D_BOOL}, {"X", 'T', 0, TYPES}, {"Y", 'T', 0, TYPES}, {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, TYPES}, {0}};

const lmn_op_def lmn_op_Where = {
    .domain = "",
    .name = "Where",
    .since = 9,
    .flags = LMN_OP_ELEMENTWISE | LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .infer = infer_op,
    .eval = eval_op,
};
