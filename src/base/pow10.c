/*
 * Powers of ten from small tables: every 27th to 128 bits, the powers of five between, and for each
 * exponent by how much the product of both is off in its last place; those near zero lie ready. All
 * numbers come from exact integers; test_number compares what follows from them with the C library.
 */
#include "base/pow10.h"

#define STEP 27

const lmn_pow10 lmn_pow10_near[LMN_POW10_NEAR_MAX - LMN_POW10_NEAR_MIN + 1] = {
    {0xcfb11ead453994ba, 0x67de18eda5814af3}, {0x81ceb32c4b43fcf4, 0x80eacf948770ced8},
    {0xa2425ff75e14fc31, 0xa1258379a94d028e}, {0xcad2f7f5359a3b3e, 0x096ee45813a04331},
    {0xfd87b5f28300ca0d, 0x8bca9d6e188853fd}, {0x9e74d1b791e07e48, 0x775ea264cf55347e},
    {0xc612062576589dda, 0x95364afe032a819e}, {0xf79687aed3eec551, 0x3a83ddbd83f52205},
    {0x9abe14cd44753b52, 0xc4926a9672793543}, {0xc16d9a0095928a27, 0x75b7053c0f178294},
    {0xf1c90080baf72cb1, 0x5324c68b12dd6339}, {0x971da05074da7bee, 0xd3f6fc16ebca5e04},
    {0xbce5086492111aea, 0x88f4bb1ca6bcf585}, {0xec1e4a7db69561a5, 0x2b31e9e3d06c32e6},
    {0x9392ee8e921d5d07, 0x3aff322e62439fd0}, {0xb877aa3236a4b449, 0x09befeb9fad487c3},
    {0xe69594bec44de15b, 0x4c2ebe687989a9b4}, {0x901d7cf73ab0acd9, 0x0f9d37014bf60a11},
    {0xb424dc35095cd80f, 0x538484c19ef38c95}, {0xe12e13424bb40e13, 0x2865a5f206b06fba},
    {0x8cbccc096f5088cb, 0xf93f87b7442e45d4}, {0xafebff0bcb24aafe, 0xf78f69a51539d749},
    {0xdbe6fecebdedd5be, 0xb573440e5a884d1c}, {0x89705f4136b4a597, 0x31680a88f8953031},
    {0xabcc77118461cefc, 0xfdc20d2b36ba7c3e}, {0xd6bf94d5e57a42bc, 0x3d32907604691b4d},
    {0x8637bd05af6c69b5, 0xa63f9a49c2c1b110}, {0xa7c5ac471b478423, 0x0fcf80dc33721d54},
    {0xd1b71758e219652b, 0xd3c36113404ea4a9}, {0x83126e978d4fdf3b, 0x645a1cac083126ea},
    {0xa3d70a3d70a3d70a, 0x3d70a3d70a3d70a4}, {0xcccccccccccccccc, 0xcccccccccccccccd},
    {0x8000000000000000, 0x0000000000000000}, {0xa000000000000000, 0x0000000000000000},
    {0xc800000000000000, 0x0000000000000000}, {0xfa00000000000000, 0x0000000000000000},
    {0x9c40000000000000, 0x0000000000000000}, {0xc350000000000000, 0x0000000000000000},
    {0xf424000000000000, 0x0000000000000000}, {0x9896800000000000, 0x0000000000000000},
    {0xbebc200000000000, 0x0000000000000000}, {0xee6b280000000000, 0x0000000000000000},
    {0x9502f90000000000, 0x0000000000000000}, {0xba43b74000000000, 0x0000000000000000},
    {0xe8d4a51000000000, 0x0000000000000000}, {0x9184e72a00000000, 0x0000000000000000},
    {0xb5e620f480000000, 0x0000000000000000}, {0xe35fa931a0000000, 0x0000000000000000},
    {0x8e1bc9bf04000000, 0x0000000000000000}, {0xb1a2bc2ec5000000, 0x0000000000000000},
    {0xde0b6b3a76400000, 0x0000000000000000}, {0x8ac7230489e80000, 0x0000000000000000},
    {0xad78ebc5ac620000, 0x0000000000000000}, {0xd8d726b7177a8000, 0x0000000000000000},
    {0x878678326eac9000, 0x0000000000000000}, {0xa968163f0a57b400, 0x0000000000000000},
    {0xd3c21bcecceda100, 0x0000000000000000}, {0x84595161401484a0, 0x0000000000000000},
    {0xa56fa5b99019a5c8, 0x0000000000000000}, {0xcecb8f27f4200f3a, 0x0000000000000000},
    {0x813f3978f8940984, 0x4000000000000000}, {0xa18f07d736b90be5, 0x5000000000000000},
    {0xc9f2c9cd04674ede, 0xa400000000000000}, {0xfc6f7c4045812296, 0x4d00000000000000},
    {0x9dc5ada82b70b59d, 0xf020000000000000}, {0xc5371912364ce305, 0x6c28000000000000},
    {0xf684df56c3e01bc6, 0xc732000000000000}, {0x9a130b963a6c115c, 0x3c7f400000000000},
    {0xc097ce7bc90715b3, 0x4b9f100000000000}, {0xf0bdc21abb48db20, 0x1e86d40000000000},
    {0x96769950b50d88f4, 0x1314448000000000}, {0xbc143fa4e250eb31, 0x17d955a000000000},
    {0xeb194f8e1ae525fd, 0x5dcfab0800000000}, {0x92efd1b8d0cf37be, 0x5aa1cae500000000},
    {0xb7abc627050305ad, 0xf14a3d9e40000000}, {0xe596b7b0c643c719, 0x6d9ccd05d0000000},
    {0x8f7e32ce7bea5c6f, 0xe4820023a2000000}, {0xb35dbf821ae4f38b, 0xdda2802c8a800000},
    {0xe0352f62a19e306e, 0xd50b2037ad200000}, {0x8c213d9da502de45, 0x4526f422cc340000}};

