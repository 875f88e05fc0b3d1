/*
 * Requests on their way through an ensemble: a run holds what its steps wrote until the last step
 * that reads it is done, and submits each step as soon as what it reads is there. One step that
 * fails fails the request, with the step's name, once none of it is in flight any more.
 */
#include "serve/ensemble_int.h"

#include "tensor/tensor.h"

#include <stddef.h>
#include <string.h>

#define TAG "ensemble"

/* A tensor of a run. */
typedef struct value {
    lmn_infer_tensor t; /* how steps are given it */
    lamina_tensor *own; /* NULL: it lies in the request */
    lmn_span *texts;    /* of strings; n_texts */
    size_t n_texts;
    bool there;
} value;

struct lmn_ensemble_run {
    lmn_ensemble_run *next; /* spare */
    lmn_model *model;
    lmn_infer *outer; /* the request */
    lmn_mutex lock;
    uint64_t needed, started, finished, deadline;
    uint64_t first_ns, last_ns; /* began and ended computing */
    uint32_t in_flight;
    bool failed;
    value *values;
    lmn_infer *step;
};

/* ---- memory ---------------------------------------------------------------------------------- */

static const lmn_signature *step_signature(const lmn_ensemble *e, uint32_t k)
{
    return &e->members[e->steps[k].member].model->signature;
}

static size_t run_bytes(const lmn_ensemble *e)
{
    size_t n = sizeof(lmn_ensemble_run) + e->n_tensors * sizeof(value);
    for (uint32_t k = 0; k < e->n_steps; k++) {
        const lmn_signature *s = step_signature(e, k);
        n += sizeof(lmn_infer) + lmn_infer_ports_bytes(s->n_in, s->n_out);
    }
    return n;
}

static lmn_ensemble_run *new_run(lmn_model *m)
{
    const lmn_ensemble *e = m->ensemble;
    lmn_ensemble_run *u = lmn_alloc(&m->engine->alloc, run_bytes(e), _Alignof(max_align_t), TAG);
    if (!u) return NULL;
    memset(u, 0, sizeof *u + e->n_tensors * sizeof(value));
    u->model = m;
    u->values = (value *)(void *)(u + 1);
    u->step = (lmn_infer *)(void *)(u->values + e->n_tensors);
    uint8_t *ports = (uint8_t *)(u->step + e->n_steps);
    for (uint32_t k = 0; k < e->n_steps; k++) {
        const lmn_signature *s = step_signature(e, k);
        lmn_infer_ports(&u->step[k], ports, s->n_in, s->n_out);
        ports += lmn_infer_ports_bytes(s->n_in, s->n_out);
    }
    lmn_mutex_init(&u->lock);
    return u;
}

static void free_run(lmn_model *m, lmn_ensemble_run *u)
{
    lmn_mutex_finish(&u->lock);
    lmn_free(&m->engine->alloc, u, run_bytes(m->ensemble), _Alignof(max_align_t), TAG);
}

static void drop_value(const lmn_model *m, value *v)
{
    lamina_tensor_unref(v->own);
    lmn_cfree(&m->engine->alloc, v->texts, v->n_texts, sizeof *v->texts, TAG);
    *v = (value){.there = false};
}

static void drop_results(lmn_infer *q)
{
    for (uint32_t i = 0; i < q->n_result; i++) lamina_tensor_unref(q->result[i]);
    q->n_result = 0;
}

/* What a step wrote, as others read it. Takes the reference. */
static lamina_status keep_value(const lmn_model *m, value *v, lamina_tensor *t)
{
    if (t->strided) {
        lamina_tensor *dense;
        const lamina_status st = lmn_tensor_clone(m->engine, t, &dense);
        lamina_tensor_unref(t);
        LMN_TRY(st);
        t = dense;
    }
    v->own = t;
    v->there = true;
    v->t = (lmn_infer_tensor){
        .dtype = t->dtype, .rank = t->rank, .data = t->data, .bytes = t->data_bytes};
    memcpy(v->t.dims, t->dims, sizeof v->t.dims);
    if (t->dtype != LAMINA_STRING) return LAMINA_OK;
    const size_t n = (size_t)lmn_count(t);
    v->t.bytes = 0;
    v->texts = lmn_calloc(&m->engine->alloc, n ? n : 1, sizeof *v->texts, TAG);
    LMN_CHECK(v->texts, LAMINA_E_NOMEM);
    v->n_texts = n ? n : 1;
    for (size_t i = 0; i < n; i++) {
        size_t bytes;
        const char *p = lamina_tensor_string(t, (int64_t)i, &bytes);
        v->texts[i] = (lmn_span){(const uint8_t *)p, bytes};
        v->t.bytes += bytes;
    }
    v->t.data = v->texts;
    return LAMINA_OK;
}

