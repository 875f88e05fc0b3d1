/*
 * DeformConv (ai.onnx, since 19): a convolution whose sample positions are moved by `offset` and
 * weighed by `mask`, read between elements by (multi)linear interpolation with zeros outside. Any
 * spatial rank; channels share offsets in offset_group groups. Samples are gathered once an image,
 * then multiplied with the weights in f64.
 */
#include "ops/convcore.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

#define R LMN_CONV_MAX_RANK

static lamina_status infer_deformconv(lmn_infer *ic)
{
    const int64_t groups = lmn_attr_i(ic->node, "offset_group", 1);
    if (groups < 1)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "attribute \"offset_group\" is %lld",
                              (long long)groups);
    LMN_TRY(lmn_conv_infer(ic, 0, 1, 3, false));
    const lmn_fact *off = lmn_infer_shape_of(ic, 2);
    lmn_fact *y = &ic->out[0];
    if (!off || ic->node->n_out < 1 || y->rank < 0) return LAMINA_OK;
    LMN_TRY(lmn_infer_rank_in(ic, 2, y->rank, y->rank));
    for (int32_t a = 2; a < y->rank; a++)
        LMN_TRY(lmn_infer_equal(ic, y->dims[a], off->dims[a],
                                "extents of the output and of the offsets", &y->dims[a]));
    return LAMINA_OK;
}

typedef struct job {
    const lmn_conv_geom_t *g;
    int64_t channels, m, groups, n_in, n_out, n_k;
    const double *x, *offset, *mask; /* of one image */
    const double *w, *bias;
    double *columns; /* [channels, n_k, n_out] */
    double *y;       /* of one image */
} job;

/* Linear interpolation at p, zeros outside. */
static double sample(const lmn_conv_geom_t *g, const double *x, const double *p)
{
    double low[R], frac[R], sum = 0.0;
    for (int32_t a = 0; a < g->rank; a++) {
        if (!(p[a] > -1.0 && p[a] < (double)g->in[a])) return 0.0;
        low[a] = floor(p[a]);
        frac[a] = p[a] - low[a];
    }
    for (int32_t corner = 0; corner < 1 << g->rank; corner++) {
        double w = 1.0;
        int64_t at = 0;
        bool inside = true;
        for (int32_t a = 0; a < g->rank; a++) {
            const bool up = corner >> a & 1;
            const int64_t i = (int64_t)low[a] + up;
            inside = inside && i >= 0 && i < g->in[a];
            w *= up ? frac[a] : 1.0 - frac[a];
            at = at * g->in[a] + i;
        }
        if (inside && w != 0.0) sum += w * x[at];
    }
    return sum;
}

/* Columns of one channel. */
static void gather_chunk(void *arg, int64_t c, int32_t worker)
{
    (void)worker;
    const job *j = arg;
    const lmn_conv_geom_t *g = j->g;
    const int64_t group = c / (j->channels / j->groups);
    double *column = j->columns + c * j->n_k * j->n_out;
    for (int64_t k = 0; k < j->n_k; k++)
        for (int64_t o = 0; o < j->n_out; o++) {
            double p[R];
            int64_t ko = k, oo = o;
            const int64_t base = (group * j->n_k + k) * g->rank;
            for (int32_t a = g->rank - 1; a >= 0; a--) {
                const int64_t at = oo % g->out[a] * g->stride[a] - g->pad_begin[a] +
                                   ko % g->kernel[a] * g->dilation[a];
                p[a] = (double)at + j->offset[(base + a) * j->n_out + o];
                oo /= g->out[a];
                ko /= g->kernel[a];
            }
            const double v = sample(g, j->x + c * j->n_in, p);
            *column++ = j->mask ? v * j->mask[(group * j->n_k + k) * j->n_out + o] : v;
        }
}

/* One output channel. */
static void multiply_chunk(void *arg, int64_t m, int32_t worker)
{
    (void)worker;
    const job *j = arg;
    const int64_t c_group = j->channels / j->g->group, first = m / (j->m / j->g->group) * c_group;
    double *y = j->y + m * j->n_out;
    const double b = j->bias ? j->bias[m] : 0.0;
    for (int64_t o = 0; o < j->n_out; o++) y[o] = b;
    for (int64_t r = 0; r < c_group * j->n_k; r++) {
        const double w = j->w[m * c_group * j->n_k + r];
        const double *column = j->columns + (first * j->n_k + r) * j->n_out;
        for (int64_t o = 0; o < j->n_out; o++) y[o] += w * column[o];
    }
}

