/*
 * ShortMatMul (lamina, since 1): FusedMatMul, or MatMul where there is no `epi`, of rows A of bf16
 * by f32 weights B [K, N], its operands f32; the result is rounded to bf16 where `short` is set.
 * The weights may be rounded to bf16 as well.
 */
#include "ops/fused.h"
#include "ops/mapeval.h"

enum { MOST_IN = 2 + LMN_EPI_MAX };

static lamina_status canon_shortmatmul(lmn_canon *c)
{
    static const char *const NAMES[] = {"epi", "epi_p", NULL};
    lmn_map m = lmn_map_begin(c);
    lmn_attr attrs[2];
    lmn_ref in[MOST_IN] = {0};
    const int32_t n_attrs = lmn_map_copy(&m, NAMES, attrs);
    const int32_t n_in = n_attrs && c->n_in < MOST_IN ? c->n_in : n_attrs ? MOST_IN : 2;
    if (c->n_in > n_in)
        lmn_map_fail(&m, LAMINA_E_INVALID, "give it an operand for every step that has one",
                     "it has more inputs than its epilogue takes");
    for (int32_t i = 0; i < n_in; i++) in[i] = lmn_map_in(&m, i);
    in[0] = lmn_map_cast(&m, in[0], LAMINA_F32);
    lmn_ref y =
        lmn_map_node(&m, n_attrs ? "lamina:FusedMatMul" : "MatMul", in, n_in, attrs, n_attrs);
    if (lmn_attr_i(c->node, "short", 0)) y = lmn_map_cast(&m, y, LAMINA_BF16);
    m.out[0] = y;
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"A", 0, 0, LMN_DBIT(LAMINA_BF16)},
                              {"B", 0, 0, LMN_D_F32},
                              {"operands", 0, LMN_PORT_OPTIONAL | LMN_PORT_VARIADIC, LMN_D_F32},
                              {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_D_F32 | LMN_DBIT(LAMINA_BF16)}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"epi", LMN_ATTR_INTS, 0}, {"epi_p", LMN_ATTR_FLOATS, 0}, {"short", LMN_ATTR_INT, 0}, {0}};

static void cost_shortmatmul(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                             lmn_cost *c)
{
    lmn_fused_cost(n, in, out, "MatMul", 2, c);
}

const lmn_op_def lmn_op_ShortMatMul = {
    .domain = "lamina",
    .name = "ShortMatMul",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = lmn_mapped_infer,
    .eval = lmn_mapped_eval,
    .canon = canon_shortmatmul,
    .cost = cost_shortmatmul,
};
