/*
 * A log whose lines go to a descriptor of this process: standard error, mostly. Records are put
 * into a ring in private memory as into any other; a thread makes lines of them and writes. Whoever
 * logs never waits: a descriptor that takes nothing fills the ring, and then records are dropped
 * and counted. What the process had not written when it is killed is gone, which `lamina logd` and
 * a folder of rings do not have.
 */
#ifndef LMN_SERVE_LOGLINES_H
#define LMN_SERVE_LOGLINES_H

#include "base/alloc.h"
#include "base/error.h"
#include "lamina/log.h"

typedef struct lmn_loglines lmn_loglines;

/* fd is the caller's, and stays open. */
lamina_status lmn_loglines_open(const lamina_allocator *alloc, int fd, lamina_log_format format,
                                lmn_loglines **out, lamina_error *err);
lamina_logger *lmn_loglines_logger(lmn_loglines *o);
/* Nobody logs any more: writes what is there, for a fifth of a second at most where it has to wait.
 * NULL is fine. */
void lmn_loglines_close(lmn_loglines *o);

#endif
