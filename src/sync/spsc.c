/*
 * Making and attaching a ring (spsc.h). What an end reads of the header it reads once, here, and
 * checks; the fast path looks at its own copy.
 */
#include "sync/spsc.h"

#define VERSION 1u

size_t lmn_spsc_bytes(uint32_t elem_bytes, uint32_t capacity)
{
    size_t n;
    if (!elem_bytes || !capacity || (capacity & (capacity - 1))) return 0;
    if (!lmn_mul_size(elem_bytes, capacity, &n) || !lmn_add_size(n, sizeof(lmn_spsc_mem), &n))
        return 0;
    return n;
}

lamina_status lmn_spsc_init(void *mem, size_t bytes, uint32_t elem_bytes, uint32_t capacity)
{
    const size_t need = lmn_spsc_bytes(elem_bytes, capacity);
    LMN_CHECK(mem && need && bytes >= need && (uintptr_t)mem % LMN_APART == 0, LAMINA_E_INVALID);
    lmn_spsc_mem *m = mem;
    m->version = VERSION;
    m->elem_bytes = elem_bytes;
    m->capacity = capacity;
    lmn_atomic_init(&m->tail, 0);
    lmn_atomic_init(&m->head, 0);
    m->magic = LMN_SPSC_MAGIC;
    return LAMINA_OK;
}

static lamina_status attach(void *mem, size_t bytes, lmn_spsc *q, uint64_t *tail, uint64_t *head)
{
    LMN_CHECK(mem && q && (uintptr_t)mem % LMN_APART == 0 && bytes >= sizeof(lmn_spsc_mem),
              LAMINA_E_INVALID);
    lmn_spsc_mem *m = mem;
    const uint32_t elem_bytes = m->elem_bytes, capacity = m->capacity;
    const size_t need = lmn_spsc_bytes(elem_bytes, capacity);
    LMN_CHECK(m->magic == LMN_SPSC_MAGIC && m->version == VERSION && need && need <= bytes,
              LAMINA_E_CORRUPT);
    *tail = lmn_atomic_load(&m->tail, acquire);
    *head = lmn_atomic_load(&m->head, acquire);
    *q = (lmn_spsc){.mem = m, .lazy = 1, .mask = capacity - 1, .elem_bytes = elem_bytes};
    return LAMINA_OK;
}

lamina_status lmn_spsc_producer(void *mem, size_t bytes, lmn_spsc *out)
{
    uint64_t tail, head;
    LMN_TRY(attach(mem, bytes, out, &tail, &head));
    LMN_CHECK(tail - head <= out->mask + 1, LAMINA_E_CORRUPT);
    out->at = out->published = tail;
    out->seen = head;
    return LAMINA_OK;
}

lamina_status lmn_spsc_consumer(void *mem, size_t bytes, lmn_spsc *out)
{
    uint64_t tail, head;
    LMN_TRY(attach(mem, bytes, out, &tail, &head));
    LMN_CHECK(tail - head <= out->mask + 1, LAMINA_E_CORRUPT);
    out->at = out->published = head;
    out->seen = tail;
    return LAMINA_OK;
}
