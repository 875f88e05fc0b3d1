/*
 * The engine record: allocator, log, CPU word, limits of the container, and slots in which the
 * rooms above keep what is theirs (pool, kernel set, devices). Lower rooms only ever need this
 * header.
 */
#ifndef LMN_BASE_ENGINE_H
#define LMN_BASE_ENGINE_H

#include "base/alloc.h"
#include "base/cpu.h"
#include "base/recycle.h"
#include "base/topo.h"

/* One slot a room; `finish` is called in reverse slot order by lamina_engine_destroy. The trace
   goes last: all the others may write into it. */
enum {
    LMN_SLOT_TRACE = 0,
    LMN_SLOT_KERNELS,
    LMN_SLOT_POOL,
    LMN_SLOT_DEVICES,
    LMN_SLOT_PLUGINS,
    LMN_SLOT_COUNT
};

struct lamina_engine {
    lamina_allocator alloc;
    lamina_log_sink log;
    lmn_cpu cpu;
    lmn_topo topo;
    uint32_t n_threads;  /* wanted width, 0 = from topo */
    lmn_recycle recycle; /* blocks of outputs and scratch between runs */
    struct {
        void *ptr;
        void (*finish)(lamina_engine *engine, void *ptr);
    } slot[LMN_SLOT_COUNT];
};

/* Fill the base part. Called by lamina_engine_create (room api) and by tests that need no more. */
lamina_status lmn_engine_init(lamina_engine *e, const lamina_engine_opts *opts);
/* Run the slots' finishers. */
void lmn_engine_finish(lamina_engine *e);

/* One log line, printf style, cut at 512 bytes. Nothing happens without a sink. */
LMN_PRINTF(3, 4)
void lmn_log(const lamina_engine *e, lamina_log_level level, const char *fmt, ...);

/*
 * Copy a sized option struct into *dst (dst_bytes, zeroed first): NULL src gives the defaults; a
 * non-zero byte past what we know is LAMINA_E_INVALID. Every option struct begins with size_t size.
 */
lamina_status lmn_opts_read(void *dst, size_t dst_bytes, const void *src);

#endif
