/*
 * BatchNormalization (ai.onnx, since 1): y = (x - mean) / sqrt(var + epsilon) * scale + B per
 * channel. training_mode takes mean and population variance from the batch and gives the running
 * statistics running * momentum + batch * (1 - momentum). Rank 1 data count as one channel.
 *
 * Older forms: before 14 more than one output meant training (before 7 unless is_test), with
 * saved_mean and saved_var as outputs 3 and 4: the batch statistics. spatial = 0 (before 9) has
 * parameters per element of an image and becomes plain arithmetic.
 */
#include "ops/normcore.h"
#include "ops/wide.h"

#include <math.h>

static lamina_status infer_batchnormalization(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 1, LMN_MAX_RANK));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    lmn_dim c = x ? x->rank > 1 ? x->dims[1] : lmn_dim_c(1) : LMN_DIM_UNKNOWN;
    for (int32_t i = 1; i < 5; i++) {
        const lmn_fact *p = lmn_infer_shape_of(ic, i);
        if (!p) continue;
        LMN_TRY(lmn_infer_rank_in(ic, i, 1, 1));
        LMN_TRY(lmn_infer_equal(ic, c, p->dims[0], "channels and parameters", &c));
    }
    lmn_fact *y = x ? lmn_infer_ranked(ic, 0, x->rank) : NULL;
    for (int32_t d = 0; y && d < x->rank; d++) y->dims[d] = d == 1 ? c : x->dims[d];
    for (int32_t o = 1; o < ic->node->n_out; o++) {
        lmn_fact *s = lmn_infer_ranked(ic, o, 1);
        if (s) s->dims[0] = c;
    }
    return LAMINA_OK;
}

typedef struct job {
    int64_t images, channels, inner;
    const double *x;
    double *y, *mean, *var; /* mean and var of each channel */
    const double *scale, *bias;
    double eps;
    bool training;
} job;

static void batch_stats(const job *j, int64_t c)
{
    const double n = (double)(j->images * j->inner);
    double sum = 0.0, square = 0.0;
    for (int64_t k = 0; k < j->images; k++) {
        const double *x = j->x + (k * j->channels + c) * j->inner;
        for (int64_t i = 0; i < j->inner; i++) sum += x[i];
    }
    const double mean = sum / n;
    for (int64_t k = 0; k < j->images; k++) {
        const double *x = j->x + (k * j->channels + c) * j->inner;
        for (int64_t i = 0; i < j->inner; i++) square += (x[i] - mean) * (x[i] - mean);
    }
    j->mean[c] = mean;
    j->var[c] = square / n;
}

static void channel_chunk(void *arg, int64_t c, int32_t worker)
{
    (void)worker;
    const job *j = arg;
    if (j->training) batch_stats(j, c);
    const double mul = j->scale[c] / sqrt(j->var[c] + j->eps);
    for (int64_t k = 0; k < j->images; k++) {
        const int64_t at = (k * j->channels + c) * j->inner;
        for (int64_t i = 0; i < j->inner; i++)
            j->y[at + i] = (j->x[at + i] - j->mean[c]) * mul + j->bias[c];
    }
}

/* Outputs 1..4: running mean and variance, batch mean and variance. */
static lamina_status stats_out(lmn_eval *ec, const job *j)
{
    const double m = (double)lmn_attr_f(ec->node, "momentum", 0.9f);
    for (int32_t o = 1; o < 5; o++) {
        const int32_t i = o % 2 ? 3 : 4;
        const double *old, *batch = o % 2 ? j->mean : j->var;
        lamina_tensor *t;
        LMN_TRY(lmn_out(ec, o, lmn_in(ec, i)->dtype, 1, &j->channels, &t));
        if (!t) continue;
        LMN_TRY(lmn_norm_vector(ec, i, j->channels, &old));
        for (int64_t c = 0; c < j->channels; c++) {
            const double running = j->training ? old[c] * m + batch[c] * (1.0 - m) : old[c];
            lmn_set_f64(t, c, o < 3 ? running : batch[c]);
        }
    }
    return LAMINA_OK;
}

