/*
 * qmap row for AVX-512: the loops of qmap_tmpl.h as the compiler makes them.
 */
#include "kernels/qmap/qmap_tmpl.h"

QMAP_ROW(avx512)
