/*
 * The head every kernel row begins with, and the enumeration of rows. A row is one variant of one
 * family and dtype: its name is "<family>.<dtype>:<variant>", and the same row is chosen (kset.h),
 * checked (tests/kcheck), timed (kcheck --bench) and listed (lamina info --kernels).
 */
#ifndef LMN_KERNELS_KROW_H
#define LMN_KERNELS_KROW_H

#include "base/cpu.h"

typedef struct lmn_krow {
    const char *family, *dtype, *variant;
    lmn_isa isa;  /* every bit must be usable; 0 = portable C */
    int32_t prio; /* the highest usable one is chosen */
} lmn_krow;

/* The head of row (family, dtype, variant, ISA level name without prefix, prio). */
#define LMN_KROW(family, dtype, variant, isa, prio)    \
    {                                                  \
#family, #dtype, #variant, LMN_ISA_##isa, prio \
    }

#endif