static const uint64_t COARSE[25][2] = {
    {0xeef453d6923bd65a, 0x113faa2906a13b40}, {0xc1069cd4eabe89f8, 0x999ec0bb696e840b},
    {0x9becce62836ac577, 0x4ee367f9430aec33}, {0xfbe9141915d7a922, 0x4bf1ff9f0062baa9},
    {0xcb7ddcdda26da268, 0xa9942f5dcf7dfd0a}, {0xa46116538d0deb78, 0x52d9be85f074e609},
    {0x84c8d4dfd2c63f3b, 0x29ecd9f40041e074}, {0xd686619ba27255a2, 0xc80a537b0efefebe},
    {0xad4ab7112eb3929d, 0x86c16c98d2c953c7}, {0x8bfbea76c619ef36, 0x57eb4edb3c55b65b},
    {0xe2280b6c20dd5232, 0x25c6da63c38de1b1}, {0xb6b00d69bb55c8d1, 0x3d607b97c5fd0d23},
    {0x9392ee8e921d5d07, 0x3aff322e62439fd0}, {0xee6b280000000000, 0x0000000000000000},
    {0xc097ce7bc90715b3, 0x4b9f100000000000}, {0x9b934c3b330c8577, 0x63cc55f49f88eb30},
    {0xfb5878494ace3a5f, 0x04ab48a04065c724}, {0xcb090c8001ab551c, 0x5cadf5bfd3072cc6},
    {0xa402b9c5a8d3a6e7, 0x5f16206c9c6209a7}, {0x847c9b5d7c2e09b7, 0x69956135febada12},
    {0xd60b3bd56a5586f1, 0x8a71e223d8d3b075}, {0xace73cbfdc0bfb7b, 0x636cc64d1001550c},
    {0x8bab8eefb6409c1a, 0x1ad089b6c2f7548f}, {0xe1a63853bbd26451, 0x5e7873f8a0396974},
    {0xb6472e511c81471d, 0xe0133fe4adf8e953}};
static const uint64_t OFF[21] = {0x6a6a66aa6aaaaa95, 0x965a95559a9a6a96, 0x95a959669599695a,
                                 0x566aaa5aa9a5966a, 0xaaaa6a6a9aa665a6, 0xa55555959659555a,
                                 0x59559aa5a59a69aa, 0x9555665954555515, 0x56aa655599996596,
                                 0x5656a55565566965, 0x4410555555554169, 0x5555555555555555,
                                 0x999656aaa5555555, 0xaaaaaaa969696655, 0x955566a6596aaaaa,
                                 0x5556655155555966, 0xa966596555965a55, 0x9a696a9aa9a9aaaa,
                                 0x41955556a56aaa6a, 0xaaaaaaaaa5811551, 0x0026aa95a665aaaa};
static const uint64_t FIVES[27] = {1,
                                   5,
                                   25,
                                   125,
                                   625,
                                   3125,
                                   15625,
                                   78125,
                                   390625,
                                   1953125,
                                   9765625,
                                   48828125,
                                   244140625,
                                   1220703125,
                                   6103515625ULL,
                                   30517578125ULL,
                                   152587890625ULL,
                                   762939453125ULL,
                                   3814697265625ULL,
                                   19073486328125ULL,
                                   95367431640625ULL,
                                   476837158203125ULL,
                                   2384185791015625ULL,
                                   11920928955078125ULL,
                                   59604644775390625ULL,
                                   298023223876953125ULL,
                                   1490116119384765625ULL};

lmn_pow10 lmn_pow10_far(int32_t q)
{
    lmn_assert(q >= LMN_POW10_MIN && q <= LMN_POW10_MAX);
    const uint32_t i = (uint32_t)(q - LMN_POW10_MIN), rest = i % STEP;
    const uint64_t *base = COARSE[i / STEP];
    if (rest == 0) return (lmn_pow10){base[0], base[1]};
    const lmn_u128 low = (lmn_u128)base[1] * FIVES[rest];
    const lmn_u128 high = (lmn_u128)base[0] * FIVES[rest] + (uint64_t)(low >> 64);
    const uint64_t top = (uint64_t)(high >> 64), mid = (uint64_t)high;
    const int drop = 64 - __builtin_clzll(top); /* 1 .. 63: FIVES are at least 5 and below 2^63 */
    const uint64_t off = (OFF[i / 32] >> (i % 32 * 2) & 3) - 1; /* -1, 0, 1 */
    const uint64_t lo = (mid << (64 - drop) | (uint64_t)low >> drop), sum = lo + off;
    const uint64_t carry = off == 1 && sum == 0 ? 1 : off > 1 && lo == 0 ? UINT64_MAX : 0;
    return (lmn_pow10){(top << (64 - drop) | mid >> drop) + carry, sum};
}
