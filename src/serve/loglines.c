/*
 * The thread that makes lines of records. It naps: 5 ms while records come, longer and longer when
 * none do. Who fills a quarter of the ring wakes it, so that many that come at once find room, and
 * a record costs who writes it nothing more.
 */
#include "serve/loglines.h"

#include "base/os/os_poll.h"
#include "base/os/os_self.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "log/logger.h"
#include "log/logline.h"
#include "log/logrec.h"

#include <string.h>

#define TAG "log lines"
#define CELLS 16384u /* 1 MiB, touched as it is used; 27 ms of requests at 100,000 a second */
#define RING_BYTES (sizeof(lmn_logring_mem) + CELLS * sizeof(lmn_logcell))
#define LINES_BYTES (32768u + LMN_LOGLINE_MAX)
#define PIECE 4096u /* a pipe that is ready takes so many at once */
#define SOON_NS UINT64_C(5000000)
#define SELDOM_NS UINT64_C(100000000)
#define END_NS UINT64_C(200000000)

struct lmn_loglines {
    const lamina_allocator *alloc;
    lamina_logger logger;
    lmn_logring reader;
    void *memory; /* of the ring */
    lmn_lines lines;
    int fd;
    bool is_file; /* which never has to be waited for */
    bool broken;  /* nobody reads any more */
    uint64_t dropped;
    lmn_atomic(uint32_t) stop;
    uint64_t give_up_ns; /* once it is to stop */
    lmn_thread thread;
};

/* Write what is gathered; it waits while the descriptor takes nothing. */
static void flush(lmn_loglines *o)
{
    size_t at = 0;
    while (at < o->lines.n && !o->broken) {
        if (!o->is_file &&
            !(lmn_poll_one(o->fd, LMN_POLL_OUT, SOON_NS) & (LMN_POLL_OUT | LMN_POLL_DEAD))) {
            const bool ends = lmn_atomic_load(&o->stop, acquire) != 0;
            if (ends && !o->give_up_ns) o->give_up_ns = lmn_now_ns() + END_NS;
            o->broken = ends && lmn_now_ns() > o->give_up_ns;
            continue;
        }
        const size_t left = o->lines.n - at;
        const int64_t k =
            lmn_fd_write(o->fd, o->lines.p + at, o->is_file || left < PIECE ? left : PIECE);
        if (k < 0)
            o->broken = true;
        else
            at += (size_t)k;
    }
    o->lines.n = 0;
}

static void tell_dropped(lmn_loglines *o, const lmn_logorigin *from)
{
    const uint64_t n = lmn_atomic_load(&o->reader.mem->dropped, relaxed);
    if (n == o->dropped) return;
    lmn_lines_note(&o->lines, from, lmn_wall_ns(), "records dropped: the ring was full", "dropped",
                   n - o->dropped);
    o->dropped = n;
}

/* All records that are there; true: there were any. */
static bool drain(lmn_loglines *o, const lmn_logorigin *from)
{
    uint8_t bytes[LMN_LOGRING_RECORD_BYTES];
    lamina_status bad = LAMINA_OK;
    const uint64_t was = o->reader.at;
    for (uint32_t n; (n = lmn_logring_peek(&o->reader, &bad)) != 0;) {
        lmn_logring_read(&o->reader, n, bytes);
        o->reader.at += n;
        lmn_logring_release(&o->reader, o->reader.at);
        (void)lmn_lines_record(&o->lines, from,
                               lmn_logrec_read(bytes, (size_t)n * LMN_LOGRING_CELL_BYTES));
        if (o->lines.cap - o->lines.n < LMN_LOGLINE_MAX) flush(o);
    }
    tell_dropped(o, from);
    flush(o);
    return o->reader.at != was;
}

static void *run(void *arg)
{
    lmn_loglines *o = arg;
    const lmn_logorigin from = {"serve", lmn_self_pid()};
    uint64_t nap = SOON_NS;
    while (!lmn_atomic_load(&o->stop, acquire)) {
        const bool any = drain(o, &from);
        nap = any ? SOON_NS : 2 * nap < SELDOM_NS ? 2 * nap : SELDOM_NS;
        lmn_futex_wait(&o->stop, 0, nap);
    }
    (void)drain(o, &from);
    return NULL;
}

static void release(lmn_loglines *o)
{
    lmn_fork_page_free((void *)o->logger.pid);
    lmn_free(o->alloc, o->lines.p, LINES_BYTES, 16, TAG);
    lmn_cfree(o->alloc, o->memory, 1, RING_BYTES + LMN_APART, TAG);
    lmn_cfree(o->alloc, o, 1, sizeof *o, TAG);
}

lamina_status lmn_loglines_open(const lamina_allocator *alloc, int fd, lamina_log_format format,
                                lmn_loglines **out, lamina_error *err)
{
    lmn_loglines *o = lmn_calloc(alloc, 1, sizeof *o, TAG);
    if (!o) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for a log");
    o->alloc = alloc;
    o->fd = fd;
    o->is_file = lmn_fd_is_file(fd);
    o->lines = (lmn_lines){.p = lmn_alloc(alloc, LINES_BYTES, 16, TAG),
                           .cap = LINES_BYTES,
                           .logfmt = format == LAMINA_LOG_LOGFMT};
    o->memory = lmn_calloc(alloc, 1, RING_BYTES + LMN_APART, TAG);
    lamina_status st = LAMINA_E_NOMEM;
    if (o->lines.p && o->memory) {
        void *ring = (void *)lmn_align_up((uintptr_t)o->memory, LMN_APART);
        st = lmn_logring_init(ring, RING_BYTES, CELLS);
        lmn_logring_ready(ring);
        if (st == LAMINA_OK) st = lmn_logring_attach(ring, RING_BYTES, &o->logger.ring);
        o->reader = o->logger.ring;
        o->logger.pid = lmn_fork_page();
        o->logger.bell = &o->stop;
    }
    if (st == LAMINA_OK) st = lmn_thread_start(&o->thread, run, o);
    if (st != LAMINA_OK) {
        release(o);
        return lmn_fail(err, st, "out of memory, or of threads, for a log");
    }
    *out = o;
    return LAMINA_OK;
}

lamina_logger *lmn_loglines_logger(lmn_loglines *o)
{
    return &o->logger;
}

void lmn_loglines_close(lmn_loglines *o)
{
    if (!o) return;
    lmn_atomic_store(&o->stop, 1, release);
    lmn_futex_wake(&o->stop, 1);
    lmn_thread_join(&o->thread);
    release(o);
}
