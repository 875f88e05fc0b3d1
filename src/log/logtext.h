/*
 * printf for signal handlers: the part of it that a log line needs, without locale, lock or memory.
 */
#ifndef LMN_LOG_LOGTEXT_H
#define LMN_LOG_LOGTEXT_H

#include "base/types.h"

#include <stdarg.h>

/* As vsnprintf for %d %i %u %x %X %o %c %s %p %f %F %e %E %g %G %% with flags, width, precision and
 * lengths, but without a zero at the end; at most cap bytes, *cut when there were more. What it
 * does not know (%n, %a, %Lf, wide characters, positions) is copied with all that follows. */
size_t lmn_logtext_format(char *buf, size_t cap, bool *cut, const char *format, va_list ap);

#endif
