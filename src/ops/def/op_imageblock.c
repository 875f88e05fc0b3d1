/*
 * ImageBlock (lamina, since 1): up to three ImageConv after another, of which the images between
 * are read by nobody else: a pointwise one to more channels by W1 (absent: none), a depthwise one
 * by W2, whose attributes are the node's, and a pointwise one by W3 with a residual Z. lo1 and hi1,
 * lo2 and hi2, lo and hi bound their results.
 */
#include "ops/convcore.h"
#include "ops/mapeval.h"
#include "ops/mslinear.h"

enum { X, W2, B2, W3, B3, W1, B1, Z };

/* The bounds called lo and hi of what is to come. */
static int32_t bounds(const lmn_map *m, const char *lo, const char *hi, lmn_attr *out)
{
    int32_t n = 0;
    if (lmn_attr_find(m->c->node, lo)) out[n++] = lmn_map_f("lo", lmn_attr_f(m->c->node, lo, 0.0f));
    if (lmn_attr_find(m->c->node, hi)) out[n++] = lmn_map_f("hi", lmn_attr_f(m->c->node, hi, 0.0f));
    return n;
}

static lamina_status canon_imageblock(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    lmn_attr attrs[LMN_MS_CONV_ATTR_COUNT + 2];
    lmn_ref y = lmn_map_in(&m, X);
    if (lmn_map_in(&m, W1)) {
        const lmn_ref in[3] = {y, lmn_map_in(&m, W1), lmn_map_in(&m, B1)};
        y = lmn_map_node(&m, "lamina:ImageConv", in, 3, attrs, bounds(&m, "lo1", "hi1", attrs));
    }
    const lmn_ref deep[3] = {y, lmn_map_in(&m, W2), lmn_map_in(&m, B2)};
    int32_t n = lmn_map_conv_attrs(&m, attrs);
    n += bounds(&m, "lo2", "hi2", attrs + n);
    y = lmn_map_node(&m, "lamina:ImageConv", deep, 3, attrs, n);
    const lmn_ref last[4] = {y, lmn_map_in(&m, W3), lmn_map_in(&m, B3), lmn_map_in(&m, Z)};
    m.out[0] = lmn_map_node(&m, "lamina:ImageConv", last, 4, attrs, bounds(&m, "lo", "hi", attrs));
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_DBIT(LAMINA_BF16)},
                              {"W2", 0, 0, LMN_D_F32},
                              {"B2", 0, LMN_PORT_OPTIONAL, LMN_D_F32},
                              {"W3", 0, 0, LMN_D_F32},
                              {"B3", 0, LMN_PORT_OPTIONAL, LMN_D_F32},
                              {"W1", 0, LMN_PORT_OPTIONAL, LMN_D_F32},
                              {"B1", 0, LMN_PORT_OPTIONAL, LMN_D_F32},
                              {"Z", 'T', LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_BF16)},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_DBIT(LAMINA_BF16)}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_CONV_ATTRS,
                                        {"hi", LMN_ATTR_FLOAT, 0},
                                        {"hi1", LMN_ATTR_FLOAT, 0},
                                        {"hi2", LMN_ATTR_FLOAT, 0},
                                        {"lo", LMN_ATTR_FLOAT, 0},
                                        {"lo1", LMN_ATTR_FLOAT, 0},
                                        {"lo2", LMN_ATTR_FLOAT, 0},
                                        {0}};

static double volume(const lmn_fact *f, int32_t from, int32_t to)
{
    double v = 1;
    for (int32_t a = from; a < to; a++) v *= lmn_max_i64(1, lmn_dim_value(f->dims[a]));
    return v;
}

/* Two for each product: pixels by weights of each convolution. */
static void cost_imageblock(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                            lmn_cost *c)
{
    const lmn_fact *x = in[X], *deep = in[W2], *last = in[W3];
    const lmn_fact *first = n->n_in > W1 ? in[W1] : NULL;
    if (x->rank != 4 || out->rank != 4 || deep->rank != 4 || last->rank != 4) return;
    c->flops = 2 * volume(out, 0, 3) * (volume(deep, 0, 4) + volume(last, 0, 4));
    if (first && first->rank == 4) c->flops += 2 * volume(x, 0, 3) * volume(first, 0, 4);
}

const lmn_op_def lmn_op_ImageBlock = {
    .domain = "lamina",
    .name = "ImageBlock",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_mapped_infer,
    .eval = lmn_mapped_eval,
    .canon = canon_imageblock,
    .cost = cost_imageblock,
};
