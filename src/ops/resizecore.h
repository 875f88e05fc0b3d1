/*
 * Resize, the separable part: one axis becomes a table of taps (source positions and weights) per
 * output position. Attributes, roi, scales and sizes are resolved here, concretely and on facts.
 */
#ifndef LMN_OPS_RESIZECORE_H
#define LMN_OPS_RESIZECORE_H

#include "ops/op.h"

typedef enum lmn_resize_mode {
    LMN_RESIZE_NEAREST,
    LMN_RESIZE_LINEAR,
    LMN_RESIZE_CUBIC
} lmn_resize_mode;

typedef enum lmn_resize_coord {
    LMN_COORD_HALF_PIXEL,
    LMN_COORD_HALF_PIXEL_SYMMETRIC,
    LMN_COORD_PYTORCH_HALF_PIXEL,
    LMN_COORD_ALIGN_CORNERS,
    LMN_COORD_ASYMMETRIC,
    LMN_COORD_TF_HALF_PIXEL_FOR_NN,
    LMN_COORD_TF_CROP_AND_RESIZE
} lmn_resize_coord;

typedef enum lmn_resize_round {
    LMN_ROUND_PREFER_FLOOR,
    LMN_ROUND_PREFER_CEIL,
    LMN_ROUND_FLOOR,
    LMN_ROUND_CEIL
} lmn_resize_round;

typedef struct lmn_resize_axis {
    int64_t in, out;
    double scale;      /* as given, or out / in */
    bool sized;        /* scale is exactly out / in */
    double roi0, roi1; /* 0 and 1 unless given */
} lmn_resize_axis;

typedef struct lmn_resize {
    lmn_resize_mode mode;
    lmn_resize_coord coord;
    lmn_resize_round round;
    bool antialias, exclude_outside;
    double cubic_a, extrapolation;
    int32_t rank;
    lmn_resize_axis axis[LMN_MAX_RANK];
} lmn_resize;

/* Taps of one axis: n per output position. */
typedef struct lmn_taps {
    int64_t n;
    const int64_t *index;  /* [out * n], inside the input */
    const double *weight;  /* [out * n] */
    const uint8_t *beyond; /* [out]: extrapolated position (tf_crop_and_resize), or NULL */
    bool identity;         /* out == in and every position is its own */
} lmn_taps;

/* Everything about this node at run time; reports on ec. */
lamina_status lmn_resize_setup(lmn_eval *ec, lmn_resize *r);
/* Taps of axis a in scratch. */
lamina_status lmn_resize_taps(lmn_eval *ec, const lmn_resize *r, int32_t a, lmn_taps *t);
lamina_status lmn_resize_infer(lmn_infer *ic);
/* Resize 10 and Upsample (all versions) become Resize with asymmetric coordinates. */
lamina_status lmn_resize_canon_legacy(lmn_canon *c);

#endif
