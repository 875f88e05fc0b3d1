/*
 * DequantizeLinear (ai.onnx, since 10): y = (x - zero_point) * scale, per tensor, per axis or per
 * block, in the type of the scale or in output_dtype. The difference is exact and the product is
 * rounded once.
 */
#include "ops/quant.h"
#include "ops/wide.h"

#define YS (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))

static lamina_status infer_dequantizelinear(lmn_infer *ic)
{
    LMN_TRY(lmn_quant_infer_shape(ic));
    const int64_t attr = lmn_attr_i(ic->node, "output_dtype", 0);
    lamina_dtype dt = ic->in[1] ? ic->in[1]->dtype : LAMINA_DTYPE_NONE;
    if (attr != 0) {
        if (attr < 0 || attr >= LAMINA_DTYPE_COUNT || !(YS & LMN_DBIT(attr)))
            return lmn_infer_fail(ic, LAMINA_E_DTYPE, "use float32, float16 or bfloat16",
                                  "attribute \"output_dtype\" is %lld", (long long)attr);
        dt = (lamina_dtype)attr;
    } else if (dt == LAMINA_F8E8M0) {
        return lmn_infer_fail(ic, LAMINA_E_DTYPE, "set attribute \"output_dtype\"",
                              "a scale of type %s says nothing about the output type",
                              lamina_dtype_name(dt));
    }
    if (ic->node->n_out > 0 && dt) ic->out[0].dtype = dt;
    return LAMINA_OK;
}

typedef struct job {
    lmn_quant_map map;
    const double *x, *scale, *zp; /* zp NULL = 0 */
    bool zp_one;
    double *y;
} job;

static void outer_chunk(void *arg, int64_t o, int32_t worker)
{
    (void)worker;
    const job *j = arg;
    const lmn_quant_map *m = &j->map;
    int64_t e = o * m->dim * m->inner;
    for (int64_t a = 0; a < m->dim; a++)
        for (int64_t i = 0; i < m->inner; i++, e++) {
            const int64_t at = lmn_quant_map_at(m, o, a, i);
            const double zp = j->zp ? j->zp[j->zp_one ? 0 : at] : 0.0;
            j->y[e] = (j->x[e] - zp) * j->scale[at];
        }
}

static lamina_status eval_dequantizelinear(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *s = lmn_in(ec, 1), *zp = lmn_in(ec, 2);
    const int64_t attr = lmn_attr_i(ec->node, "output_dtype", 0);
    const lamina_dtype dt = attr > 0 && attr < LAMINA_DTYPE_COUNT ? (lamina_dtype)attr : s->dtype;
    if (!(YS & LMN_DBIT(dt)))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "the output cannot be %s", lamina_dtype_name(dt));
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, dt, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    job j = {0};
    LMN_TRY(lmn_quant_map_init(ec, x, s, &j.map));
    if (zp && lmn_count(zp) != 1 && lmn_count(zp) != lmn_count(s))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "scale and zero point differ in shape");
    LMN_TRY(lmn_wide_in(ec, x, &j.x));
    LMN_TRY(lmn_wide_in(ec, s, &j.scale));
    if (zp) LMN_TRY(lmn_wide_in(ec, zp, &j.zp));
    j.zp_one = zp && lmn_count(zp) == 1;
    LMN_TRY(lmn_wide_out(ec, y, &j.y));
    lmn_par_for(ec->par, j.map.outer, outer_chunk, &j);
    lmn_wide_store(y, j.y);
    return LAMINA_OK;
}

#define XS                                                                                     \
    (LMN_DBIT(LAMINA_U8) | LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U16) | LMN_DBIT(LAMINA_I16) | \
     LMN_DBIT(LAMINA_I32) | LMN_D_SUB | LMN_D_FP8)
static const lmn_port IN[] = {{"x", 'T', 0, XS},
                              {"x_scale", 0, 0, YS | LMN_DBIT(LAMINA_F8E8M0)},
                              {"x_zero_point", 'T', LMN_PORT_OPTIONAL, XS},
                              {0}};
static const lmn_port OUT[] = {{"y", 0, 0, YS}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0},
                                        {"block_size", LMN_ATTR_INT, 0},
                                        {"output_dtype", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_DequantizeLinear = {
    .name = "DequantizeLinear",
    .domain = "",
    .since = 10,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_dequantizelinear,
    .eval = eval_dequantizelinear,
};
