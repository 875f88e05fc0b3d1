/*
 * QuantizeLinear (ai.onnx, since 10): y = saturate(round_half_even(x / scale) + zero_point), per
 * tensor, per axis or per block. The quotient is formed in `precision` (default: the common type of
 * x and scale, at least as f32 for mixed types). Float targets are cast; `saturate` = 0 lets fp8
 * overflow to NaN or inf as the type has it. NaN into an integer type counts as 0.
 */
#include "ops/quant.h"
#include "ops/wide.h"

#include <math.h>

static lamina_dtype target_type(const lmn_opnode *n, lamina_dtype zero_point)
{
    if (zero_point) return zero_point;
    const int64_t dt = lmn_attr_i(n, "output_dtype", 0);
    if (dt == 0) return LAMINA_U8;
    return dt > 0 && dt < LAMINA_DTYPE_COUNT ? (lamina_dtype)dt : LAMINA_DTYPE_NONE;
}

#define TARGETS                                                                                \
    (LMN_DBIT(LAMINA_U8) | LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U16) | LMN_DBIT(LAMINA_I16) | \
     LMN_D_SUB | LMN_D_FP8)

static lamina_status infer_quantizelinear(lmn_infer *ic)
{
    LMN_TRY(lmn_quant_infer_shape(ic));
    const int64_t attr = lmn_attr_i(ic->node, "output_dtype", 0);
    const bool has_zp = ic->node->n_in > 2 && ic->in[2];
    if (attr != 0 && (attr < 0 || attr >= LAMINA_DTYPE_COUNT || !(TARGETS & LMN_DBIT(attr))))
        return lmn_infer_fail(ic, LAMINA_E_DTYPE, "use an 8, 16, 4 or 2 bit type",
                              "attribute \"output_dtype\" is %lld, no quantised type",
                              (long long)attr);
    const lamina_dtype zp = has_zp ? ic->in[2]->dtype : LAMINA_DTYPE_NONE;
    if (attr != 0 && zp != 0 && attr != zp)
        return lmn_infer_fail(ic, LAMINA_E_DTYPE, "drop attribute \"output_dtype\"",
                              "\"output_dtype\" is %s but the zero point is %s",
                              lamina_dtype_name((lamina_dtype)attr), lamina_dtype_name(zp));
    if (ic->node->n_out > 0 && (!has_zp || zp || attr))
        ic->out[0].dtype = target_type(ic->node, zp);
    return LAMINA_OK;
}

/* Round a quotient to the type in which the division is defined. */
static double as_type(lamina_dtype dt, double v)
{
    if (dt == LAMINA_F16) return (double)lmn_f16_to_f32(lmn_f64_to_f16(v));
    if (dt == LAMINA_BF16) return (double)lmn_bf16_to_f32(lmn_f64_to_bf16(v));
    return dt == LAMINA_F32 ? (double)(float)v : v;
}

typedef struct quantiser {
    lmn_quant_map map;
    const double *x, *scale, *zp; /* zp NULL = 0 */
    bool zp_one;
    lamina_dtype div, cast; /* cast: operands are first rounded to it; NONE = as they are */
    bool ints;
    double lo, hi;
    double *y;
} quantiser;

static double quantise(const quantiser *q, double x, double s, double zp)
{
    if (q->cast) {
        x = as_type(q->cast, x);
        s = as_type(q->cast, s);
    }
    const double r = as_type(q->div, x / s);
    if (!q->ints) return r;
    const double v = (isnan(r) ? 0.0 : rint(r)) + zp;
    return v < q->lo ? q->lo : v > q->hi ? q->hi : v;
}

static void outer_chunk(void *arg, int64_t o, int32_t worker)
{
    (void)worker;
    const quantiser *q = arg;
    const lmn_quant_map *m = &q->map;
    int64_t e = o * m->dim * m->inner;
    for (int64_t a = 0; a < m->dim; a++)
        for (int64_t i = 0; i < m->inner; i++, e++) {
            const int64_t at = lmn_quant_map_at(m, o, a, i);
            const double zp = q->zp ? q->zp[q->zp_one ? 0 : at] : 0.0;
            q->y[e] = quantise(q, q->x[e], q->scale[at], zp);
        }
}

