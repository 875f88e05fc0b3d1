/*
 * A logger: the ring of one process, and what a call must know of it.
 */
#ifndef LMN_LOG_LOGGER_H
#define LMN_LOG_LOGGER_H

#include "lamina/log.h"

#include "base/os/os_shared.h"
#include "log/logring.h"

/* Rings are files of this name; while one is being made, a dot stands before it. */
#define LMN_LOG_SUFFIX ".ring"

struct lamina_logger {
    lmn_shared file;
    lmn_logring ring;
    lamina_log_level least;
    uint32_t wait_us;
    bool thread_ids;
    lmn_atomic(uint32_t) * pid; /* on a page that a fork clears; NULL: ask the system each time */
    /* NULL, or the word that a reader in this process sleeps on: woken by each quarter of the ring
     * that fills, so that it may nap for longer than the whole ring takes. */
    lmn_atomic(uint32_t) * bell;
};

/* lamina_log_end for who knows the time already; the record is of this logger. errno may change. */
lamina_status lmn_logger_put(const lamina_logger *l, lamina_log_record *record, uint64_t wall_ns);

#endif
