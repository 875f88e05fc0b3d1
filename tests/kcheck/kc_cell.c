/*
 * kcheck driver of cell: every kind of step on guarded buffers, in place or not, judged by the
 * portable row; and avx2 against avx512 by bits.
 */
#include "kcheck/kcheck.h"

#include "kernels/cell/cell.h"

/* A few roundings of what is added, through functions that do not enlarge it. */
static void judge(kc_ctx *kc, const kc_mat *got, const kc_mat *want, double largest,
                  const char *what)
{
    double *w = kc_doubles(kc, want->cols), *bound = kc_doubles(kc, want->cols);
    for (int64_t i = 0; i < want->cols; i++) w[i] = want->p[i], bound[i] = 2e-6 * (1 + largest);
    kc_expect(kc, got, w, bound, what);
}

static const lmn_cell_row *vector_row(kc_ctx *kc)
{
    for (int32_t i = 1; i < lmn_cell_f32_n_rows; i++)
        if ((lmn_cell_f32_rows[i].head.isa & ~kc_cpu(kc)->isa) == 0) return &lmn_cell_f32_rows[i];
    return NULL;
}

static void check_step(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_cell_row *row = (const lmn_cell_row *)(const void *)head;
    const lmn_cell_row *other = head->isa ? vector_row(kc) : NULL;
    const int n_cases = kc_quick(kc) ? 60 : 600;
    for (int t = 0; t < n_cases * LMN_CELL_KIND_COUNT; t++) {
        kc_case(kc);
        static const int64_t GATES[] = {4, 3, 3, 3, 1};
        const int64_t n = kc_extent(kc, 16, 100);
        lmn_cell_block b = {.kind = (lmn_cell_kind)(t % LMN_CELL_KIND_COUNT), .n = n};
        const kc_mat x = kc_input(kc, KC_REAL, 1, GATES[b.kind] * n, GATES[b.kind] * n),
                     r = kc_input(kc, KC_REAL, 1, GATES[b.kind] * n, GATES[b.kind] * n);
        const kc_mat past = kc_input(kc, KC_REAL, 1, n, n), c = kc_input(kc, KC_REAL, 1, n, n);
        double largest = 0;
        for (int64_t i = 0; i < n; i++)
            largest = fmax(largest, fmax(fabs((double)past.p[i]), fabs((double)c.p[i])));
        kc_mat want_c = kc_copy(kc, &c), other_c = kc_copy(kc, &c);
        const kc_mat want = kc_output(kc, 1, n, n), also = kc_output(kc, 1, n, n);
        const bool in_place = b.kind != LMN_CELL_LSTM && b.kind != LMN_CELL_RNN && kc_int(kc, 0, 1);
        char what[48];
        snprintf(what, sizeof what, "cell %d n %d", (int)b.kind, (int)n);
        b.x = x.p, b.r = r.p, b.past = past.p;
        b.c = want_c.p, b.y = want.p;
        lmn_cell_f32_rows[0].step(&b);
        b.c = other_c.p, b.y = also.p;
        if (other) other->step(&b);
        const kc_mat got = in_place ? past : kc_output(kc, 1, n, n);
        b.c = c.p, b.y = got.p;
        KC_CALL(kc, row->step(&b));
        judge(kc, &got, &want, largest, what);
        judge(kc, &c, &want_c, largest, "c");
        if (other) kc_expect_bits(kc, &got, &also, what);
        if (other) kc_expect_bits(kc, &c, &other_c, "c");
    }
}

typedef struct timed {
    const lmn_cell_row *row;
    lmn_cell_block b;
} timed;

static void run_timed(void *arg)
{
    const timed *t = arg;
    t->row->step(&t->b);
}

static void bench_step(kc_ctx *kc, const lmn_krow *head)
{
    enum { N = 512 };
    static const char *const NAMES[] = {"lstm 512", "gru 512"};
    for (int k = 0; k < 2; k++) {
        timed t = {.row = (const lmn_cell_row *)(const void *)head};
        t.b = (lmn_cell_block){.kind = k ? LMN_CELL_GRU : LMN_CELL_LSTM, .n = N};
        t.b.x = kc_bench_floats(kc, 4 * N), t.b.r = kc_bench_floats(kc, 4 * N);
        t.b.past = kc_bench_floats(kc, N), t.b.c = kc_bench_floats(kc, N);
        t.b.y = kc_bench_floats(kc, N);
        kc_time(kc, head, NAMES[k], 0, 40.0 * N, run_timed, &t);
        kc_bench_reset(kc);
    }
}

const kc_driver kc_cell_step = {"cell", "step", check_step, bench_step};
