/*
 * Shared libraries that are loaded while the process runs.
 */
#ifndef LMN_BASE_OS_LIB_H
#define LMN_BASE_OS_LIB_H

#include "base/error.h"

/* Load the file at `path` (never searched for elsewhere), all symbols resolved now and kept to
   itself. The same file gives the same handle, to be closed once for each opening. */
lamina_status lmn_os_lib_open(const char *path, void **lib, lamina_error *err);
/* Address of an exported symbol, NULL if there is none. */
const void *lmn_os_lib_symbol(void *lib, const char *name);
void lmn_os_lib_close(void *lib);
/* The folder, with its last slash, of the library or program that this code is part of; false when
   that cannot be told. */
bool lmn_os_lib_home(char *buf, size_t cap);

#endif
