/*
 * One batch: the rows of its requests go into one tensor an input (a single request is run where
 * its data lie), the session runs, and every request gets its rows of each output. A batch that
 * fails is run again request by request, so that one bad request never fails its neighbours. A
 * request of more rows than a batch is run in parts of one batch each: so it needs no plan and no
 * memory beyond those of a batch.
 *
 * Inputs are given to the session as tensors without a buffer, so nothing that a run hands out ever
 * points into them, and both the request's memory and the gathered rows may be used again.
 */
#include "serve/served_int.h"

#include "tensor/tensor.h"

#include <string.h>

#define TAG "serve"
#define SMALL_BYTES 2048u /* of a result: copied, so that the output of the batch can go */

typedef struct run {
    lmn_runner *u;
    const lmn_infer *first; /* of the requests, chained by next */
    uint32_t n;
    int64_t rows, padded;
    lamina_tensor in[LMN_INFER_MAX_PORTS]; /* headers without a buffer */
    lamina_tensor *strings[LMN_INFER_MAX_PORTS];
    const lamina_tensor *at[LMN_INFER_MAX_PORTS];
    lamina_tensor *out[LMN_INFER_MAX_PORTS];
    lamina_error err;
} run;

/* Input `port` of r; NULL: it was left out. */
static const lmn_infer_tensor *given(const lmn_infer *r, uint32_t port)
{
    if (port < r->n_in && r->in[port].port == port) return &r->in[port];
    for (uint32_t i = 0; i < r->n_in; i++)
        if (r->in[i].port == port) return &r->in[i];
    return NULL;
}

static bool same_rows(const lmn_infer_tensor *a, const lmn_infer_tensor *b)
{
    if (!a || !b) return a == b;
    return a->rank == b->rank &&
           !memcmp(a->dims + 1, b->dims + 1, (size_t)(a->rank - 1) * sizeof a->dims[0]);
}

/* The gathered rows of an input have room for `bytes`. */
static uint8_t *room(lmn_runner *u, uint32_t port, size_t bytes)
{
    const lamina_allocator *a = &u->model->engine->alloc;
    if (u->gather[port].bytes >= bytes) return u->gather[port].p;
    lmn_free(a, u->gather[port].p, u->gather[port].bytes, LMN_TENSOR_ALIGN, TAG);
    u->gather[port].p = lmn_alloc(a, bytes, LMN_TENSOR_ALIGN, TAG);
    u->gather[port].bytes = u->gather[port].p ? bytes : 0;
    return u->gather[port].p;
}

void lmn_runner_finish(lmn_runner *u)
{
    for (uint32_t i = 0; i < LMN_INFER_MAX_PORTS; i++)
        lmn_free(&u->model->engine->alloc, u->gather[i].p, u->gather[i].bytes, LMN_TENSOR_ALIGN,
                 TAG);
}

/* A tensor of strings, from those of all requests; the row that fills up is the first. */
static lamina_status gather_strings(run *x, uint32_t port, const lamina_tensor *head)
{
    lamina_tensor *t;
    LMN_TRY(lmn_tensor_new(head->engine, LAMINA_STRING, head->rank, head->dims, true, &t));
    x->strings[port] = t;
    x->at[port] = t;
    const int64_t n = lmn_count(head);
    const lmn_span *spare = given(x->first, port)->data;
    int64_t o = 0;
    for (const lmn_infer *r = x->first; r && o < n; r = r->next) {
        const lmn_infer_tensor *g = given(r, port);
        int64_t k = 1;
        for (int32_t d = 0; d < g->rank; d++) k *= g->dims[d];
        const lmn_span *s = g->data;
        for (int64_t i = 0; i < k && o < n; i++, o++)
            LMN_TRY(lamina_tensor_set_string(t, o, (const char *)s[i].p, s[i].n));
    }
    const int64_t row = x->padded ? n / x->padded : n;
    for (int64_t i = 0; o < n; o++, i = (i + 1) % row)
        LMN_TRY(lamina_tensor_set_string(t, o, (const char *)spare[i].p, spare[i].n));
    return LAMINA_OK;
}

