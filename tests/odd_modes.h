/*
 * Test helper: the floating-point modes of a caller that rounds upward and flushes denormals, as
 * code built with -ffast-math does to its process. Between set and end nothing here may compute.
 */
#ifndef LMN_TESTS_ODD_MODES_H
#define LMN_TESTS_ODD_MODES_H

#include <fenv.h>
#include <stdint.h>

#define ODD_MXCSR 0x8040u /* flush to zero, denormals are zero */
#define ODD_FPCR (UINT64_C(1) << 24)

static inline void odd_modes_set(void)
{
    (void)fesetround(FE_UPWARD);
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | ODD_MXCSR);
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr | ODD_FPCR));
#endif
}

/* Are they as odd_modes_set left them? */
static inline int odd_modes_are_set(void)
{
#if defined(__x86_64__)
    if ((__builtin_ia32_stmxcsr() & ODD_MXCSR) != ODD_MXCSR) return 0;
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    if (!(fpcr & ODD_FPCR)) return 0;
#endif
    return fegetround() == FE_UPWARD;
}

static inline void odd_modes_end(void)
{
    (void)fesetround(FE_TONEAREST);
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() & ~ODD_MXCSR);
#elif defined(__aarch64__)
    uint64_t fpcr;
    __asm__ volatile("mrs %0, fpcr" : "=r"(fpcr));
    __asm__ volatile("msr fpcr, %0" : : "r"(fpcr & ~ODD_FPCR));
#endif
}

#endif
