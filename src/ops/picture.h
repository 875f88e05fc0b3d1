/*
 * Pictures in files, for ImageDecoder: BMP, PNM, baseline TIFF, PNG and JPEG to RGB bytes.
 *
 * Files are hostile: every read is bounded, a size is checked before memory is taken for it, and
 * work is linear in the file and the picture. What is read stands at the head of each source file;
 * the rest is E_UNSUPPORTED, a broken file E_CORRUPT.
 */
#ifndef LMN_OPS_PICTURE_H
#define LMN_OPS_PICTURE_H

#include "ops/op.h"

#define LMN_PICTURE_MAX_BYTES ((int64_t)1 << 29)

typedef struct lmn_picture {
    int64_t width, height;
    uint8_t *rgb; /* 3 width height bytes of the evaluation's scratch */
} lmn_picture;

/* Decode by what the first bytes say. */
lamina_status lmn_picture_decode(lmn_eval *ec, lmn_span file, lmn_picture *out);

/* ---- for the formats ---------------------------------------------------------------------------
 */

/* Check the size and take the memory, uninitialised. */
lamina_status lmn_picture_make(lmn_eval *ec, int64_t width, int64_t height, lmn_picture *out);
/* E_CORRUPT: "the NAME file is broken: what". */
lamina_status lmn_picture_broken(lmn_eval *ec, const char *name, const char *what);
/* E_UNSUPPORTED: "NAME files with WHAT are not read". */
lamina_status lmn_picture_unread(lmn_eval *ec, const char *name, const char *what);
lamina_status lmn_picture_png(lmn_eval *ec, lmn_span file, lmn_picture *out);
lamina_status lmn_picture_jpeg(lmn_eval *ec, lmn_span file, lmn_picture *out);
/* A zlib stream to exactly n bytes. */
bool lmn_zlib_inflate(lmn_span in, uint8_t *out, size_t n);

static inline uint32_t lmn_be(const uint8_t *p, int n)
{
    uint32_t v = 0;
    for (int i = 0; i < n; i++) v = v << 8 | p[i];
    return v;
}
static inline uint32_t lmn_le(const uint8_t *p, int n)
{
    uint32_t v = 0;
    for (int i = n; i-- > 0;) v = v << 8 | p[i];
    return v;
}

#endif
