/*
 * Filling lamina_error, and the collector of diagnostics behind it. The one way in which the
 * library explains itself: a status travels by return value, the sentence travels here.
 */
#ifndef LMN_BASE_ERROR_H
#define LMN_BASE_ERROR_H

#include "base/types.h"

#include <stdarg.h>

/* Fill *err (NULL allowed) and return `status`, so that `return lmn_fail(...)` reads well. */
LMN_PRINTF(3, 4)
lamina_status lmn_fail(lamina_error *err, lamina_status status, const char *fmt, ...);

/* As lmn_fail, with os_errno set and ": <strerror>" appended. */
LMN_PRINTF(4, 5)
lamina_status lmn_fail_os(lamina_error *err, lamina_status status, int os_errno, const char *fmt,
                          ...);

/* Put "prefix: " before the message already in *err, cutting at the end if it does not fit. */
LMN_PRINTF(2, 3)
void lmn_error_prefix(lamina_error *err, const char *fmt, ...);

/* snprintf that always terminates and returns the bytes really written (without the zero). */
LMN_PRINTF(3, 4)
size_t lmn_format(char *buf, size_t cap, const char *fmt, ...);
LMN_PRINTF(3, 0)
size_t lmn_vformat(char *buf, size_t cap, const char *fmt, va_list ap);

/*
 * Copy n foreign bytes as printable text: control bytes, quotes, backslash and invalid UTF-8
 * become \xNN. Used for every name that comes out of a file. Always terminates; returns length.
 */
size_t lmn_format_name(char *buf, size_t cap, const void *bytes, size_t n);

#endif
