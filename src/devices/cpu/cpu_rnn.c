/*
 * LSTM, GRU and RNN in f32 with the functions of the standard: one product for the inputs of all
 * steps, then for every step one for the states of all rows and the gates on the cell family. Both
 * directions take their steps together. Clipping, peepholes, coupled gates, other functions, rows
 * of different length, layout 1, layers of few units and sums that overflow f32 run by the
 * reference.
 *
 * Sums of a step follow the batch (few rows are dot products), never the threads.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/cell/cell.h"
#include "kernels/gemm/gemm_plan.h"
#include "ops/rnn.h"

#include <math.h>
#include <string.h>

/* Steps with fewer multiply-adds stay with the caller: threads would cost more than they save. */
static const int64_t step_madds = 1 << 20;
/* Layers of fewer units run in f64 by the reference: they are cheap, and what f32 rounds in a step
   grows from step to step where few large weights do not average it. */
enum { LEAST_UNITS = 32 };
/* So many rows and steps pay for packing the recurrent weights into panels. */
enum { PACK_ROWS = 4, PACK_STEPS = 4, CELL_UNITS = 4096 };

typedef struct rnn_job {
    lmn_rnn a;
    lmn_cell_kind kind;
    const lmn_cell_row *cells;
    lmn_gemm_plan plan;  /* of a step */
    lmn_gemm_plan again; /* of the candidates of a GRU that resets before; else no chunks */
    lmn_gemm_args args[2], more[2];
    lmn_epi epi[2];
    int64_t wide;          /* gates * hidden */
    int64_t units;         /* batch * hidden */
    float *xw, *r;         /* [dirs][seq * batch][wide], [dirs][batch][wide] */
    float *c, *reset;      /* [dirs][batch][hidden] */
    float *state[2];       /* where Y is not wanted: the last two states */
    const float *first[2]; /* states before the first step */
    lamina_tensor *y;      /* or NULL */
    bool reverse[2];
    lmn_cpu_scratch scratch;
    int64_t step, rows; /* of the directions that run: rows of the batch */
    int32_t from;       /* the first of these */
} rnn_job;

/* ---- the node ----------------------------------------------------------------------------------
 */

static bool is_name(const lmn_str *s, const char *lower)
{
    size_t i = 0;
    while (i < s->n && lower[i] && (s->p[i] | 32) == lower[i]) i++;
    return i == s->n && lower[i] == 0;
}

/* Nothing but the functions that are the default. */
static bool is_plain(const lmn_opnode *n, lmn_cell_kind kind)
{
    static const char *const LSTM[] = {"sigmoid", "tanh", "tanh"}, *const RNN[] = {"tanh"};
    const char *const *names = kind == LMN_CELL_RNN ? RNN : LSTM;
    const int32_t count = kind == LMN_CELL_LSTM ? 3 : kind == LMN_CELL_GRU ? 2 : 1;
    const lmn_attr *a = lmn_attr_find(n, "activations");
    for (int32_t i = 0; a && i < a->n; i++)
        if (a->type != LMN_ATTR_STRINGS || !is_name(&a->u.strings[i], names[i % count]))
            return false;
    if (a && a->n != count * (lmn_attr_is(n, "direction", "bidirectional", "forward") ? 2 : 1))
        return false;
    return !lmn_attr_find(n, "clip") && lmn_attr_i(n, "input_forget", 0) == 0 &&
           lmn_attr_i(n, "layout", 0) == 0;
}

static bool takes(const lmn_cpu_dev *dev, const lamina_node *node, lmn_cell_kind kind, char *text,
                  size_t cap)
{
    if (!lmn_cpu_takes_f32(node, 0, &dev->kset.cell_f32->head, text, cap)) return false;
    if (is_plain(node->op, kind) && !(node->op->n_in > 7 && node->in[7])) return true;
    (void)lmn_format(text, cap, "the fast kernel has the plain form with the default functions");
    return false;
}