static lamina_status setup(lmn_eval *ec, lamina_dtype target, quantiser *q)
{
    const lamina_tensor *x = lmn_in(ec, 0), *s = lmn_in(ec, 1), *zp = lmn_in(ec, 2);
    LMN_TRY(lmn_quant_map_init(ec, x, s, &q->map));
    if (zp && lmn_count(zp) != 1 && lmn_count(zp) != lmn_count(s))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "scale and zero point differ in shape");
    LMN_TRY(lmn_wide_in(ec, x, &q->x));
    LMN_TRY(lmn_wide_in(ec, s, &q->scale));
    if (zp) LMN_TRY(lmn_wide_in(ec, zp, &q->zp));
    q->zp_one = zp && lmn_count(zp) == 1;
    const int64_t precision = lmn_attr_i(ec->node, "precision", 0);
    q->cast = (lamina_dtype)precision;
    q->div = precision                ? q->cast
             : x->dtype == s->dtype   ? x->dtype
             : x->dtype == LAMINA_I32 ? LAMINA_F64
                                      : LAMINA_F32;
    if (q->div == LAMINA_I32) q->div = LAMINA_F64;
    int64_t lo = 0, hi = 0;
    q->ints = lmn_int_range(target, &lo, &hi);
    q->lo = (double)lo;
    q->hi = (double)hi;
    return LAMINA_OK;
}

static lamina_status eval_quantizelinear(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *zp = lmn_in(ec, 2);
    const lamina_dtype dt = target_type(ec->node, zp ? zp->dtype : LAMINA_DTYPE_NONE);
    if (!dt || !(TARGETS & LMN_DBIT(dt)))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "the output type is no quantised type");
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, dt, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    quantiser q = {0};
    LMN_TRY(setup(ec, dt, &q));
    const int64_t n = lmn_count(x);
    q.y = lmn_wide_scratch(ec, n, sizeof(double));
    if (!q.y) return LAMINA_E_NOMEM;
    if (n == 0) return LAMINA_OK;
    lmn_par_for(ec->par, q.map.outer, outer_chunk, &q);
    lmn_convert(dt, y->data, LAMINA_F64, q.y, n, lmn_attr_i(ec->node, "saturate", 1) != 0);
    return LAMINA_OK;
}

#define XS \
    (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16) | LMN_DBIT(LAMINA_I32))
/* Before version 23 no precision was defined; engines divided 16-bit floats in f32. */
static lamina_status canon_quantizelinear(lmn_canon *c)
{
    const lmn_fact *s = c->n_in > 1 ? c->b->fact(c->b->ctx, c->in[1]) : NULL;
    if (c->opset >= 23 || !s || (s->dtype != LAMINA_F16 && s->dtype != LAMINA_BF16))
        return LAMINA_OK;
    return lmn_canon_set_i(c, "precision", LAMINA_F32) ? LAMINA_OK : LAMINA_E_NOMEM;
}

static const lmn_port IN[] = {{"x", 0, 0, XS},
                              {"y_scale", 0, 0, XS | LMN_DBIT(LAMINA_F8E8M0)},
                              {"y_zero_point", 'Z', LMN_PORT_OPTIONAL, TARGETS},
                              {0}};
static const lmn_port OUT[] = {{"y", 'Z', 0, TARGETS}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"axis", LMN_ATTR_INT, 0},         {"block_size", LMN_ATTR_INT, 0},
    {"output_dtype", LMN_ATTR_INT, 0}, {"precision", LMN_ATTR_INT, 0},
    {"saturate", LMN_ATTR_INT, 0},     {0}};

const lmn_op_def lmn_op_QuantizeLinear = {
    .name = "QuantizeLinear",
    .domain = "",
    .since = 10,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_quantizelinear,
    .eval = eval_quantizelinear,
    .canon = canon_quantizelinear,
};
