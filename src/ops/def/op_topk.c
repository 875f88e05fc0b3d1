/*
 * TopK (ai.onnx, since 1): the K largest (or smallest) elements along an axis and their indices,
 * always sorted; of equals the lower index comes first; a NaN is larger than any number. Before
 * opset 10 K was an attribute.
 */
#include "ops/lines.h"

#include <string.h>

typedef struct topk_arg {
    int64_t k;
    bool largest;
} topk_arg;

/*
 * A heap of the best k indices with the worst at its root: an element enters by replacing the root.
 * Popping the roots then fills the outputs from the back. BEFORE(i, j): i stands before j in the
 * result, a total order because indices differ.
 */
#define TOPK_ORDER(T)                                                                    \
    static bool before_##T(const T *x, int64_t i, int64_t j, bool largest)               \
    {                                                                                    \
        const T a = x[i], b = x[j];                                                      \
        const bool nan_a = a != a, nan_b = b != b;                                       \
        if (nan_a != nan_b) return nan_a == largest;                                     \
        if (a == b || nan_a) return i < j;                                               \
        return largest ? a > b : a < b;                                                  \
    }                                                                                    \
    static void sink_##T(const T *x, int64_t *heap, int64_t n, int64_t at, bool largest) \
    {                                                                                    \
        for (int64_t c; (c = 2 * at + 1) < n; at = c) {                                  \
            if (c + 1 < n && before_##T(x, heap[c], heap[c + 1], largest)) c++;          \
            if (!before_##T(x, heap[at], heap[c], largest)) return;                      \
            const int64_t t = heap[at];                                                  \
            heap[at] = heap[c];                                                          \
            heap[c] = t;                                                                 \
        }                                                                                \
    }
#define TOPK_LINE(T)                                                                        \
    TOPK_ORDER(T)                                                                           \
    static void line_##T(const void *data, int64_t len, void *const *y, void *tmp,          \
                         const void *arg)                                                   \
    {                                                                                       \
        const topk_arg *o = arg;                                                            \
        const T *x = data;                                                                  \
        T *values = y[0];                                                                   \
        int64_t *heap = tmp, *indices = y[1];                                               \
        for (int64_t i = 0; i < o->k; i++) heap[i] = i;                                     \
        for (int64_t i = o->k / 2 - 1; i >= 0; i--) sink_##T(x, heap, o->k, i, o->largest); \
        for (int64_t i = o->k; i < len; i++) {                                              \
            if (!before_##T(x, i, heap[0], o->largest)) continue;                           \
            heap[0] = i;                                                                    \
            sink_##T(x, heap, o->k, 0, o->largest);                                         \
        }                                                                                   \
        for (int64_t n = o->k; n > 0; n--) {                                                \
            indices[n - 1] = heap[0];                                                       \
            values[n - 1] = x[heap[0]];                                                     \
            heap[0] = heap[n - 1];                                                          \
            sink_##T(x, heap, n - 1, 0, o->largest);                                        \
        }                                                                                   \
    }
TOPK_LINE(double)
TOPK_LINE(int64_t)
TOPK_LINE(uint64_t)
TOPK_ORDER(float)

typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t bits __attribute__((vector_size(16), aligned(4), may_alias));

/* The first place from i on, a multiple of 16 further or less than 16 before len, where 16 elements
   hold one that may stand before `worst`: one that is better, or a NaN on either side. */
static int64_t next_better(const float *x, int64_t i, int64_t len, float worst, bool largest)
{
    for (; i + 16 <= len; i += 16) {
        bits calm = {-1, -1, -1, -1};
        for (int64_t q = 0; q < 16; q += 4) {
            const four v = *(const four *)(x + i + q);
            calm &= largest ? v <= worst : v >= worst;
        }
        if (!(calm[0] & calm[1] & calm[2] & calm[3])) break;
    }
    return i;
}

/* Few of many: the heap, and what is no better than its root passed over by sixteens. */
static void few_f32(const float *x, int64_t len, int64_t *heap, float *values, int64_t *indices,
                    const topk_arg *o)
{
    for (int64_t i = 0; i < o->k; i++) heap[i] = i;
    for (int64_t i = o->k / 2 - 1; i >= 0; i--) sink_float(x, heap, o->k, i, o->largest);
    for (int64_t i = o->k, end; o->k > 0 && i < len; i = end) {
        i = next_better(x, i, len, x[heap[0]], o->largest);
        end = lmn_min_i64(len, i + 16);
        for (; i < end; i++) {
            if (!before_float(x, i, heap[0], o->largest)) continue;
            heap[0] = i;
            sink_float(x, heap, o->k, 0, o->largest);
        }
    }
    for (int64_t n = o->k; n > 0; n--) {
        indices[n - 1] = heap[0];
        values[n - 1] = x[heap[0]];
        heap[0] = heap[n - 1];
        sink_float(x, heap, n - 1, 0, o->largest);
    }
}

/* Order of a value as an unsigned number, first is 0; -0 is 0, a NaN is larger than all. */
static uint32_t rank_of(float v, bool largest)
{
    uint32_t u;
    if (v == 0) v = 0;
    memcpy(&u, &v, sizeof u);
    u = v != v ? UINT32_MAX : u >> 31 ? ~u : u | 0x80000000u;
    return largest ? ~u : u;
}

/* Much of a line: all of it sorted by bytes of the rank, from the lowest; equals keep their order.
 */
static void many_f32(const float *x, int64_t len, uint64_t *from, float *values, int64_t *indices,
                     const topk_arg *o)
{
    uint32_t count[4][256] = {{0}};
    uint64_t *to = from + len;
    for (int64_t i = 0; i < len; i++) {
        const uint32_t r = rank_of(x[i], o->largest);
        from[i] = (uint64_t)r << 32 | (uint64_t)i;
        for (int b = 0; b < 4; b++) count[b][r >> 8 * b & 255]++;
    }
    for (int b = 0; b < 4; b++) {
        uint32_t sum = 0;
        if (count[b][from[0] >> (32 + 8 * b) & 255] == len) continue; /* all alike */
        for (int v = 0; v < 256; v++) {
            const uint32_t n = count[b][v];
            count[b][v] = sum;
            sum += n;
        }
        for (int64_t i = 0; i < len; i++) to[count[b][from[i] >> (32 + 8 * b) & 255]++] = from[i];
        uint64_t *const swap = from;
        from = to, to = swap;
    }
    for (int64_t i = 0; i < o->k; i++) {
        indices[i] = (int64_t)(from[i] & UINT32_MAX);
        values[i] = x[indices[i]];
    }
}

/* Sorting all costs some 4 steps an element, a heap some log k for each of k. */
static bool is_many(int64_t k, int64_t len)
{
    return k >= 32 && k >= len / 16 && len <= INT32_MAX;
}

static void line_float(const void *data, int64_t len, void *const *y, void *tmp, const void *arg)
{
    const topk_arg *o = arg;
    if (is_many(o->k, len))
        many_f32(data, len, tmp, y[0], y[1], o);
    else
        few_f32(data, len, tmp, y[0], y[1], o);
}

static lamina_status eval_op(lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0), *k = lmn_in(ec, 1);
    if (!x || !k) return lmn_eval_fail(ec, LAMINA_E_INVALID, "an input is missing");
    if (lmn_count(k) != 1) return lmn_eval_fail(ec, LAMINA_E_SHAPE, "K must be one number");
    const topk_arg arg = {lmn_get_i64(k, 0), lmn_attr_i(ec->node, "largest", 1) != 0};
    lmn_lines job = {.arg = &arg, .x = x, .as = lmn_class_type(x->dtype), .n_out = 2};
    if (!job.as || x->rank == 0)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "needs numbers with at least one dimension");
    LMN_TRY(lmn_lines_axis(ec, lmn_attr_i(ec->node, "axis", -1), x, &job.axis));
    const int64_t len = x->dims[job.axis];
    if (arg.k < 0 || arg.k > len)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "K is %lld but axis %d has %lld elements",
                             (long long)arg.k, job.axis, (long long)len);
    job.fn = job.as == LAMINA_F64   ? line_double
             : job.as == LAMINA_I64 ? line_int64_t
                                    : line_uint64_t;
    job.tmp_bytes = (size_t)arg.k * sizeof(int64_t);
    if (x->dtype == LAMINA_F32) {
        job.as = LAMINA_F32, job.fn = line_float;
        if (is_many(arg.k, len)) job.tmp_bytes = 2 * (size_t)len * sizeof(uint64_t);
    }
    int64_t dims[LMN_MAX_RANK];
    for (int32_t d = 0; d < x->rank; d++) dims[d] = d == job.axis ? arg.k : x->dims[d];
    job.out[0] = (lmn_line_out){.as = job.as, .len = arg.k};
    job.out[1] = (lmn_line_out){.as = LAMINA_I64, .len = arg.k};
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, dims, &job.out[0].t));
    LMN_TRY(lmn_out(ec, 1, LAMINA_I64, x->rank, dims, &job.out[1].t));
    return lmn_lines_run(ec, &job);
}

