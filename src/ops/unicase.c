/*
 * Simple case mapping. A row maps a run of upper case letters: `delta` > 0 adds it to get lower
 * case, 0 means pairs (upper on the parity of `lo`, lower right after it).
 */
#include "ops/unicase.h"

#include "base/text.h"

typedef struct run {
    uint32_t lo, hi; /* upper case letters, inclusive */
    int32_t delta;
} run;

static const run RUNS[] = {
    {0x41, 0x5A, 32},    {0xC0, 0xD6, 32},     {0xD8, 0xDE, 32},   {0x100, 0x12E, 0},
    {0x132, 0x136, 0},   {0x139, 0x147, 0},    {0x14A, 0x176, 0},  {0x178, 0x178, -121},
    {0x179, 0x17D, 0},   {0x1CD, 0x1DB, 0},    {0x1DE, 0x1EE, 0},  {0x1F8, 0x21E, 0},
    {0x222, 0x232, 0},   {0x386, 0x386, 38},   {0x388, 0x38A, 37}, {0x38C, 0x38C, 64},
    {0x38E, 0x38F, 63},  {0x391, 0x3A1, 32},   {0x3A3, 0x3AB, 32}, {0x3D8, 0x3EE, 0},
    {0x400, 0x40F, 80},  {0x410, 0x42F, 32},   {0x460, 0x480, 0},  {0x48A, 0x4BE, 0},
    {0x4C1, 0x4CD, 0},   {0x4D0, 0x52E, 0},    {0x531, 0x556, 48}, {0x1E00, 0x1E94, 0},
    {0x1EA0, 0x1EFE, 0}, {0xFF21, 0xFF3A, 32},
};

uint32_t lmn_case_lower(uint32_t cp)
{
    if (cp == 0x130) return 0x69; /* capital I with a dot */
    for (size_t i = 0; i < LMN_COUNT(RUNS); i++) {
        const run *r = &RUNS[i];
        if (cp < r->lo || cp > r->hi) continue;
        if (r->delta) return (uint32_t)((int32_t)cp + r->delta);
        return (cp - r->lo) % 2 == 0 ? cp + 1 : cp;
    }
    return cp;
}

uint32_t lmn_case_upper(uint32_t cp)
{
    switch (cp) {             /* lower case letters that are nobody's image */
    case 0xB5: return 0x39C;  /* micro sign */
    case 0x131: return 0x49;  /* dotless i */
    case 0x17F: return 0x53;  /* long s */
    case 0x3C2: return 0x3A3; /* final sigma */
    default: break;
    }
    for (size_t i = 0; i < LMN_COUNT(RUNS); i++) {
        const run *r = &RUNS[i];
        if (r->delta) {
            const int64_t up = (int64_t)cp - r->delta;
            if (up >= r->lo && up <= r->hi) return (uint32_t)up;
        } else if (cp > r->lo && cp <= r->hi + 1 && (cp - r->lo) % 2 == 1) {
            return cp - 1;
        }
    }
    return cp;
}

uint32_t lmn_utf8_get(const uint8_t *p, size_t n, size_t *len)
{
    static const uint8_t MASK[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    const size_t k = lmn_utf8_len(p, n);
    *len = k ? k : 1;
    if (k == 0) return 0x110000u + p[0];
    uint32_t cp = p[0] & MASK[k];
    for (size_t i = 1; i < k; i++) cp = cp << 6 | (p[i] & 0x3Fu);
    return cp;
}
