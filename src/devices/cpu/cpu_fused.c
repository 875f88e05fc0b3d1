/*
 * From the steps of a fused node to an epilogue of the kernels (cpu_fused.h).
 */
#include "devices/cpu/cpu_fused.h"

#include "devices/cpu/cpu_tools.h"
#include "ops/fused.h"
#include "ops/shapes.h"

enum { ITEMS = 1, ROWS = 2, COLS = 4 };

/* Does x follow axes [from, to) of the result? 0 = repeated along all, 1 = dense, -1 = mixed. */
static int32_t follows(const lamina_tensor *x, const lmn_cpu_layout *y, int32_t from, int32_t to)
{
    bool dense = true, repeated = true;
    for (int32_t a = from; a < to; a++) {
        const int32_t i = a - (y->rank - x->rank);
        const int64_t d = i >= 0 ? x->dims[i] : 1;
        if (d != y->dims[a]) dense = false;
        if (d != 1) repeated = false;
    }
    return repeated ? 0 : dense ? 1 : -1;
}

/* Groups of axes that x follows, or -1. */
static int32_t groups_of(const lamina_tensor *x, const lmn_cpu_layout *y)
{
    const int32_t end[3] = {y->item_axes, y->row_axes, y->rank};
    int32_t groups = 0, from = 0;
    for (int32_t g = 0; g < 3; g++) {
        const int32_t f = follows(x, y, from, end[g]);
        if (f < 0) return -1;
        groups |= f << g;
        from = end[g];
    }
    return groups;
}

static bool lay_out(const lamina_tensor *x, const lmn_cpu_layout *y, lmn_epi_op *op)
{
    if (!lmn_cpu_is_f32(x) || x->rank > y->rank) return false;
    const int32_t groups = groups_of(x, y);
    const int64_t rows = lmn_span_count(y->dims, y->item_axes, y->row_axes),
                  cols = lmn_span_count(y->dims, y->row_axes, y->rank);
    if (groups < 0 || groups == ITEMS) return false;
    const float *data = x->data;
    op->bcast = groups == 0                 ? LMN_EPI_SCALAR
                : (groups & ~ITEMS) == ROWS ? LMN_EPI_ROW
                : (groups & ~ITEMS) == COLS ? LMN_EPI_COL
                                            : LMN_EPI_FULL;
    if (groups == 0)
        op->p0 = data[0];
    else
        op->x = data;
    op->ld = cols;
    if (groups & ITEMS) op->batch = (groups & ROWS ? rows : 1) * (groups & COLS ? cols : 1);
    return true;
}

bool lmn_cpu_epilogue(const lmn_eval *ec, int32_t n_base, const lmn_cpu_layout *y, lmn_epi *epi)
{
    lmn_fused f;
    if (!lmn_attr_find(ec->node, "epi")) return true; /* the base operator itself */
    if (lmn_fused_read(ec->node, n_base, &f)) return false;
    for (int32_t i = 0; i < f.n_steps; i++) {
        const lmn_fused_step *s = &f.step[i];
        lmn_epi_op op = {.kind = (uint8_t)s->kind, .p0 = s->p0, .p1 = s->p1};
        if (s->operand >= 0 && !lay_out(lmn_in(ec, s->operand), y, &op)) return false;
        epi->op[epi->n_ops++] = op;
    }
    return true;
}
