/*
 * The first runs of a served model, on inputs that are made up: whether it runs at all, whether the
 * rows of a batch are independent (rows of unlike size are run alone and together and compared),
 * what every power of two of rows costs, and how large a batch still pays.
 *
 * A model that wants particular inputs (indices in range, a certain length) may refuse all of what
 * is tried; it is then served as configured, by threads, and learns its costs from its clients.
 */
#include "serve/served_int.h"

#include "base/hash.h"
#include "serve/served_ops.h"
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

#define TAG "serve"
#define SAMPLE_BYTES ((size_t)256 << 20) /* of one input that is made up */
#define LONG_NS ((uint64_t)1000000)      /* of a run beside which making its plan is nothing */
#define PAYS_NS ((uint64_t)2000000)      /* runs shorter than this may always grow */
#define AGAIN_NS ((uint64_t)40000000)    /* spent on runs to be sure */

/* What inputs are made of. */
typedef struct sample {
    lmn_model *m;
    int64_t extent; /* of dimensions that are free */
    bool zero;      /* all elements 0: for models that look things up */
    bool no_memory; /* something failed for want of it: nothing was found out */
} sample;

static void fill(const sample *s, lamina_tensor *t, uint64_t row, int64_t rows)
{
    const int64_t n = lmn_count(t), each = rows ? n / rows : n;
    const lmn_dclass c = lmn_dtype_class(t->dtype);
    static const double scale[4] = {1, 4, 0.25, 2};
    for (int64_t i = 0; i < n; i++) {
        const uint64_t r = row + (uint64_t)(each ? i / each : 0);
        const uint64_t h = lmn_hash_mix(r * 0x9e3779b97f4a7c15u + (uint64_t)i, 0xe7037ed1a0b428dbu);
        if (s->zero)
            lmn_set_i64(t, i, 0);
        else if (c == LMN_CLASS_FLOAT)
            lmn_set_f64(t, i, ((double)(h >> 40) * 0x1p-23 - 1) * scale[r % 4]);
        else
            lmn_set_i64(t, i, (int64_t)(h >> 20 & 1));
    }
}

/* An input of `rows` rows, the first of which is row number `row`. */
static lamina_status make_input(const sample *s, lmn_infer_tensor *t, uint32_t port, uint64_t row,
                                int64_t rows)
{
    static const lmn_span word = {(const uint8_t *)"a", 1};
    const lamina_allocator *a = &s->m->engine->alloc;
    const lmn_serve_port *p = &s->m->signature.in[port];
    lamina_tensor head;
    int64_t dims[LAMINA_MAX_RANK];
    const int32_t rank = p->rank < 0 ? 1 : p->rank;
    for (int32_t i = 0; i < rank; i++)
        dims[i] = p->rank < 0 || p->dims[i] < 0 ? s->extent : p->dims[i];
    const bool batch = s->m->config.batch.max_batch_size > 0;
    if (batch && rank) dims[0] = rows;
    LMN_TRY(lmn_tensor_describe(&head, s->m->engine, p->dtype, rank, dims));
    const size_t n = (size_t)lmn_count(&head);
    const size_t bytes = p->dtype == LAMINA_STRING ? n * sizeof(lmn_span) : head.data_bytes;
    LMN_CHECK(bytes <= SAMPLE_BYTES, LAMINA_E_LIMIT);
    uint8_t *data = lmn_alloc(a, bytes + 64, LMN_TENSOR_ALIGN, TAG);
    LMN_CHECK(data, LAMINA_E_NOMEM);
    memset(data, 0, bytes + 64);
    *t = (lmn_infer_tensor){
        .port = port, .dtype = p->dtype, .rank = rank, .data = data, .bytes = bytes};
    memcpy(t->dims, dims, sizeof dims);
    head.data = data;
    if (p->dtype == LAMINA_STRING) {
        for (size_t i = 0; i < n; i++) ((lmn_span *)(void *)data)[i] = word;
        t->bytes = n;
    } else if (lmn_dtype_class(p->dtype) != LMN_CLASS_COMPLEX) {
        fill(s, &head, row, batch ? rows : 1);
    }
    return LAMINA_OK;
}

static void drop(const sample *s, lmn_infer *r)
{
    for (uint32_t i = 0; i < r->n_in; i++) {
        const lmn_infer_tensor *t = &r->in[i];
        size_t bytes = t->bytes;
        if (t->dtype == LAMINA_STRING) bytes *= sizeof(lmn_span);
        lmn_free(&s->m->engine->alloc, (void *)(uintptr_t)t->data, bytes + 64, LMN_TENSOR_ALIGN,
                 TAG);
    }
    for (uint32_t i = 0; i < r->n_result; i++) lamina_tensor_unref(r->result[i]);
    r->n_in = r->n_result = 0;
}

