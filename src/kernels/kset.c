/*
 * Choice of kernel rows: tables of rows in, one immutable set of pointers out. It knows families
 * only as an array of rows of one size that begin with lmn_krow; new families appear through
 * kernel_families.h and need no change here but their include.
 */
#include "kernels/kset.h"

#include <string.h>

#include "kernels/attention/attention.h"
#include "kernels/cell/cell.h"
#include "kernels/conv/dwconv.h"
#include "kernels/conv/dwlast.h"
#include "kernels/conv/im2col.h"
#include "kernels/conv/pool.h"
#include "kernels/conv/wino.h"
#include "kernels/elementwise/elementwise.h"
#include "kernels/gemm/dgemm.h"
#include "kernels/gemm/gemm.h"
#include "kernels/nbits/nbdot.h"
#include "kernels/hgemm/hgemm.h"
#include "kernels/nbits/nbits.h"
#include "kernels/norm/norm.h"
#include "kernels/qgemm/qgemm.h"
#include "kernels/qmap/qmap.h"

typedef struct family {
    const char *rows; /* first row; rows are stride bytes apart */
    size_t stride;
    const int32_t *n_rows;
    size_t offset; /* of the pointer inside lmn_kset */
} family;

static const family families[] = {
#define BLAS(fam, dt)                                                       \
    {(const char *)lmn_##fam##_##dt##_rows, sizeof(struct lmn_##fam##_row), \
     &lmn_##fam##_##dt##_n_rows, offsetof(lmn_kset, fam##_##dt)},
#ifdef LMN_KSET_BLAS
#define REST(fam, dt)
#else
#define REST BLAS
#endif
#define X(fam, dt, whose) whose(fam, dt)
#include "kernels/kernel_families.h"
#undef X
#undef REST
#undef BLAS
};

static const lmn_krow *row_of(const family *f, int32_t i)
{
    return (const lmn_krow *)(const void *)(f->rows + (size_t)i * f->stride);
}

static bool usable(const lmn_krow *row, lmn_isa isa)
{
    return (row->isa & ~isa) == 0;
}

/* Does the pin text [p, p + n) name this row? */
static bool pin_names(const char *p, size_t n, const lmn_krow *row)
{
    const char *part[3] = {row->family, row->dtype, row->variant};
    static const char sep[3] = {'.', ':', 0};
    for (int i = 0; i < 3; i++) {
        size_t len = strlen(part[i]);
        if (n < len || memcmp(p, part[i], len) != 0) return false;
        p += len, n -= len;
        if (sep[i] == 0) return n == 0;
        if (n == 0 || *p != sep[i]) return false;
        p++, n--;
    }
    return false;
}

static void set_row(lmn_kset *set, const family *f, const lmn_krow *row)
{
    memcpy((char *)set + f->offset, &row, sizeof row);
}

static bool obey_pin(const char *p, size_t n, lmn_isa isa, lmn_kset *out)
{
    for (size_t f = 0; f < LMN_COUNT(families); f++) {
        for (int32_t i = 0; i < *families[f].n_rows; i++) {
            const lmn_krow *row = row_of(&families[f], i);
            if (!pin_names(p, n, row)) continue;
            if (!usable(row, isa)) return false;
            set_row(out, &families[f], row);
            return true;
        }
    }
    return false;
}

bool lmn_kset_choose(const lmn_cpu *cpu, const char *pins, lmn_kset *out)
{
    lmn_assert(cpu && out);
    if (LMN_COUNT(families) * sizeof(void *) < sizeof *out) *out = (lmn_kset){0};
    for (size_t f = 0; f < LMN_COUNT(families); f++) {
        const lmn_krow *best = NULL;
        for (int32_t i = 0; i < *families[f].n_rows; i++) {
            const lmn_krow *row = row_of(&families[f], i);
            if (usable(row, cpu->isa) && (!best || row->prio > best->prio)) best = row;
        }
        set_row(out, &families[f], best);
    }
    bool all_obeyed = true;
    while (pins && *pins) {
        size_t n = strcspn(pins, ",");
        if (n > 0 && !obey_pin(pins, n, cpu->isa, out)) all_obeyed = false;
        pins += n + (pins[n] == ',');
    }
    return all_obeyed;
}

int32_t lmn_kernel_row_count(void)
{
    int32_t n = 0;
    for (size_t f = 0; f < LMN_COUNT(families); f++) n += *families[f].n_rows;
    return n;
}

const lmn_krow *lmn_kernel_row_at(int32_t index)
{
    for (size_t f = 0; f < LMN_COUNT(families); f++) {
        if (index < *families[f].n_rows) return index < 0 ? NULL : row_of(&families[f], index);
        index -= *families[f].n_rows;
    }
    return NULL;
}

bool lmn_kset_uses(const lmn_kset *set, const lmn_krow *row)
{
    for (size_t f = 0; f < LMN_COUNT(families); f++) {
        const lmn_krow *used;
        memcpy(&used, (const char *)set + families[f].offset, sizeof used);
        if (used == row) return true;
    }
    return false;
}
