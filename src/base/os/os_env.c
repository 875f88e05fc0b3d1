/*
 * Environment, CPU permission and small text files, on Linux. Nothing here keeps state.
 */
#include "base/os/os_env.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#define AMX_REQ_XCOMP_PERM 0x1023
#define AMX_XFEATURE_TILEDATA 18
#define AFFINITY_MAX_CPUS 65536

const char *lmn_os_getenv(const char *name)
{
    return getenv(name);
}

#if defined(__x86_64__)
bool lmn_os_amx_request(void)
{
    return syscall(SYS_arch_prctl, AMX_REQ_XCOMP_PERM, AMX_XFEATURE_TILEDATA) == 0;
}
#else
bool lmn_os_amx_request(void)
{
    return false;
}
#endif

void lmn_os_hwcap(uint64_t *hwcap, uint64_t *hwcap2)
{
    *hwcap = getauxval(AT_HWCAP);
    *hwcap2 = getauxval(AT_HWCAP2);
}

uint32_t lmn_os_affinity_count(void)
{
    /* The kernel refuses a mask shorter than its own, so take one longer than any kernel has. */
    unsigned long mask[AFFINITY_MAX_CPUS / (8 * sizeof(unsigned long))] = {0};
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    uint32_t n = 0;
    for (long i = 0; i < bytes / (long)sizeof mask[0]; i++)
        n += (uint32_t)__builtin_popcountl(mask[i]);
    return n;
}

int64_t lmn_os_text_read(const char *path, char *buf, size_t cap)
{
    buf[0] = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    size_t n = 0;
    while (n + 1 < cap) {
        ssize_t got = read(fd, buf + n, cap - 1 - n);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        n += (size_t)got;
    }
    (void)close(fd);
    buf[n] = 0;
    return (int64_t)n;
}

/* Value in bytes of the line "key:   123 kB", 0 when it is not there. */
static uint64_t kb_line(const char *text, const char *key)
{
    const char *at = strstr(text, key);
    return at ? strtoull(at + strlen(key), NULL, 10) * 1024 : 0;
}

uint64_t lmn_os_resident(void)
{
    char text[4096];
    const bool known = lmn_os_text_read("/proc/self/status", text, sizeof text) > 0;
    return known ? kb_line(text, "\nVmRSS:") : 0;
}

void lmn_os_memory(uint64_t *rss_bytes, uint64_t *pss_bytes)
{
    char text[4096];
    *rss_bytes = *pss_bytes = 0;
    if (lmn_os_text_read("/proc/self/smaps_rollup", text, sizeof text) > 0) {
        *rss_bytes = kb_line(text, "\nRss:");
        *pss_bytes = kb_line(text, "\nPss:");
    }
    if (*rss_bytes == 0) *rss_bytes = lmn_os_resident();
}

void lmn_os_heap_trim(void)
{
#if defined(__GLIBC__)
    (void)malloc_trim(0);
#endif
}
