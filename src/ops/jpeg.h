/*
 * JPEG (ITU T.81), sequential and progressive Huffman, 8 bits: from the file to the coefficients of
 * its blocks (jpeg_scan.c), from those to pixels (picture_jpeg.c).
 */
#ifndef LMN_OPS_JPEG_H
#define LMN_OPS_JPEG_H

#include "ops/picture.h"

#define LMN_JPEG_MAX_PARTS 3

typedef struct lmn_jpeg_part { /* a colour component */
    uint32_t id, h, v, quant;  /* sampling factors, quantisation table */
    int64_t width, height;     /* samples */
    int64_t across, down;      /* blocks held: whole MCUs */
    int16_t *coef;             /* across * down blocks of 64, natural order */
    uint8_t *px;               /* 8 across x 8 down samples */
    uint16_t scale[64];        /* its quantisation table when its first scan began, natural order */
    bool scaled;
} lmn_jpeg_part;

typedef struct lmn_jpeg_code {
    uint16_t count[17];
    uint8_t symbol[256];
    bool set;
} lmn_jpeg_code;

typedef struct lmn_jpeg {
    lmn_span f;
    size_t at;
    int64_t width, height, mcus_across, mcus_down;
    uint32_t h_max, v_max, n_parts, restart;
    bool progressive, rgb; /* rgb: no colour transform (Adobe marker) */
    lmn_jpeg_part part[LMN_JPEG_MAX_PARTS];
    uint16_t quant[4][64]; /* natural order */
    lmn_jpeg_code dc[4], ac[4];
    const char *broken; /* what is wrong, NULL = nothing */
} lmn_jpeg;

/* Zigzag position to natural order. */
extern const uint8_t lmn_jpeg_zigzag[64];

/* Decode the scan whose header (SOS segment) is `head`; j->at stands at its entropy-coded data and
   is left after them. Sets j->broken. */
void lmn_jpeg_scan(lmn_jpeg *j, lmn_span head);

#endif