static lamina_status make(sample *s, lmn_infer *r, uint64_t row, int64_t rows)
{
    memset(r, 0, offsetof(lmn_infer, result));
    for (uint32_t i = 0; i < s->m->signature.n_in; i++) {
        if (s->m->signature.in[i].optional) continue;
        const lamina_status st = make_input(s, &r->in[r->n_in], i, row, rows);
        if (st != LAMINA_OK) {
            s->no_memory = s->no_memory || st == LAMINA_E_NOMEM;
            drop(s, r);
            return st;
        }
        r->n_in++;
    }
    const lamina_status st = lmn_model_check(s->m, r);
    if (st != LAMINA_OK) drop(s, r);
    return st;
}

/* Run it alone; returns the nanoseconds, 0: it failed (r->status). Results stay with r. Time in
 * which others had the core does not count: then the process had less of it than has passed. */
static uint64_t run_alone(sample *s, lmn_infer *r)
{
    int64_t rows;
    const lmn_batch b = {.first = r, .n = 1, .rows = r->rows};
    for (uint32_t i = 0; i < r->n_result; i++) lamina_tensor_unref(r->result[i]);
    r->n_result = 0;
    const uint64_t began = lmn_process_cpu_ns();
    const uint64_t passed = lmn_runner_run(&s->m->runner[0], &b, &rows);
    const uint64_t had = lmn_process_cpu_ns() - began;
    s->no_memory = s->no_memory || r->status == LAMINA_E_NOMEM;
    return r->status == LAMINA_OK ? (had < passed ? had : passed) + 1 : 0;
}

/* Find inputs on which it runs. */
static bool find_sample(sample *s, lmn_infer *r)
{
    static const int64_t extents[] = {16, 1, 8, 32, 64, 128, 224, 256};
    for (int zero = 0; zero < 2; zero++)
        for (size_t i = 0; i < LMN_COUNT(extents); i++) {
            s->extent = extents[i];
            s->zero = zero;
            if (make(s, r, 0, 1) == LAMINA_OK) {
                const bool ran = run_alone(s, r) > 0;
                drop(s, r);
                if (ran) return true;
            }
            if (s->m->fixed && s->m->config.batch.max_batch_size > 0) break; /* nothing is free */
        }
    return false;
}

/* ---- coupling -------------------------------------------------------------------------------- */

static bool alike(const lamina_tensor *a, const lamina_tensor *b, double tolerance)
{
    if (a->dtype != b->dtype || !lmn_dims_equal(a->rank, a->dims, b->rank, b->dims)) return false;
    const int64_t n = lmn_count(a);
    if (a->dtype == LAMINA_STRING) {
        for (int64_t i = 0; i < n; i++)
            if (strcmp(lamina_tensor_string(a, i, NULL), lamina_tensor_string(b, i, NULL)))
                return false;
        return true;
    }
    if (lmn_dtype_class(a->dtype) != LMN_CLASS_FLOAT)
        return a->data_bytes == b->data_bytes && !memcmp(a->data, b->data, a->data_bytes);
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        const double v = fabs(lmn_get_f64(a, i));
        if (isfinite(v) && v > most) most = v;
    }
    for (int64_t i = 0; i < n; i++) {
        const double x = lmn_get_f64(a, i), y = lmn_get_f64(b, i);
        if (isnan(x) && isnan(y)) continue;
        if (x != y && !(fabs(x - y) <= tolerance * most)) return false;
    }
    return true;
}

/* NULL: rows do not see each other; else why they do. r[0..2] are used. */
static const char *coupling(sample *s, lmn_infer *r)
{
    enum { N = 3 };
    const lmn_model *m = s->m;
    if (lmn_model_coupling_op(m->file))
        return "it quantises with one scale for all rows of a batch";
    const double tolerance = m->config.precision == LAMINA_PRECISION_EXACT ||
                                     m->config.precision == LAMINA_PRECISION_STRICT
                                 ? 1e-4
                                 : 3e-2;
    lamina_tensor *alone[N][LMN_INFER_MAX_PORTS];
    const char *why = NULL;
    int n = 0, kept = 0;
    for (; n < N && !why; n++)
        if (make(s, &r[n], (uint64_t)n, 1) != LAMINA_OK) why = "no inputs of three rows were found";
    for (; kept < n && !why; kept++) {
        if (!run_alone(s, &r[kept])) {
            why = "a row alone did not run";
            break;
        }
        memcpy(alone[kept], r[kept].result, m->signature.n_out * sizeof alone[0][0]);
        r[kept].n_result = 0;
        r[kept].next = kept + 1 < N ? &r[kept + 1] : NULL;
    }
    int64_t rows;
    const lmn_batch b = {.first = r, .n = N, .rows = N};
    if (!why && !lmn_runner_run(&m->runner[0], &b, &rows)) why = "rows together did not run";
    for (int k = 0; k < kept && !why; k++) {
        s->no_memory = s->no_memory || r[k].status == LAMINA_E_NOMEM;
        if (r[k].status != LAMINA_OK) why = "rows together did not run";
    }
    for (int k = 0; k < kept; k++)
        for (uint32_t i = 0; i < m->signature.n_out; i++) {
            if (!why && !alike(alone[k][i], r[k].result[i], tolerance))
                why = "a row gives another result together with others than alone";
            lamina_tensor_unref(alone[k][i]);
        }
    for (int k = 0; k < n; k++) drop(s, &r[k]);
    return why;
}

