/*
 * GatedRMSNorm (com.microsoft, since 1): RMSNormalization over groups of C values (C: length of the
 * scale) of the last axis, times an activation of the gate; in f32.
 */
#include "ops/msnorm.h"

static lamina_status canon_gatedrmsnorm(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref x = lmn_map_in(&m, 0);
    const lamina_dtype dt = lmn_map_fact(&m, x)->dtype;
    const lmn_fact *scale = lmn_map_fact(&m, lmn_map_in(&m, 1));
    const bool sigmoid = lmn_attr_is(c->node, "activation", "sigmoid", "silu");
    if (scale->rank != 1 || !lmn_dim_is_const(scale->dims[0]) || !dt)
        (void)lmn_map_fail(&m, LAMINA_E_UNSUPPORTED, "declare the shapes of the model's inputs",
                           "needs the length of the scale and the type to be known at load");
    const int64_t rows[2] = {-1, lmn_map_ok(&m) ? lmn_dim_value(scale->dims[0]) : 1};
    const lmn_ref wide = lmn_map_cast(&m, x, LAMINA_F32);
    lmn_ref y = lmn_map_rms_norm(&m, lmn_map_reshape(&m, wide, rows, 2),
                                 lmn_map_cast(&m, lmn_map_in(&m, 1), LAMINA_F32), -1,
                                 lmn_attr_f(c->node, "epsilon", 1e-6f));
    y = lmn_map_bin(&m, "Reshape", y, lmn_map_un(&m, "Shape", x));
    const lmn_ref gate = lmn_map_un(&m, sigmoid ? "Sigmoid" : "Swish",
                                    lmn_map_cast(&m, lmn_map_in(&m, 2), LAMINA_F32));
    m.out[0] = lmn_map_cast(&m, lmn_map_bin(&m, "Mul", y, gate), dt);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {
    {"X", 'T', 0, LMN_D_FLOAT}, {"scale", 'T', 0, LMN_D_FLOAT}, {"gate", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"activation", LMN_ATTR_STRING, 0}, {"epsilon", LMN_ATTR_FLOAT, 0}, {0}};

LMN_MS_MAPPED(GatedRMSNorm, canon_gatedrmsnorm);
