/*
 * CDist (com.microsoft, since 1): distances between the rows of A [M, N] and those of B [K, N],
 * euclidean, or squared (default).
 */
#include "ops/wide.h"

#include <math.h>

static lamina_status infer_cdist(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 2, 2));
    LMN_TRY(lmn_infer_rank_in(ic, 1, 2, 2));
    const lmn_fact *a = lmn_infer_shape_of(ic, 0), *b = lmn_infer_shape_of(ic, 1);
    lmn_fact *y = lmn_infer_ranked(ic, 0, 2);
    if (!lmn_attr_is(ic->node, "metric", "euclidean", "sqeuclidean") &&
        !lmn_attr_is(ic->node, "metric", "sqeuclidean", "sqeuclidean"))
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, "use euclidean or sqeuclidean",
                              "metric \"%.40s\" is not supported",
                              lmn_attr_s(ic->node, "metric", ""));
    if (a && b) LMN_TRY(lmn_infer_equal(ic, a->dims[1], b->dims[1], "the last extents", NULL));
    if (y && a) y->dims[0] = a->dims[0];
    if (y && b) y->dims[1] = b->dims[0];
    return LAMINA_OK;
}

typedef struct cdist {
    const double *a, *b;
    double *y;
    int64_t k, n;
    bool root;
} cdist;

static void run_row(void *arg, int64_t i, int32_t worker)
{
    (void)worker;
    const cdist *c = arg;
    for (int64_t j = 0; j < c->k; j++) {
        double sum = 0.0;
        for (int64_t e = 0; e < c->n; e++) {
            const double d = c->a[i * c->n + e] - c->b[j * c->n + e];
            sum += d * d;
        }
        c->y[i * c->k + j] = c->root ? sqrt(sum) : sum;
    }
}

static lamina_status eval_cdist(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 1);
    if (a->rank != 2 || b->rank != 2 || a->dims[1] != b->dims[1])
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "needs two matrices with rows of one length");
    cdist c = {.k = b->dims[0],
               .n = a->dims[1],
               .root = lmn_attr_is(ec->node, "metric", "euclidean", "sqeuclidean")};
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, a->dtype, 2, (int64_t[]){a->dims[0], c.k}, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_wide_in(ec, a, &c.a));
    LMN_TRY(lmn_wide_in(ec, b, &c.b));
    LMN_TRY(lmn_wide_out(ec, y, &c.y));
    lmn_par_for(ec->par, a->dims[0], run_row, &c);
    lmn_wide_store(y, c.y);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_FLOAT}, {"B", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"C", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"metric", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_MsCDist = {
    .domain = "com.microsoft",
    .name = "CDist",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_cdist,
    .eval = eval_cdist,
};
