/*
 * Fused operators (fused.h): the base operator's own rules on the node cut down to its own inputs,
 * then the epilogue step by step through the separate operators' references.
 */
#include "ops/fused.h"

#include "ops/linalg.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

/* The operator that stands for a step when it is not fused. */
static const char *const STEP_OP[LMN_EPI_KIND_COUNT] = {
    [LMN_EPI_ADD] = "Add",
    [LMN_EPI_MUL] = "Mul",
    [LMN_EPI_RELU] = "Relu",
    [LMN_EPI_CLIP] = "Clip",
    [LMN_EPI_SIGMOID] = "Sigmoid",
    [LMN_EPI_TANH] = "Tanh",
    [LMN_EPI_SILU] = "Swish",
    [LMN_EPI_GELU] = "Gelu",
    [LMN_EPI_GELU_TANH] = "Gelu",
    [LMN_EPI_HARDSWISH] = "HardSwish",
    [LMN_EPI_HARDSIGMOID] = "HardSigmoid",
    [LMN_EPI_LEAKYRELU] = "LeakyRelu",
};

const char *lmn_fused_read(const lmn_opnode *n, int32_t n_base, lmn_fused *f)
{
    const int64_t *kinds;
    const float *p;
    const int32_t n_steps = lmn_attr_ints(n, "epi", &kinds);
    *f = (lmn_fused){0};
    if (n_steps < 1 || n_steps > LMN_EPI_MAX) return "attribute \"epi\" must list 1 to 4 steps";
    if (lmn_attr_floats(n, "epi_p", &p) != 2 * n_steps)
        return "attribute \"epi_p\" must hold two numbers for every step of \"epi\"";
    int32_t operand = n_base;
    for (int32_t i = 0; i < n_steps; i++) {
        lmn_fused_step *s = &f->step[i];
        if (kinds[i] < 0 || kinds[i] >= LMN_EPI_KIND_COUNT)
            return "attribute \"epi\" holds a step that does not exist";
        *s = (lmn_fused_step){(lmn_epi_kind)kinds[i], p[2 * i], p[2 * i + 1], -1};
        if (isnan(s->p0) || isnan(s->p1)) return "attribute \"epi_p\" holds a NaN";
        if (s->kind == LMN_EPI_ADD || s->kind == LMN_EPI_MUL) s->operand = operand++;
    }
    if (n->n_in != operand && !(operand == n_base && n->n_in <= n_base))
        return "the steps of \"epi\" need another number of operands";
    if (n->n_out != 1) return "it has one output";
    f->n_steps = n_steps;
    return NULL;
}

static lmn_opnode base_node(const lmn_opnode *n, const char *base, int32_t n_base)
{
    lmn_opnode b = *n;
    b.def = lmn_op_find("", base);
    b.n_in = n->n_in < n_base ? n->n_in : n_base;
    return b;
}

/* ---- inference ---------------------------------------------------------------------------------
 */

/* Extents that can be seen not to broadcast to the result are refused; the rest is for run time. */
static lamina_status check_operand(lmn_infer *ic, int32_t i)
{
    const lmn_fact *x = ic->in[i], *y = &ic->out[0];
    if (!x) return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "operand %d is missing", i);
    if (x->kind != LMN_FACT_TENSOR || x->rank < 0 || y->rank < 0) return LAMINA_OK;
    bool ok = x->rank <= y->rank;
    for (int32_t d = 0; ok && d < x->rank; d++) {
        const lmn_dim a = x->dims[d], b = y->dims[y->rank - x->rank + d];
        ok = a == lmn_dim_c(1) || !lmn_dim_is_const(a) || !lmn_dim_is_const(b) || a == b;
    }
    if (ok) return LAMINA_OK;
    char tx[160], ty[160];
    (void)lmn_fact_format(ic->dims, x, tx, sizeof tx);
    (void)lmn_fact_format(ic->dims, y, ty, sizeof ty);
    return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "operand %d of shape %s does not fit into %s",
                          i, tx, ty);
}

lamina_status lmn_fused_infer(lmn_infer *ic, const char *base, int32_t n_base)
{
    lmn_fused f;
    const char *wrong = lmn_fused_read(ic->node, n_base, &f);
    if (wrong) return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "%s", wrong);
    const lmn_opnode node = base_node(ic->node, base, n_base);
    lmn_infer only_base = *ic;
    only_base.node = &node;
    LMN_TRY(node.def->infer(&only_base));
    for (int32_t i = 0; i < f.n_steps; i++)
        if (f.step[i].operand >= 0) LMN_TRY(check_operand(ic, f.step[i].operand));
    return LAMINA_OK;
}

