/*
 * QLinearAdd (com.microsoft, since 1): the sum of two dequantised 8-bit tensors (numpy broadcast),
 * quantised again.
 */
#include "ops/mapeval.h"
#include "ops/msqlinear.h"

static lamina_status canon_qlinearadd(lmn_canon *c)
{
    return lmn_qlinear_bin(c, "Add");
}

LMN_MS_QLINEAR_BIN_PORTS;
#define ATTRS NULL

LMN_MS_WHOLE(QLinearAdd, canon_qlinearadd);
