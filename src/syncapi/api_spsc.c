/*
 * The public queues in memory of the caller (lamina/queue.h), over sync/spsc.h and
 * sync/mpmc_bounded.h: an end of the caller's holds an lmn_spsc, a handle an lmn_mpmc_bounded.
 */
#include "lamina/queue.h"

#include "sync/mpmc_bounded.h"
#include "sync/spsc.h"

_Static_assert(sizeof(lamina_spsc_end) == sizeof(lmn_spsc), "an end holds an lmn_spsc");
_Static_assert(_Alignof(lamina_spsc_end) == _Alignof(lmn_spsc), "and is aligned like one");
_Static_assert(sizeof(lamina_items) == sizeof(lmn_slots), "runs are runs");

_Static_assert(sizeof(lamina_bounded) >= sizeof(lmn_mpmc_bounded), "a handle holds one of ours");
_Static_assert(_Alignof(lamina_bounded) >= _Alignof(lmn_mpmc_bounded), "and is aligned like it");

static lmn_spsc *ring(lamina_spsc_end *end)
{
    return (lmn_spsc *)(void *)end;
}

size_t lamina_spsc_bytes(uint32_t item_bytes, uint32_t capacity)
{
    return lmn_spsc_bytes(item_bytes, capacity);
}

lamina_status lamina_spsc_init(void *mem, size_t bytes, uint32_t item_bytes, uint32_t capacity)
{
    return lmn_spsc_init(mem, bytes, item_bytes, capacity);
}

lamina_status lamina_spsc_producer(void *mem, size_t bytes, lamina_spsc_end *out)
{
    LMN_CHECK(out && (uintptr_t)out % LAMINA_SPSC_ALIGN == 0, LAMINA_E_INVALID);
    return lmn_spsc_producer(mem, bytes, ring(out));
}

lamina_status lamina_spsc_consumer(void *mem, size_t bytes, lamina_spsc_end *out)
{
    LMN_CHECK(out && (uintptr_t)out % LAMINA_SPSC_ALIGN == 0, LAMINA_E_INVALID);
    return lmn_spsc_consumer(mem, bytes, ring(out));
}

void lamina_spsc_set_lazy(lamina_spsc_end *end, uint32_t n)
{
    lmn_spsc *q = ring(end);
    const uint64_t most = q->mask + 1;
    q->lazy = n == 0 ? 1 : n < most ? n : most;
}

static size_t runs(const lmn_slots s[2], size_t n, lamina_items out[2])
{
    for (int i = 0; i < 2; i++) out[i] = (lamina_items){s[i].p, s[i].n};
    return n;
}

size_t lamina_spsc_reserve(lamina_spsc_end *end, size_t n, lamina_items out[2])
{
    lmn_slots s[2];
    n = lmn_spsc_reserve(ring(end), n, s);
    return runs(s, n, out);
}

void lamina_spsc_commit(lamina_spsc_end *end, size_t n)
{
    lmn_spsc_commit(ring(end), n);
}

void lamina_spsc_flush(lamina_spsc_end *end)
{
    lmn_spsc_flush(ring(end));
}

size_t lamina_spsc_peek(lamina_spsc_end *end, size_t n, lamina_items out[2])
{
    lmn_slots s[2];
    n = lmn_spsc_peek(ring(end), n, s);
    return runs(s, n, out);
}

void lamina_spsc_release(lamina_spsc_end *end, size_t n)
{
    lmn_spsc_release(ring(end), n);
}

bool lamina_spsc_push(lamina_spsc_end *end, const void *item)
{
    return lmn_spsc_push(ring(end), item);
}

bool lamina_spsc_pop(lamina_spsc_end *end, void *item)
{
    return lmn_spsc_pop(ring(end), item);
}

static const lmn_mpmc_bounded *bounded(const lamina_bounded *q)
{
    return (const lmn_mpmc_bounded *)(const void *)q;
}

size_t lamina_bounded_bytes(uint32_t item_bytes, uint32_t capacity)
{
    return lmn_mpmc_bounded_bytes(item_bytes, capacity);
}

lamina_status lamina_bounded_init(void *mem, size_t bytes, uint32_t item_bytes, uint32_t capacity,
                                  lamina_bounded *out)
{
    LMN_CHECK(out, LAMINA_E_INVALID);
    return lmn_mpmc_bounded_init((lmn_mpmc_bounded *)(void *)out, mem, bytes, item_bytes, capacity);
}

lamina_status lamina_bounded_attach(void *mem, size_t bytes, lamina_bounded *out)
{
    LMN_CHECK(out, LAMINA_E_INVALID);
    return lmn_mpmc_bounded_attach((lmn_mpmc_bounded *)(void *)out, mem, bytes);
}

lamina_status lamina_bounded_push(const lamina_bounded *q, const void *item)
{
    LMN_CHECK(q && item, LAMINA_E_INVALID);
    return lmn_mpmc_bounded_push(bounded(q), item);
}

lamina_status lamina_bounded_pop(const lamina_bounded *q, void *item)
{
    LMN_CHECK(q && item, LAMINA_E_INVALID);
    return lmn_mpmc_bounded_pop(bounded(q), item);
}

void lamina_bounded_close(const lamina_bounded *q)
{
    if (q) lmn_mpmc_bounded_close(bounded(q));
}
