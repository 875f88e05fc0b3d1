/*
 * DFT (ai.onnx, since 17): Fourier transform along one axis of a tensor whose last extent is 1
 * (real) or 2 (complex). dft_length cuts or zero-pads the axis. onesided returns the first n / 2 +
 * 1 bins of a real signal; onesided with inverse takes such bins and returns the real signal of
 * dft_length values (imaginary parts of bins that must be real are ignored). Opset 17 had `axis`
 * (default 1) as an attribute; here it is an input, default -2.
 */
#include "ops/fft.h"
#include "ops/linalg.h"
#include "ops/f64io.h"
#include "ops/wide.h"

#include <math.h>

/* ---- inference ----------------------------------------------------------------------------------
 */

static lmn_dim output_extent(lmn_infer *ic, lmn_dim axis_dim, bool onesided, bool inverse)
{
    const lmn_dim *elems;
    lmn_dim n = axis_dim;
    if (ic->node->n_in > 1 && ic->in[1])
        n = lmn_infer_elems(ic, 1, &elems) == 1 ? elems[0] : LMN_DIM_UNKNOWN;
    else if (onesided && inverse)
        n = lmn_dim_mul(ic->dims, lmn_dim_c(2), lmn_dim_sub(ic->dims, axis_dim, lmn_dim_c(1)));
    if (onesided && !inverse)
        n = lmn_dim_add(ic->dims, lmn_dim_floordiv(ic->dims, n, lmn_dim_c(2)), lmn_dim_c(1));
    return n;
}

static lamina_status infer_dft(lmn_infer *ic)
{
    const bool onesided = lmn_attr_i(ic->node, "onesided", 0) != 0,
               inverse = lmn_attr_i(ic->node, "inverse", 0) != 0;
    const lmn_fact *x = ic->in[0];
    if (!lmn_infer_has(ic, 0) || x->rank < 0) return LAMINA_OK;
    if (x->rank < 2)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "append an extent of 1 (real) or 2 (complex)",
                              "the input has rank %d, must be at least 2", x->rank);
    int64_t axis = -2;
    int32_t at = -1;
    if (ic->node->n_in > 2 && ic->in[2] && lmn_infer_ints(ic, 2, &axis, 1) != 1) axis = INT64_MIN;
    if (axis != INT64_MIN) {
        LMN_TRY(lmn_infer_axis(ic, axis, x->rank, &at));
        if (at == x->rank - 1)
            return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL,
                                  "axis %lld is the one of the complex parts", (long long)axis);
    }
    lmn_fact *y = &ic->out[0];
    y->rank = x->rank;
    for (int32_t i = 0; i + 1 < x->rank; i++)
        y->dims[i] = at < 0    ? LMN_DIM_UNKNOWN
                     : i == at ? output_extent(ic, x->dims[i], onesided, inverse)
                               : x->dims[i];
    y->dims[x->rank - 1] = lmn_dim_c(onesided && inverse ? 1 : 2);
    return LAMINA_OK;
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

typedef struct dft {
    const lamina_tensor *x;
    bool onesided, inverse;
    int32_t axis;
    int64_t n, len, out_len, parts, out_parts; /* n: dft_length; parts: values of an element */
    int64_t outer, inner;
    lmn_fft fft;
} dft;

static lamina_status read_args(lmn_eval *ec, dft *d)
{
    const lamina_tensor *x = d->x = ec->in[0];
    int64_t axis = -2;
    d->onesided = lmn_attr_i(ec->node, "onesided", 0) != 0,
    d->inverse = lmn_attr_i(ec->node, "inverse", 0) != 0;
    if (x->rank < 2 || (x->dims[x->rank - 1] != 1 && x->dims[x->rank - 1] != 2))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the last extent must be 1 (real) or 2 (complex)");
    if (lmn_in(ec, 2)) LMN_TRY(lmn_scalar_i64(ec, 2, &axis));
    if (axis < -x->rank || axis >= x->rank - 1 || axis == -1)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "axis %lld is not a signal axis of rank %d",
                             (long long)axis, x->rank);
    d->axis = (int32_t)(axis < 0 ? axis + x->rank : axis);
    d->parts = x->dims[x->rank - 1];
    if (d->onesided && !d->inverse && d->parts == 2)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "a onesided transform takes a real signal");
    if (d->onesided && d->inverse && d->parts == 1)
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "a onesided inverse transform takes complex bins");
    d->len = x->dims[d->axis];
    d->n = d->onesided && d->inverse ? 2 * (d->len - 1) : d->len;
    if (lmn_in(ec, 1)) LMN_TRY(lmn_scalar_i64(ec, 1, &d->n));
    d->out_parts = d->onesided && d->inverse ? 1 : 2;
    d->outer = d->inner = 1;
    for (int32_t i = 0; i < d->axis; i++) d->outer *= x->dims[i];
    for (int32_t i = d->axis + 1; i + 1 < x->rank; i++) d->inner *= x->dims[i];
    LMN_TRY(lmn_fft_plan(ec, d->n, d->inverse, &d->fft));
    d->out_len = d->onesided && !d->inverse ? d->n / 2 + 1 : d->n;
    return LAMINA_OK;
}

