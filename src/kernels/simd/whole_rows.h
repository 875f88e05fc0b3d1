/*
 * Eight rows, found from four pointers and their distance in bytes, which with what else a step of
 * a register tile needs stay in registers.
 */
#ifndef LMN_KERNELS_WHOLE_ROWS_H
#define LMN_KERNELS_WHOLE_ROWS_H

/* A number that the compiler cannot see through: it would rather keep eight pointers. */
#define WHOLE_HIDE(x) __asm__("" : "+r"(x))
/* Row i of eight: of the pairs behind base##0, 2, 4 and 6, ld bytes apart. Even rows have addresses
   of one register, which an operation with memory takes as it is. */
#define WHOLE_ROW(type, base, i)                                          \
    ((type *)((char *)(uintptr_t)((i) < 4   ? (i) < 2 ? base##0 : base##2 \
                                  : (i) < 6 ? base##4                     \
                                            : base##6) +                  \
              (i) % 2 * base##_ld))
#define WHOLE_PAIRS(type, base)                                           \
    type *base##2 = (type *)((char *)(uintptr_t)base##0 + 2 * base##_ld); \
    type *base##4 = (type *)((char *)(uintptr_t)base##2 + 2 * base##_ld); \
    type *base##6 = (type *)((char *)(uintptr_t)base##4 + 2 * base##_ld);

#endif
