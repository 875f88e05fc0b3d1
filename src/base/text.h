/*
 * Text and numbers, independent of the locale of the process: strtod and printf follow LC_NUMERIC,
 * which an embedding program may set, so no decimal point ever passes through them here.
 */
#ifndef LMN_BASE_TEXT_H
#define LMN_BASE_TEXT_H

#include "base/number.h"

#include <string.h>

/* Are these the bytes of `text`, and no more? */
static inline bool lmn_text_is(lmn_span s, const char *text)
{
    return s.n == strlen(text) && memcmp(s.p, text, s.n) == 0;
}

/* Length of the valid UTF-8 sequence at p (1..4), or 0. RFC 3629: no surrogates, no overlong. */
size_t lmn_utf8_len(const uint8_t *p, size_t n);
/* Write code point `cp` (a valid scalar) as UTF-8; returns 1..4. */
size_t lmn_utf8_put(uint8_t out[4], uint32_t cp);

/*
 * Parse all n bytes as a decimal number: [+-] digits [. digits] [e [+-] digits], at least one
 * digit. Rounds correctly; past the range gives an infinity or zero. False when the text is
 * something else or longer than 4096 bytes. No "inf", "nan", hexadecimal or white space.
 */
bool lmn_parse_f64(const void *text, size_t n, double *out);
/* All n bytes as [-] digits that fit. */
bool lmn_parse_i64(const void *text, size_t n, int64_t *out);

/* Shortest decimal text that reads back as the same value; "nan", "inf", "-inf". Returns length. */
size_t lmn_format_f64(char buf[LMN_NUMBER_BYTES], double v);
size_t lmn_format_f32(char buf[LMN_NUMBER_BYTES], float v);

#endif
