/*
 * Convolutions by weights of 16 bits on hgemm: rows of A are output channels, columns of B output
 * pixels, gathered in f32 and rounded while they are packed, or the planes themselves for 1 x 1.
 */
#ifndef LMN_DEVICES_CPU_HCONV_H
#define LMN_DEVICES_CPU_HCONV_H

#include "devices/cpu/cpu_bind.h"
#include "kernels/conv/conv_geom.h"
#include "kernels/gemm/epi.h"
#include "kernels/hgemm/hgemm.h"

typedef struct lmn_cpu_hconv {
    const lmn_hgemm_row *row;
    const lmn_conv_geom *g;
    const uint16_t *w;
    const void *x; /* of f32 or 16 bits, as y */
    void *y;
    bool f32;
    const lmn_epi *epi; /* NULL = none */
} lmn_cpu_hconv;

/* Does the row compute it? One group; a window larger than 1 x 1 needs a row that rounds f32. */
bool lmn_cpu_hconv_takes(const lmn_hgemm_row *row, const lmn_conv_geom *g);
lamina_status lmn_cpu_hconv_run(const lmn_cpu_dev *dev, lmn_eval *ec, const lmn_cpu_hconv *c);

#endif
