/*
 * Telling memory checkers which bytes of a block nobody may touch: what an arena has not given out,
 * what lies free in a pool. AddressSanitizer is told in its builds, Valgrind in builds with
 * LMN_VALGRIND (cmake -DLAMINA_VALGRIND=ON); elsewhere these are no code at all.
 */
#ifndef LMN_BASE_POISON_H
#define LMN_BASE_POISON_H

#if defined(__SANITIZE_ADDRESS__)
#define LMN_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LMN_ASAN
#endif
#endif

/* lmn_poison: nobody may touch it; lmn_unpoison: who got it may, but its contents are nothing yet;
 * lmn_unpoison_kept: and what was written before is still there. */
#if defined(LMN_ASAN)
#include <sanitizer/asan_interface.h>
#define lmn_poison(p, n) __asan_poison_memory_region(p, n)
#define lmn_unpoison(p, n) __asan_unpoison_memory_region(p, n)
#define lmn_unpoison_kept(p, n) __asan_unpoison_memory_region(p, n)
#elif defined(LMN_VALGRIND)
#include <valgrind/memcheck.h>
#define lmn_poison(p, n) ((void)VALGRIND_MAKE_MEM_NOACCESS(p, n))
#define lmn_unpoison(p, n) ((void)VALGRIND_MAKE_MEM_UNDEFINED(p, n))
#define lmn_unpoison_kept(p, n) ((void)VALGRIND_MAKE_MEM_DEFINED(p, n))
#else
#define lmn_poison(p, n) ((void)(p), (void)(n))
#define lmn_unpoison(p, n) ((void)(p), (void)(n))
#define lmn_unpoison_kept(p, n) ((void)(p), (void)(n))
#endif

#endif
