/*
 * The subject about copying a file: 16 MiB into another file that is truncated first. The first
 * copy of each way is compared with the source. Where the kernel or the file system refuses a way,
 * the row says so.
 */
#include "sys_uring.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#define BYTES ((size_t)16 << 20)
#define BUFFER ((size_t)1 << 20)

typedef struct copying {
    int from, to;
    uint8_t *buffer; /* BUFFER bytes, aligned for direct I/O */
    sys_uring ring;
    bool compared[8];
} copying;

enum { BUFFERED_SMALL, BUFFERED, MAPPED, RANGE, SEND, DIRECT, URING };

static bool copy_buffered(copying *c, size_t piece)
{
    for (size_t at = 0; at < BYTES; at += piece)
        if (pread(c->from, c->buffer, piece, (off_t)at) != (ssize_t)piece ||
            pwrite(c->to, c->buffer, piece, (off_t)at) != (ssize_t)piece)
            return false;
    return true;
}

/* The blocks are asked for first: a page that finds the disk full is a signal, not a status. */
static bool copy_mapped(copying *c)
{
    if (posix_fallocate(c->to, 0, BYTES) != 0) return false;
    void *a = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, c->from, 0);
    void *b = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, c->to, 0);
    const bool ok = a != MAP_FAILED && b != MAP_FAILED;
    if (ok) memcpy(b, a, BYTES);
    if (a != MAP_FAILED) (void)munmap(a, BYTES);
    if (b != MAP_FAILED) (void)munmap(b, BYTES);
    return ok;
}

static bool copy_range(copying *c)
{
    off_t in = 0, out = 0;
    for (size_t left = BYTES; left;) {
        const ssize_t n = copy_file_range(c->from, &in, c->to, &out, left, 0);
        if (n <= 0) return false;
        left -= (size_t)n;
    }
    return true;
}

static bool copy_send(copying *c)
{
    off_t in = 0;
    if (lseek(c->to, 0, SEEK_SET) != 0) return false;
    for (size_t left = BYTES; left;) {
        const ssize_t n = sendfile(c->to, c->from, &in, left);
        if (n <= 0) return false;
        left -= (size_t)n;
    }
    return true;
}

static bool set_direct(int fd, bool on)
{
    const int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

static bool copy_direct(copying *c)
{
    const bool ok =
        set_direct(c->from, true) && set_direct(c->to, true) && copy_buffered(c, BUFFER);
    (void)set_direct(c->from, false);
    (void)set_direct(c->to, false);
    return ok;
}

static bool copy_by(copying *c, int way)
{
    switch (way) {
    case BUFFERED_SMALL: return copy_buffered(c, 4096);
    case BUFFERED: return copy_buffered(c, 256 << 10);
    case MAPPED: return copy_mapped(c);
    case RANGE: return copy_range(c);
    case SEND: return copy_send(c);
    case DIRECT: return copy_direct(c);
    default: return sys_uring_copy(&c->ring, c->from, c->to, BYTES, c->buffer, BUFFER);
    }
}

static bool same(copying *c)
{
    static uint8_t theirs[1 << 16];
    for (size_t at = 0; at < BYTES; at += sizeof theirs)
        if (pread(c->from, c->buffer, sizeof theirs, (off_t)at) != (ssize_t)sizeof theirs ||
            pread(c->to, theirs, sizeof theirs, (off_t)at) != (ssize_t)sizeof theirs ||
            memcmp(c->buffer, theirs, sizeof theirs) != 0)
            return false;
    return true;
}

static double sample(void *state, int way)
{
    copying *c = state;
    if (ftruncate(c->to, 0) != 0) return NAN;
    const double from = sys_now_ns();
    if (!copy_by(c, way)) return NAN;
    const double ns = sys_now_ns() - from;
    if (!c->compared[way] && !same(c)) {
        (void)cli_fail("file-copy: way %d made another file", way);
        return NAN;
    }
    c->compared[way] = true;
    return (double)BYTES / ns;
}

bool sys_file_copy(sys_run *r, void **state)
{
    copying *c = calloc(1, sizeof *c);
    if (!c) return (void)cli_fail("out of memory"), false;
    *state = c;
    c->buffer = aligned_alloc(4096, BUFFER);
    c->from = sys_temporary(BYTES);
    c->to = c->from < 0 ? -1 : sys_temporary(0);
    sys_uring_open(&c->ring);
    if (!c->buffer || c->to < 0) {
        sys_file_copy_end(c);
        return false;
    }
    (void)fdatasync(c->from);
    sys_add(r, sample, BUFFERED_SMALL, "refused", "read and write, 4 KiB");
    sys_add(r, sample, BUFFERED, "refused", "read and write, 256 KiB");
    sys_add(r, sample, MAPPED, "refused", "mmap and memcpy");
    sys_add(r, sample, RANGE, "refused by the file system", "copy_file_range");
    sys_add(r, sample, SEND, "refused by the file system", "sendfile");
    sys_add(r, sample, DIRECT, "the file system has no direct I/O", "direct, 1 MiB");
    sys_add(r, sample, URING, "io_uring is not allowed here", "io_uring, 4 of 256 KiB at once");
    return true;
}

void sys_file_copy_end(void *state)
{
    copying *c = state;
    sys_uring_close(&c->ring);
    if (c->from >= 0) (void)close(c->from);
    if (c->to >= 0) (void)close(c->to);
    free(c->buffer);
    free(c);
}
