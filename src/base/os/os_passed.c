/*
 * Sealed memory of others on Linux. What is sealed against writing is mapped for reading alone,
 * since the system maps it no other way.
 */
#include "base/os/os_passed.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

lamina_status lmn_passed_map(int fd, uint64_t most, lmn_passed *out, lamina_error *err)
{
    struct stat st;
    const int seals = fcntl(fd, F_GET_SEALS);
    const int flags = fcntl(fd, F_GETFL);
    if (seals < 0 || flags < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "the descriptor is no memory that can be sealed (memfd_create with "
                        "MFD_ALLOW_SEALING)");
    if (!(seals & F_SEAL_SHRINK))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "the memory is not sealed: add F_SEAL_SHRINK, so that it cannot be cut "
                        "short");
    if (st.st_size <= 0 || (uint64_t)st.st_size > most)
        return lmn_fail(err, LAMINA_E_LIMIT, "the memory is empty or larger than %llu bytes",
                        (unsigned long long)most);
    const bool fixed = (seals & F_SEAL_WRITE) != 0;
    const bool writable =
        !(seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) && (flags & O_ACCMODE) == O_RDWR;
    void *p =
        mmap(NULL, (size_t)st.st_size, PROT_READ | (writable ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) return lmn_fail_os(err, LAMINA_E_OS, errno, "the memory cannot be mapped");
    *out = (lmn_passed){.p = p, .bytes = (size_t)st.st_size, .fixed = fixed, .writable = writable};
    return LAMINA_OK;
}

void lmn_passed_unmap(lmn_passed *m)
{
    if (m->p) (void)munmap(m->p, m->bytes);
    *m = (lmn_passed){.p = NULL};
}
