/*
 * NhwcFusedConv (com.microsoft, since 1): FusedConv on images with the channels last; the weights
 * stay [M, C / group, k...].
 */
#include "ops/convgeom.h"
#include "ops/mslinear.h"

LMN_MS_FUSED_CONV(NhwcFusedConv, true);