/* ---- evaluation --------------------------------------------------------------------------------
 */

bool lmn_fused_fits(const lamina_tensor *operand, const lamina_tensor *y)
{
    if (operand->rank > y->rank) return false;
    for (int32_t d = 0; d < operand->rank; d++)
        if (operand->dims[d] != 1 && operand->dims[d] != y->dims[y->rank - operand->rank + d])
            return false;
    return true;
}

/* One step in the place of its operator: output 0 is both its input and its output, which every
   elementwise reference allows. */
static lamina_status eval_step(lmn_eval *ec, const lmn_fused_step *s)
{
    lamina_tensor y = *ec->out[0], bound[2];
    lamina_tensor *in[3] = {&y, NULL, NULL};
    double room[2];
    lmn_opnode node = {.def = lmn_op_find("", STEP_OP[s->kind]),
                       .name = ec->node->name,
                       .opset = ec->node->opset,
                       .n_in = 1,
                       .n_out = 1};
    lmn_attr attrs[2] = {{.name = "alpha", .type = LMN_ATTR_FLOAT, .n = 1, .u.f = s->p0},
                         {.name = "beta", .type = LMN_ATTR_FLOAT, .n = 1, .u.f = s->p1}};
    static const char by_tanh[] = "tanh";
    if (s->operand >= 0) {
        in[1] = ec->in[s->operand];
        node.n_in = 2;
    } else if (s->kind == LMN_EPI_CLIP) {
        for (int32_t k = 0; k < 2; k++) {
            memset(&bound[k], 0, sizeof bound[k]);
            LMN_TRY(lmn_tensor_describe(&bound[k], ec->engine, y.dtype, 0, NULL));
            bound[k].kind = LAMINA_KIND_TENSOR;
            bound[k].data = &room[k];
            lmn_set_f64(&bound[k], 0, (double)(k ? s->p1 : s->p0));
            in[k + 1] = &bound[k];
        }
        node.n_in = 3;
    } else if (s->kind == LMN_EPI_HARDSIGMOID || s->kind == LMN_EPI_LEAKYRELU) {
        node.attrs = attrs;
        node.n_attrs = s->kind == LMN_EPI_HARDSIGMOID ? 2 : 1;
    } else if (s->kind == LMN_EPI_GELU_TANH) {
        attrs[0] = (lmn_attr){.name = "approximate",
                              .type = LMN_ATTR_STRING,
                              .n = 1,
                              .u.s = {(char *)(uintptr_t)by_tanh, sizeof by_tanh - 1}};
        node.attrs = attrs;
        node.n_attrs = 1;
    }
    lmn_eval step = *ec;
    step.node = &node;
    step.in = in;
    step.n_in = node.n_in;
    const lamina_status st = node.def->eval(&step);
    ec->scratch_head = step.scratch_head;
    return st;
}

lamina_status lmn_fused_eval(lmn_eval *ec, const char *base, int32_t n_base)
{
    lmn_fused f;
    const char *wrong = lmn_fused_read(ec->node, n_base, &f);
    if (wrong) return lmn_eval_fail(ec, LAMINA_E_INVALID, "%s", wrong);
    LMN_TRY(lmn_eval_ready(ec));
    const lmn_opnode node = base_node(ec->node, base, n_base);
    lmn_eval only_base = *ec;
    only_base.node = &node;
    only_base.n_in = node.n_in;
    const lamina_status st = node.def->eval(&only_base);
    ec->scratch_head = only_base.scratch_head;
    if (st != LAMINA_OK || !lmn_out_wanted(ec, 0)) return st;
    for (int32_t i = 0; i < f.n_steps; i++) {
        const int32_t k = f.step[i].operand;
        const lamina_tensor *x = k >= 0 ? lmn_in(ec, k) : NULL;
        if (k >= 0 && (!x || !lmn_fused_fits(x, ec->out[0])))
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "operand %d does not fit into the result", k);
        LMN_TRY(eval_step(ec, &f.step[i]));
    }
    return LAMINA_OK;
}

void lmn_fused_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                    const char *base, int32_t n_base, lmn_cost *c)
{
    const int64_t *kinds;
    const lmn_opnode node = base_node(n, base, n_base);
    if (node.def->cost) node.def->cost(&node, in, out, c);
    c->flops += lmn_cost_count(&out[0]) * lmn_attr_ints(n, "epi", &kinds);
}
