/*
 * QLinearConcat (com.microsoft, since 1): Concat of 8-bit tensors, each with its own scale and zero
 * point (inputs 2 on, three at a time), quantised by Y_scale and Y_zero_point.
 */
#include "ops/mapeval.h"
#include "ops/msmap.h"

enum { MAX_PARTS = 256 };

static lamina_status canon_qlinearconcat(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    lmn_ref part[MAX_PARTS];
    const int32_t n = (c->n_in - 2) / 3;
    if (c->n_in < 5 || (c->n_in - 2) % 3 != 0 || n > MAX_PARTS)
        (void)lmn_map_fail(&m, LAMINA_E_INVALID, NULL,
                           "has %d inputs, must be 2 and at most %d times 3 more", c->n_in,
                           MAX_PARTS);
    for (int32_t i = 0; lmn_map_ok(&m) && i < n; i++)
        part[i] = lmn_map_dequantize(&m, lmn_map_in(&m, 2 + 3 * i), lmn_map_in(&m, 3 + 3 * i),
                                     lmn_map_in(&m, 4 + 3 * i));
    const lmn_attr axis = lmn_map_i("axis", lmn_attr_i(c->node, "axis", 0));
    const lmn_ref y = lmn_map_node(&m, "Concat", part, n, &axis, 1);
    m.out[0] = lmn_map_quantize(&m, y, lmn_map_in(&m, 0), lmn_map_in(&m, 1), LAMINA_DTYPE_NONE);
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {
    {"Y_scale", 0, 0, LMN_D_F32},
    {"Y_zero_point", 0, 0, LMN_D_8BIT},
    {"inputs", 0, LMN_PORT_VARIADIC | LMN_PORT_HETERO, LMN_D_8BIT | LMN_D_F32},
    {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_D_8BIT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, LMN_ATTR_REQUIRED}, {0}};

LMN_MS_WHOLE(QLinearConcat, canon_qlinearconcat);
