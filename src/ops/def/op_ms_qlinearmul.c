/*
 * QLinearMul (com.microsoft, since 1): the product of two dequantised 8-bit tensors (numpy
 * broadcast), quantised again.
 */
#include "ops/mapeval.h"
#include "ops/msqlinear.h"

static lamina_status canon_qlinearmul(lmn_canon *c)
{
    return lmn_qlinear_bin(c, "Mul");
}

LMN_MS_QLINEAR_BIN_PORTS;
#define ATTRS NULL

LMN_MS_WHOLE(QLinearMul, canon_qlinearmul);
