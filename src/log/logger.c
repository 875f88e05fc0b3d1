/*
 * Opening a logger, and the calls that write. What lies below lamina_log and lamina_log_end runs in
 * signal handlers: no lock, no allocation, no function that is not safe there.
 */
#include "log/logger.h"

#include "base/engine.h"
#include "base/os/os_dir.h"
#include "base/os/os_append.h"
#include "base/os/os_self.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "log/logrec.h"
#include "log/logtext.h"

#include <string.h>

#define PATH_MAX_BYTES 4096
#define LEAST_CELLS 64u

/* Letters that may stand in the name of a file, "-" for the others. */
static void name_file(char *buf, size_t cap, const char *name, unsigned attempt)
{
    char plain[LMN_LOGRING_NAME_BYTES];
    size_t n = 0;
    for (; name[n] && n + 1 < sizeof plain; n++) {
        const char c = name[n];
        const bool fine =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
        plain[n] = fine ? c : '-';
    }
    plain[n] = 0;
    (void)lmn_format(buf, cap, "%s-%u-%llx%s", plain, lmn_self_pid(),
                     (unsigned long long)(lmn_wall_ns() + attempt), LMN_LOG_SUFFIX);
}

/* A ring file under a name that collectors pass over, then under its own. */
static lamina_status make_ring(lamina_logger *l, const char *dir, const char *name, uint32_t cells,
                               lamina_error *err)
{
    char file[160], making[PATH_MAX_BYTES], path[PATH_MAX_BYTES];
    lamina_status st = LAMINA_E_STATE;
    for (unsigned i = 0; i < 100 && st == LAMINA_E_STATE; i++) {
        name_file(file, sizeof file, name, i);
        (void)lmn_format(making, sizeof making, "%s/.%s", dir, file);
        (void)lmn_format(path, sizeof path, "%s/%s", dir, file);
        st = lmn_shared_create(making, lmn_logring_bytes(cells), &l->file, err);
    }
    if (st != LAMINA_OK) return st;
    st = lmn_logring_init(l->file.p, l->file.n, cells);
    lmn_logring_mem *m = (lmn_logring_mem *)(void *)l->file.p;
    m->pid = lmn_self_pid();
    m->began_ns = lmn_wall_ns();
    (void)lmn_format(m->name, sizeof m->name, "%s", name);
    lmn_logring_ready(m);
    if (st == LAMINA_OK) st = lmn_logring_attach(m, l->file.n, &l->ring);
    if (st == LAMINA_OK) st = lmn_file_move(making, path, err);
    if (st != LAMINA_OK) {
        lmn_shared_close(&l->file);
        (void)lmn_os_file_remove(making, NULL);
    }
    return st;
}

static uint32_t cells_for(uint64_t bytes)
{
    uint32_t cells = LEAST_CELLS;
    while (cells < LMN_LOGRING_MAX_CELLS && (uint64_t)cells * sizeof(lmn_logcell) < bytes)
        cells *= 2;
    return cells;
}

lamina_status lamina_logger_open(const lamina_logger_opts *opts, lamina_logger **out,
                                 lamina_error *err)
{
    lamina_logger_opts o;
    const lamina_allocator *a = &lmn_libc_allocator;
    if (!opts || !out || lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID, "no options, or ones this version does not know");
    if (!o.dir || !o.dir[0] || strlen(o.dir) > PATH_MAX_BYTES - 256)
        return lmn_fail(err, LAMINA_E_INVALID, "a logger needs a folder for its ring");
    if (o.ring_bytes > (uint64_t)LMN_LOGRING_MAX_CELLS * sizeof(lmn_logcell))
        return lmn_fail(err, LAMINA_E_INVALID, "a ring has at most 1 GiB");
    lamina_logger *l = lmn_calloc(a, 1, sizeof *l, "logger");
    if (!l) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for a logger");
    const char *name = o.name ? o.name : lmn_self_name();
    const uint32_t cells = cells_for(o.ring_bytes ? o.ring_bytes : 1u << 20);
    const lamina_status st = make_ring(l, o.dir, name, cells, err);
    if (st != LAMINA_OK) {
        lmn_cfree(a, l, 1, sizeof *l, "logger");
        return st;
    }
    l->least = o.min;
    l->wait_us = o.wait_us;
    l->thread_ids = o.thread_ids;
    l->pid = lmn_fork_page();
    *out = l;
    return LAMINA_OK;
}

