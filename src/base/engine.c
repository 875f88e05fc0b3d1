/*
 * The base part of an engine: vtables, CPU word, container limits, slots, log lines, and the reader
 * of sized option structs. Creating one allocates nothing: the record is the caller's.
 */
#include "base/engine.h"

#include "base/os/os_env.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOG_LINE_BYTES 512
#define THREADS_MAX 4096u

lamina_status lmn_opts_read(void *dst, size_t dst_bytes, const void *src)
{
    memset(dst, 0, dst_bytes);
    memcpy(dst, &dst_bytes, sizeof dst_bytes);
    if (!src) return LAMINA_OK;
    size_t bytes;
    memcpy(&bytes, src, sizeof bytes);
    /* A struct of a later version may be longer; one this long is a forgotten `size`. */
    if (bytes < sizeof bytes || bytes > 65536) return LAMINA_E_INVALID;
    const uint8_t *p = src;
    for (size_t i = dst_bytes; i < bytes; i++)
        if (p[i]) return LAMINA_E_INVALID;
    memcpy(dst, src, bytes < dst_bytes ? bytes : dst_bytes);
    memcpy(dst, &dst_bytes, sizeof dst_bytes);
    return LAMINA_OK;
}

void lmn_log(const lamina_engine *e, lamina_log_level level, const char *fmt, ...)
{
    if (!e || !e->log.write) return;
    char line[LOG_LINE_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    e->log.write(e->log.ctx, level, line);
}

lamina_status lmn_engine_init(lamina_engine *e, const lamina_engine_opts *opts)
{
    lamina_engine_opts o;
    LMN_TRY(lmn_opts_read(&o, sizeof o, opts));
    LMN_CHECK(o.reserved == 0 && o.n_threads <= THREADS_MAX, LAMINA_E_INVALID);
    LMN_CHECK(!o.allocator || (o.allocator->abi == LAMINA_ALLOCATOR_ABI && o.allocator->alloc &&
                               o.allocator->free),
              LAMINA_E_INVALID);
    LMN_CHECK(!o.log || (o.log->abi == LAMINA_LOG_ABI && o.log->write), LAMINA_E_INVALID);
    memset(e, 0, sizeof *e);
    e->alloc = o.allocator ? *o.allocator : lmn_libc_allocator;
    if (o.log) e->log = *o.log;
    e->n_threads = o.n_threads;
    e->slot[LMN_SLOT_TRACE].ptr = o.trace; /* borrowed: no finisher */
    const char *cap = lmn_os_getenv("LAMINA_ISA");
    if (lmn_cpu_detect(&e->cpu, cap) != LAMINA_OK)
        lmn_log(e, LAMINA_LOG_WARN, "LAMINA_ISA=%.40s is no level of this build, ignored", cap);
    lmn_topo_read(&e->topo, "");
    return LAMINA_OK;
}

void lmn_engine_finish(lamina_engine *e)
{
    for (size_t i = LMN_SLOT_COUNT; i-- > 0;) {
        void *ptr = e->slot[i].ptr;
        e->slot[i].ptr = NULL;
        if (ptr && e->slot[i].finish) e->slot[i].finish(e, ptr);
    }
    (void)lmn_recycle_trim(&e->recycle, &e->alloc, 0);
}