/* Line (o, i) into n complex values. */
static void load_line(const dft *d, int64_t o, int64_t i, double *z)
{
    const int64_t bins = d->onesided && d->inverse ? d->n / 2 + 1 : d->n;
    const int64_t have = lmn_min_i64(d->len, bins);
    for (int64_t k = 0; k < 2 * d->n; k++) z[k] = 0.0;
    for (int64_t k = 0; k < have; k++)
        lmn_f64_load(d->x, ((o * d->len + k) * d->inner + i) * d->parts, d->parts, z + 2 * k);
    if (!d->onesided || !d->inverse) return;
    z[1] = 0.0;
    for (int64_t k = 1; k < bins; k++) { /* the other half is the mirror image */
        const int64_t m = d->n - k;
        if (m == k)
            z[2 * k + 1] = 0.0;
        else
            z[2 * m] = z[2 * k], z[2 * m + 1] = -z[2 * k + 1];
    }
}

static lamina_status eval_dft(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    dft d = {0};
    lamina_tensor *y;
    double *z, *work;
    int64_t dims[LMN_MAX_RANK];
    LMN_TRY(read_args(ec, &d));
    for (int32_t i = 0; i + 1 < d.x->rank; i++) dims[i] = i == d.axis ? d.out_len : d.x->dims[i];
    dims[d.x->rank - 1] = d.out_parts;
    LMN_TRY(lmn_out(ec, 0, d.x->dtype, d.x->rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    LMN_TRY(lmn_f64_alloc(ec, 2 * d.n, &z));
    LMN_TRY(lmn_f64_alloc(ec, 2 * lmn_fft_work(&d.fft), &work));
    for (int64_t o = 0; o < d.outer; o++)
        for (int64_t i = 0; i < d.inner; i++) {
            if (lmn_eval_cancelled(ec)) return LAMINA_E_CANCELLED;
            load_line(&d, o, i, z);
            lmn_fft_run(&d.fft, z, work);
            for (int64_t k = 0; d.inverse && k < 2 * d.n; k++) z[k] /= (double)d.n;
            for (int64_t k = 0; k < d.out_len; k++)
                lmn_f64_store(y, ((o * d.out_len + k) * d.inner + i) * d.out_parts, d.out_parts,
                              z + 2 * k);
        }
    return LAMINA_OK;
}

static lamina_status canon_dft(lmn_canon *c)
{
    if (c->opset >= 20) return LAMINA_OK;
    if (!lmn_canon_in_scalar(c, 2, LAMINA_I64, (double)lmn_attr_i(c->node, "axis", 1)))
        return lmn_canon_fail(c, LAMINA_E_NOMEM, NULL, "the axis cannot be made an input");
    lmn_canon_drop_attr(c, "axis");
    return LAMINA_OK;
}

static void cost_dft(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                     lmn_cost *c)
{
    (void)n, (void)in;
    const double count = lmn_cost_count(out);
    c->flops = 5.0 * count * log2(count + 1.0);
}

#define LENGTH (LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))
static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT},
                              {"dft_length", 0, LMN_PORT_OPTIONAL, LENGTH},
                              {"axis", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"inverse", LMN_ATTR_INT, 0}, {"onesided", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_DFT = {
    .name = "DFT",
    .domain = "",
    .since = 17,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_dft,
    .eval = eval_dft,
    .canon = canon_dft,
    .cost = cost_dft,
};