/* ---- the end of a run ------------------------------------------------------------------------ */

static void hand_over(lmn_ensemble_run *u)
{
    const lmn_ensemble *e = u->model->ensemble;
    lmn_infer *r = u->outer;
    const uint32_t n = u->model->signature.n_out;
    uint64_t wanted = r->n_out ? 0 : UINT64_MAX;
    for (uint32_t i = 0; i < r->n_out; i++) wanted |= (uint64_t)1 << r->out[i].port;
    for (uint32_t i = 0; i < n; i++) {
        value *v = &u->values[e->out_tensor[i]];
        r->result[i] = wanted >> i & 1 ? v->own : NULL;
        if (r->result[i]) v->own = NULL;
    }
    r->n_result = n;
    r->status = LAMINA_OK;
}

/* How much room r takes in it. */
static int64_t load(const lmn_ensemble *e, const lmn_infer *r)
{
    return e->whole ? lmn_min_i64(r->rows, e->whole) : r->rows;
}

/* None of it is in flight; it may be used again. `done`: it had been taken in. */
static void end_run(lmn_ensemble_run *u, bool done)
{
    lmn_model *m = u->model;
    lmn_ensemble *e = m->ensemble;
    lmn_infer *r = u->outer;
    r->n_result = 0;
    if (!u->failed) hand_over(u);
    for (uint32_t i = 0; i < e->n_tensors; i++) drop_value(m, &u->values[i]);
    r->started_ns = u->first_ns;
    r->computed_ns = u->last_ns;
    lmn_mutex_lock(&m->lock);
    e->rows -= load(e, r);
    e->n_runs--;
    if (!done) {
        m->n_refused++;
    } else {
        lmn_model_count(m, r);
        m->n_runs++;
        m->n_rows += (uint64_t)r->rows;
        m->run_ns += u->last_ns - u->first_ns;
    }
    u->next = e->spare;
    e->spare = u;
    lmn_mutex_unlock(&m->lock);
    if (!done) return;
    if (m->cached && r->status == LAMINA_OK) lmn_respcache_keep(&m->cache, r);
    r->done(r);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* The first failure is the request's; lock held. */
static void fail_run(lmn_ensemble_run *u, uint32_t k, const lmn_infer *q, lamina_status st)
{
    const lmn_ensemble *e = u->model->ensemble;
    lmn_infer *r = u->outer;
    if (u->failed) return;
    u->failed = true;
    r->error = q->error;
    if (!r->error.msg[0]) (void)lmn_fail(&r->error, st, "%s", lamina_status_text(st));
    lmn_error_prefix(&r->error, "step %u (\"%s\")", e->steps[k].number,
                     e->members[e->steps[k].member].model->signature.model);
    r->status = st;
    r->retry_after_s = q->retry_after_s;
}

static void fill(const lmn_ensemble_run *u, uint32_t k, lmn_infer *q)
{
    const lmn_ensemble *e = u->model->ensemble;
    const lmn_ensemble_step *s = &e->steps[k];
    for (uint32_t i = 0; i < s->n_in; i++) {
        const value *v = &u->values[s->in[i].tensor];
        if (!v->there) continue; /* an input that may be left out */
        q->in[q->n_in] = v->t;
        q->in[q->n_in++].port = s->in[i].port;
    }
    for (uint32_t i = 0; i < s->n_out; i++) {
        const lmn_ensemble_tensor *t = &e->tensors[s->out[i].tensor];
        const bool wanted = t->out >= 0 || (t->readers & u->needed);
        if (wanted) q->out[q->n_out++] = (lmn_infer_tensor){.port = s->out[i].port};
    }
}

static void step_done(lmn_infer *q);

static lamina_status submit_step(lmn_ensemble_run *u, uint32_t k, uint64_t now)
{
    lmn_ensemble *e = u->model->ensemble;
    const lmn_infer *r = u->outer;
    lmn_infer *q = &u->step[k];
    memset(q, 0, offsetof(lmn_infer, result));
    q->error.msg[0] = 0;
    q->model = e->members[e->steps[k].member].model;
    q->parent = r->parent ? r->parent : u->model;
    q->priority = r->priority;
    q->gone = r->gone;
    q->done = step_done;
    q->user = u;
    fill(u, k, q);
    if (now >= u->deadline)
        return q->status = lmn_fail(&q->error, LAMINA_E_TIMEOUT, "the time of the request is over");
    if (u->deadline != UINT64_MAX) q->timeout_ns = u->deadline - now;
    const lamina_status st = lmn_model_submit(q->model, q, now);
    if (st == LAMINA_OK) (void)lmn_atomic_add(&e->work, 1, release);
    return st;
}

/* Submit steps that were counted as in flight. True: it failed, and the run is over. After the last
   was taken in, the run is another thread's. */
static bool launch(lmn_ensemble_run *u, uint64_t ready, uint64_t now)
{
    bool failed = false;
    for (; ready; ready &= ready - 1) {
        const uint32_t k = (uint32_t)__builtin_ctzll(ready);
        const lamina_status st = failed ? LAMINA_E_CANCELLED : submit_step(u, k, now);
        if (st == LAMINA_OK) continue;
        lmn_mutex_lock(&u->lock);
        fail_run(u, k, &u->step[k], st);
        failed = true;
        const bool over = --u->in_flight == 0;
        lmn_mutex_unlock(&u->lock);
        if (over) return true;
    }
    return false;
}

/* Steps that can go now; counts them as in flight. Lock held, or the run is nobody else's. */
static uint64_t take_ready(lmn_ensemble_run *u)
{
    const lmn_ensemble *e = u->model->ensemble;
    uint64_t ready = 0;
    for (uint64_t left = u->needed & ~u->started; left; left &= left - 1) {
        const uint32_t k = (uint32_t)__builtin_ctzll(left);
        if (!(e->steps[k].after & ~u->finished)) ready |= (uint64_t)1 << k;
    }
    u->started |= ready;
    u->in_flight += (uint32_t)__builtin_popcountll(ready);
    return ready;
}

/* Keep what step k wrote, drop what nobody will read any more; lock held. */
static lamina_status take_results(lmn_ensemble_run *u, uint32_t k, lmn_infer *q)
{
    const lmn_model *m = u->model;
    const lmn_ensemble *e = m->ensemble;
    const lmn_ensemble_step *s = &e->steps[k];
    u->finished |= (uint64_t)1 << k;
    for (uint32_t i = 0; i < s->n_out; i++) {
        const lmn_ensemble_tensor *t = &e->tensors[s->out[i].tensor];
        lamina_tensor **from = &q->result[s->out[i].port];
        if (s->out[i].port >= q->n_result || !*from) continue;
        if ((*from)->kind != LAMINA_KIND_TENSOR)
            return lmn_fail(&q->error, LAMINA_E_UNSUPPORTED, "its output is no tensor");
        if (t->out < 0 && !(t->readers & u->needed)) continue;
        lamina_tensor *own = *from;
        *from = NULL;
        if (keep_value(m, &u->values[s->out[i].tensor], own) != LAMINA_OK)
            return lmn_fail(&q->error, LAMINA_E_NOMEM, "out of memory for a tensor");
    }
    for (uint32_t i = 0; i < s->n_in; i++) {
        const lmn_ensemble_tensor *t = &e->tensors[s->in[i].tensor];
        if (t->out < 0 && !(t->readers & u->needed & ~u->finished))
            drop_value(m, &u->values[s->in[i].tensor]);
    }
    return LAMINA_OK;
}

static void step_done(lmn_infer *q)
{
    lmn_ensemble_run *u = q->user;
    const uint32_t k = (uint32_t)(q - u->step);
    lmn_mutex_lock(&u->lock);
    lamina_status st = q->status;
    if (q->started_ns && (!u->first_ns || q->started_ns < u->first_ns)) u->first_ns = q->started_ns;
    if (q->computed_ns > u->last_ns) u->last_ns = q->computed_ns;
    if (st == LAMINA_OK) st = take_results(u, k, q);
    if (st != LAMINA_OK) fail_run(u, k, q, st);
    drop_results(q);
    const uint64_t ready = u->failed ? 0 : take_ready(u);
    bool over = --u->in_flight == 0;
    lmn_mutex_unlock(&u->lock);
    if (ready) over = launch(u, ready, lmn_now_ns());
    if (over) end_run(u, true);
}

/* ---- the contract of served.h ---------------------------------------------------------------- */

/* A run for r, if there is room; m->lock held. */
static lamina_status admit(lmn_model *m, lmn_infer *r, lmn_ensemble_run **out)
{
    lmn_ensemble *e = m->ensemble;
    r->retry_after_s = 1;
    if (m->closed) return lmn_fail(&r->error, LAMINA_E_CLOSED, "the model is being unloaded");
    if (e->n_runs && load(e, r) > e->max_rows - e->rows)
        return lmn_fail(&r->error, LAMINA_E_LIMIT,
                        "as many requests are in the ensemble as its models take");
    r->retry_after_s = 0;
    e->rows += load(e, r);
    e->n_runs++;
    *out = e->spare;
    if (*out) e->spare = (*out)->next;
    return LAMINA_OK;
}

static void begin_run(lmn_ensemble_run *u, lmn_infer *r, uint64_t now)
{
    const lmn_model *m = u->model;
    const lmn_ensemble *e = m->ensemble;
    u->outer = r;
    u->started = u->finished = u->first_ns = u->last_ns = u->needed = 0;
    u->in_flight = 0;
    u->failed = false;
    u->deadline =
        r->timeout_ns && r->timeout_ns < UINT64_MAX - now ? now + r->timeout_ns : UINT64_MAX;
    for (uint32_t i = 0; i < (r->n_out ? r->n_out : m->signature.n_out); i++)
        u->needed |= e->needs[r->n_out ? r->out[i].port : i];
    for (uint32_t i = 0; i < e->n_tensors && e->tensors[i].from < 0; i++)
        for (uint32_t k = 0; k < r->n_in; k++)
            if (r->in[k].port == e->tensors[i].port)
                u->values[i] = (value){.t = r->in[k], .there = true};
}

lamina_status lmn_ensemble_submit(lmn_model *m, lmn_infer *r, uint64_t now)
{
    lmn_ensemble_run *u = NULL;
    LMN_TRY(lmn_batch_fits(&m->config.batch, r));
    lmn_mutex_lock(&m->lock);
    lamina_status st = admit(m, r, &u);
    m->n_refused += st != LAMINA_OK;
    lmn_mutex_unlock(&m->lock);
    if (st == LAMINA_OK && !u && !(u = new_run(m))) {
        lmn_mutex_lock(&m->lock);
        m->ensemble->rows -= load(m->ensemble, r);
        m->ensemble->n_runs--;
        lmn_mutex_unlock(&m->lock);
        st = lmn_fail(&r->error, LAMINA_E_NOMEM, "out of memory for a request");
    }
    r->status = st;
    if (st != LAMINA_OK) return st;
    r->arrived_ns = r->queued_ns = now;
    begin_run(u, r, now);
    if (!launch(u, take_ready(u), now)) return LAMINA_OK;
    st = r->status; /* nothing of it is in flight: it was refused */
    end_run(u, false);
    return st;
}

void lmn_ensemble_abort(lmn_model *m)
{
    lmn_mutex_lock(&m->lock);
    m->closed = m->aborted = true;
    lmn_mutex_unlock(&m->lock);
    for (uint32_t i = 0; i < m->ensemble->n_members; i++)
        lmn_model_abort(m->ensemble->members[i].model);
}

void lmn_ensemble_free(lmn_model *m)
{
    lmn_ensemble *e = m->ensemble;
    lmn_ensemble_stop(m);
    for (lmn_ensemble_run *u = e->spare, *next; u; u = next) {
        next = u->next;
        free_run(m, u);
    }
    for (uint32_t i = 0; i < e->n_members; i++) e->source.drop(e->members[i].hold);
}

lmn_model *lmn_ensemble_member(const lmn_model *m, uint32_t i)
{
    return m->ensemble && i < m->ensemble->n_members ? m->ensemble->members[i].model : NULL;
}
