/*
 * The bounded queue (mpmc_bounded.h): rings of slot numbers after SCQ.
 *
 * An entry is round | safe | number: the round of the ticket that wrote it, whether a producer may
 * trust it without looking at head, and the slot's number, all ones when there is none. Tickets
 * have 63 bits and never wrap. Linearisation: a push at the fetch-and-add of the ticket of `items`
 * whose entry it fills, a pop at the fetch-and-add of the ticket whose entry it takes, E_AGAIN of a
 * pop where it reads tail or the last entry, close where CLOSED enters tail.
 *
 * The threshold is SCQ's, and here it only keeps producers and consumers from spoiling each other's
 * tickets for ever: when it is used up, a consumer looks at the entries before it says empty.
 */
#include "sync/mpmc_bounded.h"

#include "base/os/os_thread.h"

#include <string.h>

#define VERSION 1u
#define MOST_CAPACITY (1u << 24)
#define CLOSED ((uint64_t)1 << 63)
/* Tickets an operation draws before it calls the memory damaged: others may take some from it. */
#define TRIES (1u << 16)
#define SPINS 64
#define LINE_BITS 4u /* entries of 8 bytes in two cache lines */

/* ---- rings of numbers --------------------------------------------------------------------- */

static uint64_t none(const lmn_scq *r)
{
    return ((uint64_t)1 << r->bits) - 1;
}

static uint64_t round_of_ticket(const lmn_scq *r, uint64_t ticket)
{
    return ticket >> r->bits;
}

static uint64_t round_of(const lmn_scq *r, uint64_t entry)
{
    return entry >> (r->bits + 1);
}

static uint64_t safe(const lmn_scq *r)
{
    return (uint64_t)1 << r->bits;
}

static uint64_t entry_make(const lmn_scq *r, uint64_t round, uint64_t is_safe, uint64_t number)
{
    return round << (r->bits + 1) | is_safe | number;
}

/* Tickets that follow each other lie in different lines. */
static lmn_atomic(uint64_t) * entry_at(const lmn_scq *r, uint64_t ticket)
{
    const uint64_t i = ticket & none(r);
    if (r->bits <= LINE_BITS) return &r->entry[i];
    return &r->entry[((i << LINE_BITS) | i >> (r->bits - LINE_BITS)) & none(r)];
}

/* The numbers 0 .. n-1 are in the ring. */
static void ring_init(const lmn_scq *r, uint64_t n)
{
    const uint64_t entries = none(r) + 1;
    for (uint64_t i = 0; i < entries; i++)
        lmn_atomic_init(entry_at(r, i),
                        i < n ? entry_make(r, 1, safe(r), i) : entry_make(r, 0, safe(r), none(r)));
    lmn_atomic_init(&r->control->head, entries);
    lmn_atomic_init(&r->control->tail, entries + n);
    lmn_atomic_init(&r->control->threshold, n ? r->limit : -1);
}

/* May the producer with this ticket fill the entry? An entry marked by a consumer that could not
 * wait is good only while no consumer drew the ticket. */
static bool is_free(const lmn_scq *r, uint64_t entry, uint64_t ticket)
{
    return round_of(r, entry) < round_of_ticket(r, ticket) && (entry & none(r)) == none(r) &&
           (entry & safe(r) || lmn_atomic_load(&r->control->head, relaxed) <= ticket);
}

/* A number into the ring, which has room for all there are. */
static lamina_status ring_put(const lmn_scq *r, uint64_t number)
{
    lmn_scq_control *c = r->control;
    for (uint32_t i = 0; i < TRIES; i++) {
        const uint64_t ticket = lmn_atomic_add(&c->tail, 1, relaxed);
        if (ticket & CLOSED) return LAMINA_E_CLOSED;
        const uint64_t filled = entry_make(r, round_of_ticket(r, ticket), safe(r), number);
        lmn_atomic(uint64_t) *e = entry_at(r, ticket);
        for (uint64_t old; is_free(r, old = lmn_atomic_load(e, acquire), ticket);) {
            if (!lmn_atomic_cas(e, &old, filled, release)) continue;
            if (lmn_atomic_load(&c->threshold, relaxed) != r->limit)
                lmn_atomic_store(&c->threshold, r->limit, relaxed);
            return LAMINA_OK;
        }
    }
    return LAMINA_E_CORRUPT;
}

