/*
 * How the digits of a decimal are laid out as text, for the writers of numbers (number_write.c,
 * number_row.c). Stores run past what is used, within the room.
 */
#ifndef LMN_BASE_NUMBER_LAYOUT_H
#define LMN_BASE_NUMBER_LAYOUT_H

#include "base/types.h"

#define LMN_NUMBER_ROW 8 /* values that are taken together */

/*
 * Eight floats as digits: what stands where, without sign. For e < 0 the text is `zeros` bytes of
 * "0.000000", `first`, then `word`; else `zeros` is 0. `last` stands behind the eight bytes of
 * `word`. Lanes of `odd` are not filled in: what is rare, and is written one by one.
 */
typedef struct lmn_number_row {
    uint64_t word[LMN_NUMBER_ROW];
    uint8_t first[LMN_NUMBER_ROW], last[LMN_NUMBER_ROW];
    uint8_t zeros[LMN_NUMBER_ROW], used[LMN_NUMBER_ROW]; /* used: bytes, all of the text */
    uint8_t minus, odd;                                  /* a bit each */
} lmn_number_row;

/* Eight finite floats; false: some are not. */
bool lmn_number_row_avx512(lmn_number_row *out, const float *v);

#endif