/* All of f32, every row as long as the sequence, and something to do. */
static bool fits(const lmn_eval *ec, const lmn_rnn *a)
{
    const lamina_tensor *lens = lmn_in(ec, 4);
    for (int32_t i = 0; i < ec->n_in; i++)
        if (i != 4 && lmn_in(ec, i) && !lmn_cpu_is_f32(lmn_in(ec, i))) return false;
    for (int64_t i = 0; lens && i < a->batch; i++)
        if (lmn_get_i64(lens, i) != a->seq) return false;
    int64_t n;
    return a->seq > 0 && a->batch > 0 && a->hidden >= LEAST_UNITS && a->input > 0 &&
           a->input <= LMN_CPU_EXTENT_MAX && lmn_mul_i64(a->hidden, 8 * a->dirs, &n) &&
           n <= LMN_CPU_EXTENT_MAX && lmn_mul_i64(a->seq, a->batch, &n) && n <= LMN_CPU_EXTENT_MAX;
}

/* ---- memory ------------------------------------------------------------------------------------
 */

static lamina_status floats(lmn_eval *ec, int64_t a, int64_t b, float **out)
{
    int64_t n;
    size_t bytes;
    *out = NULL;
    if (lmn_mul_i64(a, b, &n) && lmn_mul_size((size_t)n, sizeof **out, &bytes))
        *out = lmn_scratch(ec, bytes);
    return *out ? LAMINA_OK : lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
}

/* The biases that X W' takes along: both, but for the candidates of a GRU that resets after the
   product, whose recurrent bias stays with that (epi). */
static lamina_status read_bias(lmn_eval *ec, rnn_job *j, float **bias)
{
    const lamina_tensor *b = lmn_in(ec, 3);
    const int64_t n = j->a.hidden, wide = j->wide;
    const bool apart = j->kind == LMN_CELL_GRU;
    *bias = NULL;
    if (!b) return LAMINA_OK;
    float *later = NULL;
    LMN_TRY(floats(ec, j->a.dirs, wide, bias));
    if (apart) LMN_TRY(floats(ec, j->a.dirs, wide, &later));
    for (int64_t d = 0; d < j->a.dirs; d++) {
        const float *w = (const float *)b->data + d * 2 * wide, *r = w + wide;
        for (int64_t i = 0; i < wide; i++) {
            const bool waits = apart && i >= 2 * n;
            (*bias)[d * wide + i] = waits ? w[i] : w[i] + r[i];
            if (apart) later[d * wide + i] = waits ? r[i] : 0.0f;
        }
        if (!apart) continue;
        j->epi[d] = (lmn_epi){
            .n_ops = 1, .op = {{.kind = LMN_EPI_ADD, .bcast = LMN_EPI_COL, .x = later + d * wide}}};
        j->args[d].epi = &j->epi[d];
    }
    return LAMINA_OK;
}

/* States before the first step: as given, or zero. */
static lamina_status read_states(lmn_eval *ec, rnn_job *j)
{
    const lamina_tensor *h0 = lmn_in(ec, 5), *c0 = j->kind == LMN_CELL_LSTM ? lmn_in(ec, 6) : NULL;
    const int64_t all = j->a.dirs * j->units;
    float *zero = NULL;
    if (!h0) {
        LMN_TRY(floats(ec, 1, j->units, &zero));
        memset(zero, 0, (size_t)j->units * sizeof *zero);
    }
    for (int32_t d = 0; d < j->a.dirs; d++)
        j->first[d] = h0 ? (const float *)h0->data + d * j->units : zero;
    for (int32_t i = 0; !j->y && i < 2; i++) LMN_TRY(floats(ec, 1, all, &j->state[i]));
    if (j->kind == LMN_CELL_UPDATE) LMN_TRY(floats(ec, 1, all, &j->reset));
    if (j->kind != LMN_CELL_LSTM) return LAMINA_OK;
    if (!j->c) LMN_TRY(floats(ec, 1, all, &j->c));
    if (c0)
        memcpy(j->c, c0->data, (size_t)all * sizeof *j->c);
    else
        memset(j->c, 0, (size_t)all * sizeof *j->c);
    return LAMINA_OK;
}

/* ---- products ----------------------------------------------------------------------------------
 */

typedef struct product {
    const lmn_gemm_plan *plan;
    const lmn_gemm_args *args; /* of each direction, or one of a batch */
    lmn_cpu_scratch scratch;
    int64_t last; /* not 0: number of the last chunk, for a run from the back */
} product;

static void product_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const product *p = arg;
    uint8_t *scratch = lmn_cpu_scratch_of(&p->scratch, worker);
    if (p->last) chunk = p->last - chunk;
    lmn_gemm_f32_chunk(p->plan, &p->args[chunk / p->plan->n_chunks], chunk % p->plan->n_chunks,
                       scratch);
}