static lamina_status eval_batchnormalization(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0);
    if (x->rank < 1) return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the data are a scalar");
    job j = {.images = x->dims[0], .channels = x->rank > 1 ? x->dims[1] : 1};
    j.inner = x->rank > 2 ? lmn_norm_extent(x, 2, x->rank) : 1;
    j.eps = (double)lmn_attr_f(ec->node, "epsilon", 1e-5f);
    j.training = lmn_attr_i(ec->node, "training_mode", 0) != 0;
    lamina_tensor *y;
    const double *mean, *var;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    LMN_TRY(lmn_norm_vector(ec, 1, j.channels, &j.scale));
    LMN_TRY(lmn_norm_vector(ec, 2, j.channels, &j.bias));
    LMN_TRY(lmn_norm_vector(ec, 3, j.channels, &mean));
    LMN_TRY(lmn_norm_vector(ec, 4, j.channels, &var));
    LMN_TRY(lmn_wide_in(ec, x, &j.x));
    j.y =
        y && y->dtype == LAMINA_F64 ? y->data : lmn_wide_scratch(ec, lmn_count(x), sizeof(double));
    j.mean = lmn_wide_scratch(ec, j.channels, sizeof(double));
    j.var = lmn_wide_scratch(ec, j.channels, sizeof(double));
    if ((!j.y && lmn_count(x) > 0) || !j.mean || !j.var) return LAMINA_E_NOMEM;
    for (int64_t c = 0; c < j.channels; c++) {
        j.mean[c] = mean[c];
        j.var[c] = var[c];
    }
    lmn_par_for(ec->par, j.channels, channel_chunk, &j);
    if (y) lmn_wide_store(y, j.y);
    return stats_out(ec, &j);
}

/* ---- older forms ------------------------------------------------------------------------------
 */

static lmn_ref node2(lmn_canon *c, const char *op, lmn_ref a, lmn_ref b)
{
    const lmn_ref in[2] = {a, b};
    lmn_ref out = 0;
    if (!a || !c->b->node(c->b->ctx, op, in, b ? 2 : 1, NULL, 0, &out, 1)) return 0;
    return out;
}

/* (x - mean) / sqrt(var + eps) * scale + B with parameters of the shape of one image. */
static lamina_status elementwise_form(lmn_canon *c)
{
    const lmn_fact *x = c->b->fact(c->b->ctx, c->in[0]);
    const lamina_dtype dt = x && x->dtype ? x->dtype : LAMINA_F32;
    const double eps = (double)lmn_attr_f(c->node, "epsilon", 1e-5f);
    uint64_t bits = 0;
    lmn_convert(dt, &bits, LAMINA_F64, &eps, 1, true);
    const lmn_ref e = c->b->constant(c->b->ctx, dt, 0, NULL, &bits);
    const lmn_ref centred = node2(c, "Sub", c->in[0], c->in[3]);
    const lmn_ref dev = node2(c, "Sqrt", e ? node2(c, "Add", c->in[4], e) : 0, 0);
    const lmn_ref unit = dev ? node2(c, "Div", centred, dev) : 0;
    const lmn_ref scaled = node2(c, "Mul", unit, c->in[1]);
    c->out[0] = node2(c, "Add", scaled, c->in[2]);
    c->replaced = true;
    return c->out[0] ? LAMINA_OK : LAMINA_E_NOMEM;
}

static lamina_status canon_batchnormalization(lmn_canon *c)
{
    if (c->opset >= 14) return LAMINA_OK;
    const bool test = c->opset < 7 && lmn_attr_i(c->node, "is_test", 0) != 0;
    const bool training = c->n_out > 1 && !test;
    if (c->opset < 9 && lmn_attr_i(c->node, "spatial", 1) == 0 && c->n_in == 5) {
        const lmn_fact *s = c->b->fact(c->b->ctx, c->in[1]);
        if (!s || s->rank != 1) {
            if (!training && c->n_out == 1) return elementwise_form(c);
            return lmn_canon_fail(c, LAMINA_E_UNSUPPORTED, "export with spatial = 1",
                                  "training with spatial = 0 is not supported");
        }
    }
    lmn_canon_drop_attr(c, "spatial");
    lmn_canon_drop_attr(c, "is_test");
    lmn_canon_drop_attr(c, "consumed_inputs");
    return lmn_canon_set_i(c, "training_mode", training) ? LAMINA_OK : LAMINA_E_NOMEM;
}

static const lmn_port IN[] = {
    {"X", 'T', 0, LMN_D_FLOAT},         {"scale", 'S', 0, LMN_D_FLOAT},
    {"B", 'S', 0, LMN_D_FLOAT},         {"input_mean", 'U', 0, LMN_D_FLOAT},
    {"input_var", 'U', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT},
                               {"running_mean", 'U', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                               {"running_var", 'U', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                               {"saved_mean", 'U', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                               {"saved_var", 'U', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                               {0}};
static const lmn_attr_schema ATTRS[] = {{"epsilon", LMN_ATTR_FLOAT, 0},
                                        {"momentum", LMN_ATTR_FLOAT, 0},
                                        {"training_mode", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_BatchNormalization = {
    .name = "BatchNormalization",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_batchnormalization,
    .eval = eval_batchnormalization,
    .canon = canon_batchnormalization,
    .cost = lmn_norm_cost,
};
