/*
 * Memory that another process passes as a descriptor over a UNIX socket. Only sealed memory is
 * taken (memfd with F_SEAL_SHRINK): it cannot be cut short under us, which would be a SIGBUS. Its
 * bytes may change at any time unless it is sealed against writing as well.
 */
#ifndef LMN_BASE_OS_PASSED_H
#define LMN_BASE_OS_PASSED_H

#include "base/error.h"

typedef struct lmn_passed {
    uint8_t *p; /* bytes; NULL: none */
    size_t bytes;
    bool fixed;    /* nobody can change it any more */
    bool writable; /* by us */
} lmn_passed;

/* Map it whole; `fd` stays the caller's. E_INVALID: no memory, or not sealed; E_LIMIT: empty or
 * more than `most` bytes; E_OS. */
lamina_status lmn_passed_map(int fd, uint64_t most, lmn_passed *out, lamina_error *err);
void lmn_passed_unmap(lmn_passed *m);

#endif
