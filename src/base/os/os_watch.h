/*
 * Waiting for news in a folder, for a time; signals end the wait.
 */
#ifndef LMN_BASE_OS_WATCH_H
#define LMN_BASE_OS_WATCH_H

#include "base/types.h"

/* A descriptor that tells of files that are moved into `dir`; -1: the system has none left to give,
 * and the caller must look itself. */
int lmn_watch_open(const char *dir);
void lmn_watch_close(int watch);
/* Wait up to `ms` (0: only look). True when there are news. */
bool lmn_watch_wait(int watch, uint32_t ms);

/* A watch of many folders: of what may change which files lie in them. -1 as above. */
int lmn_watch_open_many(void);
/* Once more is fine, and a folder that is gone leaves by itself. False: the caller must look
 * itself.
 */
bool lmn_watch_add(int watch, const char *dir);
enum {
    LMN_WATCH_DONE = 1,   /* a file was written to its end and closed, was moved or is gone */
    LMN_WATCH_FOLDER = 2, /* a folder came, whose files may have come before it was watched; or so
                             much happened that some of it is not told */
};
/* What has happened, without waiting. */
uint32_t lmn_watch_news(int watch);

#endif