/* Consumers ran past tail: pull it along, so that producers need not draw what was looked at. */
static void catch_up(lmn_scq_control *c, uint64_t tail, uint64_t head)
{
    while (!lmn_atomic_cas(&c->tail, &tail, head | (tail & CLOSED), relaxed)) {
        head = lmn_atomic_load(&c->head, relaxed);
        if ((tail & ~CLOSED) >= head) return;
    }
}

/* The entry of a ticket, after a while when its producer is only just behind: spoiling it costs
 * both another ticket. */
static uint64_t entry_await(const lmn_scq *r, lmn_atomic(uint64_t) * e, uint64_t round)
{
    uint64_t old = lmn_atomic_load(e, acquire);
#ifndef LMN_MC
    for (int i = 0; i < SPINS && round_of(r, old) < round && (old & none(r)) == none(r); i++) {
        lmn_cpu_pause();
        old = lmn_atomic_load(e, acquire);
    }
#else
    (void)r, (void)round;
#endif
    return old;
}

/* The entry of a ticket of head: its number, or none, and then no producer may use the ticket. */
static uint64_t entry_take(const lmn_scq *r, uint64_t ticket)
{
    const uint64_t round = round_of_ticket(r, ticket);
    lmn_atomic(uint64_t) *e = entry_at(r, ticket);
    for (;;) {
        uint64_t old = entry_await(r, e, round);
        if (round_of(r, old) > round) return none(r);
        if (round_of(r, old) == round) {
            (void)lmn_atomic_or(e, none(r), relaxed);
            return old & none(r);
        }
        const bool is_empty = (old & none(r)) == none(r);
        const uint64_t spoilt =
            is_empty ? entry_make(r, round, old & safe(r), none(r)) : old & ~safe(r);
        if (lmn_atomic_cas(e, &old, spoilt, release)) return none(r);
    }
}

/* Is there a number whose ticket nobody has drawn from head? */
static bool is_filled(const lmn_scq *r, uint64_t head)
{
    for (uint64_t t = head; t <= head + none(r); t++) {
        const uint64_t e = lmn_atomic_load(entry_at(r, t), relaxed);
        const uint64_t ticket = round_of(r, e) << r->bits | (t & none(r));
        if ((e & none(r)) != none(r) && ticket >= head) return true;
    }
    return false;
}

/* May a consumer draw? OK; E_AGAIN: the ring is empty; E_CLOSED. */
static lamina_status may_take(const lmn_scq *r)
{
    lmn_scq_control *c = r->control;
    uint64_t head = lmn_atomic_load(&c->head, relaxed), looked_from;
    do {
        const uint64_t tail = lmn_atomic_load(&c->tail, relaxed);
        if (head >= (tail & ~CLOSED)) return tail & CLOSED ? LAMINA_E_CLOSED : LAMINA_E_AGAIN;
        if (lmn_atomic_load(&c->threshold, relaxed) >= 0) return LAMINA_OK;
        /* Of a closed ring the last tickets are drawn whatever is in them. */
        if (tail & CLOSED || is_filled(r, head)) {
            lmn_atomic_store(&c->threshold, r->limit, relaxed);
            return LAMINA_OK;
        }
        looked_from = head;
        head = lmn_atomic_load(&c->head, relaxed);
    } while (head != looked_from); /* what others drew meanwhile may have gone by unseen */
    return LAMINA_E_AGAIN;
}

/* A number out of the ring. E_AGAIN: it is empty. */
static lamina_status ring_take(const lmn_scq *r, uint64_t *number)
{
    lmn_scq_control *c = r->control;
    for (uint32_t i = 0; i < TRIES; i++) {
        LMN_TRY(may_take(r));
        const uint64_t ticket = lmn_atomic_add(&c->head, 1, relaxed);
        *number = entry_take(r, ticket);
        if (*number != none(r)) return LAMINA_OK;
        (void)lmn_atomic_sub(&c->threshold, 1, relaxed);
        const uint64_t tail = lmn_atomic_load(&c->tail, relaxed);
        if ((tail & ~CLOSED) <= ticket + 1) catch_up(c, tail, ticket + 1);
    }
    return LAMINA_E_CORRUPT;
}

/* ---- the queue ---------------------------------------------------------------------------- */

static size_t stride_of(uint32_t elem_bytes)
{
    return lmn_align_up(elem_bytes, 8);
}