/* ---- cost ------------------------------------------------------------------------------------ */

/* The best of a few runs of so many rows; 0: it failed. */
static uint64_t measure(sample *s, lmn_infer *r, int64_t rows)
{
    uint64_t best = 0;
    if (make(s, r, 0, rows) != LAMINA_OK) return 0;
    for (int i = 0; i < 5; i++) {
        const uint64_t took = run_alone(s, r);
        if (!took) break;
        if (!i && took < LONG_NS) continue; /* it made the plan */
        if (!best || took < best) best = took;
        if (!i) break;
    }
    drop(s, r);
    return best;
}

static bool pays(uint64_t took, uint64_t before)
{
    return !before || took < PAYS_NS || took < before * 2 * 95 / 100;
}

/* A busy machine makes a doubling look worse than it is, and what is decided here lasts: so one
 * that decides and does not pay is measured anew before that is believed. `before` 0: it decides
 * nothing. */
static uint64_t measure_surely(sample *s, lmn_infer *r, int64_t rows, uint64_t before)
{
    uint64_t took = measure(s, r, rows), spent = took;
    while (took && spent < AGAIN_NS && !pays(took, before)) {
        const uint64_t again = measure(s, r, rows);
        if (!again) break;
        spent += again;
        if (again < took) took = again;
    }
    return took;
}

static void note(lmn_warm *out, int64_t rows, uint64_t took)
{
    uint32_t bucket = 0;
    while ((int64_t)1 << bucket < rows) bucket++;
    out->cost_ns[bucket] = took;
}

/* Every power of two and the largest; with `find_out` the batch grows until a doubling did not pay
 * twice in a row. */
static void measure_all(sample *s, lmn_infer *r, bool find_out, lmn_warm *out)
{
    lmn_batch_config *c = &s->m->config.batch;
    uint64_t before = 0;
    int idle = 0;
    for (int64_t rows = 1, k = 0; k < 32; k++) {
        const uint64_t took = measure_surely(s, r, rows, find_out && idle ? before : 0);
        if (!took) break;
        idle = pays(took, before) ? 0 : idle + 1;
        if (find_out && idle == 2) {
            note(out, rows / 2, 0); /* is never run */
            c->max_batch_size = rows / 4;
            break;
        }
        note(out, rows, before = took);
        if (rows >= c->max_batch_size) break;
        rows = lmn_min_i64(rows * 2, c->max_batch_size);
    }
}

lamina_status lmn_model_warm(lmn_model *m, lmn_warm *out, lamina_error *err)
{
    enum { N = 3 };
    lmn_batch_config *c = &m->config.batch;
    const bool find_out = m->find_out;
    sample s = {.m = m};
    memset(out, 0, sizeof *out);
    const bool compare = c->dynamic && c->max_batch_size > 0;
    if (!m->config.warm_up && !(compare && find_out)) return LAMINA_OK;
    const size_t ports = lmn_infer_ports_bytes(m->signature.n_in, m->signature.n_out);
    lmn_infer *r = lmn_calloc(&m->engine->alloc, N, sizeof *r + ports, TAG);
    if (!r) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for the first run of a model");
    for (size_t i = 0; i < N; i++)
        lmn_infer_ports(&r[i], (uint8_t *)(r + N) + i * ports, m->signature.n_in,
                        m->signature.n_out);
    out->ran = find_sample(&s, r);
    if (!out->ran && find_out) {
        c->max_batch_size = 0; /* nothing is known of its rows */
        c->dynamic = false;
    }
    if (out->ran && compare) {
        const char *why = coupling(&s, r);
        if (why) {
            c->dynamic = false;
            m->config.coupled = why;
            if (find_out) c->max_batch_size = 0;
        }
    }
    if (out->ran && m->config.warm_up) measure_all(&s, r, find_out && c->dynamic, out);
    lmn_cfree(&m->engine->alloc, r, N, sizeof *r + ports, TAG);
    if (s.no_memory)
        return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for the first run of a model");
    return LAMINA_OK;
}
