/*
 * Binary f32 operators with broadcast on the elementwise family; more operands one after the other.
 * Axes on which both operands behave alike are merged; what remains is rows in which an operand is
 * either dense or one element.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/elementwise/elementwise.h"

#include <string.h>

static const int64_t chunk_elems = 16 << 10;

typedef struct binary_job {
    lmn_binary_fn *fn;
    lmn_binary_kind kind;
    const float *a, *b;
    float *y;
    /* Merged axes, innermost last; a step is 0 where the operand is repeated. */
    int32_t n_axes;
    int64_t extent[LMN_MAX_RANK], a_step[LMN_MAX_RANK], b_step[LMN_MAX_RANK];
    int64_t rows, rows_per_chunk, pieces; /* pieces: chunks of one long row */
} binary_job;

static void binary_row(const binary_job *j, int64_t row, int64_t first, int64_t n)
{
    const int32_t last = j->n_axes - 1;
    int64_t rest = row, a = first * j->a_step[last], b = first * j->b_step[last];
    for (int32_t i = last - 1; i >= 0; i--) {
        a += rest % j->extent[i] * j->a_step[i];
        b += rest % j->extent[i] * j->b_step[i];
        rest /= j->extent[i];
    }
    const lmn_binary_block block = {.kind = j->kind,
                                    .a = j->a + a,
                                    .b = j->b + b,
                                    .a_one = j->a_step[last] == 0,
                                    .b_one = j->b_step[last] == 0,
                                    .y = j->y + row * j->extent[last] + first,
                                    .n = n};
    j->fn(&block);
}

static void binary_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const binary_job *j = arg;
    const int64_t len = j->extent[j->n_axes - 1];
    if (j->pieces > 1) {
        const int64_t first = chunk % j->pieces * chunk_elems;
        binary_row(j, chunk / j->pieces, first, lmn_min_i64(chunk_elems, len - first));
        return;
    }
    const int64_t end = lmn_min_i64(j->rows, (chunk + 1) * j->rows_per_chunk);
    for (int64_t r = chunk * j->rows_per_chunk; r < end; r++) binary_row(j, r, 0, len);
}

/* Broadcast shape and merged axes; false when the shapes do not go together or are empty. */
static bool binary_axes(const lamina_tensor *a, const lamina_tensor *b, binary_job *j,
                        int32_t *rank, int64_t *dims)
{
    int64_t ext[LMN_MAX_RANK], as[LMN_MAX_RANK], bs[LMN_MAX_RANK], a_step = 1, b_step = 1;
    int32_t n = 0; /* merged axes, innermost first */
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (int32_t i = 1; i <= *rank; i++) {
        const int64_t da = i <= a->rank ? a->dims[a->rank - i] : 1,
                      db = i <= b->rank ? b->dims[b->rank - i] : 1;
        if ((da != db && da != 1 && db != 1) || da == 0 || db == 0) return false;
        const int64_t d = da == 1 ? db : da;
        dims[*rank - i] = d;
        if (d == 1) continue;
        const int64_t sa = da == 1 ? 0 : a_step, sb = db == 1 ? 0 : b_step;
        a_step *= da, b_step *= db;
        if (n > 0 && (sa == 0) == (as[n - 1] == 0) && (sb == 0) == (bs[n - 1] == 0)) {
            ext[n - 1] *= d;
            continue;
        }
        ext[n] = d, as[n] = sa, bs[n] = sb;
        n++;
    }
    if (n == 0) ext[n] = as[n] = bs[n] = 1, n++;
    j->n_axes = n;
    for (int32_t i = 0; i < n; i++)
        j->extent[i] = ext[n - 1 - i], j->a_step[i] = as[n - 1 - i], j->b_step[i] = bs[n - 1 - i];
    return true;
}

/* y = a op b, already laid out. */
static void run_pair(const lmn_par *par, binary_job *j, const lamina_tensor *a,
                     const lamina_tensor *b, const lamina_tensor *y)
{
    const int64_t len = j->extent[j->n_axes - 1];
    j->a = a->data, j->b = b->data, j->y = y->data;
    j->rows = 1;
    for (int32_t i = 0; i < j->n_axes - 1; i++) j->rows *= j->extent[i];
    j->pieces = (len + chunk_elems - 1) / chunk_elems;
    j->rows_per_chunk = lmn_max_i64(1, chunk_elems / len);
    const int64_t n =
        j->pieces > 1 ? j->rows * j->pieces : (j->rows + j->rows_per_chunk - 1) / j->rows_per_chunk;
    lmn_par_for(par, n, binary_chunk, j);
}

/* The first two operands into y, then each of the others; the first two must have y's shape. */
static lamina_status run_binary(const lamina_kernel *k, lmn_eval *ec, lmn_binary_kind kind)
{
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 1);
    binary_job j = {.fn = k->dev->kset.elementwise_f32->binary, .kind = kind};
    int64_t dims[LMN_MAX_RANK], more_dims[LMN_MAX_RANK];
    int32_t rank, more_rank;
    const bool rounds = kind == LMN_BIN_ADD && ec->n_in > 2; /* the reference adds in f64 */
    if (ec->n_in < 2 || rounds || !lmn_cpu_is_f32(a) || !lmn_cpu_is_f32(b) ||
        !binary_axes(a, b, &j, &rank, dims))
        return lmn_cpu_reference(ec);
    lamina_tensor whole = {.rank = rank};
    memcpy(whole.dims, dims, (size_t)rank * sizeof *dims);
    for (int32_t i = 2; i < ec->n_in; i++) {
        binary_job more;
        if (!lmn_cpu_is_f32(lmn_in(ec, i)) ||
            !binary_axes(&whole, lmn_in(ec, i), &more, &more_rank, more_dims) ||
            !lmn_dims_equal(rank, dims, more_rank, more_dims))
            return lmn_cpu_reference(ec);
    }
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, rank, dims, &y));
    if (!y) return LAMINA_OK;
    run_pair(ec->par, &j, a, b, y);
    for (int32_t i = 2; i < ec->n_in; i++) {
        (void)binary_axes(y, lmn_in(ec, i), &j, &more_rank, more_dims);
        run_pair(ec->par, &j, y, lmn_in(ec, i), y);
    }
    return LAMINA_OK;
}

static bool supports_binary(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    if (node->op->n_in < 2) {
        (void)lmn_format(text, cap, "one operand, the fast kernel has two or more");
        return false;
    }
    return lmn_cpu_takes_f32(node, 0, &dev->kset.elementwise_f32->head, text, cap);
}

#define BINARY(symbol, Op, KIND)                                             \
    static lamina_status run_##symbol(const lamina_kernel *k, lmn_eval *ec)  \
    {                                                                        \
        return run_binary(k, ec, LMN_BIN_##KIND);                            \
    }                                                                        \
    const lmn_cpu_binding lmn_cpu_##symbol = {.domain = "",                  \
                                              .op = Op,                      \
                                              .families = "elementwise.f32", \
                                              .supports = supports_binary,   \
                                              .run = run_##symbol};

BINARY(add, "Add", ADD)
BINARY(sub, "Sub", SUB)
BINARY(mul, "Mul", MUL)
BINARY(div, "Div", DIV)
BINARY(max, "Max", MAX)
BINARY(min, "Min", MIN)
BINARY(sum, "Sum", ADD)
