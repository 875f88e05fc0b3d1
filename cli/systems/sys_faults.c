/*
 * The subject about page faults: 8 MiB touched for the first time, one byte a page, in mappings of
 * several kinds. What the kernel did is asked for (getrusage), so that a row never says "major"
 * about pages that came from the cache.
 */
#include "sys_bench.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define PAGE 4096u
#define HUGE ((size_t)2 << 20)
#define BYTES ((size_t)8 << 20)
#define MAJOR_BYTES ((size_t)1 << 20) /* a disk is slow */

typedef struct faults {
    int file;
} faults;

enum { READ, WRITE };

static void touch(volatile uint8_t *p, size_t bytes, int how)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < bytes; i += PAGE) {
        if (how == WRITE)
            p[i] = 1;
        else
            sum += p[i];
    }
    sys_keep(sum);
}

/* ns a page of touching p; unmaps the whole. */
static double first_touch(uint8_t *p, size_t bytes, int how, void *map, size_t map_bytes)
{
    if (map == MAP_FAILED) return NAN;
    const double from = sys_now_ns();
    touch(p, bytes, how);
    const double ns = sys_now_ns() - from;
    (void)munmap(map, map_bytes);
    return ns / (double)(bytes / PAGE);
}

static void *anonymous(size_t bytes, int flags)
{
    return mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
}

static double anonymous_write(void *state, int arg)
{
    (void)state, (void)arg;
    void *p = anonymous(BYTES, 0);
    if (p != MAP_FAILED) (void)madvise(p, BYTES, MADV_NOHUGEPAGE);
    return first_touch(p, BYTES, WRITE, p, BYTES);
}

static double anonymous_read(void *state, int arg)
{
    (void)state, (void)arg;
    void *p = anonymous(BYTES, 0);
    if (p != MAP_FAILED) (void)madvise(p, BYTES, MADV_NOHUGEPAGE);
    return first_touch(p, BYTES, READ, p, BYTES);
}

/* All pages by one call, which is part of the time. */
static double populate(void *state, int arg)
{
    (void)state, (void)arg;
    const double from = sys_now_ns();
    void *p = anonymous(BYTES, MAP_POPULATE);
    if (p == MAP_FAILED) return NAN;
    touch(p, BYTES, WRITE);
    const double ns = sys_now_ns() - from;
    (void)munmap(p, BYTES);
    return ns / (double)(BYTES / PAGE);
}

/* Aligned, so that every page may be a huge one; few faults prove that they were. */
static double huge(void *state, int arg)
{
    (void)state, (void)arg;
    uint8_t *map = anonymous(BYTES + HUGE, 0);
    if (map == MAP_FAILED) return NAN;
    uint8_t *p = map + (HUGE - (uintptr_t)map % HUGE) % HUGE;
    struct rusage a, b;
    if (madvise(p, BYTES, MADV_HUGEPAGE) != 0) {
        (void)munmap(map, BYTES + HUGE);
        return NAN;
    }
    (void)getrusage(RUSAGE_THREAD, &a);
    const double ns = first_touch(p, BYTES, WRITE, map, BYTES + HUGE);
    (void)getrusage(RUSAGE_THREAD, &b);
    return b.ru_minflt - a.ru_minflt < (long)(BYTES / PAGE / 4) ? ns : NAN;
}

/* Pages touched again after madvise(MADV_DONTNEED): given back and asked for anew. */
static double again(void *state, int arg)
{
    (void)state, (void)arg;
    void *p = anonymous(BYTES, 0);
    if (p == MAP_FAILED) return NAN;
    (void)madvise(p, BYTES, MADV_NOHUGEPAGE);
    touch(p, BYTES, WRITE);
    (void)madvise(p, BYTES, MADV_DONTNEED);
    return first_touch(p, BYTES, WRITE, p, BYTES);
}

static double no_fault(void *state, int arg)
{
    (void)state, (void)arg;
    void *p = anonymous(BYTES, MAP_POPULATE);
    if (p == MAP_FAILED) return NAN;
    touch(p, BYTES, WRITE);
    return first_touch(p, BYTES, WRITE, p, BYTES);
}

static double cached_file(void *state, int arg)
{
    const faults *f = state;
    static uint8_t cached[1 << 16];
    (void)arg;
    for (size_t at = 0; at < BYTES; at += sizeof cached) /* into the cache */
        if (pread(f->file, cached, sizeof cached, (off_t)at) <= 0) return NAN;
    void *p = mmap(NULL, BYTES, PROT_READ, MAP_SHARED, f->file, 0);
    return first_touch(p, BYTES, READ, p, BYTES);
}

/* The cache is asked to let go; a row only when the kernel says that pages came from the disk. */
static double major(void *state, int arg)
{
    const faults *f = state;
    struct rusage a, b;
    (void)arg;
    (void)fdatasync(f->file);
    (void)posix_fadvise(f->file, 0, 0, POSIX_FADV_DONTNEED);
    void *p = mmap(NULL, MAJOR_BYTES, PROT_READ, MAP_SHARED, f->file, 0);
    if (p == MAP_FAILED) return NAN;
    (void)madvise(p, MAJOR_BYTES, MADV_RANDOM);
    (void)getrusage(RUSAGE_THREAD, &a);
    const double ns = first_touch(p, MAJOR_BYTES, READ, p, MAJOR_BYTES);
    (void)getrusage(RUSAGE_THREAD, &b);
    return b.ru_majflt - a.ru_majflt > (long)(MAJOR_BYTES / PAGE / 2) ? ns : NAN;
}

bool sys_page_faults(sys_run *r, void **state)
{
    static const char REFUSED[] = "the mapping is refused";
    faults *f = malloc(sizeof *f);
    if (!f) return (void)cli_fail("out of memory"), false;
    *state = f;
    if ((f->file = sys_temporary(BYTES)) < 0) {
        free(f);
        return false;
    }
    sys_add(r, anonymous_write, 0, REFUSED, "minor, written");
    sys_add(r, anonymous_read, 0, REFUSED, "minor, read (the zero page)");
    sys_add(r, again, 0, REFUSED, "minor, after MADV_DONTNEED");
    sys_add(r, populate, 0, REFUSED, "populated by mmap");
    sys_add(r, huge, 0, "no huge pages (transparent_hugepage: never?)", "huge pages of 2 MiB");
    sys_add(r, cached_file, 0, REFUSED, "minor, a file in the page cache");
    sys_add(r, major, 0, "the page cache did not let go (a file system in memory?)",
            "major, from the disk");
    sys_add(r, no_fault, 0, REFUSED, "no fault: touched before");
    return true;
}

void sys_page_faults_end(void *state)
{
    faults *f = state;
    (void)close(f->file);
    free(f);
}