static lamina_status infer_op(lmn_infer *ic)
{
    if (!lmn_infer_has(ic, 0) || ic->in[0]->rank < 0) return LAMINA_OK;
    const lmn_fact *x = ic->in[0];
    int32_t axis;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", -1), x->rank, &axis));
    const lmn_dim *e;
    const lmn_dim k = lmn_infer_elems(ic, 1, &e) == 1 ? e[0] : LMN_DIM_UNKNOWN, len = x->dims[axis];
    if (lmn_dim_is_const(k) && lmn_dim_is_const(len) && lmn_dim_value(k) > lmn_dim_value(len))
        return lmn_infer_fail(ic, LAMINA_E_RANGE, "choose a smaller K",
                              "K is %lld but axis %d has %lld elements",
                              (long long)lmn_dim_value(k), axis, (long long)lmn_dim_value(len));
    for (int32_t o = 0; o < ic->node->n_out; o++) {
        const lamina_dtype dt = o == 0 ? x->dtype : LAMINA_I64;
        lmn_infer_same(ic, o, 0);
        ic->out[o].dtype = dt;
        ic->out[o].dims[axis] = k;
    }
    return LAMINA_OK;
}

static lamina_status canon_op(lmn_canon *c)
{
    if (c->opset >= 10) return LAMINA_OK;
    const int64_t k = lmn_attr_i(c->node, "k", -1);
    lmn_canon_drop_attr(c, "k");
    if (k < 0)
        return lmn_canon_fail(c, LAMINA_E_INVALID, "set it",
                              "attribute \"k\" is missing or negative");
    return lmn_canon_in_i64s(c, 1, &k, 1)
               ? LAMINA_OK
               : lmn_canon_fail(c, LAMINA_E_NOMEM, NULL, "k could not become an input");
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_NUM}, {"K", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {
    {"Values", 'T', 0, LMN_D_NUM}, {"Indices", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"axis", LMN_ATTR_INT, 0}, {"largest", LMN_ATTR_INT, 0}, {"sorted", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_TopK = {
    .domain = "",
    .name = "TopK",
    .since = 1,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_op,
    .eval = eval_op,
    .canon = canon_op,
};
