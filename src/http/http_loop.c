/*
 * An event loop: one thread, one epoll. A turn handles the events there are, then connections that
 * have more input from before (so that nobody is asked twice before all were asked once), tasks of
 * other threads, the handler's turn, streamed output and time limits; only then records of closed
 * connections are freed.
 *
 * Sleep and post: the loop announces its sleep, then looks for tasks; a poster adds its task, then
 * looks whether the loop sleeps. All four are sequentially consistent, so one sees the other.
 */
#include "base/os/os_self.h"
#include "base/os/os_time.h"
#include "http/http_int.h"

#include <string.h>

/* ---- lists ---- */

static void unlink_timer(lmn_http_conn *c)
{
    lmn_http_list *list = &c->loop->timers[c->timer];
    if (c->before)
        c->before->after = c->after;
    else
        list->first = c->after;
    if (c->after)
        c->after->before = c->before;
    else
        list->last = c->before;
}

void lmn_http_timer_set(lmn_http_conn *c, lmn_http_timer kind)
{
    if (c->timer != LMN_HTTP_TIMER_NONE) unlink_timer(c);
    if (kind == LMN_HTTP_TIMER_IDLE && c->within) { /* whatever is in the record has begun */
        kind = LMN_HTTP_TIMER_HEAD;
        c->began_ns = c->loop->now;
    }
    c->timer = kind;
    if (kind == LMN_HTTP_TIMER_NONE) return;
    lmn_http_list *list = &c->loop->timers[kind];
    c->timer_ns = c->loop->now;
    c->timer_moved = c->moved;
    c->slow = 0;
    c->after = NULL;
    c->before = list->last;
    if (list->last)
        list->last->after = c;
    else
        list->first = c;
    list->last = c;
}

void lmn_http_queue(lmn_http_conn *c)
{
    lmn_http_loop *l = c->loop;
    if (c->queued) return;
    c->queued = true;
    c->next_queued = NULL;
    if (l->queued)
        l->queued_last->next_queued = c;
    else
        l->queued = c;
    l->queued_last = c;
}

void lmn_http_keep(lmn_http_conn *c)
{
    lmn_http_loop *l = c->loop;
    if (c->dirty) return;
    c->dirty = true;
    c->next_dirty = NULL;
    if (l->dirty)
        l->dirty_last->next_dirty = c;
    else
        l->dirty = c;
    l->dirty_last = c;
    l->n_dirty++;
}

void lmn_http_soil(lmn_http_conn *c)
{
    c->loop->soiled = true;
    lmn_http_keep(c);
}

void lmn_http_bury(lmn_http_conn *c)
{
    c->next_dead = c->loop->dead;
    c->loop->dead = c;
}

/* ---- a turn ---- */

static void keep_date(lmn_http_loop *l)
{
    if (l->now < l->date_ns) return;
    const uint64_t wall = lmn_wall_ns();
    lmn_http1_date(l->date, (int64_t)(wall / LMN_HTTP_SECOND));
    l->date_ns = l->now + LMN_HTTP_SECOND - wall % LMN_HTTP_SECOND;
}

/* When the next time limit ends. */
static uint64_t next_timer(const lmn_http_loop *l)
{
    uint64_t next = UINT64_MAX;
    for (int i = 0; i < LMN_HTTP_TIMERS; i++) {
        const lmn_http_conn *c = l->timers[i].first;
        if (c && c->timer_ns + l->timer_ns[i] < next) next = c->timer_ns + l->timer_ns[i];
    }
    return next;
}

static void run_timers(lmn_http_loop *l)
{
    for (int i = 0; i < LMN_HTTP_TIMERS; i++)
        for (lmn_http_conn *c;
             (c = l->timers[i].first) && c->timer_ns + l->timer_ns[i] <= l->now;) {
            lmn_http_timer_set(c, LMN_HTTP_TIMER_NONE);
            lmn_http_conn_expired(c, (lmn_http_timer)i);
        }
}

static uint64_t sleep_ns(const lmn_http_loop *l)
{
    if (l->queued || l->dirty) return 0; /* or time limits gave answers */
    uint64_t until = next_timer(l);
    if (l->turn_ns < until) until = l->turn_ns;
    if (l->accept_ns && l->accept_ns < until) until = l->accept_ns;
    if (l->close_ns && l->close_ns < until) until = l->close_ns;
    if (until == UINT64_MAX) return until;
    return until > l->now ? until - l->now : 0; /* the clock was read at the end of the last turn */
}

