/*
 * Where the threads of this process spend their CPU time. While a sampler runs, each thread has a
 * timer on its own CPU clock that interrupts it (SIGPROF) every few milliseconds in which it
 * computes; the handler notes the calls that led there. Threads that wait are left alone. The
 * kernel's counters are not asked: it works in virtual machines, in containers and behind seccomp.
 *
 * The handler allocates nothing, takes no lock and keeps errno. It knows the sampler by the word
 * that comes with its signal, so nothing is static. A sample goes into a table of slots; when all
 * are full it is counted as lost.
 */
#ifndef LMN_BASE_OS_SAMPLE_H
#define LMN_BASE_OS_SAMPLE_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/error.h"

#define LMN_SAMPLE_FRAMES 48u /* of calls; those further out are cut */
#define LMN_SAMPLE_NOTES 4u

typedef struct lmn_sample {
    lmn_atomic(uint32_t) state; /* the sampler's */
    uint32_t tid, n;
    bool cut;                        /* there were more calls */
    char thread[16];                 /* its name */
    uint64_t note[LMN_SAMPLE_NOTES]; /* what the hook says of the thread; 0 without one */
    uintptr_t pc[LMN_SAMPLE_FRAMES]; /* innermost first; all but the first are return addresses */
} lmn_sample;

/* In the handler, by the thread that was interrupted: safe for signals. */
typedef void lmn_sample_hook(void *ctx, uint64_t note[LMN_SAMPLE_NOTES]);

typedef struct lmn_sampler lmn_sampler;

/* Loads what walks the stack, which reads files: before these are given up. */
void lmn_sampler_prepare(void);
/* Start sampling every thread but the caller. E_BUSY: somebody else has SIGPROF; E_NOMEM, E_OS. */
lamina_status lmn_sampler_start(const lamina_allocator *alloc, uint64_t interval_ns,
                                lmn_sample_hook *hook, void *ctx, lmn_sampler **out,
                                lamina_error *err);
/* Threads that came since then get a timer too. By the thread that started. */
void lmn_sampler_look(lmn_sampler *s);
/* Hand out what is there and forget it; `each` runs in the calling thread. */
void lmn_sampler_take(lmn_sampler *s, void (*each)(void *ctx, const lmn_sample *m), void *ctx);
/* No more samples come; those that are there may be taken still. */
void lmn_sampler_stop(lmn_sampler *s);
/* Samples that found no slot, and threads that got no timer. */
uint64_t lmn_sampler_lost(const lmn_sampler *s);
uint32_t lmn_sampler_unseen(const lmn_sampler *s);
/* Stopped before. Frees it; one in which a thread still stands, which takes a debugger, is left. */
void lmn_sampler_end(lmn_sampler *s);

#endif
