/*
 * Making, attaching, writing and reading a ring of records (logring.h). No system calls here: the
 * same source runs under the model checker.
 */
#include "log/logring.h"

#include <string.h>

#define VERSION 1u
#define PAGE 65536u /* no system has larger ones */

size_t lmn_logring_bytes(uint32_t cells)
{
    if (cells < 2 || cells > LMN_LOGRING_MAX_CELLS || (cells & (cells - 1))) return 0;
    return sizeof(lmn_logring_mem) + (size_t)cells * sizeof(lmn_logcell);
}

lamina_status lmn_logring_init(void *mem, size_t bytes, uint32_t cells)
{
    const size_t need = lmn_logring_bytes(cells);
    LMN_CHECK(mem && need && bytes >= need && (uintptr_t)mem % LMN_APART == 0, LAMINA_E_INVALID);
    lmn_logring_mem *m = mem;
    m->version = VERSION;
    m->cells = cells;
    lmn_atomic_init(&m->crash, 0);
    lmn_atomic_init(&m->tail, 0);
    lmn_atomic_init(&m->dropped, 0);
    lmn_atomic_init(&m->head, 0);
#ifdef LMN_MC /* elsewhere the memory is zero as it comes from the system, and not touched yet */
    for (uint32_t i = 0; i < cells; i++) lmn_atomic_init(&m->cell[i].word, 0);
#endif
    return LAMINA_OK;
}

void lmn_logring_ready(void *mem)
{
    lmn_logring_mem *m = mem;
    m->magic = LMN_LOGRING_MAGIC;
}

lamina_status lmn_logring_attach(void *mem, size_t bytes, lmn_logring *out)
{
    LMN_CHECK(mem && (uintptr_t)mem % LMN_APART == 0, LAMINA_E_INVALID);
    LMN_CHECK(bytes >= sizeof(lmn_logring_mem), LAMINA_E_CORRUPT);
    lmn_logring_mem *m = mem;
    const uint32_t cells = *(volatile uint32_t *)&m->cells;
    const size_t need = lmn_logring_bytes(cells);
    LMN_CHECK(m->magic == LMN_LOGRING_MAGIC && m->version == VERSION && need && need <= bytes &&
                  bytes - need < PAGE, /* a mapping is whole pages */
              LAMINA_E_CORRUPT);
    *out = (lmn_logring){.mem = m, .mask = cells - 1};
    out->at = lmn_atomic_load(&m->head, relaxed);
    return LAMINA_OK;
}

bool lmn_logring_take(const lmn_logring *r, uint32_t n, uint64_t *at)
{
    uint64_t t = lmn_atomic_load(&r->mem->tail, relaxed);
    for (;;) {
        /* Loaded after tail, so that head is at most ahead of it: then the swap fails. */
        const uint64_t h = lmn_atomic_load(&r->mem->head, acquire);
        if ((int64_t)(t + n - h) > (int64_t)(r->mask + 1)) return false;
        if (lmn_atomic_cas(&r->mem->tail, &t, t + n, relaxed)) break;
    }
    *at = t;
    return true;
}

void lmn_logring_put(const lmn_logring *r, uint64_t at, uint32_t n, const void *bytes,
                     size_t n_bytes)
{
    const uint8_t *p = bytes;
    uint64_t i = at;
    for (; n_bytes >= sizeof r->mem->cell->bytes; i++) { /* the size is known: no call */
        lmn_logcell *c = &r->mem->cell[i & r->mask];
        lmn_plain_write(c->bytes, sizeof c->bytes);
        memcpy(c->bytes, p, sizeof c->bytes);
        p += sizeof c->bytes;
        n_bytes -= sizeof c->bytes;
    }
    if (n_bytes) {
        lmn_logcell *c = &r->mem->cell[i & r->mask];
        lmn_plain_write(c->bytes, n_bytes);
        memcpy(c->bytes, p, n_bytes);
    }
    lmn_atomic_store(&r->mem->cell[at & r->mask].word, (at + 1) << 8 | n, release);
}

uint32_t lmn_logring_peek(const lmn_logring *r, lamina_status *bad)
{
    const uint64_t w = lmn_atomic_load(&r->mem->cell[r->at & r->mask].word, acquire);
    if (w >> 8 != ((r->at + 1) & (UINT64_MAX >> 8))) return 0;
    const uint32_t n = w & 255;
    if (n >= 1 && n <= LMN_LOGRING_RECORD_CELLS && n <= r->mask + 1) return n;
    *bad = LAMINA_E_CORRUPT;
    return 0;
}

void lmn_logring_read(const lmn_logring *r, uint32_t n, void *out)
{
    uint8_t *p = out;
    for (uint32_t i = 0; i < n; i++, p += LMN_LOGRING_CELL_BYTES) {
        const lmn_logcell *c = &r->mem->cell[(r->at + i) & r->mask];
        lmn_plain_read(c->bytes, sizeof c->bytes);
        memcpy(p, c->bytes, sizeof c->bytes);
    }
}

uint64_t lmn_logring_skip(lmn_logring *r)
{
    const uint64_t tail = lmn_atomic_load(&r->mem->tail, relaxed); /* nobody writes any more */
    uint64_t left = tail - r->at, n = 0;
    if (left > r->mask + 1) left = 0; /* a tail that cannot be */
    lamina_status bad = LAMINA_OK;
    for (; n < left && lmn_logring_peek(r, &bad) == 0; n++) r->at++;
    return n;
}
