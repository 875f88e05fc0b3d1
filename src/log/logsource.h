/*
 * A ring as the collector sees it: where it stands, the record that is next, whether anybody still
 * writes. Records are copied out before anything in them is looked at.
 */
#ifndef LMN_LOG_LOGSOURCE_H
#define LMN_LOG_LOGSOURCE_H

#include "log/logline.h"
#include "log/logstate.h"

#define LMN_LOGSOURCE_NAME_BYTES 256u

typedef struct lmn_logsource {
    lmn_shared file;
    lmn_logring ring;
    char name[LMN_LOGSOURCE_NAME_BYTES]; /* of the file */
    char from[LMN_LOGRING_NAME_BYTES];
    uint32_t pid;
    int slot;                     /* which mark of the ring counts */
    uint64_t dropped, unfinished; /* reported, or about to be */
    uint64_t holes;               /* cells found unfinished so far */
    uint64_t told_ns;             /* when last */
    uint64_t limit;               /* cells from here on are left for later */
    uint64_t key;                 /* time of the next record, never less than of the one before */
    uint64_t stuck_ns;            /* since when a record is begun and not finished; 0: it is not */
    uint32_t n;                   /* cells of the next record; 0: there is none */
    bool dead;                    /* nobody has it open but us */
    bool bad;                     /* no ring, or no longer: closed; only the name is kept */
    bool touched;                 /* not all of this is committed */
    bool present;                 /* seen by the last look into the folder */
    uint8_t bytes[LMN_LOGRING_RECORD_BYTES];
} lmn_logsource;

/* Open DIR/NAME and go on where the state says. E_CORRUPT: no ring. */
lamina_status lmn_logsource_open(lmn_logsource *s, const char *dir, const char *name,
                                 const lmn_logstate *state, lamina_error *err);
/* Copy the next record out if there is one and none is waiting: s->n. E_CORRUPT: let go of it. */
lamina_status lmn_logsource_load(lmn_logsource *s, uint64_t now_ns);
/* The record that was loaded is written. */
static inline void lmn_logsource_pass(lmn_logsource *s)
{
    s->ring.at += s->n;
    s->n = 0;
    s->touched = true;
}
/* Where its records end now; at most all cells away, whatever `tail` says. */
uint64_t lmn_logsource_end(const lmn_logsource *s);
/* Cells that are taken and not passed; 0 for a tail that cannot be. */
uint64_t lmn_logsource_waiting(const lmn_logsource *s);
/* More than half full: whatever is there is due, also within the window. */
static inline bool lmn_logsource_crowded(const lmn_logsource *s)
{
    return lmn_logsource_waiting(s) > s->ring.mask / 2;
}

#endif
