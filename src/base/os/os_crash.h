/*
 * Signals that end a process because of what it did: handlers, what such a signal says, the calls
 * that led there.
 */
#ifndef LMN_BASE_OS_CRASH_H
#define LMN_BASE_OS_CRASH_H

#include "base/error.h"

/* What the signal says. */
typedef struct lmn_crash {
    const char *name;     /* "SIGSEGV" */
    int32_t signal, code; /* si_code */
    uintptr_t address;    /* what was accessed or executed; 0 when the signal was sent */
    uintptr_t pc;         /* where the thread was; 0 = unknown */
    uint32_t sender;      /* process that sent it; 0: it was not sent */
} lmn_crash;

/* As the system calls it: `info` and `context` are for lmn_crash_read and lmn_crash_go_on. */
typedef void lmn_crash_handler(int signo, void *info, void *context);

/* The handler for SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT, once: the second such signal does
 * what it does by default. `stack` (NULL: none) becomes the alternate stack of the calling thread.
 * E_OS. */
lamina_status lmn_crash_install(lmn_crash_handler *handler, void *stack, size_t bytes,
                                lamina_error *err);
/* Where the thread was that a signal with this context interrupted; 0 = unknown. Safe in
 * handlers. */
uintptr_t lmn_interrupted_pc(const void *context);
lmn_crash lmn_crash_read(int signo, const void *info, const void *context);
/* Return addresses, innermost first, without those of the handler itself; how many. */
size_t lmn_crash_frames(uintptr_t pc, uintptr_t *out, size_t max);
/* Last words of a handler: when it returns, the signal comes again and does what it does by
 * default. */
void lmn_crash_go_on(int signo, const void *info);

#endif
