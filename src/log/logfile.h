/*
 * The file that the collector writes, and the ones it was before: FILE, FILE.1 ... FILE.keep.
 */
#ifndef LMN_LOG_LOGFILE_H
#define LMN_LOG_LOGFILE_H

#include "log/logstate.h"

typedef struct lmn_logfile {
    char path[LMN_LOGSTATE_PATH_BYTES];
    lmn_append file;
    lmn_logfile_at at;
    uint32_t keep;
    bool open_line; /* what stands there does not end in a newline */
} lmn_logfile;

/* Open `path` where the state says that it ends: what was written behind is cut off. */
lamina_status lmn_logfile_open(lmn_logfile *f, const char *path, uint32_t keep, lmn_logstate *state,
                               lamina_error *err);
void lmn_logfile_close(lmn_logfile *f);
/* Write n bytes at the end; the end moves only if all of them stand there. What an earlier failure
 * left is cut off before. */
lamina_status lmn_logfile_write(lmn_logfile *f, const void *bytes, size_t n, lamina_error *err);
/* Begin a new file: this one becomes FILE.1. On failure this one stays in use. */
lamina_status lmn_logfile_rotate(lmn_logfile *f, lmn_logstate *state, lamina_error *err);
/* Begin whatever file bears the name now. On failure as above. */
lamina_status lmn_logfile_reopen(lmn_logfile *f, lmn_logstate *state, lamina_error *err);

#endif