/* X W' + bias for all steps of both directions. */
static lamina_status project(lmn_eval *ec, rnn_job *j, const lmn_gemm_row *row, int32_t flags)
{
    const lmn_rnn *a = &j->a;
    const int64_t rows = a->seq * a->batch;
    float *bias;
    LMN_TRY(read_bias(ec, j, &bias));
    LMN_TRY(floats(ec, a->dirs * rows, j->wide, &j->xw));
    const lmn_epi epi = {
        .n_ops = 1,
        .op = {{.kind = LMN_EPI_ADD, .bcast = LMN_EPI_COL, .x = bias, .batch = j->wide}}};
    const lmn_gemm_args args = {.a = ec->in[0]->data,
                                .b = ec->in[1]->data,
                                .c = j->xw,
                                .lda = a->input,
                                .ldb = a->input,
                                .ldc = j->wide,
                                .b_batch = j->wide * a->input,
                                .c_batch = rows * j->wide,
                                .epi = bias ? &epi : NULL};
    const lmn_gemm_shape s = {.m = rows,
                              .n = j->wide,
                              .k = a->input,
                              .n_batch = a->dirs,
                              .flags = LMN_GEMM_TRANS_B | flags,
                              .threads = lmn_par_width(ec->par)};
    lmn_gemm_plan plan;
    lmn_gemm_f32_plan(row, &s, &plan);
    product p = {.plan = &plan, .args = &args};
    LMN_TRY(lmn_cpu_worker_scratch(ec, plan.scratch_bytes, &p.scratch));
    lmn_par_for(ec->par, plan.n_chunks, product_chunk, &p);
    return LAMINA_OK;
}

/* R of both directions from row `first` on, n rows, as panels where that pays, else in place. */
static lamina_status lay_weights(lmn_eval *ec, rnn_job *j, const lmn_gemm_row *row, int64_t first,
                                 int64_t n, lmn_gemm_args *args)
{
    const lmn_rnn *a = &j->a;
    const bool packs = a->batch >= PACK_ROWS && a->seq >= PACK_STEPS;
    const int64_t k = a->hidden, size = (n + row->nr - 1) / row->nr * row->nr;
    float *panels = NULL;
    if (packs) LMN_TRY(floats(ec, a->dirs * size, k, &panels));
    for (int32_t d = 0; d < a->dirs; d++) {
        const float *r = (const float *)ec->in[2]->data + (d * j->wide + first) * k;
        float *to = packs ? panels + d * size * k : NULL;
        if (packs) row->pack_nt(to, r, k, k, n);
        args[d].b = packs ? to : r;
        args[d].ldb = k;
        args[d].lda = k;
        args[d].ldc = j->wide;
        args[d].c = j->r + d * a->batch * j->wide + first;
    }
    return LAMINA_OK;
}

static lamina_status plan_steps(lmn_eval *ec, rnn_job *j, const lmn_gemm_row *row, int32_t flags)
{
    const lmn_rnn *a = &j->a;
    const bool packs = a->batch >= PACK_ROWS && a->seq >= PACK_STEPS;
    const int64_t later = j->kind == LMN_CELL_UPDATE ? a->hidden : 0;
    lmn_gemm_shape s = {.m = a->batch, .n = j->wide - later, .k = a->hidden, .n_batch = 1};
    s.flags = packs ? LMN_GEMM_PACKED_B : LMN_GEMM_TRANS_B | flags;
    s.threads = lmn_par_width(ec->par);
    LMN_TRY(floats(ec, a->dirs * a->batch, j->wide, &j->r));
    LMN_TRY(lay_weights(ec, j, row, 0, s.n, j->args));
    lmn_gemm_f32_plan(row, &s, &j->plan);
    if (later) {
        LMN_TRY(lay_weights(ec, j, row, s.n, later, j->more));
        s.n = later;
        lmn_gemm_f32_plan(row, &s, &j->again);
    }
    const size_t bytes = j->plan.scratch_bytes > j->again.scratch_bytes ? j->plan.scratch_bytes
                                                                        : j->again.scratch_bytes;
    return lmn_cpu_worker_scratch(ec, bytes, &j->scratch);
}

