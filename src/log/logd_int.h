/*
 * The collector: what its parts share. logd.c has the turns and the public face, logd_write.c lines
 * and batches, logd_rings.c which rings there are.
 */
#ifndef LMN_LOG_LOGD_INT_H
#define LMN_LOG_LOGD_INT_H

#include "lamina/log.h"

#include "log/logfile.h"
#include "log/logsource.h"

#define LMN_LOGD_RINGS 65536u /* most */
#define LMN_LOGD_FLUSH_BYTES (256u << 10)
#define LMN_MS 1000000ull
#define LMN_SECOND 1000000000ull
#define LMN_LOGD_ASK_NS (100 * LMN_MS) /* how often to ask for dead writers, and tell of drops */

struct lamina_logd {
    const lamina_allocator *alloc;
    lamina_logd_opts opts;
    char dir[LMN_LOGSTATE_PATH_BYTES];
    lmn_logstate state;
    lmn_logfile file;
    lmn_lines lines;
    uint64_t buffered;       /* records in lines */
    uint64_t unsynced;       /* records written since the last fsync */
    lmn_logsource **sources; /* n_sources */
    size_t n_sources, cap_sources;
    lmn_logsource **heap; /* those with a record waiting, the oldest first; cap_sources */
    size_t n_heap, cap_heap;
    int watch;
    bool look;                                          /* into the folder: there are news */
    uint64_t looked_ns, asked_ns, synced_ns, rotate_ns; /* monotonic: when last */
    uint32_t idle_ms;
    lamina_logd_stats stats;
};

/* logd_write.c. Write what is in the buffer and let it have happened: logstate.h. */
lamina_status lmn_logd_flush(lamina_logd *d, lamina_error *err);
/* Write what is due, or (drain) everything that was there when the turn began. */
lamina_status lmn_logd_write_due(lamina_logd *d, uint64_t now_wall, bool drain, lamina_error *err);
lamina_status lmn_logd_sync(lamina_logd *d, lamina_error *err);
lamina_status lmn_logd_rotate(lamina_logd *d, lamina_error *err);

/* logd_rings.c. Look into the folder. */
lamina_status lmn_logd_look(lamina_logd *d, lamina_error *err);
/* Who has died, and who was damaged? */
void lmn_logd_ask(lamina_logd *d);
/* Close what is damaged, and say so. */
void lmn_logd_let_go(lamina_logd *d, lmn_logsource *s);
/* Rings of the dead that have nothing more to say. Everything is flushed. */
void lmn_logd_remove_dead(lamina_logd *d);
void lmn_logd_forget(lamina_logd *d, size_t i);

#endif
