/*
 * Many floats as text, one behind the other. Where the CPU can, eight are taken apart at a time and
 * only their bytes are put down one by one.
 */
#include "base/number_layout.h"

#include "base/number.h"

#include <string.h>

static bool is_finite(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, 4);
    return (bits & 0x7f800000) != 0x7f800000;
}

#if defined(__x86_64__)
static char *put_eight(char *out, const lmn_number_row *row, const float *v)
{
    for (uint32_t i = 0; i < LMN_NUMBER_ROW; i++) {
        if (LMN_UNLIKELY(row->odd >> i & 1)) {
            out += lmn_f32_write(out, v[i]);
        } else {
            char *p = out + (row->minus >> i & 1);
            out[0] = '-';
            memcpy(p, "0.000000", 8);
            p += row->zeros[i];
            p[0] = (char)row->first[i];
            memcpy(p + 1, &row->word[i], 8);
            p[9] = (char)row->last[i];
            out += row->used[i];
        }
        *out++ = ',';
    }
    return out;
}
#endif

char *lmn_f32_write_row(char *out, const float *v, size_t n, lmn_isa isa, size_t *done)
{
    size_t i = 0;
#if defined(__x86_64__)
    lmn_number_row row;
    while (isa & LMN_ISA_AVX512 && n - i >= LMN_NUMBER_ROW && lmn_number_row_avx512(&row, v + i)) {
        out = put_eight(out, &row, v + i);
        i += LMN_NUMBER_ROW;
    }
#endif
    (void)isa;
    for (size_t most = n - i < LMN_NUMBER_ROW ? n : i + LMN_NUMBER_ROW; i < most; i++) {
        if (!is_finite(v[i])) break;
        out += lmn_f32_write(out, v[i]);
        *out++ = ',';
    }
    *done = i;
    return out;
}
