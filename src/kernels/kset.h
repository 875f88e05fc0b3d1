/*
 * The kernel set: for every family and dtype the one row an engine uses. Chosen once from the CPU
 * word and the pins, then immutable; it holds only pointers to constant rows, so it may be copied.
 * Choice: the highest prio whose ISA bits the CPU has; ties go to the earlier row. Feature bits
 * decide, never brand strings. liblamina-blas is made with a choice of its own (LMN_KSET_BLAS) that
 * knows the families marked BLAS alone: the others have no row there and are NULL in the set.
 */
#ifndef LMN_KERNELS_KSET_H
#define LMN_KERNELS_KSET_H

#include "kernels/krow.h"

/* Are there products in 16 and 8 bits at all? Not in a library of f32 alone (cmake/subset.cmake),
   from which the linker then drops them. */
#ifdef LMN_F32_ALONE
enum { LMN_KSET_SHORTENS = 0 };
#else
enum { LMN_KSET_SHORTENS = 1 };
#endif

typedef struct lmn_kset {
#define X(family, dtype, whose) const struct lmn_##family##_row *family##_##dtype;
#include "kernels/kernel_families.h"
#undef X
} lmn_kset;

/*
 * Fill *out. `pins` is the LAMINA_KERNEL text, NULL or "" = none: "gemm.f32:avx2,pool.f32:ref",
 * each naming one row. A pin that names no row, or one this CPU cannot run, is not obeyed and makes
 * the result false; *out is complete either way.
 */
bool lmn_kset_choose(const lmn_cpu *cpu, const char *pins, lmn_kset *out);

/* All rows of all families, in a fixed order, for reports and tests. */
int32_t lmn_kernel_row_count(void);
const lmn_krow *lmn_kernel_row_at(int32_t index);
/* True if `row` is the one `set` uses. */
bool lmn_kset_uses(const lmn_kset *set, const lmn_krow *row);

#endif