static lamina_status gather_port(run *x, uint32_t port)
{
    const lmn_model *m = x->u->model;
    const lmn_infer_tensor *g = given(x->first, port);
    lamina_tensor *t = &x->in[port];
    x->at[port] = NULL;
    for (const lmn_infer *r = x->first; x->n > 1 && r; r = r->next)
        if (!same_rows(g, given(r, port))) return LAMINA_E_SHAPE; /* keys that met by chance */
    if (!g) return LAMINA_OK;
    int64_t dims[LAMINA_MAX_RANK];
    memcpy(dims, g->dims, (size_t)g->rank * sizeof dims[0]);
    if (m->config.batch.max_batch_size > 0) dims[0] = x->padded;
    LMN_TRY(lmn_tensor_describe(t, m->engine, g->dtype, g->rank, dims));
    if (g->dtype == LAMINA_STRING) return gather_strings(x, port, t);
    x->at[port] = t;
    if (x->n == 1 && x->padded == x->rows) {
        t->data = (void *)(uintptr_t)g->data; /* only read */
        return LAMINA_OK;
    }
    uint8_t *p = room(x->u, port, t->data_bytes);
    t->data = p;
    if (!t->data_bytes) return LAMINA_OK; /* and may have no address */
    if (!p) return LAMINA_E_NOMEM;
    const uint8_t *end = p + t->data_bytes;
    for (const lmn_infer *r = x->first; r; r = r->next) {
        const lmn_infer_tensor *e = given(r, port);
        if (e->bytes) memcpy(p, e->data, e->bytes);
        p += e->bytes;
        if (x->n == 1) break;
    }
    const size_t row = t->data_bytes / (size_t)x->padded;
    for (; p < end; p += row) memcpy(p, g->data, row);
    return LAMINA_OK;
}

static lamina_status session_run(run *x, const lmn_atomic(uint32_t) * stop, uint64_t until)
{
    const lmn_model *m = x->u->model;
    const lamina_run_opts o = {.size = sizeof o,
                               .deadline_ns = until,
                               .error = &x->err,
                               .stop = (const uint32_t *)(uintptr_t)stop};
    return lamina_session_run(m->session, x->at, m->signature.n_in, x->out, m->signature.n_out, &o);
}

static void release_strings(run *x)
{
    for (uint32_t i = 0; i < x->u->model->signature.n_in; i++) {
        lamina_tensor_unref(x->strings[i]);
        x->strings[i] = NULL;
    }
}

/* Rows [from, from + r->rows) of an output. */
static lamina_status slice(const run *x, lamina_tensor *t, int64_t from, int64_t rows,
                           lamina_tensor **out)
{
    int64_t dims[LAMINA_MAX_RANK];
    memcpy(dims, t->dims, sizeof dims);
    dims[0] = rows;
    if (t->dtype == LAMINA_STRING) {
        const int64_t each = lmn_count(t) / x->padded;
        lamina_tensor *s;
        LMN_TRY(lmn_tensor_new(t->engine, t->dtype, t->rank, dims, true, &s));
        for (int64_t i = 0; i < rows * each; i++) {
            size_t n;
            const char *p = lamina_tensor_string(t, from * each + i, &n);
            const lamina_status st = lamina_tensor_set_string(s, i, p, n);
            if (st != LAMINA_OK) {
                lamina_tensor_unref(s);
                return st;
            }
        }
        *out = s;
        return LAMINA_OK;
    }
    const size_t row = t->data_bytes / (size_t)x->padded;
    if (row * (size_t)rows > SMALL_BYTES && t->buf && !t->strided)
        return lmn_tensor_view(t, t->rank, dims, row * (size_t)from, t->dtype, out);
    LMN_TRY(lmn_tensor_new(t->engine, t->dtype, t->rank, dims, false, out));
    if ((*out)->data_bytes)
        memcpy((*out)->data, (const uint8_t *)t->data + row * (size_t)from, (*out)->data_bytes);
    return LAMINA_OK;
}

