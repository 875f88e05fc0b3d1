/*
 * Upper and lower case of one code point, without the locale of the process: ASCII, Latin, Greek,
 * Cyrillic, Armenian and fullwidth letters by simple one-to-one mapping; everything else is itself.
 */
#ifndef LMN_OPS_UNICASE_H
#define LMN_OPS_UNICASE_H

#include "base/types.h"

uint32_t lmn_case_lower(uint32_t cp);
uint32_t lmn_case_upper(uint32_t cp);
/* Code point at p (n > 0 bytes left) and its length in *len; a byte that is no UTF-8 stands for
   itself with length 1 and the value 0x110000 + byte, which no text and no table holds. */
uint32_t lmn_utf8_get(const uint8_t *p, size_t n, size_t *len);

#endif
