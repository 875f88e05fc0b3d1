/*
 * LinearAttentionGate (com.microsoft, since 1): decay = decay_scale * Softplus(a + dt_bias) and
 * beta = Sigmoid(b), in f32.
 */
#include "ops/msmap.h"

static lamina_status canon_linearattentiongate(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lamina_dtype dt = lmn_map_fact(&m, lmn_map_in(&m, 0))->dtype;
    if (!dt) (void)lmn_map_scalar(&m, dt, 0.0); /* says what is missing */
    const lmn_ref a = lmn_map_cast(&m, lmn_map_in(&m, 0), LAMINA_F32);
    const lmn_ref soft = lmn_map_un(&m, "Softplus", lmn_map_add(&m, a, lmn_map_in(&m, 1)));
    m.out[0] = lmn_map_cast(&m, lmn_map_bin(&m, "Mul", soft, lmn_map_in(&m, 2)), dt);
    if (lmn_map_in(&m, 3)) m.out[1] = lmn_map_un(&m, "Sigmoid", lmn_map_in(&m, 3));
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"a", 'T', 0, LMN_D_FLOAT},
                              {"dt_bias", 0, 0, LMN_D_F32},
                              {"decay_scale", 0, 0, LMN_D_F32},
                              {"b", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {
    {"decay", 'T', 0, LMN_D_FLOAT}, {"beta", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(LinearAttentionGate, canon_linearattentiongate);
