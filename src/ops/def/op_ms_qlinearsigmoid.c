/*
 * QLinearSigmoid (com.microsoft, since 1): Sigmoid of a dequantised 8-bit tensor, quantised again.
 */
#include "ops/msqlinear.h"

static lamina_status canon_qlinearsigmoid(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    lmn_map_qlinear_out(&m, lmn_map_un(&m, "Sigmoid", lmn_map_qlinear_in(&m)));
    return lmn_map_end(&m);
}

LMN_MS_QLINEAR_PORTS;
#define ATTRS NULL

LMN_MS_MAPPED(QLinearSigmoid, canon_qlinearsigmoid);
