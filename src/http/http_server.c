/*
 * The server: addresses, loops and their threads. A TCP port is opened once by each loop, and the
 * system spreads connections over them; UNIX sockets and those that were passed are shared.
 */
#include "http/http_int.h"

#include <string.h>

static uint64_t or_default(uint64_t v, uint64_t fallback)
{
    return v ? v : fallback;
}

static uint32_t bounded(uint32_t v, uint32_t fallback, uint32_t most)
{
    if (v == 0) v = fallback;
    return v < most ? v : most;
}

/* Defaults filled in, and what is counted shared out among the loops. */
static lmn_http_limits share_of(const lmn_http_limits *l, uint32_t n_loops)
{
    const uint32_t n_connections = l->n_connections ? l->n_connections : 10000;
    const uint64_t bytes = or_default(l->buffer_bytes, UINT64_C(1) << 30) / n_loops;
    return (lmn_http_limits){.line_bytes = bounded(l->line_bytes, 8 << 10, 1 << 20),
                             .header_bytes = bounded(l->header_bytes, 32 << 10, 1 << 24),
                             .n_fields = bounded(l->n_fields, 100, 10000),
                             .body_bytes = or_default(l->body_bytes, UINT64_C(64) << 20),
                             .n_chunks = l->n_chunks ? l->n_chunks : 65536,
                             .n_connections = (n_connections + n_loops - 1) / n_loops,
                             .buffer_bytes = bytes < LMN_HTTP_SLAB ? LMN_HTTP_SLAB : bytes,
                             .header_ns = or_default(l->header_ns, 9 * LMN_HTTP_SECOND),
                             .idle_ns = or_default(l->idle_ns, 60 * LMN_HTTP_SECOND),
                             .stall_ns = or_default(l->stall_ns, 9 * LMN_HTTP_SECOND)};
}

static lamina_status adopt(const char *number, int *fd, lamina_error *err)
{
    int v = 0;
    const size_t n = strlen(number);
    if (n == 0 || n > 6) return lmn_fail(err, LAMINA_E_INVALID, "fd: wants a number");
    for (size_t i = 0; i < n; i++) {
        if (number[i] < '0' || number[i] > '9')
            return lmn_fail(err, LAMINA_E_INVALID, "fd: wants a number");
        v = v * 10 + (number[i] - '0');
    }
    LMN_TRY(lmn_sock_adopt(v, err));
    *fd = v;
    return LAMINA_OK;
}

/* Several loops open a TCP port in a way that would let any process of this user join them: who
 * has it is asked first. */
static lamina_status probe(lmn_address *a, lamina_error *err)
{
    int fd;
    LMN_TRY(lmn_sock_listen(a, false, &fd, err));
    lmn_sock_address(fd, a);
    lmn_sock_close(fd);
    return LAMINA_OK;
}

static lamina_status resolve(lmn_http_server *s, uint32_t i, const lmn_http_listen *l,
                             lamina_error *err)
{
    lmn_http_door *door = &s->doors[i];
    door->tls = l->tls;
    if (strncmp(l->where, "fd:", 3) == 0) {
        LMN_TRY(adopt(l->where + 3, &door->shared, err));
        lmn_sock_address(door->shared, &door->address);
        return LAMINA_OK;
    }
    LMN_TRY(lmn_address_parse(l->where, &door->address, err));
    if (lmn_address_is_unix(&door->address)) {
        LMN_TRY(lmn_sock_listen(&door->address, false, &door->shared, err));
        door->ours = true;
        return LAMINA_OK;
    }
    return s->n_loops > 1 ? probe(&door->address, err) : LAMINA_OK;
}

static void free_server(lmn_http_server *s)
{
    const lamina_allocator alloc = s->alloc;
    for (uint32_t i = 0; s->loops && i < s->n_loops; i++)
        if (s->loops[i]) lmn_http_loop_close(s->loops[i]);
    for (uint32_t i = 0; s->doors && i < s->n_listen; i++) {
        if (s->doors[i].shared < 0) continue;
        lmn_sock_close(s->doors[i].shared);
        if (s->doors[i].ours) lmn_address_remove(&s->doors[i].address);
    }
    lmn_cfree(&alloc, s->loops, s->n_loops, sizeof *s->loops, "http");
    lmn_cfree(&alloc, s->doors, s->n_listen, sizeof *s->doors, "http");
    lmn_cfree(&alloc, s, 1, sizeof *s, "http");
}

