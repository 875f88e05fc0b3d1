/*
 * Planes whose elements are neighbours along one axis in the source and along the other one in the
 * destination: transposes, and the dealing out and joining of a few interleaved planes (channels of
 * pixels, blocks of space).
 */
#ifndef LMN_OPS_TURN_H
#define LMN_OPS_TURN_H

#include <stddef.h>
#include <stdint.h>

/* d[a dsa + b] = s[a + b ssb] for a < na, b < nb, in elements of eb bytes (1 2 4 8 16). */
typedef struct lmn_plane {
    size_t eb;
    int64_t na, nb, dsa, ssb;
} lmn_plane;

void lmn_plane_turn(const lmn_plane *p, uint8_t *dst, const uint8_t *src);
/* d[b] = s[b step] for b < n: one row of such a plane. */
void lmn_plane_pick(size_t eb, int64_t n, int64_t step, uint8_t *dst, const uint8_t *src);

#endif
