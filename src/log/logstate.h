/*
 * What a collector remembers: how far the file is accounted for, and with which batch. It lies in a
 * mapped file, so that it is there after kill -9; with the marks in the rings (logring.h) it makes
 * one step of two things that are not one, writing lines and giving back cells:
 *
 *   1. lines are written behind `offset`
 *   2. each ring that gave some gets a mark {reader, batch + 1, position} in the older of its two
 *   3. the state of batch + 1 is written beside that of batch
 *   4. batch := batch + 1             <- from here on it has happened
 *   5. heads move: writers may use the cells
 *
 * Killed before 4, the next collector finds the old batch: it cuts the file at the old offset,
 * declares marks of batch + 1 void for good, and writes the same records again. Killed after 4, it
 * finds the new ones. After the machine itself went down nothing of this holds (pages reach the
 * disk in any order): another boot is seen by its id, and then nothing is cut.
 */
#ifndef LMN_LOG_LOGSTATE_H
#define LMN_LOG_LOGSTATE_H

#include "base/os/os_append.h"
#include "base/os/os_shared.h"
#include "log/logring.h"

#define LMN_LOGSTATE_PATH_BYTES 4096u
#define LMN_LOGSTATE_VOIDS 64u

typedef struct lmn_logfile_at {
    uint64_t offset;  /* bytes that are accounted for */
    lmn_file_id id;   /* of the file they are in */
    uint64_t began_s; /* when it was begun */
} lmn_logfile_at;

typedef struct lmn_logstate_mem {
    uint32_t magic, version;
    uint64_t reader; /* tells this state from one that was lost */
    char boot[40];
    char path[LMN_LOGSTATE_PATH_BYTES];
    lmn_logfile_at at[2]; /* of batch: at[batch & 1] */
    lmn_atomic(uint64_t) batch;
    /* Batches that did not happen, of the last collectors: void_batch[n_voids % VOIDS] is next. */
    uint64_t void_batch[LMN_LOGSTATE_VOIDS];
    lmn_atomic(uint64_t) n_voids;
} lmn_logstate_mem;

typedef struct lmn_logstate {
    lmn_shared file;
    lmn_logstate_mem *mem;
    uint64_t reader, batch;
    bool same_boot; /* what was found was written since the machine started */
} lmn_logstate;

/* The state of folder `dir`, the one there or a new one; E_BUSY: another collector has it. */
lamina_status lmn_logstate_open(const char *dir, lmn_logstate *out, lamina_error *err);
void lmn_logstate_close(lmn_logstate *s);
/* Which file, and how far; `path` has LMN_LOGSTATE_PATH_BYTES. False: nothing is known. */
bool lmn_logstate_last(const lmn_logstate *s, char *path, lmn_logfile_at *out);
/* From now on the file is `path`. */
void lmn_logstate_name(lmn_logstate *s, const char *path);
/* Step 2 for one ring, whose valid mark is mark[*slot]. */
void lmn_logstate_mark(const lmn_logstate *s, lmn_logring_mem *m, int slot, uint64_t at,
                       uint64_t dropped, uint64_t unfinished);
/* Steps 3 and 4. */
void lmn_logstate_commit(lmn_logstate *s, const lmn_logfile_at *at);
/* The mark of a ring that counts, or -1; *slot is where it stands. */
int lmn_logstate_find(const lmn_logstate *s, const lmn_logring_mem *m, lmn_logmark *out);

#endif
