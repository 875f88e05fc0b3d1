/*
 * FusedConv (com.microsoft, since 1): Conv, then + Z, then an activation.
 */
#include "ops/convgeom.h"
#include "ops/mslinear.h"

LMN_MS_FUSED_CONV(FusedConv, false);