static void flush_streams(lmn_http_loop *l)
{
    lmn_http_conn *c = l->dirty;
    l->dirty = l->dirty_last = NULL;
    l->n_dirty = 0;
    l->soiled = false;
    while (c) {
        lmn_http_conn *next = c->next_dirty;
        c->dirty = false;
        if (c->phase == LMN_HTTP_H2)
            (void)lmn_h2_flush(c);
        else if (c->phase != LMN_HTTP_DEAD && lmn_http_out_flush(c) && !c->out)
            lmn_http_conn_sent(c);
        c = next;
    }
}

/* What a turn gathers is sent before it is much: each has a buffer till then. */
static void flush_many(lmn_http_loop *l)
{
    if (l->n_dirty >= LMN_HTTP_GATHERED && l->rested) flush_streams(l);
}

static void run_tasks(lmn_http_loop *l)
{
    if (!lmn_atomic_load(&l->tasks, relaxed)) return;
    lmn_http_task *t = lmn_atomic_exchange(&l->tasks, NULL, acquire), *oldest = NULL;
    while (t) { /* newest first */
        lmn_http_task *next = t->next;
        t->next = oldest;
        oldest = t;
        t = next;
    }
    while (oldest) {
        t = oldest;
        oldest = t->next; /* it may be gone when it has run */
        t->run(t, l);
        flush_many(l);
    }
}

static void run_queued(lmn_http_loop *l)
{
    lmn_http_conn *c = l->queued;
    l->queued = l->queued_last = NULL;
    while (c) {
        lmn_http_conn *next = c->next_queued;
        c->queued = false;
        lmn_http_conn_go(c);
        c = next;
    }
}

static void free_conn(lmn_http_loop *l, lmn_http_conn *c)
{
    lmn_sock_close(c->passed);
    if (c->kept) l->server->handler->closed(l->server->handler->ctx, c->kept);
    lmn_h2_free(c);
    lmn_http_buf_give(l, c->in, c->in_bytes);
    lmn_http_buf_give(l, c->body, c->body_bytes);
    lmn_http_buf_give(l, c->rest, c->rest_bytes);
    if (c->prev)
        c->prev->next = c->next;
    else
        l->conns = c->next;
    if (c->next) c->next->prev = c->prev;
    lmn_objpool_give(&l->conn_pool, c);
}

static void free_dead(lmn_http_loop *l)
{
    lmn_http_conn *c = l->dead;
    l->dead = NULL;
    while (c) {
        lmn_http_conn *next = c->next_dead;
        if (c->queued || c->dirty)
            lmn_http_bury(c); /* still on a list */
        else
            free_conn(l, c);
        c = next;
    }
    if (!l->accepting && !l->draining && l->n_conns < l->limits.n_connections &&
        l->now >= l->accept_ns)
        (void)lmn_http_doors_watch(l, NULL);
}

/* Longer by what the turn took: the scheduler gives who has just run its next turn at once only
 * when others have run as long, else not before its next tick. */
static void rest(lmn_http_loop *l)
{
    const uint64_t ns = l->rest_ns + (l->now - l->woke_ns);
    lmn_sleep_us((uint32_t)((ns < LMN_HTTP_REST_MOST_NS ? ns : LMN_HTTP_REST_MOST_NS) / 1000));
}

/* Until a task is posted, or the time is over. */
static void await_task(lmn_http_loop *l)
{
    const uint64_t most = sleep_ns(l), ns = l->await_ns < most ? l->await_ns : most;
    lmn_atomic_store(&l->asleep, LMN_HTTP_AWAITS, seq_cst);
    if (ns && !lmn_atomic_load(&l->tasks, seq_cst)) lmn_futex_wait(&l->asleep, LMN_HTTP_AWAITS, ns);
    lmn_atomic_store(&l->asleep, 0, relaxed);
}

static void wait_for_events(lmn_http_loop *l)
{
    lmn_poll_event events[LMN_POLL_MOST];
    l->rested = false;
    if (l->rest_ns || l->await_ns) {
        l->rested = l->rest_ns != 0;
        if (l->rested)
            rest(l);
        else
            await_task(l);
        l->rest_ns = l->await_ns = 0;
        l->now = lmn_now_ns();
    }
    uint64_t ns = sleep_ns(l);
    lmn_atomic_store(&l->asleep, LMN_HTTP_POLLS, seq_cst);
    if (lmn_atomic_load(&l->tasks, seq_cst)) ns = 0;
    const uint32_t n = lmn_poll_wait(l->poll, events, LMN_POLL_MOST, ns);
    lmn_atomic_store(&l->asleep, 0, relaxed);
    l->now = lmn_now_ns();
    l->woke_ns = l->now;
    keep_date(l);
    if (lmn_atomic_load(&l->drain, relaxed) && !l->draining) lmn_http_doors_drain(l);
    if (l->close_ns && l->now >= l->close_ns) lmn_http_doors_close(l);
    for (uint32_t i = 0; i < n; i++) {
        switch (*(lmn_http_source *)events[i].who) {
        case LMN_HTTP_CONN: lmn_http_conn_event(events[i].who, events[i].what); break;
        case LMN_HTTP_LISTENER: lmn_http_doors_accept(l, events[i].who, 64); break;
        case LMN_HTTP_WAKE: lmn_wake_clear(l->wake_fd); break;
        }
        flush_many(l);
    }
}

