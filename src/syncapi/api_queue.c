/*
 * The public queue (lamina/queue.h): the FAA-array queue, an eventcount for each way one may wait,
 * and seats in which hazard records wait for whoever calls without a handle.
 *
 * With a capacity a push takes a credit first, by compare-and-swap: a fetch-and-add that is taken
 * back would for a moment look like an item to others, who would sleep for nobody to wake them.
 */
#include "lamina/queue.h"

#include "base/alloc.h"
#include "base/engine.h"
#include "base/os/os_thread.h"
#include "sync/eventcount.h"
#include "sync/mpmc.h"
#include "sync/seats.h"

#ifdef LMN_MC
#define TRIES 0
#else
#define TRIES 64 /* looks before a wait is announced */
#endif

struct lamina_queue {
    lamina_allocator alloc;
    lmn_smr domain;
    lmn_mpmc fifo;
    lmn_eventcount not_empty, not_full;
    lmn_seats seats;
    uint64_t capacity; /* 0: none, and `held` is not counted */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) held;
    lmn_atomic(uint32_t) closed; /* for who finds it full */
};

struct lamina_queue_handle {
    lamina_queue *q;
    lmn_hp *hp;
};

lamina_status lamina_queue_create(const lamina_queue_opts *opts, lamina_queue **out)
{
    lamina_queue_opts o;
    LMN_CHECK(out, LAMINA_E_INVALID);
    LMN_TRY(lmn_opts_read(&o, sizeof o, opts));
    const lamina_allocator *a = o.allocator ? o.allocator : &lmn_libc_allocator;
    LMN_CHECK(a->abi == LAMINA_ALLOCATOR_ABI && a->alloc && a->free, LAMINA_E_INVALID);
    lamina_queue *q = lmn_alloc(a, sizeof *q, LMN_APART, "queue");
    if (!q) return LAMINA_E_NOMEM;
    const lmn_asym asym = lmn_asym_detect();
    q->alloc = *a;
    q->capacity = o.capacity;
    lmn_smr_init(&q->domain, a, asym);
    lmn_ec_init(&q->not_empty, asym);
    lmn_ec_init(&q->not_full, asym);
    lmn_seats_init(&q->seats);
    lmn_atomic_init(&q->held, 0);
    lmn_atomic_init(&q->closed, 0);
    const lamina_status st = lmn_mpmc_init(&q->fifo, &q->domain);
    if (st != LAMINA_OK) {
        lmn_free(a, q, sizeof *q, LMN_APART, "queue");
        return st;
    }
    *out = q;
    return LAMINA_OK;
}

void lamina_queue_destroy(lamina_queue *q)
{
    if (!q) return;
    lmn_mpmc_finish(&q->fifo);
    for (uint32_t i = 0; i < LMN_SEATS; i++)
        if (q->seats.seat[i].record) lmn_smr_leave(q->seats.seat[i].record);
    lmn_smr_finish(&q->domain);
    const lamina_allocator a = q->alloc;
    lmn_free(&a, q, sizeof *q, LMN_APART, "queue");
}

/* A hazard record for one call: that of a seat or, when more threads than there are seats are in
 * the middle of a call, one of its own. */
typedef struct borrowed {
    lmn_seat *seat;
    lmn_hp *hp; /* NULL: no memory */
} borrowed;

static borrowed borrow(lamina_queue *q)
{
    borrowed b = {.seat = lmn_seat_take(&q->seats, lmn_thread_key())};
    b.hp = b.seat ? b.seat->record : lmn_smr_join(&q->domain);
    if (b.seat && LMN_UNLIKELY(!b.hp)) b.hp = b.seat->record = lmn_smr_join(&q->domain);
    return b;
}

static void give_back(borrowed b)
{
    if (LMN_LIKELY(b.seat != NULL))
        lmn_seat_give(b.seat);
    else if (b.hp)
        lmn_smr_leave(b.hp);
}

static bool credit(lamina_queue *q)
{
    uint64_t held = lmn_atomic_load(&q->held, relaxed);
    while (held < q->capacity)
        if (lmn_atomic_cas(&q->held, &held, held + 1, relaxed)) return true;
    return false;
}

static void credit_back(lamina_queue *q)
{
    (void)lmn_atomic_sub(&q->held, 1, relaxed);
    lmn_ec_notify(&q->not_full, 1);
}

static lamina_status push_one(lamina_queue *q, lmn_hp *hp, void *item)
{
    LMN_CHECK(item && ((uintptr_t)item & 1) == 0, LAMINA_E_INVALID);
    if (q->capacity && !credit(q))
        return lmn_atomic_load(&q->closed, relaxed) ? LAMINA_E_CLOSED : LAMINA_E_AGAIN;
    const lamina_status st = lmn_mpmc_push(&q->fifo, hp, item);
    if (LMN_UNLIKELY(st != LAMINA_OK)) {
        if (q->capacity) credit_back(q);
        return st;
    }
    lmn_ec_notify(&q->not_empty, 1);
    return LAMINA_OK;
}

static lamina_status pop_one(lamina_queue *q, lmn_hp *hp, void **item)
{
    void *got;
    LMN_TRY(lmn_mpmc_pop(&q->fifo, hp, &got));
    if (q->capacity) credit_back(q);
    *item = got;
    return LAMINA_OK;
}

