/*
 * The one door to atomics: every atomic operation of the library is written through these words, so
 * that with LMN_MC the same source runs under the model checker (stmc) and each ordering can be
 * weakened to see what breaks. ORDER is written bare: relaxed, acquire, release, acq_rel, seq_cst.
 *
 * Orderings stand on operations. There are no fences but the asymmetric pair in base/os
 * (membarrier). lmn_plain_* mark ordinary objects that a protocol protects, lmn_atomic_keep a load
 * that the operation after it made count (stmc_kept); they cost nothing.
 */
#ifndef LMN_BASE_ATOMIC_H
#define LMN_BASE_ATOMIC_H

#include "base/types.h"

/* Two cache lines: the adjacent-line prefetcher pulls them in pairs. */
#define LMN_APART 128

#ifdef LMN_MC

#include "lamina/stmc.h"

/* What a broken ordering spoils may show in an assert first. */
#undef lmn_assert
#define lmn_assert(c) stmc_check(c)

#define lmn_atomic(T) T
#define lmn_atomic_init(p, v) stmc_init(p, v)
#define lmn_atomic_load(p, order) stmc_load(p, order)
#define lmn_atomic_store(p, v, order) stmc_store(p, v, order)
#define lmn_atomic_exchange(p, v, order) stmc_exchange(p, v, order)
#define lmn_atomic_add(p, v, order) stmc_add(p, v, order)
#define lmn_atomic_sub(p, v, order) stmc_sub(p, v, order)
#define lmn_atomic_or(p, v, order) stmc_or(p, v, order)
#define lmn_atomic_and(p, v, order) stmc_and(p, v, order)
#define lmn_atomic_cas(p, expected, v, order) stmc_cas(p, expected, v, order)
#define lmn_atomic_keep(p) stmc_keep(p)
#define lmn_plain_read(p, n) stmc_read_bytes(p, n)
#define lmn_plain_write(p, n) stmc_write_bytes(p, n)

#else

#include <stdatomic.h>

#define lmn_atomic(T) _Atomic(T)
#define lmn_atomic_init(p, v) atomic_init(p, v)
#define lmn_atomic_load(p, order) atomic_load_explicit(p, memory_order_##order)
#define lmn_atomic_store(p, v, order) atomic_store_explicit(p, v, memory_order_##order)
#define lmn_atomic_exchange(p, v, order) atomic_exchange_explicit(p, v, memory_order_##order)
#define lmn_atomic_add(p, v, order) atomic_fetch_add_explicit(p, v, memory_order_##order)
#define lmn_atomic_sub(p, v, order) atomic_fetch_sub_explicit(p, v, memory_order_##order)
#define lmn_atomic_or(p, v, order) atomic_fetch_or_explicit(p, v, memory_order_##order)
#define lmn_atomic_and(p, v, order) atomic_fetch_and_explicit(p, v, memory_order_##order)
/* *expected receives what was found. A failure loads as LMN_CAS_FAIL_<order> says. */
#define lmn_atomic_cas(p, expected, v, order)                                     \
    atomic_compare_exchange_strong_explicit(p, expected, v, memory_order_##order, \
                                            LMN_CAS_FAIL_##order)
#define LMN_CAS_FAIL_relaxed memory_order_relaxed
#define LMN_CAS_FAIL_acquire memory_order_acquire
#define LMN_CAS_FAIL_release memory_order_relaxed
#define LMN_CAS_FAIL_acq_rel memory_order_acquire
#define LMN_CAS_FAIL_seq_cst memory_order_seq_cst
#define lmn_atomic_keep(p) ((void)(p))
#define lmn_plain_read(p, n) ((void)(p), (void)(n))
#define lmn_plain_write(p, n) ((void)(p), (void)(n))

#endif

#endif
