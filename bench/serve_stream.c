/*
 * Event streams: one loop sends EVENTS a second to each of N clients of one process, the clients
 * (one thread, core 1) take the time from the write to the read. Tells the delay, what the server's
 * thread costs an event, and memory. Usage: bench_serve_stream [N [EVENTS [SECONDS]]]
 */
#include "base/alloc.h"
#include "base/os/os_poll.h"
#include "base/os/os_socket.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "http/http.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS UINT64_C(1000000)

typedef struct bench {
    uint32_t n, per_second, n_open, slice;
    lmn_http_request **streams;
    uint64_t next_ns, n_sent, n_failed, cpu_ns;
    lmn_atomic(uint32_t) run; /* 0: wait for clients, 1: send, 2: over */
} bench;

static void pin(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

static lamina_status begin(void *ctx, lmn_http_loop *loop, void **user, lamina_error *err)
{
    (void)ctx, (void)loop, (void)user, (void)err;
    pin(0);
    return LAMINA_OK;
}

static void request(void *ctx, lmn_http_request *r)
{
    bench *b = ctx;
    const lmn_http_answer a = {.status = 200, .content_type = "text/event-stream"};
    if (b->n_open < b->n && lmn_http_stream_begin(r, &a, 256 << 10) == LAMINA_OK) {
        b->streams[b->n_open++] = r;
    } else {
        lmn_http_stream_end(r);
    }
}

/* A slice of the streams each millisecond, so that every stream has its own beat. */
static uint64_t turn(void *ctx, lmn_http_loop *loop, void *user)
{
    bench *b = ctx;
    char text[64];
    const uint64_t now = lmn_now_ns();
    const uint32_t n_slices = 1000 / b->per_second;
    (void)loop, (void)user;
    if (lmn_atomic_load(&b->run, acquire) != 1) return now + MS;
    if (b->next_ns == 0) {
        b->next_ns = now;
        b->cpu_ns = lmn_thread_cpu_ns();
    }
    for (; b->next_ns <= now; b->next_ns += MS, b->slice = (b->slice + 1) % n_slices)
        for (uint32_t i = b->slice; i < b->n_open; i += n_slices) {
            const int n =
                snprintf(text, sizeof text, "data: %020llu\n\n", (unsigned long long)lmn_now_ns());
            b->n_sent++;
            if (lmn_http_stream_write(b->streams[i], (lmn_span){(uint8_t *)text, (size_t)n}))
                b->n_failed++;
        }
    return b->next_ns;
}

static void end(void *ctx, lmn_http_loop *loop, void *user)
{
    bench *b = ctx;
    (void)loop, (void)user;
    b->cpu_ns = lmn_thread_cpu_ns() - b->cpu_ns;
    for (uint32_t i = 0; i < b->n_open; i++) lmn_http_stream_end(b->streams[i]);
}

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static long resident_kb(void)
{
    long kb = 0;
    char line[128];
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmRSS: %ld", &kb) == 1) break;
    if (f) fclose(f);
    return kb;
}

/* Read what came on one connection; every event has its time in it. Returns how many delays. */
static size_t take(int fd, uint64_t *delays, size_t room)
{
    char buf[4096];
    size_t n = 0;
    int64_t got;
    while ((got = lmn_sock_recv(fd, buf, sizeof buf - 1)) > 0) {
        const uint64_t now = lmn_now_ns();
        buf[got] = 0;
        for (const char *p = buf; (p = strstr(p, "data: ")) != NULL && n < room; p += 6)
            delays[n++] = now - strtoull(p + 6, NULL, 10);
    }
    return n;
}

static size_t listen_to(bench *b, const lmn_address *to, uint64_t ns, uint64_t *delays, size_t cap)
{
    static const char ask[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    lmn_poll_event events[LMN_POLL_MOST];
    int poll, fd;
    size_t n = 0;
    if (lmn_poll_open(&poll, NULL) != LAMINA_OK) return 0;
    for (uint32_t i = 0; i < b->n; i++) {
        if (lmn_sock_connect(to, &fd, NULL) != LAMINA_OK ||
            lmn_poll_one(fd, LMN_POLL_OUT, 1000 * MS) == 0)
            return 0;
        (void)lmn_sock_send(fd, &(lmn_span){(const uint8_t *)ask, sizeof ask - 1}, 1);
        (void)lmn_poll_add(poll, fd, LMN_POLL_IN, (void *)(uintptr_t)fd, NULL);
    }
    lmn_atomic_store(&b->run, 1, release);
    for (const uint64_t until = lmn_now_ns() + ns; lmn_now_ns() < until;) {
        const uint32_t k = lmn_poll_wait(poll, events, LMN_POLL_MOST, 10 * MS);
        for (uint32_t i = 0; i < k; i++)
            n += take((int)(uintptr_t)events[i].who, delays + n, cap - n);
    }
    lmn_atomic_store(&b->run, 2, release);
    return n;
}

int main(int argc, char **argv)
{
    bench b = {.n = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000,
               .per_second = argc > 2 ? (uint32_t)atoi(argv[2]) : 20};
    const uint64_t seconds = argc > 3 ? strtoull(argv[3], NULL, 10) : 5;
    const lmn_http_listen where = {.where = "127.0.0.1:0"};
    const lmn_http_handler handler = {
        .ctx = &b, .begin = begin, .end = end, .request = request, .turn = turn};
    const lmn_http_server_opts opts = {.listen = &where, .n_listen = 1, .handler = &handler};
    lmn_http_server *s;
    lmn_address to;
    lamina_error err;
    char text[32];
    if (b.n == 0 || b.per_second == 0 || b.per_second > 1000) return 2;
    const size_t cap = (size_t)(b.n * b.per_second * (seconds + 2));
    uint64_t *delays = calloc(cap, sizeof *delays);
    b.streams = calloc(b.n, sizeof *b.streams);
    const long before = resident_kb();
    if (!delays || !b.streams || lmn_http_start(&lmn_libc_allocator, &opts, &s, &err) != LAMINA_OK)
        return 1;
    snprintf(text, sizeof text, "127.0.0.1:%u", lmn_http_port(s, 0));
    if (lmn_address_parse(text, &to, &err) != LAMINA_OK) return 1;
    pin(1);
    const size_t n = listen_to(&b, &to, seconds * 1000 * MS, delays, cap);
    const long after = resident_kb();
    lmn_http_stop(s);
    if (n == 0) return 1;
    qsort(delays, n, sizeof *delays, by_value);
    printf(
        "%u clients x %u events/s: %llu sent, %zu read, %llu failed; delay p50 %.2f p99 %.2f max "
        "%.2f ms; %.2f us CPU an event; %ld KB more\n",
        b.n, b.per_second, (unsigned long long)b.n_sent, n, (unsigned long long)b.n_failed,
        (double)delays[n / 2] / 1e6, (double)delays[n * 99 / 100] / 1e6,
        (double)delays[n - 1] / 1e6, (double)b.cpu_ns / 1e3 / (double)b.n_sent, after - before);
    free(delays);
    free(b.streams);
    return 0;
}
