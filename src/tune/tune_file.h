/*
 * Where choices lie between processes: a text file that only grows (tune_table.h), in the user's
 * cache folder unless somebody names another. Reading never fails for what the file holds.
 */
#ifndef LMN_TUNE_FILE_H
#define LMN_TUNE_FILE_H

#include "tune/tune_table.h"

enum { LMN_TUNE_PATH_MAX = 1024 };

/* Features, caches and processors of this machine as a number. */
uint64_t lmn_tune_machine(const lamina_engine *e);
/* The rows that an engine of this CPU and environment uses. */
lmn_kset lmn_tune_kset(const lamina_engine *e);
/* The file to use: `given`, else what LAMINA_TUNE names, else the one in the cache folder. False:
   none, since that word is "off" or no folder is known. */
bool lmn_tune_path(const lamina_engine *e, const char *given, char *buf, size_t cap);
/* The table of a file; a missing or unreadable file is an empty one. E_NOMEM alone. */
lamina_status lmn_tune_load(const lamina_engine *e, const char *path, lmn_tune_table *out);
/* Append records; a torn line at the end is closed first. Makes the cache folder. */
lamina_status lmn_tune_append(const lamina_engine *e, const char *path, const lmn_tune_record *r,
                              size_t n, lamina_error *err);

#endif
