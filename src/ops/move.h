/*
 * The byte-move engine: gathers, transposes, concats, slices and pads of every element type through
 * one door. A tensor is seen as `plain` elements of 1, 2, 4, 8 or 16 bytes: sub-byte types are
 * unpacked to a byte each in scratch and packed again at the end, strings move as lmn_str and are
 * copied deeply at the end. An operator therefore never asks which type it moves.
 */
#ifndef LMN_OPS_MOVE_H
#define LMN_OPS_MOVE_H

#include "ops/op.h"

/* Most dimensions of one move: every axis may be split once (tiles, blocks). */
#define LMN_MOVE_RANK 16

typedef struct lmn_plain {
    uint8_t *p;       /* element i stands at p + i * eb; of an input it must not be written */
    size_t eb;        /* bytes of an element: 1 2 4 8 16 */
    int64_t n;        /* elements */
    lamina_tensor *t; /* of an output: the slot; NULL = nobody wants it and p is NULL */
} lmn_plain;

/* See a dense input as plain elements. */
lamina_status lmn_plain_in(lmn_eval *ec, const lamina_tensor *x, lmn_plain *e);
/* Make output o (lmn_out) and where to write its plain elements: uninitialised, strings empty. */
lamina_status lmn_plain_out(lmn_eval *ec, int32_t o, lamina_dtype dt, int32_t rank,
                            const int64_t *dims, lmn_plain *e);
/* Plain elements of a type in scratch, for a tensor that is no output of its own. */
lamina_status lmn_plain_temp(lmn_eval *ec, lamina_dtype dt, int64_t n, lmn_plain *e);
/* All elements of the output are written: pack or copy them into the slot. */
lamina_status lmn_plain_done(lmn_eval *ec, const lmn_plain *e);
/* Pack or copy the plain elements `e` into any dense tensor of e->n elements. */
lamina_status lmn_plain_store(lmn_eval *ec, const lmn_plain *e, lamina_tensor *t);

typedef struct lmn_move {
    size_t eb;
    int32_t rank;
    int64_t dims[LMN_MOVE_RANK];
    int64_t dst_st[LMN_MOVE_RANK]; /* elements; may be negative */
    int64_t src_st[LMN_MOVE_RANK]; /* elements; may be negative or 0 */
    uint8_t *dst;
    const uint8_t *src;
} lmn_move;

/* Copy dims elements from src to dst by their strides; the two must not overlap. Reorders *m. */
void lmn_move_run(const lmn_par *par, lmn_move *m);
/* n elements of dst become *value. */
void lmn_move_fill(uint8_t *dst, size_t eb, int64_t n, const void *value);
/* One element. */
static inline void lmn_move_one(uint8_t *dst, const uint8_t *src, size_t eb)
{
    for (size_t i = 0; i < eb; i++) dst[i] = src[i];
}

#endif
