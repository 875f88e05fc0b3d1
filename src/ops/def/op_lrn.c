/*
 * LRN (ai.onnx, since 1): local response normalisation across channels,
 * y = x / (bias + alpha / size * sum of x^2 over the window)^beta. The window of `size` channels
 * reaches floor((size-1)/2) down and ceil((size-1)/2) up and is cut at the ends.
 */
#include "ops/normcore.h"
#include "ops/wide.h"

#include <math.h>

static lamina_status infer_lrn(lmn_infer *ic)
{
    if (lmn_attr_i(ic->node, "size", 0) < 1)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "attribute \"size\" must be positive");
    LMN_TRY(lmn_infer_rank_in(ic, 0, 2, LMN_MAX_RANK));
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

typedef struct job {
    int64_t channels, inner, down, up;
    double alpha, beta, bias;
    const double *x;
    double *y;
} job;

static void plane_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const job *j = arg;
    const int64_t c = chunk % j->channels, first = chunk - c;
    const int64_t lo = lmn_max_i64(0, c - j->down);
    const int64_t hi = lmn_min_i64(j->channels - 1, c + j->up);
    for (int64_t i = 0; i < j->inner; i++) {
        double sum = 0.0;
        for (int64_t k = lo; k <= hi; k++) {
            const double v = j->x[(first + k) * j->inner + i];
            sum += v * v;
        }
        const int64_t at = chunk * j->inner + i;
        j->y[at] = j->x[at] / pow(j->bias + j->alpha * sum, j->beta);
    }
}

static lamina_status eval_lrn(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0);
    const int64_t size = lmn_attr_i(ec->node, "size", 0);
    if (x->rank < 2 || size < 1 || size > INT32_MAX)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "rank %d or size %lld out of range", x->rank,
                             (long long)size);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    job j = {.channels = x->dims[1], .inner = lmn_norm_extent(x, 2, x->rank)};
    j.down = (size - 1) / 2;
    j.up = size - 1 - j.down;
    j.alpha = (double)lmn_attr_f(ec->node, "alpha", 1e-4f) / (double)size;
    j.beta = (double)lmn_attr_f(ec->node, "beta", 0.75f);
    j.bias = (double)lmn_attr_f(ec->node, "bias", 1.0f);
    LMN_TRY(lmn_wide_in(ec, x, &j.x));
    LMN_TRY(lmn_wide_out(ec, y, &j.y));
    lmn_par_for(ec->par, x->dims[0] * x->dims[1], plane_chunk, &j);
    lmn_wide_store(y, j.y);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"alpha", LMN_ATTR_FLOAT, 0},
                                        {"beta", LMN_ATTR_FLOAT, 0},
                                        {"bias", LMN_ATTR_FLOAT, 0},
                                        {"size", LMN_ATTR_INT, LMN_ATTR_REQUIRED},
                                        {0}};

const lmn_op_def lmn_op_LRN = {
    .name = "LRN",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_lrn,
    .eval = eval_lrn,
    .cost = lmn_norm_cost,
};
