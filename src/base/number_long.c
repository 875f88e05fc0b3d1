/*
 * The quotient of two big integers, digits over a power of five, bit by bit. No value between two
 * doubles that matters has more than 768 significant digits, so those behind the 800th only say
 * that something follows; that bounds every integer here to LIMBS.
 */
#include "base/number_long.h"

#include "base/pow10.h"

#include <string.h>

#define MAX_DIGITS 800
#define LIMBS 48       /* 3072 bits: 10^800 has 2658, 5^1130 has 2624 */
#define EXP10_MAX 310  /* 10^310 is above all doubles ... */
#define EXP10_MIN -330 /* ... and 10^-330 below */

typedef struct big {
    uint64_t limb[LIMBS];
    uint32_t n; /* in use; the highest is not zero */
} big;

static void mul_add(big *b, uint64_t by, uint64_t add)
{
    for (uint32_t i = 0; i < b->n; i++) {
        const lmn_u128 x = (lmn_u128)b->limb[i] * by + add;
        b->limb[i] = (uint64_t)x;
        add = (uint64_t)(x >> 64);
    }
    if (add) b->limb[b->n++] = add;
}

static void mul_pow5(big *b, int64_t n)
{
    for (; n >= 27; n -= 27) mul_add(b, 7450580596923828125, 0);
    uint64_t rest = 1;
    for (; n > 0; n--) rest *= 5;
    mul_add(b, rest, 0);
}

static int64_t bit_length(const big *b)
{
    return b->n ? (int64_t)b->n * 64 - __builtin_clzll(b->limb[b->n - 1]) : 0;
}

static void shift_left(big *b, uint32_t bits)
{
    const uint32_t limbs = bits / 64, rest = bits % 64;
    uint64_t carry = 0;
    for (uint32_t i = 0; rest && i < b->n; i++) {
        const uint64_t x = b->limb[i];
        b->limb[i] = x << rest | carry;
        carry = x >> (64 - rest);
    }
    if (carry) b->limb[b->n++] = carry;
    if (limbs == 0 || b->n == 0) return;
    memmove(b->limb + limbs, b->limb, b->n * sizeof b->limb[0]);
    memset(b->limb, 0, limbs * sizeof b->limb[0]);
    b->n += limbs;
}

/* a -= b if that is not negative. */
static bool take_away(big *a, const big *b)
{
    if (a->n < b->n) return false;
    if (a->n == b->n) {
        uint32_t i = a->n;
        while (i && a->limb[i - 1] == b->limb[i - 1]) i--;
        if (i && a->limb[i - 1] < b->limb[i - 1]) return false;
    }
    uint64_t borrow = 0;
    for (uint32_t i = 0; i < a->n; i++) {
        const lmn_u128 x = (lmn_u128)a->limb[i] - (i < b->n ? b->limb[i] : 0) - borrow;
        a->limb[i] = (uint64_t)x;
        borrow = (uint64_t)(x >> 64) & 1;
    }
    while (a->n && a->limb[a->n - 1] == 0) a->n--;
    return true;
}

/* Bits of q * 2^e, 2^62 <= q < 2^64; `more`: and a little more than that. */
static uint64_t assemble(const lmn_float_format *f, uint64_t q, int64_t e, bool more)
{
    const int64_t lz = __builtin_clzll(q);
    q <<= lz, e -= lz; /* value = 1.xxx * 2^(e + 63) */
    int64_t biased = e + 63 + f->bias, drop = 63 - (int64_t)f->bits;
    if (biased <= 0) drop += 1 - biased, biased = 0; /* subnormal */
    if (drop > 64) return 0;
    const uint64_t m = drop == 64 ? 0 : q >> drop;
    const uint64_t half = (uint64_t)1 << (drop - 1), rest = drop == 64 ? q : q & (half * 2 - 1);
    const bool up = rest > half || (rest == half && (more || (m & 1)));
    /* the hidden bit of a normal one adds 1 to the exponent, as does a carry */
    const uint64_t bits = ((uint64_t)(biased > 0 ? biased - 1 : 0) << f->bits) + m + up;
    return bits < f->infinity ? bits : f->infinity;
}

/* The first MAX_DIGITS significant digits into *a; *exponent is then that of the last of them.
 * Returns how many there are; *more: others follow that are not all zero. */
static int64_t collect(big *a, const uint8_t *p, const uint8_t *end, int64_t *exponent, bool *more)
{
    int64_t n = 0, behind = 0, dropped = 0;
    uint64_t part = 0, scale = 1;
    bool fraction = false;
    for (; p < end; p++) {
        if (*p == '.') {
            fraction = true;
            continue;
        }
        const uint64_t digit = (uint64_t)(*p - '0');
        behind += fraction;
        if (n == 0 && digit == 0) continue;
        if (n == MAX_DIGITS) {
            dropped++;
            *more |= digit != 0;
            continue;
        }
        part = part * 10 + digit, scale *= 10, n++;
        if (n % 19 == 0) {
            mul_add(a, scale, part);
            part = 0, scale = 1;
        }
    }
    if (scale > 1) mul_add(a, scale, part);
    *exponent += dropped - behind;
    return n;
}

uint64_t lmn_number_long(const lmn_float_format *f, const uint8_t *digits, const uint8_t *end,
                         int64_t exponent)
{
    big a = {.n = 0}, b = {.limb = {1}, .n = 1};
    bool more = false;
    const int64_t n = collect(&a, digits, end, &exponent, &more);
    if (n == 0 || n + exponent < EXP10_MIN) return 0;
    if (n + exponent > EXP10_MAX) return f->infinity;
    mul_pow5(exponent < 0 ? &b : &a, exponent < 0 ? -exponent : exponent);
    /* value = a / b * 2^exponent; with both of one length the quotient is between 1/2 and 2 */
    const int64_t la = bit_length(&a), lb = bit_length(&b);
    if (la < lb) shift_left(&a, (uint32_t)(lb - la));
    if (lb < la) shift_left(&b, (uint32_t)(la - lb));
    uint64_t q = 0;
    for (int i = 0; i < 64; i++) {
        q = q << 1 | take_away(&a, &b);
        shift_left(&a, 1);
    }
    return assemble(f, q, la - lb - 63 + exponent, more || a.n != 0);
}
