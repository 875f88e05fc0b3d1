/*
 * Fuzz target: numbers. Whatever the text, what is read is what strtod reads from a copy, ends
 * where it ends, and comes back from the writer the same.
 */
#include "base/number.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void round_trip(double d, float f)
{
    char out[LMN_NUMBER_BYTES];
    const uint8_t *text = (const uint8_t *)out;
    double d2;
    float f2;
    if (isfinite(d)) {
        const size_t n = lmn_f64_write(out, d);
        if (lmn_f64_read(text, text + n, &d2) != text + n || memcmp(&d, &d2, 8) != 0) abort();
    }
    if (isfinite(f)) {
        const size_t n = lmn_f32_write(out, f);
        if (lmn_f32_read(text, text + n, &f2) != text + n || memcmp(&f, &f2, 4) != 0) abort();
    }
}

static void integers(const uint8_t *data, size_t size, const char *copy)
{
    const uint8_t *end = data + size;
    int64_t i;
    uint64_t u;
    char out[LMN_NUMBER_BYTES];
    const uint8_t *p = lmn_i64_read(data, end, &i);
    if (p && i != strtoll(copy, NULL, 10)) abort();
    if (p && (lmn_i64_write(out, i) != (size_t)(p - data) || memcmp(out, data, (size_t)(p - data))))
        if (i != 0) abort(); /* "-0" */
    p = lmn_u64_read(data, end, &u);
    if (p && u != strtoull(copy, NULL, 10)) abort();
}

/* Rows are read as their numbers are. */
static void rows(const uint8_t *data, size_t size)
{
    float row[16], one;
    size_t n;
    const uint8_t *end = data + size, *p = data;
    const uint8_t *behind = lmn_f32_read_row(data, end, row, 16, &n);
    for (size_t i = 0; i < n; i++) {
        p = lmn_f32_read(p, end, &one);
        if (!p || p == end || *p != ',' || memcmp(&one, &row[i], 4) != 0) abort();
        p += 1 + (p + 1 < end && p[1] == ' ');
    }
    if (p != behind) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1);
    double d, lax;
    float f;
    if (!copy) return 0;
    if (size) memcpy(copy, data, size);
    copy[size] = 0;
    const uint8_t *end = data + size, *p = lmn_f64_read(data, end, &d);
    if ((p != NULL) != (lmn_f32_read(data, end, &f) == p && p)) abort();
    if (p) {
        copy[p - data] = 0;
        const double want = strtod(copy, NULL);
        const float want_f = strtof(copy, NULL);
        if (memcmp(&d, &want, 8) != 0 || memcmp(&f, &want_f, 4) != 0) abort();
        if (lmn_f64_read_lax(data, end, &lax) != p || memcmp(&d, &lax, 8) != 0) abort();
        round_trip(d, f);
    }
    integers(data, size, copy);
    rows(data, size);
    if (size >= 8) {
        memcpy(&d, data, 8);
        memcpy(&f, data, 4);
        round_trip(d, f);
    }
    free(copy);
    return 0;
}
