/*
 * Who am I, what is mapped, from code that may run in a signal handler: nothing here locks or
 * allocates.
 */
#ifndef LMN_BASE_OS_SELF_H
#define LMN_BASE_OS_SELF_H

#include "base/types.h"

/* A page that reads as zero in a child after fork, so that what is kept there about the process is
 * found out anew; NULL where the system cannot. Undone by lmn_fork_page_free. */
void *lmn_fork_page(void);
void lmn_fork_page_free(void *page);
uint32_t lmn_self_pid(void);
uint32_t lmn_self_tid(void);
/* Name of the program, as it was called. */
const char *lmn_self_name(void);
/* errno, for those who must give it back as it was. */
int lmn_errno_get(void);
void lmn_errno_set(int e);
void lmn_sleep_ms(uint32_t ms);
void lmn_sleep_us(uint32_t us);

/* A row of /proc/self/maps. */
typedef struct lmn_mapping {
    uintptr_t from, to; /* [from, to) */
    uint64_t offset;    /* of `from` in the file */
    bool write, shared;
    const char *path; /* terminated, "" for none; lent until the callback returns */
} lmn_mapping;
/* Call `each` on every mapping until it says false; a row that is too long is cut. False when the
 * list cannot be read. */
bool lmn_mappings(bool (*each)(void *ctx, const lmn_mapping *m), void *ctx);

#endif
