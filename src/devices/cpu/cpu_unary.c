/*
 * Unary f32 operators on the elementwise family, and Pow with a constant exponent of 2 or 3. Chunks
 * are fixed runs of elements.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/elementwise/elementwise.h"

#include <float.h>
#include <math.h>

static const int64_t chunk_elems = 16 << 10;

typedef struct unary_job {
    lmn_unary_fn *fn;
    lmn_unary_block block;
} unary_job;

static void unary_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const unary_job *j = arg;
    const int64_t first = chunk * chunk_elems;
    lmn_unary_block b = j->block;
    b.x += first;
    b.y += first;
    b.n = lmn_min_i64(chunk_elems, b.n - first);
    j->fn(&b);
}

static lamina_status run_unary(const lamina_kernel *k, lmn_eval *ec, lmn_unary_kind kind, float p0,
                               float p1)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!lmn_cpu_is_f32(x)) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    unary_job j = {.fn = k->dev->kset.elementwise_f32->unary};
    j.block = (lmn_unary_block){.kind = kind, .p0 = p0, .p1 = p1, .x = x->data, .y = y->data};
    j.block.n = lmn_count(x);
    lmn_par_for(ec->par, (j.block.n + chunk_elems - 1) / chunk_elems, unary_chunk, &j);
    return LAMINA_OK;
}

static bool supports_unary(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.elementwise_f32->head, text, cap);
}

/* A binding without attributes. */
#define UNARY(symbol, Op, KIND)                                             \
    static lamina_status run_##symbol(const lamina_kernel *k, lmn_eval *ec) \
    {                                                                       \
        return run_unary(k, ec, LMN_UN_##KIND, 0, 0);                       \
    }                                                                       \
    BINDING(symbol, Op);
#define BINDING(symbol, Op)                                                  \
    const lmn_cpu_binding lmn_cpu_##symbol = {.domain = "",                  \
                                              .op = Op,                      \
                                              .families = "elementwise.f32", \
                                              .supports = supports_unary,    \
                                              .run = run_##symbol}

UNARY(relu, "Relu", RELU)
UNARY(hard_swish, "HardSwish", HARDSWISH)
UNARY(sigmoid, "Sigmoid", SIGMOID)
UNARY(tanh, "Tanh", TANH)
UNARY(erf, "Erf", ERF)
UNARY(exp, "Exp", EXP)
UNARY(sqrt, "Sqrt", SQRT)
UNARY(neg, "Neg", NEG)
UNARY(abs, "Abs", ABS)
UNARY(reciprocal, "Reciprocal", RECIPROCAL)
UNARY(floor, "Floor", FLOOR)
UNARY(ceil, "Ceil", CEIL)
UNARY(round, "Round", RINT)
UNARY(log, "Log", LOG)
UNARY(sin, "Sin", SIN)
UNARY(cos, "Cos", COS)

static lamina_status run_leaky_relu(const lamina_kernel *k, lmn_eval *ec)
{
    return run_unary(k, ec, LMN_UN_LEAKYRELU, lmn_attr_f(ec->node, "alpha", 0.01f), 0);
}
BINDING(leaky_relu, "LeakyRelu");

static lamina_status run_hard_sigmoid(const lamina_kernel *k, lmn_eval *ec)
{
    return run_unary(k, ec, LMN_UN_HARDSIGMOID, lmn_attr_f(ec->node, "alpha", 0.2f),
                     lmn_attr_f(ec->node, "beta", 0.5f));
}
BINDING(hard_sigmoid, "HardSigmoid");

static lamina_status run_gelu(const lamina_kernel *k, lmn_eval *ec)
{
    const bool by_tanh = lmn_attr_is(ec->node, "approximate", "tanh", "none");
    return run_unary(k, ec, by_tanh ? LMN_UN_GELU_TANH : LMN_UN_GELU, 0, 0);
}
BINDING(gelu, "Gelu");

/* x * sigmoid(p0 * x), run by run; -inf gives its limit. */
typedef struct swish_job {
    const lmn_elementwise_row *row;
    const float *x;
    float *y, alpha;
    int64_t n;
} swish_job;

static void swish_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const swish_job *j = arg;
    const int64_t end = lmn_min_i64(j->n, (chunk + 1) * chunk_elems);
    float low[512], gate[512];
    for (int64_t i = chunk * chunk_elems, n; i < end; i += n) {
        n = lmn_min_i64(512, end - i);
        for (int64_t c = 0; c < n; c++) {
            low[c] = j->x[i + c] < -FLT_MAX ? -FLT_MAX : j->x[i + c];
            gate[c] = low[c] * j->alpha;
        }
        j->row->unary(&(lmn_unary_block){.kind = LMN_UN_SIGMOID, .x = gate, .y = gate, .n = n});
        j->row->binary(
            &(lmn_binary_block){.kind = LMN_BIN_MUL, .a = low, .b = gate, .y = j->y + i, .n = n});
    }
}

static lamina_status run_swish(const lamina_kernel *k, lmn_eval *ec)
{
    const float alpha = lmn_attr_f(ec->node, "alpha", 1.0f);
    const lamina_tensor *x = lmn_in(ec, 0);
    lamina_tensor *y;
    if (alpha == 1.0f) return run_unary(k, ec, LMN_UN_SILU, 0, 0);
    if (!lmn_cpu_is_f32(x) || !(alpha > 0.0f && alpha <= FLT_MAX)) return lmn_cpu_reference(ec);
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    swish_job j = {k->dev->kset.elementwise_f32, x->data, y->data, alpha, lmn_count(x)};
    lmn_par_for(ec->par, (j.n + chunk_elems - 1) / chunk_elems, swish_chunk, &j);
    return LAMINA_OK;
}
BINDING(swish, "Swish");

/* A scalar bound; absent: `def`. */
static bool bound(const lamina_tensor *t, float def, float *out)
{
    *out = def;
    if (!t) return true;
    if (!lmn_cpu_is_f32(t) || lmn_count(t) != 1) return false;
    *out = *(const float *)t->data;
    return !isnan(*out);
}

static lamina_status run_clip(const lamina_kernel *k, lmn_eval *ec)
{
    float lo, hi;
    if (!bound(lmn_in(ec, 1), -INFINITY, &lo) || !bound(lmn_in(ec, 2), INFINITY, &hi))
        return lmn_cpu_reference(ec);
    return run_unary(k, ec, LMN_UN_CLIP, lo, hi);
}
BINDING(clip, "Clip");

static lamina_status run_pow(const lamina_kernel *k, lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0), *e = lmn_in(ec, 1);
    if (!x || !lmn_cpu_is_f32(e) || lmn_count(e) != 1 || e->rank > x->rank)
        return lmn_cpu_reference(ec);
    const float power = *(const float *)e->data;
    if (power == 2.0f) return run_unary(k, ec, LMN_UN_SQUARE, 0, 0);
    return power == 3.0f ? run_unary(k, ec, LMN_UN_CUBE, 0, 0) : lmn_cpu_reference(ec);
}
BINDING(pow, "Pow");
