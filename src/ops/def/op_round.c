/*
 * Round (ai.onnx, since 11): nearest integer, halves to even, whatever the rounding mode of the
 * thread. Infinities and NaN pass, the sign of zero is kept.
 */
#include "ops/ew.h"

#include <math.h>

/* remainder() rounds its quotient to even, exactly; at |x| >= 2^52 every number is an integer. */
static double round_even(double x)
{
    return fabs(x) < 4503599627370496.0 ? copysign(x - remainder(x, 1.0), x) : x;
}

LMN_EW_OP_FLOAT(Round, 11, "X", "Y", round_even(x));