static void drop_results(lmn_infer *r)
{
    for (uint32_t i = 0; i < r->n_result; i++) {
        lamina_tensor_unref(r->result[i]);
        r->result[i] = NULL;
    }
    r->n_result = 0;
}

/* Which outputs does r ask for? */
static uint64_t wanted(const lmn_infer *r)
{
    uint64_t bits = 0;
    for (uint32_t i = 0; i < r->n_out; i++) bits |= (uint64_t)1 << r->out[i].port;
    return r->n_out ? bits : UINT64_MAX;
}

/* The outputs, whole, are the results of r. */
static void hand_over(run *x, lmn_infer *r)
{
    const uint32_t n = x->u->model->signature.n_out;
    const uint64_t bits = wanted(r);
    for (uint32_t i = 0; i < n; i++) {
        r->result[i] = bits >> i & 1 ? x->out[i] : NULL;
        if (!r->result[i]) lamina_tensor_unref(x->out[i]);
    }
    r->n_result = n;
}

/* Have all outputs the rows that were run? */
static bool has_rows(const run *x)
{
    for (uint32_t i = 0; i < x->u->model->signature.n_out; i++) {
        const lamina_tensor *t = x->out[i];
        if (t->kind != LAMINA_KIND_TENSOR || t->rank < 1 || t->dims[0] != x->padded) return false;
        if (t->strided) return false;
    }
    return true;
}

static lamina_status no_rows(lmn_infer *r)
{
    return lmn_fail(&r->error, LAMINA_E_SHAPE,
                    "an output of the model does not begin with the rows of its input");
}

static void scatter(run *x, const lmn_batch *batch)
{
    const uint32_t n = x->u->model->signature.n_out;
    int64_t from = 0;
    uint32_t k = 0;
    for (lmn_infer *r = batch->first; r && k < x->n; r = r->next, k++) {
        const uint64_t bits = wanted(r);
        lamina_status st = LAMINA_OK;
        memset(r->result, 0, n * sizeof r->result[0]);
        r->n_result = n;
        for (uint32_t i = 0; i < n && st == LAMINA_OK; i++)
            if (bits >> i & 1) st = slice(x, x->out[i], from, r->rows, &r->result[i]);
        if (st != LAMINA_OK) {
            drop_results(r);
            st = lmn_fail(&r->error, st, "out of memory for a result");
        }
        r->status = st;
        from += r->rows;
    }
    for (uint32_t i = 0; i < n; i++) lamina_tensor_unref(x->out[i]);
}

static void prepare(run *x, lmn_runner *u, const lmn_infer *first, uint32_t n, int64_t rows)
{
    x->u = u;
    x->first = first;
    x->n = n;
    x->rows = rows;
    x->padded = lmn_model_pad(u->model, rows);
    x->err.msg[0] = 0;
    memset(x->strings, 0, u->model->signature.n_in * sizeof x->strings[0]);
}

/* One request alone, to end by `until` (0: as the model says); returns the nanoseconds of the
 * session. */