/* Sums beyond f32 would cancel where the reference keeps them. */
static bool all_finite(const float *x, int64_t n)
{
    typedef uint32_t four __attribute__((vector_size(16), aligned(4), may_alias));
    four bad = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) bad |= (four)((*(const four *)(x + i) & 0x7f800000u) == 0x7f800000u);
    for (; i < n; i++)
        if (!isfinite(x[i])) bad[0] = 1;
    return (bad[0] | bad[1] | bad[2] | bad[3]) == 0;
}

/* ---- steps -------------------------------------------------------------------------------------
 */

/* Time of direction d at step s. */
static int64_t time_of(const rnn_job *j, int32_t d, int64_t s)
{
    return j->reverse[d] ? j->a.seq - 1 - s : s;
}

/* The state of direction d after step s, [batch][hidden]; before the first, s is -1. */
static float *state_at(const rnn_job *j, int32_t d, int64_t s)
{
    if (j->y) return (float *)j->y->data + (time_of(j, d, s) * j->a.dirs + d) * j->units;
    return j->state[s & 1] + d * j->units;
}
static const float *state_before(const rnn_job *j, int32_t d, int64_t s)
{
    return s == 0 ? j->first[d] : state_at(j, d, s - 1);
}

/* Row `row` of those of all directions that run. */
static void cell_row(const rnn_job *j, int64_t row, lmn_cell_kind kind)
{
    const lmn_rnn *a = &j->a;
    row += j->from * a->batch;
    const int32_t d = (int32_t)(row / a->batch);
    const int64_t b = row % a->batch, n = a->hidden, s = j->step;
    const int64_t x = (d * a->seq + time_of(j, d, s)) * a->batch + b;
    lmn_cell_block k = {.kind = kind, .n = n, .x = j->xw + x * j->wide};
    k.r = j->r + row * j->wide;
    k.past = state_before(j, d, s) + b * n;
    k.c = j->c ? j->c + row * n : NULL;
    k.y = kind == LMN_CELL_RESET ? j->reset + row * n : state_at(j, d, s) + b * n;
    j->cells->step(&k);
}

static int64_t rows_per_chunk(const rnn_job *j)
{
    return lmn_max_i64(1, CELL_UNITS / j->a.hidden);
}
static void cell_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const rnn_job *j = arg;
    const int64_t per = rows_per_chunk(j);
    const int64_t end = lmn_min_i64(j->rows, (chunk + 1) * per);
    (void)worker;
    for (int64_t i = chunk * per; i < end; i++) cell_row(j, i, j->kind);
}
static void reset_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const rnn_job *j = arg;
    const int64_t per = rows_per_chunk(j);
    const int64_t end = lmn_min_i64(j->rows, (chunk + 1) * per);
    (void)worker;
    for (int64_t i = chunk * per; i < end; i++) cell_row(j, i, LMN_CELL_RESET);
}

/*
 * All steps of directions [j->from, j->from + dirs). Every second product runs from the back: what
 * the step before read last of the weights is still in the cache. False: a sum is not finite.
 */
static bool run_steps(const lmn_par *par, rnn_job *j, int32_t dirs)
{
    const lmn_rnn *a = &j->a;
    const int32_t from = j->from, end = from + dirs;
    product p = {&j->plan, j->args + from, j->scratch, 0};
    product more = {&j->again, j->more + from, j->scratch, 0};
    const int64_t n = dirs * j->plan.n_chunks, n_more = dirs * j->again.n_chunks;
    const int64_t per = rows_per_chunk(j), cells = (dirs * a->batch + per - 1) / per;
    j->rows = dirs * a->batch;
    for (j->step = 0; j->step < a->seq; j->step++) {
        p.last = j->step & 1 ? n - 1 : 0, more.last = j->step & 1 ? n_more - 1 : 0;
        for (int32_t d = from; d < end; d++) j->args[d].a = state_before(j, d, j->step);
        lmn_par_for(par, n, product_chunk, &p);
        if (n_more) {
            lmn_par_for(par, cells, reset_chunk, j);
            for (int32_t d = from; d < end; d++) j->more[d].a = j->reset + d * j->units;
            lmn_par_for(par, n_more, product_chunk, &more);
        }
        if (!all_finite(j->r + from * a->batch * j->wide, j->rows * j->wide)) return false;
        lmn_par_for(par, cells, cell_chunk, j);
    }
    return true;
}

