/*
 * Last words: what a process that is about to die writes about it. The handler gets no pointer of
 * ours and the library keeps none in static memory; it finds the ring among the mappings of its own
 * process, by the mark that lamina_log_catch has set there. First comes a record with what the
 * signal says; the call frames follow in a second one, since walking a damaged stack may fault.
 */
#include "log/logger.h"

#include "base/os/os_crash.h"
#include "base/os/os_self.h"
#include "base/os/os_time.h"
#include "log/logrec.h"

#include <string.h>

#define LEAST_STACK (32u << 10)
#define FRAMES 32

/* One mapping: is it a ring with the mark? */
static bool find_ring(void *ctx, const lmn_mapping *m)
{
    lmn_logring *out = ctx;
    lmn_logring r;
    const size_t n = strlen(m->path), k = strlen(LMN_LOG_SUFFIX);
    if (!m->shared || !m->write || m->offset || n < k) return true;
    if (!strstr(m->path, LMN_LOG_SUFFIX)) return true;
    if (lmn_logring_attach((void *)m->from, m->to - m->from, &r) != LAMINA_OK) return true;
    if (!lmn_atomic_load(&r.mem->crash, relaxed)) return true;
    *out = r;
    return false;
}

static void send(const lmn_logring *ring, lamina_log_record *r)
{
    if (lmn_logrec_put(ring, r, lmn_wall_ns(), lmn_self_pid(), lmn_self_tid()) != LAMINA_OK)
        lmn_logring_drop(ring);
}

static void begin(lamina_log_record *r, lamina_logger *any, const char *text)
{
    size_t cap;
    char *p = lmn_logrec_begin(r, LAMINA_LOG_ERROR, &cap);
    const size_t n = strlen(text);
    r->logger = any; /* not NULL: fields are kept */
    memcpy(p, text, n);
    lmn_logrec_text(r, n, false);
}

typedef struct places {
    const uintptr_t *frames;
    size_t n;
    char text[FRAMES][48]; /* "file+0x1234" */
} places;

static size_t put_hex(char *p, uint64_t v)
{
    char back[16];
    size_t n = 0;
    do back[n++] = "0123456789abcdef"[v & 15];
    while (v >>= 4);
    for (size_t i = 0; i < n; i++) p[i] = back[n - 1 - i];
    return n;
}

/* Frames inside one mapping: which file, and where in it. */
static bool name_frames(void *ctx, const lmn_mapping *m)
{
    places *p = ctx;
    for (size_t i = 0; i < p->n; i++) {
        const uintptr_t at = p->frames[i];
        if (at < m->from || at >= m->to || !m->path[0]) continue;
        const char *slash = strrchr(m->path, '/'), *name = slash ? slash + 1 : m->path;
        const size_t n = strnlen(name, 24);
        char *t = p->text[i];
        memcpy(t, name, n);
        memcpy(t + n, "+0x", 3);
        t[n + 3 + put_hex(t + n + 3, at - m->from + m->offset)] = 0;
    }
    return true;
}

/* "a+0x1 b+0x2": what addr2line wants. */
static void send_frames(const lmn_logring *ring, lamina_log_record *r, lamina_logger *any,
                        uintptr_t pc)
{
    uintptr_t frames[FRAMES];
    char line[FRAMES * 49];
    places p = {.frames = frames, .n = lmn_crash_frames(pc, frames, FRAMES)};
    size_t o = 0;
    (void)lmn_mappings(name_frames, &p);
    for (size_t i = 0; i < p.n; i++) {
        const char *t = p.text[i];
        const size_t n = strlen(t);
        if (i) line[o++] = ' ';
        memcpy(line + o, t, n);
        o += n;
        if (n == 0) {
            memcpy(line + o, "0x", 2);
            o += 2 + put_hex(line + o + 2, frames[i]);
        }
    }
    begin(r, any, "crash: calls, innermost first");
    lamina_log_strn(r, "frames", line, o);
    send(ring, r);
}

static void crashed(int signo, void *info, void *context)
{
    const int e = lmn_errno_get();
    const lmn_crash c = lmn_crash_read(signo, info, context);
    lmn_logring ring = {0};
    lamina_log_record r;
    lamina_logger any; /* only its address is used */
    (void)lmn_mappings(find_ring, &ring);
    if (ring.mem) {
        begin(&r, &any, "crash");
        lamina_log_strn(&r, "signal", c.name, strlen(c.name));
        lamina_log_i64(&r, "code", c.code);
        if (c.sender)
            lamina_log_u64(&r, "sender", c.sender);
        else
            lamina_log_hex(&r, "address", c.address);
        if (c.pc) lamina_log_hex(&r, "pc", c.pc);
        send(&ring, &r);
        send_frames(&ring, &r, &any, c.pc);
    }
    lmn_errno_set(e);
    lmn_crash_go_on(signo, info);
}

lamina_status lamina_log_catch(lamina_logger *logger, void *stack, size_t bytes, lamina_error *err)
{
    if (!logger) return lmn_fail(err, LAMINA_E_INVALID, "a crash needs a logger to write to");
    if (stack && bytes < LEAST_STACK)
        return lmn_fail(err, LAMINA_E_INVALID, "a stack for handlers needs at least 32 KiB");
    lmn_atomic_store(&logger->ring.mem->crash, 1, relaxed);
    return lmn_crash_install(crashed, stack, bytes, err);
}
