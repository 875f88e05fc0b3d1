/*
 * Numbers as text, fast and exact, independent of the locale: the one way in which decimals are
 * read and written, in JSON and elsewhere. Reading rounds correctly (to nearest, ties to even) for
 * a text of any length; writing gives the shortest decimal that reads back as the same value.
 *
 * The functions that read take [p, end), read the JSON number (RFC 8259) at p, and return the byte
 * behind it; NULL when there is none. No blanks are passed over. What follows is the caller's
 * business: "1.5" read as an integer stops at the point. "-1.", "01", "+1" and ".5" are no numbers.
 */
#ifndef LMN_BASE_NUMBER_H
#define LMN_BASE_NUMBER_H

#include "base/cpu.h"

/* Room that a writer wants, whatever it then uses: it stores whole words. */
#define LMN_NUMBER_BYTES 32

/* Past the range: an infinity; below it: zero. */
const uint8_t *lmn_f64_read(const uint8_t *p, const uint8_t *end, double *out);
const uint8_t *lmn_f32_read(const uint8_t *p, const uint8_t *end, float *out);
/* Of n floats, a comma behind each and perhaps a blank: as many as are plain enough to be read
 * quickly, in *done. Returns where the next begins. */
const uint8_t *lmn_f32_read_row(const uint8_t *p, const uint8_t *end, float *out, size_t n,
                                size_t *done);
/* An integer without point and exponent; NULL also when it does not fit. "-0" is 0. */
const uint8_t *lmn_i64_read(const uint8_t *p, const uint8_t *end, int64_t *out);
const uint8_t *lmn_u64_read(const uint8_t *p, const uint8_t *end, uint64_t *out);

/*
 * Write v, which is finite; returns the bytes used, at most 25. No zero follows. Positional for
 * decimal exponents -5 .. 16, else "1.5e17", "1e-6"; integers without a point: "1".
 */
size_t lmn_f64_write(char out[LMN_NUMBER_BYTES], double v);
size_t lmn_f32_write(char out[LMN_NUMBER_BYTES], float v);
/* Floats one behind the other, each with a comma behind it, as fast as `isa` can; room for 19 bytes
 * each and LMN_NUMBER_BYTES. Returns the end of the text; *done: how many it holds. It ends before
 * one that is not finite, and may end early. */
char *lmn_f32_write_row(char *out, const float *v, size_t n, lmn_isa isa, size_t *done);
/* At most 20 bytes. */
size_t lmn_i64_write(char out[LMN_NUMBER_BYTES], int64_t v);
size_t lmn_u64_write(char out[LMN_NUMBER_BYTES], uint64_t v);

/* As lmn_f64_read, for texts of people: also "+1", ".5" and "007". */
const uint8_t *lmn_f64_read_lax(const uint8_t *p, const uint8_t *end, double *out);

#endif
