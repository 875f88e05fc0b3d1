/*
 * Waiting for many descriptors at once, and waking such a wait from another thread. A waiter
 * belongs to one thread; lmn_wake may be called by any.
 */
#ifndef LMN_BASE_OS_POLL_H
#define LMN_BASE_OS_POLL_H

#include "base/error.h"

enum {
    LMN_POLL_IN = 1,
    LMN_POLL_OUT = 2,
    LMN_POLL_HALF = 4,  /* the other end sends no more */
    LMN_POLL_DEAD = 8,  /* reset, or shut in both directions; told without being asked for */
    LMN_POLL_EDGE = 16, /* tell changes only: read and write until it would block */
    LMN_POLL_ONE = 32   /* of several waiters for this descriptor wake one */
};

typedef struct lmn_poll_event {
    void *who;     /* as it was added */
    uint32_t what; /* LMN_POLL_IN to LMN_POLL_DEAD */
} lmn_poll_event;

enum { LMN_POLL_MOST = 256 }; /* events that one wait tells */

lamina_status lmn_poll_open(int *out, lamina_error *err);
lamina_status lmn_poll_add(int poll, int fd, uint32_t what, void *who, lamina_error *err);
/* One that was not added is fine. A closed descriptor leaves by itself. */
void lmn_poll_remove(int poll, int fd);
/* Wait up to timeout_ns (UINT64_MAX: as long as it takes); returns how many events, 0 when the time
 * is over or a signal came. cap <= LMN_POLL_MOST. */
uint32_t lmn_poll_wait(int poll, lmn_poll_event *out, uint32_t cap, uint64_t timeout_ns);
/* Wait for one descriptor: what has happened, 0 when the time is over. */
uint32_t lmn_poll_one(int fd, uint32_t what, uint64_t timeout_ns);
/* Up to n bytes to any descriptor, how many it took; -1: it takes none any more. */
int64_t lmn_fd_write(int fd, const void *bytes, size_t n);
/* A regular file takes whatever comes, and nobody need ask. */
bool lmn_fd_is_file(int fd);

/* A descriptor that is readable from lmn_wake to lmn_wake_clear. */
lamina_status lmn_wake_open(int *out, lamina_error *err);
void lmn_wake(int fd);
void lmn_wake_clear(int fd);
/* Close any descriptor of this header; -1 is fine. */
void lmn_poll_close(int fd);

#endif