lamina_status lamina_queue_push_n(lamina_queue *q, void *const *items, size_t n, size_t *pushed)
{
    if (pushed) *pushed = 0;
    LMN_CHECK(q && (items || !n), LAMINA_E_INVALID);
    const borrowed b = borrow(q);
    lamina_status st = b.hp ? LAMINA_OK : LAMINA_E_NOMEM;
    size_t i = 0;
    while (i < n && st == LAMINA_OK) {
        st = push_one(q, b.hp, items[i]);
        i += st == LAMINA_OK;
    }
    give_back(b);
    if (pushed) *pushed = i;
    return st;
}

lamina_status lamina_queue_pop_n(lamina_queue *q, void **items, size_t n, size_t *popped)
{
    LMN_CHECK(popped, LAMINA_E_INVALID);
    *popped = 0;
    LMN_CHECK(q && items && n, LAMINA_E_INVALID);
    const borrowed b = borrow(q);
    lamina_status st = b.hp ? LAMINA_OK : LAMINA_E_NOMEM;
    size_t i = 0;
    while (i < n && st == LAMINA_OK) {
        st = pop_one(q, b.hp, &items[i]);
        i += st == LAMINA_OK;
    }
    give_back(b);
    *popped = i;
    return i ? LAMINA_OK : st;
}

lamina_status lamina_queue_push(lamina_queue *q, void *item)
{
    return lamina_queue_push_n(q, &item, 1, NULL);
}

lamina_status lamina_queue_pop(lamina_queue *q, void **item)
{
    size_t n;
    LMN_CHECK(item, LAMINA_E_INVALID);
    return lamina_queue_pop_n(q, item, 1, &n);
}

/* One direction of waiting: a push when `in`, else a pop. */
static lamina_status attempt(lamina_queue *q, bool in, void **item)
{
    return in ? lamina_queue_push(q, *item) : lamina_queue_pop(q, item);
}

static lamina_status attempt_wait(lamina_queue *q, bool in, void **item, uint64_t deadline_ns)
{
    lmn_eventcount *ec = in ? &q->not_full : &q->not_empty;
    lamina_status st = attempt(q, in, item);
    for (int i = 0; i < TRIES && st == LAMINA_E_AGAIN; i++) {
        lmn_cpu_pause();
        st = attempt(q, in, item);
    }
    for (bool in_time = true; st == LAMINA_E_AGAIN;) {
        if (!in_time) return LAMINA_E_TIMEOUT;
        const uint32_t key = lmn_ec_prepare(ec);
        st = attempt(q, in, item);
        if (st == LAMINA_E_AGAIN) {
            in_time = lmn_ec_wait(ec, key, deadline_ns);
            st = attempt(q, in, item);
        } else {
            lmn_ec_cancel(ec);
        }
    }
    return st;
}

lamina_status lamina_queue_push_wait(lamina_queue *q, void *item, uint64_t deadline_ns)
{
    LMN_CHECK(q, LAMINA_E_INVALID);
    return attempt_wait(q, true, &item, deadline_ns);
}

lamina_status lamina_queue_pop_wait(lamina_queue *q, void **item, uint64_t deadline_ns)
{
    LMN_CHECK(q && item, LAMINA_E_INVALID);
    return attempt_wait(q, false, item, deadline_ns);
}

lamina_status lamina_queue_close(lamina_queue *q)
{
    LMN_CHECK(q, LAMINA_E_INVALID);
    const borrowed b = borrow(q);
    if (b.hp) {
        lmn_mpmc_close(&q->fifo, b.hp);
        lmn_atomic_store(&q->closed, 1, relaxed);
    }
    give_back(b);
    if (!b.hp) return LAMINA_E_NOMEM;
    lmn_ec_notify(&q->not_empty, INT32_MAX);
    lmn_ec_notify(&q->not_full, INT32_MAX);
    return LAMINA_OK;
}

lamina_status lamina_queue_join(lamina_queue *q, lamina_queue_handle **out)
{
    LMN_CHECK(q && out, LAMINA_E_INVALID);
    lamina_queue_handle *h = lmn_alloc(&q->alloc, sizeof *h, 16, "queue handle");
    if (!h) return LAMINA_E_NOMEM;
    *h = (lamina_queue_handle){q, lmn_smr_join(&q->domain)};
    if (!h->hp) {
        lmn_free(&q->alloc, h, sizeof *h, 16, "queue handle");
        return LAMINA_E_NOMEM;
    }
    *out = h;
    return LAMINA_OK;
}

void lamina_queue_leave(lamina_queue_handle *handle)
{
    if (!handle) return;
    lmn_smr_leave(handle->hp);
    lmn_free(&handle->q->alloc, handle, sizeof *handle, 16, "queue handle");
}

lamina_status lamina_queue_push_by(lamina_queue_handle *handle, void *item)
{
    LMN_CHECK(handle, LAMINA_E_INVALID);
    return push_one(handle->q, handle->hp, item);
}

lamina_status lamina_queue_pop_by(lamina_queue_handle *handle, void **item)
{
    LMN_CHECK(handle && item, LAMINA_E_INVALID);
    return pop_one(handle->q, handle->hp, item);
}

lamina_status lamina_queue_describe(const lamina_queue *q, lamina_queue_stats *out)
{
    LMN_CHECK(q && out && out->size == sizeof *out, LAMINA_E_INVALID);
    lmn_smr_stats s;
    lmn_smr_get_stats(&q->domain, &s);
    out->n_records = s.n_records;
    out->segment_items = LMN_MPMC_CELLS;
    out->segment_bytes = lmn_mpmc_segment_bytes();
    out->garbage_bound = s.bound * out->segment_bytes;
    out->held = lmn_atomic_load(&q->held, relaxed);
    return LAMINA_OK;
}
