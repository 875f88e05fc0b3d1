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

#endif