size_t lmn_mpmc_bounded_bytes(uint32_t elem_bytes, uint32_t capacity)
{
    size_t n;
    if (!elem_bytes || !capacity || capacity > MOST_CAPACITY || (capacity & (capacity - 1)))
        return 0;
    const size_t entries = 4 * sizeof(uint64_t); /* two rings, twice the capacity each */
    if (!lmn_mul_size(stride_of(elem_bytes) + entries, capacity, &n) ||
        !lmn_add_size(n, sizeof(lmn_mpmc_bounded_mem), &n))
        return 0;
    return n;
}

static void handle_init(lmn_mpmc_bounded *q, lmn_mpmc_bounded_mem *m, uint32_t elem_bytes,
                        uint32_t capacity)
{
    uint32_t bits = 1;
    while (capacity >> bits) bits++;
    const int64_t limit = 3 * (int64_t)capacity - 1;
    lmn_atomic(uint64_t) *entry = (lmn_atomic(uint64_t) *)(void *)(m + 1);
    *q = (lmn_mpmc_bounded){
        .mem = m,
        .items = {&m->items, entry, bits, limit},
        .spare = {&m->spare, entry + 2 * (size_t)capacity, bits, limit},
        .slots = (uint8_t *)(void *)(entry + 4 * (size_t)capacity),
        .elem_bytes = elem_bytes,
        .stride = stride_of(elem_bytes),
    };
}

lamina_status lmn_mpmc_bounded_init(lmn_mpmc_bounded *q, void *mem, size_t bytes,
                                    uint32_t elem_bytes, uint32_t capacity)
{
    const size_t need = lmn_mpmc_bounded_bytes(elem_bytes, capacity);
    LMN_CHECK(q && mem && need && bytes >= need && (uintptr_t)mem % LMN_APART == 0,
              LAMINA_E_INVALID);
    lmn_mpmc_bounded_mem *m = mem;
    m->version = VERSION;
    m->elem_bytes = elem_bytes;
    m->capacity = capacity;
    lmn_atomic_init(&m->closed, 0);
    handle_init(q, m, elem_bytes, capacity);
    ring_init(&q->items, 0);
    ring_init(&q->spare, capacity);
    m->magic = LMN_BOUNDED_MAGIC;
    return LAMINA_OK;
}

lamina_status lmn_mpmc_bounded_attach(lmn_mpmc_bounded *q, void *mem, size_t bytes)
{
    LMN_CHECK(q && mem && (uintptr_t)mem % LMN_APART == 0 && bytes >= sizeof(lmn_mpmc_bounded_mem),
              LAMINA_E_INVALID);
    lmn_mpmc_bounded_mem *m = mem;
    const uint32_t elem_bytes = m->elem_bytes, capacity = m->capacity;
    const size_t need = lmn_mpmc_bounded_bytes(elem_bytes, capacity);
    LMN_CHECK(m->magic == LMN_BOUNDED_MAGIC && m->version == VERSION && need && need <= bytes,
              LAMINA_E_CORRUPT);
    handle_init(q, m, elem_bytes, capacity);
    return LAMINA_OK;
}

/* The number came out of shared memory: whatever it says, the slot is one of ours. */
static uint8_t *slot_at(const lmn_mpmc_bounded *q, uint64_t number)
{
    return q->slots + (size_t)(number & (none(&q->items) >> 1)) * q->stride;
}

lamina_status lmn_mpmc_bounded_push(const lmn_mpmc_bounded *q, const void *item)
{
    /* A word of its own: refused pushes must not move the tail that consumers run towards. */
    if (lmn_atomic_load(&q->mem->closed, relaxed)) return LAMINA_E_CLOSED;
    uint64_t number;
    LMN_TRY(ring_take(&q->spare, &number));
    uint8_t *slot = slot_at(q, number);
    lmn_plain_write(slot, q->elem_bytes);
    memcpy(slot, item, q->elem_bytes);
    const lamina_status st = ring_put(&q->items, number);
    if (st != LAMINA_OK) (void)ring_put(&q->spare, number);
    return st;
}

lamina_status lmn_mpmc_bounded_pop(const lmn_mpmc_bounded *q, void *item)
{
    uint64_t number;
    LMN_TRY(ring_take(&q->items, &number));
    const uint8_t *slot = slot_at(q, number);
    lmn_plain_read(slot, q->elem_bytes);
    memcpy(item, slot, q->elem_bytes);
    return ring_put(&q->spare, number);
}

void lmn_mpmc_bounded_close(const lmn_mpmc_bounded *q)
{
    (void)lmn_atomic_or(&q->items.control->tail, CLOSED, relaxed);
    lmn_atomic_store(&q->mem->closed, 1, relaxed);
}