/* May what was gathered wait for more? */
static bool holds(const lmn_http_loop *l)
{
    return l->holds && !l->soiled && l->n_dirty < LMN_HTTP_GATHERED && !l->draining &&
           l->turn_ns <= lmn_now_ns();
}

static void turn(lmn_http_loop *l)
{
    const lmn_http_handler *h = l->server->handler;
    wait_for_events(l);
    run_queued(l);
    run_tasks(l);
    if (h->turn) l->turn_ns = h->turn(h->ctx, l, l->user);
    if (!holds(l)) flush_streams(l);
    l->now = lmn_now_ns();
    run_timers(l);
    free_dead(l);
}

/* Cut everything; what the handler still holds is answered by tasks that were posted before. */
static void cut(lmn_http_loop *l)
{
    for (lmn_http_conn *c = l->conns; c; c = c->next)
        if (c->phase != LMN_HTTP_DEAD) lmn_http_conn_lost(c);
    run_tasks(l);
    if (l->server->handler->end) l->server->handler->end(l->server->handler->ctx, l, l->user);
    run_tasks(l);
    while (l->conns) {
        lmn_http_conn *c = l->conns;
        if (c->open && c->open->many)
            lmn_free(&l->alloc, c->open->many, c->open->r.n_fields * sizeof *c->open->many, 16,
                     "http fields");
        free_conn(l, c);
    }
    lmn_atomic_store(&l->counts.open, 0, relaxed);
    lmn_atomic_store(&l->counts.in_flight, 0, relaxed);
}

void *lmn_http_loop_main(void *loop)
{
    lmn_http_loop *l = loop;
    const lmn_http_handler *h = l->server->handler;
    lamina_status st = LAMINA_OK;
    lmn_thread_slice(LMN_HTTP_SLICE_NS);
    l->now = lmn_now_ns();
    if (h->begin) st = h->begin(h->ctx, l, &l->user, &l->error);
    l->error.status = st;
    lmn_atomic_store(&l->begun, st == LAMINA_OK ? 1 : 2, release);
    lmn_futex_wake(&l->begun, INT32_MAX);
    if (st != LAMINA_OK) return NULL;
    while (!lmn_atomic_load(&l->stop, acquire)) turn(l);
    flush_streams(l);
    cut(l);
    return NULL;
}

/* ---- other threads ---- */

static void push_task(lmn_http_loop *l, lmn_http_task *task)
{
    lmn_http_task *newest = lmn_atomic_load(&l->tasks, relaxed);
    do task->next = newest;
    while (!lmn_atomic_cas(&l->tasks, &newest, task, seq_cst));
}

void lmn_http_post_more(lmn_http_loop *l, lmn_http_task *task)
{
    push_task(l, task);
}

void lmn_http_post(lmn_http_loop *l, lmn_http_task *task)
{
    (void)lmn_atomic_add(&l->posting, 1, relaxed);
    push_task(l, task);
    if (lmn_atomic_load(&l->asleep, seq_cst)) {
        const uint32_t how = lmn_atomic_exchange(&l->asleep, 0, seq_cst);
        if (how == LMN_HTTP_POLLS) lmn_wake(l->wake_fd);
        if (how == LMN_HTTP_AWAITS) lmn_futex_wake(&l->asleep, 1);
    }
    (void)lmn_atomic_sub(&l->posting, 1, release);
}

void lmn_http_loop_notify(lmn_http_loop *l)
{
    lmn_wake(l->wake_fd);
}

void lmn_http_rest(lmn_http_loop *l, uint64_t ns)
{
    l->rest_ns = ns;
}

void lmn_http_await(lmn_http_loop *l, uint64_t ns)
{
    l->await_ns = ns;
}

void lmn_http_hold(lmn_http_loop *l, bool on)
{
    l->holds = on;
}

uint64_t lmn_http_left(const lmn_http_loop *l)
{
    return l->n_left;
}

void *lmn_http_loop_user(lmn_http_loop *l)
{
    return l->user;
}

/* ---- made and unmade ---- */

