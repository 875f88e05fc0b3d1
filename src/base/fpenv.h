/*
 * The floating-point environment of a call: rounding to nearest, denormals kept, no traps. Bits
 * must not depend on what the caller (or a library it loaded, such as one linked with -ffast-math)
 * has set, so public functions that compute enter this environment and leave the caller's as it
 * was. A thread inherits the environment of the one that starts it: the pool's threads enter, too.
 */
#ifndef LMN_BASE_FPENV_H
#define LMN_BASE_FPENV_H

#include "base/types.h"

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <fenv.h>
#endif

typedef struct lmn_fpenv {
#if defined(__x86_64__)
    uint32_t mxcsr;
    uint16_t x87; /* strtod and printf of the C library ask the x87 unit for the rounding mode */
#elif defined(__aarch64__)
    uint64_t fpcr;
#else
    fenv_t env;
#endif
} lmn_fpenv;

#if defined(__x86_64__)
#define LMN_MXCSR_FLAGS 0x3fu /* exceptions seen: no part of the mode */
#define LMN_MXCSR_PLAIN 0x1f80u
#define LMN_X87_PLAIN 0x037fu
#endif

/* The modes are asked for first: writing them costs more, and nearly every caller has these. */
static inline void lmn_fpenv_enter(lmn_fpenv *was)
{
#if defined(__x86_64__)
    const uint16_t x87 = LMN_X87_PLAIN;
    was->mxcsr = __builtin_ia32_stmxcsr();
    __asm__ volatile("fnstcw %0" : "=m"(was->x87));
    if ((was->mxcsr & ~LMN_MXCSR_FLAGS) != LMN_MXCSR_PLAIN) __builtin_ia32_ldmxcsr(LMN_MXCSR_PLAIN);
    if (was->x87 != x87) __asm__ volatile("fldcw %0" : : "m"(x87));
#elif defined(__aarch64__)
    const uint64_t plain = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(was->fpcr));
    if (was->fpcr != plain) __asm__ volatile("msr fpcr, %0" : : "r"(plain));
#else
    (void)feholdexcept(&was->env);
    (void)fesetround(FE_TONEAREST);
#endif
}

/* For a few vector instructions, which the x87 unit has no part in. */
static inline void lmn_fpenv_enter_vector(lmn_fpenv *was)
{
#if defined(__x86_64__)
    was->mxcsr = __builtin_ia32_stmxcsr();
    was->x87 = LMN_X87_PLAIN;
    if ((was->mxcsr & ~LMN_MXCSR_FLAGS) != LMN_MXCSR_PLAIN) __builtin_ia32_ldmxcsr(LMN_MXCSR_PLAIN);
#else
    lmn_fpenv_enter(was);
#endif
}

static inline void lmn_fpenv_leave(const lmn_fpenv *was)
{
#if defined(__x86_64__)
    if ((was->mxcsr & ~LMN_MXCSR_FLAGS) != LMN_MXCSR_PLAIN) __builtin_ia32_ldmxcsr(was->mxcsr);
    if (was->x87 != LMN_X87_PLAIN) __asm__ volatile("fldcw %0" : : "m"(was->x87));
#elif defined(__aarch64__)
    if (was->fpcr != 0) __asm__ volatile("msr fpcr, %0" : : "r"(was->fpcr));
#else
    (void)fesetenv(&was->env);
#endif
}

#endif
