/*
 * SHA-256 in plain C. The constants are the fraction bits of cube and square roots of primes.
 */
#include "base/sha256.h"

#include <string.h>

static const uint32_t K[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u,
    0xab1c5ed5u, 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu,
    0x9bdc06a7u, 0xc19bf174u, 0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu,
    0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau, 0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u,
    0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu,
    0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u, 0xa2bfe8a1u, 0xa81a664bu,
    0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u, 0x19a4c116u,
    0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u,
    0xc67178f2u};

void lmn_sha256_init(lmn_sha256 *s)
{
    *s = (lmn_sha256){.h = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au, 0x510e527fu,
                            0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u}};
}

static uint32_t ror(uint32_t x, int n)
{
    return x >> n | x << (32 - n);
}

static void block(uint32_t h[8], const uint8_t *p)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++, p += 4)
        w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = ror(w[i - 15], 7) ^ ror(w[i - 15], 18) ^ w[i - 15] >> 3;
        uint32_t b = ror(w[i - 2], 17) ^ ror(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    memcpy(v, h, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t s1 = ror(v[4], 6) ^ ror(v[4], 11) ^ ror(v[4], 25);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + K[i] + w[i];
        uint32_t s0 = ror(v[0], 2) ^ ror(v[0], 13) ^ ror(v[0], 22);
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof v[0]);
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (int i = 0; i < 8; i++) h[i] += v[i];
}

void lmn_sha256_add(lmn_sha256 *s, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    size_t have = s->n_bytes % 64;
    s->n_bytes += n;
    if (have && have + n >= 64) {
        memcpy(s->block + have, p, 64 - have);
        block(s->h, s->block);
        p += 64 - have, n -= 64 - have, have = 0;
    }
    for (; have == 0 && n >= 64; p += 64, n -= 64) block(s->h, p);
    if (n) memcpy(s->block + have, p, n);
}

void lmn_sha256_finish(lmn_sha256 *s, uint8_t out[LMN_SHA256_BYTES])
{
    static const uint8_t PAD[64] = {0x80};
    const uint64_t bits = s->n_bytes * 8;
    const size_t have = s->n_bytes % 64;
    uint8_t tail[8];
    for (int i = 0; i < 8; i++) tail[i] = (uint8_t)(bits >> (56 - 8 * i));
    lmn_sha256_add(s, PAD, have < 56 ? 56 - have : 120 - have);
    lmn_sha256_add(s, tail, 8);
    for (int i = 0; i < LMN_SHA256_BYTES; i++)
        out[i] = (uint8_t)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

void lmn_sha256_hex(const uint8_t digest[LMN_SHA256_BYTES], char out[2 * LMN_SHA256_BYTES + 1])
{
    static const char HEX[] = "0123456789abcdef";
    for (int i = 0; i < LMN_SHA256_BYTES; i++)
        out[2 * i] = HEX[digest[i] >> 4], out[2 * i + 1] = HEX[digest[i] & 15];
    out[2 * LMN_SHA256_BYTES] = 0;
}
