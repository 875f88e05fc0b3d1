/*
 * Error records: formatting into caller memory, never allocating, never failing.
 */
#include "base/error.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

static void fill(lamina_error *err, lamina_status status, int os_errno, const char *fmt, va_list ap)
{
    if (!err) return;
    memset(err, 0, sizeof *err);
    err->status = status;
    err->os_errno = os_errno;
    (void)vsnprintf(err->msg, sizeof err->msg, fmt, ap);
}

lamina_status lmn_fail(lamina_error *err, lamina_status status, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, status, 0, fmt, ap);
    va_end(ap);
    return status;
}

lamina_status lmn_fail_os(lamina_error *err, lamina_status status, int os_errno, const char *fmt,
                          ...)
{
    va_list ap;
    va_start(ap, fmt);
    fill(err, status, os_errno, fmt, ap);
    va_end(ap);
    if (err) {
        size_t n = strlen(err->msg);
        (void)lmn_format(err->msg + n, sizeof err->msg - n, ": %s", strerror(os_errno));
    }
    return status;
}

void lmn_error_prefix(lamina_error *err, const char *fmt, ...)
{
    if (!err) return;
    char old[LAMINA_ERROR_MSG_BYTES];
    memcpy(old, err->msg, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(err->msg, sizeof err->msg, fmt, ap);
    va_end(ap);
    size_t n = strlen(err->msg);
    (void)lmn_format(err->msg + n, sizeof err->msg - n, ": %s", old);
}

size_t lmn_vformat(char *buf, size_t cap, const char *fmt, va_list ap)
{
    if (cap == 0) return 0;
    int n = vsnprintf(buf, cap, fmt, ap);
    if (n < 0) n = 0;
    return (size_t)n < cap ? (size_t)n : cap - 1;
}

size_t lmn_format(char *buf, size_t cap, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    size_t n = lmn_vformat(buf, cap, fmt, ap);
    va_end(ap);
    return n;
}

size_t lmn_format_name(char *buf, size_t cap, const void *bytes, size_t n)
{
    static const char HEX[] = "0123456789abcdef";
    const uint8_t *p = bytes;
    size_t o = 0;
    if (cap == 0) return 0;
    for (size_t i = 0; i < n;) {
        size_t len = lmn_utf8_len(p + i, n - i);
        bool plain =
            len > 1 || (len == 1 && p[i] >= 0x20 && p[i] != 0x7f && p[i] != '\\' && p[i] != '"');
        size_t need = plain ? len : 4;
        if (o + need + 1 > cap) break;
        if (plain) {
            memcpy(buf + o, p + i, len);
        } else {
            len = 1;
            buf[o] = '\\', buf[o + 1] = 'x', buf[o + 2] = HEX[p[i] >> 4],
            buf[o + 3] = HEX[p[i] & 15];
        }
        o += need;
        i += len;
    }
    buf[o] = 0;
    return o;
}
