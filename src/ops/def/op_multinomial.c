/*
 * Multinomial (ai.onnx, since 7): sample_size class numbers a row of unnormalised log-probabilities
 * [batch, classes]; int32 or, by dtype, int64. A row without any probability is an error.
 */
#include "ops/random.h"
#include "ops/wide.h"

#include <math.h>

static lamina_status infer_multinomial(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    lmn_fact *f;
    if (r >= 0 && r != 2)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "shape it [batch, classes]",
                              "the input has rank %d", r);
    LMN_TRY(lmn_infer_typed(ic, 0, lmn_attr_dtype(ic->node, "dtype", LAMINA_I32), 2, &f));
    if (r == 2) f->dims[0] = ic->in[0]->dims[0];
    f->dims[1] = lmn_dim_c(lmn_attr_i(ic->node, "sample_size", 1));
    return LAMINA_OK;
}

/* Running sums of exp(x - max) over a row; false if there is nothing to draw from. */
static bool cumulate(const lamina_tensor *x, int64_t row, int64_t n, double *sums)
{
    double max = -INFINITY, sum = 0;
    for (int64_t c = 0; c < n; c++) max = fmax(max, lmn_get_f64(x, row * n + c));
    for (int64_t c = 0; c < n; c++) {
        const double v = lmn_get_f64(x, row * n + c);
        sum += isnan(v) ? 0 : v == max ? 1 : exp(v - max);
        sums[c] = sum;
    }
    return max > -INFINITY && sum > 0;
}

static lamina_status eval_multinomial(lmn_eval *ec)
{
    const int64_t wanted = lmn_attr_i(ec->node, "sample_size", 1);
    const lamina_dtype dt = lmn_attr_dtype(ec->node, "dtype", LAMINA_I32);
    const lamina_tensor *x;
    lamina_tensor *t;
    lmn_rng r;
    LMN_TRY(lmn_eval_ready(ec));
    LMN_TRY(lmn_need(ec, 0, &x));
    if (x->rank != 2 || wanted < 0 || (dt != LAMINA_I32 && dt != LAMINA_I64))
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "needs [batch, classes], a sample_size and int "
                             "outputs");
    const int64_t n = x->dims[1], dims[2] = {x->dims[0], wanted};
    LMN_TRY(lmn_check_grown(ec, dt, 2, dims));
    LMN_TRY(lmn_out(ec, 0, dt, 2, dims, &t));
    double *sums = lmn_scratch(ec, (size_t)n * sizeof *sums + 1);
    if (!sums) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld classes", (long long)n);
    lmn_random_begin(ec, &r);
    for (int64_t b = 0; t && wanted && b < dims[0]; b++) {
        if (!cumulate(x, b, n, sums))
            return lmn_eval_fail(ec, LAMINA_E_INVALID, "row %lld has no class to draw",
                                 (long long)b);
        for (int64_t k = 0; k < wanted; k++) {
            const double u = lmn_rng_f64(&r) * sums[n - 1];
            int64_t lo = 0, hi = n - 1;
            while (lo < hi) { /* first class whose running sum passes u */
                const int64_t mid = lo + (hi - lo) / 2;
                if (sums[mid] > u)
                    hi = mid;
                else
                    lo = mid + 1;
            }
            lmn_set_i64(t, b * wanted + k, lo);
        }
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 0, 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"dtype", LMN_ATTR_INT, 0}, {"sample_size", LMN_ATTR_INT, 0}, {"seed", LMN_ATTR_FLOAT, 0}, {0}};

const lmn_op_def lmn_op_Multinomial = {
    .name = "Multinomial",
    .domain = "",
    .since = 7,
    .flags = LMN_OP_RANDOM,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_multinomial,
    .eval = eval_multinomial,
};