void lamina_logger_close(lamina_logger *logger)
{
    if (!logger) return;
    lmn_shared_close(&logger->file);
    lmn_fork_page_free((void *)logger->pid);
    lmn_cfree(&lmn_libc_allocator, logger, 1, sizeof *logger, "logger");
}

uint64_t lamina_logger_dropped(const lamina_logger *logger)
{
    return logger ? lmn_atomic_load(&logger->ring.mem->dropped, relaxed) : 0;
}

static uint32_t pid_now(const lamina_logger *l)
{
    uint32_t pid = l->pid ? lmn_atomic_load(l->pid, relaxed) : 0;
    if (LMN_LIKELY(pid)) return pid;
    pid = lmn_self_pid();
    if (l->pid) lmn_atomic_store(l->pid, pid, relaxed);
    return pid;
}

/* The ring was full: try until the time is over. */
static lamina_status wait_for_room(const lamina_logger *l, lamina_log_record *r, uint32_t pid,
                                   uint32_t tid)
{
    const uint64_t until = lmn_now_ns() + (uint64_t)l->wait_us * 1000;
    while (lmn_now_ns() < until) {
        lmn_sleep_ms(1);
        if (lmn_logrec_put(&l->ring, r, lmn_wall_ns(), pid, tid) == LAMINA_OK) return LAMINA_OK;
    }
    return LAMINA_E_AGAIN;
}

/* The first cell of the quarter that is being filled. */
static uint64_t quarter(const lmn_logring *r)
{
    return lmn_atomic_load(&r->mem->tail, relaxed) & ~(r->mask / 4);
}

lamina_status lmn_logger_put(const lamina_logger *l, lamina_log_record *record, uint64_t wall_ns)
{
    const uint64_t before = l->bell ? quarter(&l->ring) : 0;
    const uint32_t pid = pid_now(l), tid = l->thread_ids ? lmn_self_tid() : 0;
    lamina_status st = lmn_logrec_put(&l->ring, record, wall_ns, pid, tid);
    if (LMN_UNLIKELY(st != LAMINA_OK)) {
        if (l->wait_us) st = wait_for_room(l, record, pid, tid);
        if (st != LAMINA_OK) lmn_logring_drop(&l->ring);
    }
    /* What others put meanwhile is seen twice, and none of it is missed. */
    if (l->bell && quarter(&l->ring) != before) lmn_futex_wake(l->bell, 1);
    return st;
}

lamina_status lamina_log_end(lamina_log_record *record)
{
    const lamina_logger *l = record->logger;
    if (!l) return (record->flags & LMN_LOGREC_BELOW) ? LAMINA_OK : LAMINA_E_INVALID;
    const int e = lmn_errno_get();
    const lamina_status st = lmn_logger_put(l, record, lmn_wall_ns());
    lmn_errno_set(e);
    return st;
}

/* False: nothing will be kept, and the record says why. */
static bool wanted(lamina_log_record *r, lamina_logger *l, lamina_log_level level)
{
    const bool below = l && level < l->least;
    r->logger = below ? NULL : l;
    r->used = 0;
    r->flags = below ? LMN_LOGREC_BELOW : 0;
    return r->logger != NULL;
}

void lamina_log_begin(lamina_log_record *record, lamina_logger *logger, lamina_log_level level,
                      const char *text)
{
    if (!wanted(record, logger, level)) return;
    size_t cap;
    char *p = lmn_logrec_begin(record, level, &cap);
    if (!text) text = "";
    const size_t n = strnlen(text, cap + 1);
    const size_t kept = n > cap ? cap : n;
    memcpy(p, text, kept);
    lmn_logrec_text(record, kept, n > cap);
}

lamina_status lamina_log(lamina_logger *logger, lamina_log_level level, const char *format, ...)
{
    lamina_log_record r;
    if (!logger || !format) return LAMINA_E_INVALID;
    if (!wanted(&r, logger, level)) return LAMINA_OK;
    size_t cap;
    bool cut;
    char *p = lmn_logrec_begin(&r, level, &cap);
    va_list ap;
    va_start(ap, format);
    const size_t n = lmn_logtext_format(p, cap, &cut, format, ap);
    va_end(ap);
    lmn_logrec_text(&r, n, cut);
    return lamina_log_end(&r);
}
