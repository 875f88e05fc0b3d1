/*
 * SHA-256 (FIPS 180-4), for content keys of caches and checks of files; not for secrets.
 */
#ifndef LMN_BASE_SHA256_H
#define LMN_BASE_SHA256_H

#include "base/types.h"

#define LMN_SHA256_BYTES 32

typedef struct lmn_sha256 {
    uint32_t h[8];
    uint64_t n_bytes;
    uint8_t block[64];
} lmn_sha256;

void lmn_sha256_init(lmn_sha256 *s);
void lmn_sha256_add(lmn_sha256 *s, const void *bytes, size_t n);
void lmn_sha256_finish(lmn_sha256 *s, uint8_t out[LMN_SHA256_BYTES]);
/* Lower-case hexadecimal with a closing zero. */
void lmn_sha256_hex(const uint8_t digest[LMN_SHA256_BYTES], char out[2 * LMN_SHA256_BYTES + 1]);

#endif