static void init_pools(lmn_http_loop *l)
{
    const size_t n_slabs = (size_t)(l->limits.buffer_bytes / LMN_HTTP_SLAB) + 1;
    lmn_objpool_init(&l->conn_pool, &l->alloc, sizeof(lmn_http_conn), SIZE_MAX);
    lmn_objpool_init(&l->open_pool, &l->alloc, sizeof(lmn_http_open), SIZE_MAX);
    lmn_objpool_init(&l->seg_pool, &l->alloc, sizeof(lmn_http_seg), SIZE_MAX);
    lmn_objpool_init(&l->stream_pool, &l->alloc, lmn_h2_stream_bytes(), SIZE_MAX);
    lmn_objpool_init(&l->slab_pool, &l->alloc, LMN_HTTP_SLAB, n_slabs);
}

static lamina_status fill(lmn_http_loop *l, lamina_error *err)
{
    const uint32_t n = l->server->n_listen;
    l->scratch = lmn_alloc(&l->alloc, LMN_HTTP_SCRATCH, 64, "http");
    l->fields = lmn_calloc(&l->alloc, l->limits.n_fields, sizeof *l->fields, "http");
    l->listeners = lmn_calloc(&l->alloc, n, sizeof *l->listeners, "http");
    for (uint32_t i = 0; l->listeners && i < n; i++) l->listeners[i].fd = -1;
    bool secure = false;
    for (uint32_t i = 0; i < n; i++) secure |= l->server->doors[i].tls != NULL;
    if (secure) l->sealed = lmn_alloc(&l->alloc, LMN_TLS_OUT_BYTES, 64, "http");
    if (!l->scratch || !l->fields || !l->listeners || (secure && !l->sealed))
        return lmn_fail(err, LAMINA_E_NOMEM, "no memory for an event loop");
    LMN_TRY(lmn_poll_open(&l->poll, err));
    LMN_TRY(lmn_wake_open(&l->wake_fd, err));
    LMN_TRY(lmn_poll_add(l->poll, l->wake_fd, LMN_POLL_IN, &l->wake, err));
    for (uint32_t i = 0; i < n; i++) LMN_TRY(lmn_http_doors_open(l, i, err));
    return lmn_http_doors_watch(l, err);
}

lamina_status lmn_http_loop_open(lmn_http_server *s, const lmn_http_limits *limits,
                                 lmn_http_loop **out, lamina_error *err)
{
    lmn_http_loop *l = lmn_alloc(&s->alloc, sizeof *l, LMN_APART, "http loop");
    if (!l) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for an event loop");
    memset(l, 0, sizeof *l);
    l->wake = LMN_HTTP_WAKE;
    l->poll = l->wake_fd = -1;
    l->server = s;
    l->limits = *limits;
    l->turn_ns = UINT64_MAX;
    l->alloc = s->alloc;
    l->timer_ns[LMN_HTTP_TIMER_HEAD] = limits->header_ns;
    l->timer_ns[LMN_HTTP_TIMER_IDLE] = limits->idle_ns;
    l->timer_ns[LMN_HTTP_TIMER_STALL] = limits->stall_ns / LMN_HTTP_STALL_SLICES;
    l->timer_ns[LMN_HTTP_TIMER_LINGER] = LMN_HTTP_LINGER_NS;
    l->timer_ns[LMN_HTTP_TIMER_LATE] = LMN_HTTP_LATE_NS;
    init_pools(l);
    const lamina_status st = fill(l, err);
    if (st == LAMINA_OK) {
        *out = l;
    } else {
        lmn_http_loop_close(l);
    }
    return st;
}

void lmn_http_loop_close(lmn_http_loop *l)
{
    const lamina_allocator alloc = l->alloc;
    const uint32_t n = l->server->n_listen;
    while (lmn_atomic_load(&l->posting, acquire)) lmn_cpu_pause(); /* the last is on its way out */
    for (uint32_t i = 0; l->listeners && i < n; i++)
        if (!l->listeners[i].shared) lmn_sock_close(l->listeners[i].fd);
    lmn_poll_close(l->wake_fd);
    lmn_poll_close(l->poll);
    lmn_objpool_finish(&l->conn_pool);
    lmn_objpool_finish(&l->open_pool);
    lmn_objpool_finish(&l->stream_pool);
    lmn_objpool_finish(&l->seg_pool);
    lmn_objpool_finish(&l->slab_pool);
    (void)lmn_recycle_trim(&l->blocks, &alloc, 0);
    if (l->h2_input) lmn_free(&alloc, l->h2_input, LMN_HTTP_H2_INPUT, 64, "http h2");
    lmn_free(&alloc, l->scratch, LMN_HTTP_SCRATCH, 64, "http");
    lmn_free(&alloc, l->sealed, LMN_TLS_OUT_BYTES, 64, "http");
    lmn_cfree(&alloc, l->fields, l->limits.n_fields, sizeof *l->fields, "http");
    lmn_cfree(&alloc, l->listeners, n, sizeof *l->listeners, "http");
    lmn_free(&alloc, l, sizeof *l, LMN_APART, "http loop");
}
