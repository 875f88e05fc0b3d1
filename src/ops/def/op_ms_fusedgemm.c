/*
 * FusedGemm (com.microsoft, since 1): Gemm and an activation.
 */
#include "ops/mslinear.h"

static lamina_status canon_fusedgemm(lmn_canon *c)
{
    static const char *const OWN[] = {"alpha", "beta", "transA", "transB", NULL};
    lmn_map m = lmn_map_begin(c);
    lmn_attr attrs[4];
    const int32_t n = lmn_map_copy(&m, OWN, attrs);
    const lmn_ref y = lmn_map_node(&m, "Gemm", c->in, c->n_in, attrs, n);
    m.out[0] = lmn_map_named_activation(&m, y);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"A", 'T', 0, LMN_D_NUM},
                              {"B", 'T', 0, LMN_D_NUM},
                              {"C", 'T', LMN_PORT_OPTIONAL, LMN_D_NUM},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_NUM}, {0}};
static const lmn_attr_schema ATTRS[] = {{"activation", LMN_ATTR_STRING, 0},
                                        {"activation_alpha", LMN_ATTR_FLOAT, 0},
                                        {"activation_beta", LMN_ATTR_FLOAT, 0},
                                        {"activation_gamma", LMN_ATTR_FLOAT, 0},
                                        {"alpha", LMN_ATTR_FLOAT, 0},
                                        {"beta", LMN_ATTR_FLOAT, 0},
                                        {"transA", LMN_ATTR_INT, 0},
                                        {"transB", LMN_ATTR_INT, 0},
                                        {0}};

LMN_MS_MAPPED(FusedGemm, canon_fusedgemm);
