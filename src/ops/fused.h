/*
 * Fused operators (domain "lamina"): a product or convolution with an epilogue. Inputs are the base
 * operator's, then one operand for every ADD and MUL of the epilogue; attributes are the base
 * operator's, `epi` (kinds of kernels/gemm/epi.h) and `epi_p` (two parameters for every operation).
 *
 * The reference runs the base operator and then the separate operators, each rounded to the element
 * type as it would be on its own: fused equals unfused bit for bit. Passes make these nodes, files
 * may hold them too, so everything is checked here and nowhere trusted.
 */
#ifndef LMN_OPS_FUSED_H
#define LMN_OPS_FUSED_H

#include "kernels/gemm/epi.h"
#include "ops/op.h"

typedef struct lmn_fused_step {
    lmn_epi_kind kind;
    float p0, p1;
    int32_t operand; /* input of ADD and MUL, else -1 */
} lmn_fused_step;

typedef struct lmn_fused {
    int32_t n_steps; /* 1 .. LMN_EPI_MAX */
    lmn_fused_step step[LMN_EPI_MAX];
} lmn_fused;

/* Reads and checks the epilogue of a node whose base operator has n_base inputs (optional ones
   counted): NULL, or what is wrong. */
const char *lmn_fused_read(const lmn_opnode *n, int32_t n_base, lmn_fused *f);
/* Does the operand broadcast to y without making it larger? */
bool lmn_fused_fits(const lamina_tensor *operand, const lamina_tensor *y);

lamina_status lmn_fused_infer(lmn_infer *ic, const char *base, int32_t n_base);
lamina_status lmn_fused_eval(lmn_eval *ec, const char *base, int32_t n_base);
void lmn_fused_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                    const char *base, int32_t n_base, lmn_cost *c);

/* A fused operator: its ports and attributes stand above as IN and ATTRS. */
#define LMN_FUSED_OP(Base, n_base, more_flags)                                               \
    static lamina_status infer_op(lmn_infer *ic)                                             \
    {                                                                                        \
        return lmn_fused_infer(ic, #Base, n_base);                                           \
    }                                                                                        \
    static lamina_status eval_op(lmn_eval *ec)                                               \
    {                                                                                        \
        return lmn_fused_eval(ec, #Base, n_base);                                            \
    }                                                                                        \
    static void cost_op(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, \
                        lmn_cost *c)                                                         \
    {                                                                                        \
        lmn_fused_cost(n, in, out, #Base, n_base, c);                                        \
    }                                                                                        \
    static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};                         \
    const lmn_op_def lmn_op_Fused##Base = {.domain = "lamina",                               \
                                           .name = "Fused" #Base,                            \
                                           .since = 1,                                       \
                                           .flags = (more_flags),                            \
                                           .in = IN,                                         \
                                           .out = OUT,                                       \
                                           .attrs = ATTRS,                                   \
                                           .infer = infer_op,                                \
                                           .eval = eval_op,                                  \
                                           .cost = cost_op}

#define LMN_FUSED_OPERANDS                                                  \
    {                                                                       \
        "operands", 'T', LMN_PORT_OPTIONAL | LMN_PORT_VARIADIC, LMN_D_FLOAT \
    }
#define LMN_FUSED_ATTRS                             \
    {"epi", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},      \
    {                                               \
        "epi_p", LMN_ATTR_FLOATS, LMN_ATTR_REQUIRED \
    }

#endif