static uint64_t run_one(lmn_runner *u, lmn_infer *r, uint64_t until, int64_t *rows)
{
    run x;
    const lmn_signature *s = &u->model->signature;
    prepare(&x, u, r, 1, r->rows);
    lamina_status st = LAMINA_OK;
    for (uint32_t i = 0; i < s->n_in && st == LAMINA_OK; i++) st = gather_port(&x, i);
    if (st != LAMINA_OK) (void)lmn_fail(&x.err, st, "out of memory for an input");
    const uint64_t began = u->began_ns = lmn_now_ns();
    if (!until) until = began + u->model->config.max_run_ns;
    if (st == LAMINA_OK) st = session_run(&x, r->gone ? r->gone : &u->stop, until);
    const uint64_t took = lmn_now_ns() - began;
    release_strings(&x);
    *rows = x.padded;
    r->status = st;
    r->n_result = 0;
    if (st != LAMINA_OK) {
        r->error = x.err;
        return 0;
    }
    if (x.padded == x.rows) {
        hand_over(&x, r);
    } else if (has_rows(&x)) {
        const lmn_batch own = {.first = r, .n = 1, .rows = r->rows};
        scatter(&x, &own);
    } else {
        for (uint32_t i = 0; i < s->n_out; i++) lamina_tensor_unref(x.out[i]);
        r->status = no_rows(r);
    }
    return took;
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Rows [from, from + rows) of r, which lie where they are. */
static void cut(const lmn_infer *r, int64_t from, int64_t rows, lmn_infer *part)
{
    memset(part, 0, offsetof(lmn_infer, result));
    part->gone = r->gone;
    part->rows = rows;
    part->n_in = r->n_in;
    part->n_out = r->n_out;
    memcpy(part->in, r->in, r->n_in * sizeof r->in[0]);
    memcpy(part->out, r->out, r->n_out * sizeof r->out[0]);
    for (uint32_t i = 0; i < r->n_in; i++) {
        lmn_infer_tensor *t = &part->in[i];
        const size_t all = t->bytes;
        size_t row = all / (size_t)r->rows;
        t->dims[0] = rows;
        t->bytes = row * (size_t)rows;
        if (t->dtype == LAMINA_STRING) {
            row = sizeof(lmn_span);
            for (int32_t d = 1; d < t->rank; d++) row *= (size_t)t->dims[d];
        }
        if (t->data) t->data = (const uint8_t *)t->data + row * (size_t)from;
    }
}

/* Rows of `t`, an output of a part, become those of `whole` that begin with `from`. */
static lamina_status append(lamina_tensor *whole, int64_t from, const lamina_tensor *t)
{
    if (t->dtype != LAMINA_STRING) {
        const size_t row = t->data_bytes / (size_t)t->dims[0];
        if (row) memcpy((uint8_t *)whole->data + row * (size_t)from, t->data, t->data_bytes);
        return LAMINA_OK;
    }
    const int64_t n = lmn_count(t), at = from * (n / t->dims[0]);
    for (int64_t i = 0; i < n; i++) {
        size_t bytes;
        const char *p = lamina_tensor_string(t, i, &bytes);
        LMN_TRY(lamina_tensor_set_string(whole, at + i, p, bytes));
    }
    return LAMINA_OK;
}

/* What a part gave belongs behind what r has; the first part makes room for all. */
static lamina_status join(lmn_infer *r, int64_t from, const lmn_infer *part)
{
    for (uint32_t i = 0; i < part->n_result; i++) {
        const lamina_tensor *t = part->result[i], *was = r->result[i];
        if (!t) continue;
        if (t->kind != LAMINA_KIND_TENSOR || t->rank < 1 || t->strided ||
            t->dims[0] != part->rows ||
            (from && (was->rank != t->rank || memcmp(was->dims + 1, t->dims + 1,
                                                     (size_t)(t->rank - 1) * sizeof t->dims[0]))))
            return no_rows(r);
        lamina_status st = LAMINA_OK;
        if (!from) {
            int64_t dims[LAMINA_MAX_RANK];
            memcpy(dims, t->dims, sizeof dims);
            dims[0] = r->rows;
            st = lmn_tensor_new(t->engine, t->dtype, t->rank, dims, t->dtype == LAMINA_STRING,
                                &r->result[i]);
        }
        if (st == LAMINA_OK) st = append(r->result[i], from, t);
        if (st != LAMINA_OK) return lmn_fail(&r->error, st, "out of memory for a result");
    }
    return LAMINA_OK;
}

/* A request of more rows than a batch; returns the nanoseconds of its sessions. */
static uint64_t run_parts(lmn_runner *u, lmn_infer *r, int64_t *rows)
{
    const lmn_model *m = u->model;
    const lamina_allocator *a = &m->engine->alloc;
    const int64_t whole = m->config.batch.max_batch_size;
    const uint64_t until = lmn_now_ns() + m->config.max_run_ns;
    uint64_t took = 0, began = 0;
    lamina_status st = LAMINA_OK;
    const size_t bytes =
        sizeof(lmn_infer) + lmn_infer_ports_bytes(m->signature.n_in, m->signature.n_out);
    lmn_infer *part = lmn_calloc(a, 1, bytes, TAG);
    if (part)
        lmn_infer_ports(part, part + 1, m->signature.n_in, m->signature.n_out);
    else
        st = lmn_fail(&r->error, LAMINA_E_NOMEM, "out of memory for a request");
    memset(r->result, 0, m->signature.n_out * sizeof r->result[0]);
    r->n_result = m->signature.n_out;
    *rows = 0;
    for (int64_t from = 0; from < r->rows && st == LAMINA_OK; from += part->rows) {
        int64_t ran;
        cut(r, from, lmn_min_i64(whole, r->rows - from), part);
        took += run_one(u, part, until, &ran);
        if (!from) began = u->began_ns;
        *rows += ran;
        st = part->status;
        if (st != LAMINA_OK) r->error = part->error;
        if (st == LAMINA_OK) st = join(r, from, part);
        drop_results(part);
        if (st == LAMINA_OK && lmn_atomic_load(&u->stop, acquire))
            st = lmn_fail(&r->error, LAMINA_E_CANCELLED, "the run was cancelled");
    }
    lmn_cfree(a, part, 1, bytes, TAG);
    r->status = st;
    u->began_ns = began;
    if (st == LAMINA_OK) return took;
    drop_results(r);
    return 0;
}

/* All at once; false: it did not work, none has a result. */
static bool run_together(lmn_runner *u, const lmn_batch *batch, uint64_t *took, int64_t *rows)
{
    run x;
    const uint32_t n_in = u->model->signature.n_in;
    prepare(&x, u, batch->first, batch->n, batch->rows);
    lamina_status st = LAMINA_OK;
    for (uint32_t i = 0; i < n_in && st == LAMINA_OK; i++) st = gather_port(&x, i);
    const uint64_t began = u->began_ns = lmn_now_ns();
    if (st == LAMINA_OK) st = session_run(&x, &u->stop, began + u->model->config.max_run_ns);
    *took = lmn_now_ns() - began;
    *rows = x.padded;
    release_strings(&x);
    if (st == LAMINA_OK && has_rows(&x)) {
        scatter(&x, batch);
        return true;
    }
    for (uint32_t i = 0; st == LAMINA_OK && i < u->model->signature.n_out; i++)
        lamina_tensor_unref(x.out[i]);
    if (st != LAMINA_E_CANCELLED) return false;
    for (lmn_infer *r = batch->first; r; r = r->next) {
        r->status = st;
        r->error = x.err;
        r->n_result = 0;
    }
    *took = 0;
    return true;
}

uint64_t lmn_runner_run(lmn_runner *u, const lmn_batch *batch, int64_t *rows)
{
    uint64_t took = 0;
    const lmn_batch_config *c = &u->model->config.batch;
    if (c->dynamic && batch->rows > c->max_batch_size && c->max_batch_size > 0 && batch->n == 1)
        return run_parts(u, batch->first, rows);
    if (batch->n == 1) return run_one(u, batch->first, 0, rows);
    if (run_together(u, batch, &took, rows)) return took;
    for (lmn_infer *r = batch->first; r; r = r->next) {
        int64_t ignored;
        (void)run_one(u, r, 0, &ignored);
    }
    return 0;
}