/* ---- the binding -------------------------------------------------------------------------------
 */

static lamina_status run_layer(const lamina_kernel *k, lmn_eval *ec, lmn_cell_kind kind)
{
    static const lmn_rnn_kind KINDS[] = {[LMN_CELL_LSTM] = {.gates = 4, .has_cell = true},
                                         [LMN_CELL_GRU] = {.gates = 3},
                                         [LMN_CELL_RNN] = {.gates = 1}};
    rnn_job j = {.a = {.kind = &KINDS[kind]}, .kind = kind, .cells = k->dev->kset.cell_f32};
    if (ec->n_in < 3 || !lmn_cpu_is_f32(lmn_in(ec, 0)) || !lmn_cpu_is_f32(lmn_in(ec, 1)) ||
        !lmn_cpu_is_f32(lmn_in(ec, 2)))
        return lmn_cpu_reference(ec);
    LMN_TRY(lmn_rnn_shapes(ec, &j.a));
    if (!fits(ec, &j.a)) return lmn_cpu_reference(ec);
    if (kind == LMN_CELL_GRU && lmn_attr_i(ec->node, "linear_before_reset", 0) == 0)
        j.kind = LMN_CELL_UPDATE;
    const lmn_rnn *a = &j.a;
    j.wide = KINDS[kind].gates * a->hidden, j.units = a->batch * a->hidden;
    j.reverse[0] = lmn_attr_is(ec->node, "direction", "reverse", "forward");
    j.reverse[1] = true;
    const int64_t y[4] = {a->seq, a->dirs, a->batch, a->hidden};
    lamina_tensor *yh, *yc = NULL;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, 4, y, &j.y));
    LMN_TRY(lmn_out(ec, 1, LAMINA_F32, 3, y + 1, &yh));
    if (kind == LMN_CELL_LSTM) LMN_TRY(lmn_out(ec, 2, LAMINA_F32, 3, y + 1, &yc));
    if (!j.y && !yh && !yc) return LAMINA_OK;
    j.c = yc ? yc->data : NULL;
    const lmn_gemm_row *row = k->dev->kset.gemm_f32;
    const int32_t flags = k->precision == LAMINA_PRECISION_STRICT ? LMN_GEMM_CHAIN : 0;
    LMN_TRY(read_states(ec, &j));
    LMN_TRY(project(ec, &j, row, flags));
    LMN_TRY(plan_steps(ec, &j, row, flags));
    bool finite = all_finite(j.xw, a->dirs * a->seq * a->batch * j.wide);
    if (lmn_par_width(ec->par) > 1 && a->dirs * j.units * j.wide >= step_madds)
        finite = finite && run_steps(ec->par, &j, a->dirs);
    else /* one after the other: the weights of one may fit the cache */
        for (j.from = 0; finite && j.from < a->dirs; j.from++) finite = run_steps(NULL, &j, 1);
    if (!finite) return lmn_cpu_reference(ec);
    for (int32_t d = 0; yh && d < a->dirs; d++)
        memcpy((float *)yh->data + d * j.units, state_at(&j, d, a->seq - 1),
               (size_t)j.units * sizeof(float));
    return LAMINA_OK;
}

#define RECURRENT(symbol, Op, KIND)                                                            \
    static bool supports_##symbol(const lmn_cpu_dev *dev, const lamina_node *node, char *text, \
                                  size_t cap)                                                  \
    {                                                                                          \
        return takes(dev, node, LMN_CELL_##KIND, text, cap);                                   \
    }                                                                                          \
    static lamina_status run_##symbol(const lamina_kernel *k, lmn_eval *ec)                    \
    {                                                                                          \
        return run_layer(k, ec, LMN_CELL_##KIND);                                              \
    }                                                                                          \
    const lmn_cpu_binding lmn_cpu_##symbol = {.domain = "",                                    \
                                              .op = Op,                                        \
                                              .families = "cell.f32 gemm.f32",                 \
                                              .supports = supports_##symbol,                   \
                                              .run = run_##symbol};
RECURRENT(lstm, "LSTM", LSTM)
RECURRENT(gru, "GRU", GRU)
RECURRENT(rnn, "RNN", RNN)
