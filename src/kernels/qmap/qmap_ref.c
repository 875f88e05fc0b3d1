/*
 * The reference row of qmap: the loops of qmap_tmpl.h as the compiler makes them.
 */
#include "kernels/qmap/qmap_tmpl.h"

QMAP_ROW(ref)
