/*
 * Handlers by sigaction, frames by the C library's unwinder.
 */
#include "base/os/os_crash.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

static const struct {
    int signal;
    const char *name;
} CRASHES[] = {{SIGSEGV, "SIGSEGV"},
               {SIGBUS, "SIGBUS"},
               {SIGFPE, "SIGFPE"},
               {SIGILL, "SIGILL"},
               {SIGABRT, "SIGABRT"}};

lamina_status lmn_crash_install(lmn_crash_handler *handler, void *stack, size_t bytes,
                                lamina_error *err)
{
    void *first[2];
    (void)backtrace(first, 2); /* loads the unwinder now: in a handler it could not */
    if (stack) {
        const stack_t s = {.ss_sp = stack, .ss_size = bytes};
        if (sigaltstack(&s, NULL) != 0)
            return lmn_fail_os(err, LAMINA_E_OS, errno, "cannot set the stack of signal handlers");
    }
    struct sigaction a = {0};
    /* The same parameters but for the type behind two pointers, which src/log may not know. */
    a.sa_sigaction = (void (*)(int, siginfo_t *, void *))handler;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND;
    (void)sigemptyset(&a.sa_mask);
    for (size_t i = 0; i < LMN_COUNT(CRASHES); i++)
        if (sigaction(CRASHES[i].signal, &a, NULL) != 0)
            return lmn_fail_os(err, LAMINA_E_OS, errno, "cannot handle %s", CRASHES[i].name);
    return LAMINA_OK;
}

uintptr_t lmn_interrupted_pc(const void *context)
{
    const ucontext_t *u = context;
#if defined(__x86_64__)
    return (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)u->uc_mcontext.pc;
#else
    (void)u;
    return 0;
#endif
}

lmn_crash lmn_crash_read(int signo, const void *info, const void *context)
{
    const siginfo_t *s = info;
    lmn_crash c = {.name = "signal", .signal = signo, .code = s->si_code};
    for (size_t i = 0; i < LMN_COUNT(CRASHES); i++)
        if (CRASHES[i].signal == signo) c.name = CRASHES[i].name;
    if (s->si_code > 0)
        c.address = (uintptr_t)s->si_addr;
    else
        c.sender = (uint32_t)s->si_pid;
    c.pc = lmn_interrupted_pc(context);
    return c;
}

size_t lmn_crash_frames(uintptr_t pc, uintptr_t *out, size_t max)
{
    void *all[64];
    const int n = backtrace(all, (int)LMN_COUNT(all));
    int from = 0;
    for (int i = 0; i < n && pc; i++)
        if ((uintptr_t)all[i] == pc) from = i;
    size_t k = 0;
    for (int i = from; i < n && k < max; i++) out[k++] = (uintptr_t)all[i];
    return k;
}

void lmn_crash_go_on(int signo, const void *info)
{
    /* A fault happens again by itself, with the registers it had: the core file shows the place. */
    if (((const siginfo_t *)info)->si_code <= 0) (void)raise(signo);
}