/* Input i must be [n, channels, out...]. */
static lamina_status check_like(lmn_eval *ec, int32_t i, const lmn_conv_job *c, int64_t channels)
{
    const lamina_tensor *t = lmn_in(ec, i);
    bool ok = t->rank == c->g->rank + 2 && t->dims[0] == c->n && t->dims[1] == channels;
    for (int32_t a = 0; ok && a < c->g->rank; a++) ok = t->dims[2 + a] == c->g->out[a];
    if (ok) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d \"%s\" must be [%lld, %lld, output extents]",
                         i, ec->node->def->in[i].name, (long long)c->n, (long long)channels);
}

static lamina_status setup(lmn_eval *ec, const lmn_conv_job *c, job *j)
{
    const lamina_tensor *mask = lmn_in(ec, 4);
    *j = (job){.g = c->g, .channels = c->c, .m = c->m};
    j->groups = lmn_attr_i(ec->node, "offset_group", 1);
    if (j->groups < 1 || j->groups > INT32_MAX || c->c % j->groups != 0)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "%lld channels do not divide by %lld offset groups", (long long)c->c,
                             (long long)j->groups);
    j->n_in = lmn_geom_count(c->g->rank, c->g->in);
    j->n_out = lmn_geom_count(c->g->rank, c->g->out);
    j->n_k = lmn_geom_count(c->g->rank, c->g->kernel);
    int64_t points, moves;
    if (!lmn_mul_i64(j->groups, j->n_k, &points) || !lmn_mul_i64(points, c->g->rank, &moves))
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "too many offsets");
    LMN_TRY(check_like(ec, 2, c, moves));
    if (mask) LMN_TRY(check_like(ec, 4, c, points));
    LMN_TRY(lmn_conv_bias(ec, lmn_in(ec, 3), c->m, &j->bias));
    LMN_TRY(lmn_wide_in(ec, lmn_in(ec, 0), &j->x));
    LMN_TRY(lmn_wide_in(ec, lmn_in(ec, 1), &j->w));
    LMN_TRY(lmn_wide_in(ec, lmn_in(ec, 2), &j->offset));
    if (mask) LMN_TRY(lmn_wide_in(ec, mask, &j->mask));
    int64_t columns;
    if (!lmn_mul_i64(c->c, j->n_k, &columns) || !lmn_mul_i64(columns, j->n_out, &columns))
        columns = -1;
    j->columns = lmn_wide_scratch(ec, columns, sizeof *j->columns);
    return j->columns ? LAMINA_OK : LAMINA_E_NOMEM;
}

static lamina_status eval_deformconv(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    lmn_conv_geom_t g;
    lmn_conv_job c;
    job j;
    lamina_tensor *y;
    const lamina_tensor *x = lmn_in(ec, 0);
    LMN_TRY(lmn_conv_begin(ec, x, lmn_in(ec, 1), false, x->dtype, &g, &c, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(setup(ec, &c, &j));
    double *all;
    LMN_TRY(lmn_wide_out(ec, y, &all));
    j.y = all;
    for (int64_t n = 0; n < c.n; n++) {
        lmn_par_for(ec->par, j.channels, gather_chunk, &j);
        lmn_par_for(ec->par, j.m, multiply_chunk, &j);
        if (lmn_eval_cancelled(ec)) return lmn_eval_fail(ec, LAMINA_E_CANCELLED, "cancelled");
        j.x += j.channels * j.n_in;
        j.offset += j.groups * j.n_k * g.rank * j.n_out;
        if (j.mask) j.mask += j.groups * j.n_k * j.n_out;
        j.y += j.m * j.n_out;
    }
    lmn_wide_store(y, all);
    return LAMINA_OK;
}

static void cost_deformconv(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                            lmn_cost *c)
{
    lmn_conv_cost(n, in, 1, &out[0], c);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"W", 'T', 0, LMN_D_FLOAT},
                              {"offset", 'T', 0, LMN_D_FLOAT},
                              {"B", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {"mask", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"dilations", LMN_ATTR_INTS, 0},
                                        {"group", LMN_ATTR_INT, 0},
                                        {"kernel_shape", LMN_ATTR_INTS, 0},
                                        {"offset_group", LMN_ATTR_INT, 0},
                                        {"pads", LMN_ATTR_INTS, 0},
                                        {"strides", LMN_ATTR_INTS, 0},
                                        {0}};

const lmn_op_def lmn_op_DeformConv = {
    .name = "DeformConv",
    .domain = "",
    .since = 19,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_deformconv,
    .eval = eval_deformconv,
    .cost = cost_deformconv,
};
