/*
 * Fuzz target: the protobuf cursor. Every field must lie inside the input; every length-delimited
 * field is walked again as a message and as a packed list of varints.
 */
#include "base/pbwire.h"

#include <stdlib.h>

static void walk(lmn_span s, int depth)
{
    lmn_pb c = lmn_pb_of(s);
    lmn_pb_field f;
    while (lmn_pb_next(&c, &f)) {
        if (f.num == 0 || c.p > c.end) abort();
        if (f.wire != LMN_PB_BYTES) continue;
        if (f.s.p < s.p || f.s.n > (size_t)(s.p + s.n - f.s.p)) abort();
        lmn_pb list = lmn_pb_of(f.s);
        uint64_t v;
        size_t n = 0;
        while (lmn_pb_varint(&list, &v)) {
            uint8_t buf[10];
            if (lmn_pb_put_varint(buf, v) != lmn_pb_varint_bytes(v)) abort();
            n++;
        }
        if (n > f.s.n) abort();
        if (depth < 6) walk(f.s, depth + 1);
    }
    if (c.p != c.end) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size) walk((lmn_span){data, size}, 0);
    return 0;
}
