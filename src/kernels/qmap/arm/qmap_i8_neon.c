/*
 * qmap row for NEON: the loops of qmap_tmpl.h as the compiler makes them.
 */
#include "kernels/qmap/qmap_tmpl.h"

QMAP_ROW(neon)
