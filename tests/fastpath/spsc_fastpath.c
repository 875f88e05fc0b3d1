/*
 * The fast paths of lmn_spsc as a caller's compiler sees them: one word pushed, one popped, a span
 * filled, a span read. check_fastpath.py reads the disassembly of this object: no call, no locked
 * instruction, no fence.
 */
#include "sync/spsc.h"

bool fast_push(lmn_spsc *q, uint64_t item);
bool fast_pop(lmn_spsc *q, uint64_t *item);
size_t fast_fill(lmn_spsc *q, uint64_t from);
uint64_t fast_sum(lmn_spsc *q);

bool fast_push(lmn_spsc *q, uint64_t item)
{
    return lmn_spsc_push_sized(q, &item, sizeof item);
}

bool fast_pop(lmn_spsc *q, uint64_t *item)
{
    return lmn_spsc_pop_sized(q, item, sizeof *item);
}

size_t fast_fill(lmn_spsc *q, uint64_t from)
{
    lmn_slots s[2];
    const size_t n = lmn_spsc_reserve(q, 32, s);
    for (int run = 0; run < 2; run++) {
        uint64_t *p = (uint64_t *)(void *)s[run].p;
        for (size_t i = 0; i < s[run].n; i++) p[i] = from++;
    }
    lmn_spsc_commit(q, n);
    return n;
}

uint64_t fast_sum(lmn_spsc *q)
{
    lmn_slots s[2];
    uint64_t sum = 0;
    const size_t n = lmn_spsc_peek(q, 32, s);
    for (int run = 0; run < 2; run++) {
        const uint64_t *p = (const uint64_t *)(const void *)s[run].p;
        for (size_t i = 0; i < s[run].n; i++) sum += p[i];
    }
    lmn_spsc_release(q, n);
    return sum;
}