static lamina_status open_loops(lmn_http_server *s, const lmn_http_server_opts *o,
                                lamina_error *err)
{
    const lmn_http_limits limits = share_of(&o->limits, s->n_loops);
    s->loops = lmn_calloc(&s->alloc, s->n_loops, sizeof *s->loops, "http");
    s->doors = lmn_calloc(&s->alloc, s->n_listen, sizeof *s->doors, "http");
    for (uint32_t i = 0; s->doors && i < s->n_listen; i++) s->doors[i].shared = -1;
    if (!s->loops || !s->doors) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for a server");
    for (uint32_t i = 0; i < s->n_listen; i++) LMN_TRY(resolve(s, i, &o->listen[i], err));
    for (uint32_t i = 0; i < s->n_loops; i++) {
        LMN_TRY(lmn_http_loop_open(s, &limits, &s->loops[i], err));
        for (uint32_t k = 0; k < s->n_listen && i == 0; k++)
            if (s->doors[k].shared < 0)
                lmn_sock_address(s->loops[0]->listeners[k].fd, &s->doors[k].address);
    }
    return LAMINA_OK;
}

static void end_loop(lmn_http_loop *l)
{
    lmn_atomic_store(&l->stop, 1, release);
    lmn_http_loop_notify(l);
    lmn_thread_join(&l->thread);
}

/* Start all threads and wait until each handler has begun. */
static lamina_status run_loops(lmn_http_server *s, lamina_error *err)
{
    uint32_t n = 0;
    lamina_status st = LAMINA_OK;
    for (; n < s->n_loops && st == LAMINA_OK; n++) {
        lmn_http_loop *l = s->loops[n];
        st = lmn_thread_start(&l->thread, lmn_http_loop_main, l);
        if (st != LAMINA_OK) {
            (void)lmn_fail(err, st, "the system starts no more threads");
            break;
        }
        while (lmn_atomic_load(&l->begun, acquire) == 0) lmn_futex_wait(&l->begun, 0, 0);
        if (lmn_atomic_load(&l->begun, acquire) == 2) {
            st = l->error.status;
            if (err) *err = l->error;
        }
    }
    if (st == LAMINA_OK) return st;
    while (n-- > 0) end_loop(s->loops[n]);
    return st;
}

lamina_status lmn_http_start(const lamina_allocator *alloc, const lmn_http_server_opts *o,
                             lmn_http_server **out, lamina_error *err)
{
    if (o->n_listen == 0 || o->n_listen > 64 || o->n_loops > 1024)
        return lmn_fail(err, LAMINA_E_INVALID, "%u addresses and %u loops; at most 64 and 1024",
                        (unsigned)o->n_listen, (unsigned)o->n_loops);
    lmn_http_server *s = lmn_calloc(alloc, 1, sizeof *s, "http");
    if (!s) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for a server");
    s->alloc = *alloc;
    s->handler = o->handler;
    s->n_loops = o->n_loops ? o->n_loops : 1;
    s->n_listen = o->n_listen;
    lmn_atomic_init(&s->n_accepting, s->n_loops);
    s->h2 = o->h2;
    lamina_status st = open_loops(s, o, err);
    if (st == LAMINA_OK) st = run_loops(s, err);
    if (st != LAMINA_OK) {
        free_server(s);
        return st;
    }
    *out = s;
    return LAMINA_OK;
}

uint16_t lmn_http_port(const lmn_http_server *s, uint32_t listener)
{
    return listener < s->n_listen ? lmn_address_port(&s->doors[listener].address) : 0;
}

void lmn_http_drain(lmn_http_server *s)
{
    for (uint32_t i = 0; i < s->n_loops; i++) {
        lmn_atomic_store(&s->loops[i]->drain, 1, relaxed);
        lmn_http_loop_notify(s->loops[i]);
    }
}

bool lmn_http_listens(const lmn_http_server *s)
{
    return lmn_atomic_load(&s->n_accepting, acquire) > 0;
}

uint64_t lmn_http_in_flight(const lmn_http_server *s)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < s->n_loops; i++)
        n += lmn_atomic_load(&s->loops[i]->counts.in_flight, relaxed);
    return n;
}

void lmn_http_stop(lmn_http_server *s)
{
    for (uint32_t i = 0; i < s->n_loops; i++) end_loop(s->loops[i]);
    free_server(s);
}

void lmn_http_get_stats(const lmn_http_server *s, lmn_http_stats *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < s->n_loops; i++) {
        const lmn_http_counts *c = &s->loops[i]->counts;
        out->accepted += lmn_atomic_load(&c->accepted, relaxed);
        out->open += lmn_atomic_load(&c->open, relaxed);
        out->requests += lmn_atomic_load(&c->requests, relaxed);
        out->bytes_in += lmn_atomic_load(&c->bytes_in, relaxed);
        out->bytes_out += lmn_atomic_load(&c->bytes_out, relaxed);
        out->timed_out += lmn_atomic_load(&c->timed_out, relaxed);
        out->reset += lmn_atomic_load(&c->reset, relaxed);
        out->handshakes += lmn_atomic_load(&c->handshakes, relaxed);
        out->bad_handshakes += lmn_atomic_load(&c->bad_handshakes, relaxed);
        for (size_t k = 0; k < LMN_COUNT(out->refused); k++)
            out->refused[k] += lmn_atomic_load(&c->refused[k], relaxed);
    }
}
