/*
 * Making an ensemble: the steps of its configuration become a graph. Whatever does not fit together
 * is told here, with the step and the tensor, and never when a request comes: tensors that nobody
 * or that two write, cycles, ports that models do not have, types, shapes, and batch sizes.
 */
#include "serve/ensemble_int.h"

#include <string.h>

#define TAG "ensemble"
#define ARENA_BYTES ((size_t)16 << 20)

typedef struct maker {
    lmn_model *m;
    lmn_ensemble *e;
    const lmn_serve_config *c;
    lmn_signature *s;
    lamina_error *err;
} maker;

LMN_PRINTF(3, 4)
static lamina_status bad_step(const maker *k, uint32_t i, const char *fmt, ...)
{
    char what[LAMINA_ERROR_MSG_BYTES], model[80];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    (void)lmn_format_name(model, sizeof model, k->c->steps[i].model, strlen(k->c->steps[i].model));
    return lmn_fail(k->err, LAMINA_E_INVALID, "step %u (\"%s\"): %s", i + 1, model, what);
}

static lamina_status no_memory(const maker *k)
{
    return lmn_fail(k->err, LAMINA_E_NOMEM, "out of memory for an ensemble");
}

/* A name as a sentence shows it; `buf` of 80 bytes. */
static const char *shown(char *buf, const char *name)
{
    (void)lmn_format_name(buf, 80, name, strlen(name));
    return buf;
}

/* ---- ports ----------------------------------------------------------------------------------- */

static lamina_status sign_ports(const maker *k, const lmn_config_port *from, uint32_t n,
                                const lmn_serve_port **out)
{
    const int32_t lead = k->s->max_batch_size > 0 ? 1 : 0;
    lmn_serve_port *p = LMN_ARENA_ARRAY(&k->m->arena, lmn_serve_port, n);
    if (!p) return no_memory(k);
    for (uint32_t i = 0; i < n; i++) {
        p[i] = (lmn_serve_port){.name = lmn_arena_str(&k->m->arena, from[i].name),
                                .dtype = from[i].dtype,
                                .rank = from[i].rank + lead,
                                .optional = from[i].optional};
        p[i].dims[0] = -1; /* of the batch, if there is one */
        for (int32_t d = 0; d < from[i].rank; d++) p[i].dims[d + lead] = from[i].dims[d];
        if (!p[i].name) return no_memory(k);
    }
    *out = p;
    return LAMINA_OK;
}

static lamina_status sign(const maker *k, const char *name, const char *version)
{
    *k->s = (lmn_signature){.model = lmn_arena_str(&k->m->arena, name),
                            .version = lmn_arena_str(&k->m->arena, version),
                            .platform = "ensemble",
                            .n_in = k->c->n_in,
                            .n_out = k->c->n_out,
                            .max_batch_size = k->c->model.batch.max_batch_size};
    LMN_TRY(sign_ports(k, k->c->in, k->c->n_in, &k->s->in));
    LMN_TRY(sign_ports(k, k->c->out, k->c->n_out, &k->s->out));
    return k->s->model && k->s->version ? LAMINA_OK : no_memory(k);
}

static int64_t port_named(const lmn_serve_port *p, uint32_t n, const char *name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strcmp(p[i].name, name) == 0) return i;
    return -1;
}

/* May a tensor that is like `a` be given to what takes `b`? NULL: yes. */
static const char *unlike(const lmn_serve_port *a, const lmn_serve_port *b)
{
    if (a->dtype != b->dtype) return "has another type";
    if (a->rank < 0 || b->rank < 0) return NULL;
    if (a->rank != b->rank) return "has another number of dimensions";
    for (int32_t d = 0; d < a->rank; d++)
        if (a->dims[d] >= 0 && b->dims[d] >= 0 && a->dims[d] != b->dims[d])
            return "has another shape";
    return NULL;
}

/* ---- members and tensors --------------------------------------------------------------------- */

static lamina_status find_members(const maker *k)
{
    lmn_ensemble *e = k->e;
    for (uint32_t i = 0; i < k->c->n_steps; i++) {
        const lmn_config_step *s = &k->c->steps[i];
        void *hold = NULL;
        lamina_error why = {0};
        lmn_model *m = e->source.find(e->source.ctx, s->model, s->version, &hold, &why);
        if (!m) return bad_step(k, i, "%s", why.msg);
        uint32_t at = 0;
        while (at < e->n_members && e->members[at].model != m) at++;
        if (at < e->n_members)
            e->source.drop(hold);
        else
            e->members[e->n_members++] = (lmn_ensemble_member_of){.model = m, .hold = hold};
        e->members[at].n_steps++;
        e->steps[i].member = at;
        e->steps[i].number = i + 1;
        const lmn_batch_config *b = &m->config.batch;
        const int64_t theirs = b->max_request_rows ? b->max_request_rows : b->max_batch_size;
        const int64_t ours = k->s->max_batch_size;
        if (ours > 0 && theirs < ours)
            return bad_step(k, i, "its model takes %lld rows at most, and the ensemble %lld",
                            (long long)theirs, (long long)ours);
    }
    return LAMINA_OK;
}

static int64_t tensor_named(const lmn_ensemble *e, const char *name)
{
    for (uint32_t i = 0; i < e->n_tensors; i++)
        if (strcmp(e->tensors[i].name, name) == 0) return i;
    return -1;
}

static void add_tensor(lmn_ensemble *e, const lmn_serve_port *p, const char *name, int32_t from,
                       uint32_t port)
{
    e->tensors[e->n_tensors++] =
        (lmn_ensemble_tensor){.name = name, .from = from, .out = -1, .port = port, .shape = *p};
}

/* What the steps write, behind the inputs of the ensemble. */
static lamina_status link_outputs(const maker *k)
{
    lmn_ensemble *e = k->e;
    char a[80];
    for (uint32_t i = 0; i < k->s->n_in; i++) add_tensor(e, &k->s->in[i], k->s->in[i].name, -1, i);
    for (uint32_t i = 0; i < k->c->n_steps; i++) {
        const lmn_config_step *from = &k->c->steps[i];
        const lmn_signature *s = &e->members[e->steps[i].member].model->signature;
        lmn_ensemble_link *out = LMN_ARENA_ARRAY(&k->m->arena, lmn_ensemble_link, from->n_out);
        if (!out) return no_memory(k);
        for (uint32_t j = 0; j < from->n_out; j++) {
            const int64_t port = port_named(s->out, s->n_out, from->out[j].port);
            if (port < 0)
                return bad_step(k, i, "its model has no output \"%s\"",
                                shown(a, from->out[j].port));
            if (tensor_named(e, from->out[j].tensor) >= 0)
                return bad_step(k, i, "the tensor \"%s\" is written twice",
                                shown(a, from->out[j].tensor));
            out[j] = (lmn_ensemble_link){(uint32_t)port, e->n_tensors};
            add_tensor(e, &s->out[port], from->out[j].tensor, (int32_t)i, 0);
        }
        e->steps[i].out = out;
        e->steps[i].n_out = from->n_out;
    }
    return LAMINA_OK;
}

static lamina_status link_input(const maker *k, uint32_t i, const lmn_config_link *from,
                                lmn_ensemble_link *to)
{
    lmn_ensemble *e = k->e;
    const lmn_signature *s = &e->members[e->steps[i].member].model->signature;
    const int64_t port = port_named(s->in, s->n_in, from->port);
    const int64_t tensor = tensor_named(e, from->tensor);
    char a[80], b[80];
    if (port < 0) return bad_step(k, i, "its model has no input \"%s\"", shown(a, from->port));
    if (tensor < 0)
        return bad_step(k, i, "nothing writes the tensor \"%s\"", shown(a, from->tensor));
    lmn_ensemble_tensor *t = &e->tensors[tensor];
    const char *why = unlike(&t->shape, &s->in[port]);
    if (why)
        return bad_step(k, i, "the tensor \"%s\" %s than the input \"%s\"", shown(a, from->tensor),
                        why, shown(b, from->port));
    if (t->from < 0 && t->shape.optional && !s->in[port].optional)
        return bad_step(k, i, "its input \"%s\" must be given, and \"%s\" may be left out",
                        shown(a, from->port), shown(b, from->tensor));
    t->readers |= (uint64_t)1 << i;
    if (t->from >= 0) e->steps[i].after |= (uint64_t)1 << t->from;
    *to = (lmn_ensemble_link){(uint32_t)port, (uint32_t)tensor};
    return LAMINA_OK;
}

static lamina_status link_inputs(const maker *k)
{
    lmn_ensemble *e = k->e;
    char a[80];
    for (uint32_t i = 0; i < k->c->n_steps; i++) {
        const lmn_config_step *from = &k->c->steps[i];
        const lmn_signature *s = &e->members[e->steps[i].member].model->signature;
        lmn_ensemble_link *in = LMN_ARENA_ARRAY(&k->m->arena, lmn_ensemble_link, from->n_in);
        uint64_t given = 0;
        if (!in) return no_memory(k);
        for (uint32_t j = 0; j < from->n_in; j++) {
            LMN_TRY(link_input(k, i, &from->in[j], &in[j]));
            given |= (uint64_t)1 << in[j].port;
        }
        for (uint32_t j = 0; j < s->n_in; j++)
            if (!(given >> j & 1) && !s->in[j].optional)
                return bad_step(k, i, "nothing is given to its input \"%s\"",
                                shown(a, s->in[j].name));
        e->steps[i].in = in;
        e->steps[i].n_in = from->n_in;
    }
    return LAMINA_OK;
}

static lamina_status link_ports(const maker *k)
{
    lmn_ensemble *e = k->e;
    char a[80];
    for (uint32_t i = 0; i < k->s->n_out; i++) {
        const lmn_serve_port *p = &k->s->out[i];
        const int64_t tensor = tensor_named(e, p->name);
        if (tensor < 0 || e->tensors[tensor].from < 0)
            return lmn_fail(k->err, LAMINA_E_INVALID, "no step writes the output \"%s\"",
                            shown(a, p->name));
        const char *why = unlike(&e->tensors[tensor].shape, p);
        if (why)
            return lmn_fail(k->err, LAMINA_E_INVALID,
                            "the output \"%s\" %s in the step that "
                            "writes it",
                            shown(a, p->name), why);
        e->tensors[tensor].out = (int32_t)i;
        e->out_tensor[i] = (uint32_t)tensor;
    }
    for (uint32_t i = 0; i < k->s->n_in; i++)
        if (!e->tensors[i].readers)
            return lmn_fail(k->err, LAMINA_E_INVALID, "no step reads the input \"%s\"",
                            shown(a, k->s->in[i].name));
    return LAMINA_OK;
}

/* ---- the graph ------------------------------------------------------------------------------- */

/* All that each step waits for, through others; a cycle is told. Then what each output needs. */
static lamina_status close_over(const maker *k)
{
    const lmn_ensemble *e = k->e;
    const uint64_t all = k->c->n_steps == 64 ? UINT64_MAX : ((uint64_t)1 << k->c->n_steps) - 1;
    uint64_t before[LMN_CONFIG_MAX_STEPS] = {0}, known = 0;
    for (bool more = true; more && known != all;) {
        more = false;
        for (uint32_t i = 0; i < k->c->n_steps; i++) {
            if (known >> i & 1 || e->steps[i].after & ~known) continue;
            before[i] = (uint64_t)1 << i;
            for (uint64_t w = e->steps[i].after; w; w &= w - 1)
                before[i] |= before[__builtin_ctzll(w)];
            known |= (uint64_t)1 << i;
            more = true;
        }
    }
    if (known != all)
        return bad_step(k, (uint32_t)__builtin_ctzll(~known), "it waits for itself: a cycle");
    for (uint32_t i = 0; i < k->s->n_out; i++)
        k->e->needs[i] = before[e->tensors[e->out_tensor[i]].from];
    return LAMINA_OK;
}

/* Turned in the order in which requests come by, so that one round is enough for most. */
static void order_members(lmn_ensemble *e, uint32_t n_steps)
{
    uint32_t rank[LMN_CONFIG_MAX_STEPS] = {0}, to[LMN_CONFIG_MAX_STEPS];
    lmn_ensemble_member_of sorted[LMN_CONFIG_MAX_STEPS];
    for (uint32_t round = 0; round < n_steps; round++)
        for (uint32_t i = 0; i < n_steps; i++)
            for (uint64_t w = e->steps[i].after; w; w &= w - 1) {
                const uint32_t other = rank[e->steps[__builtin_ctzll(w)].member];
                uint32_t *own = &rank[e->steps[i].member];
                if (*own <= other && other < n_steps) *own = other + 1;
            }
    uint32_t n = 0;
    for (uint32_t r = 0; r <= n_steps; r++)
        for (uint32_t i = 0; i < e->n_members; i++)
            if (rank[i] == r) {
                to[i] = n;
                sorted[n++] = e->members[i];
            }
    memcpy(e->members, sorted, n * sizeof *sorted);
    for (uint32_t i = 0; i < n_steps; i++) e->steps[i].member = to[e->steps[i].member];
}

/* As much as the queues of its models hold. */
static void bound(lmn_ensemble *e)
{
    e->max_rows = LMN_BATCH_MAX_ROWS;
    for (uint32_t i = 0; i < e->n_members; i++) {
        const lmn_model *m = e->members[i].model;
        const int64_t rows = m->ensemble ? m->ensemble->max_rows : m->batcher.config.max_queue_rows;
        const int64_t whole = m->ensemble ? m->ensemble->whole : m->config.batch.max_batch_size;
        e->max_rows = lmn_min_i64(e->max_rows, lmn_max_i64(1, rows / e->members[i].n_steps));
        e->whole = lmn_max_i64(e->whole, whole);
        e->timed |= m->ensemble ? m->ensemble->timed : m->inlined && m->config.batch.delay_ns;
    }
}

static lamina_status make(const maker *k)
{
    lmn_ensemble *e = k->e;
    uint32_t n = k->c->n_in;
    for (uint32_t i = 0; i < k->c->n_steps; i++) n += k->c->steps[i].n_out;
    e->n_steps = k->c->n_steps;
    e->steps = LMN_ARENA_ARRAY(&k->m->arena, lmn_ensemble_step, e->n_steps);
    e->members = LMN_ARENA_ARRAY(&k->m->arena, lmn_ensemble_member_of, e->n_steps);
    e->tensors = LMN_ARENA_ARRAY(&k->m->arena, lmn_ensemble_tensor, n);
    if (!e->steps || !e->members || !e->tensors) return no_memory(k);
    LMN_TRY(find_members(k));
    LMN_TRY(link_outputs(k));
    LMN_TRY(link_inputs(k));
    LMN_TRY(link_ports(k));
    LMN_TRY(close_over(k));
    order_members(e, e->n_steps);
    bound(e);
    if (lmn_ensemble_start(k->m) != LAMINA_OK)
        return lmn_fail(k->err, LAMINA_E_AGAIN, "the system gives no thread for an ensemble");
    return LAMINA_OK;
}

lamina_status lmn_ensemble_open(lamina_engine *engine, const char *name, const char *version,
                                const lmn_serve_config *config, const lmn_ensemble_source *source,
                                lmn_model **out, lamina_error *err)
{
    const uint64_t began = lmn_now_ns();
    lmn_model *m = lmn_alloc(&engine->alloc, sizeof *m, _Alignof(lmn_model), TAG);
    if (!m) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for an ensemble");
    memset(m, 0, sizeof *m);
    lmn_atomic_init(&m->refs, 1);
    m->engine = engine;
    m->config = config->model;
    m->fixed = true; /* its requests share no batch: they need no key */
    lmn_mutex_init(&m->lock);
    lmn_arena_init(&m->arena, &engine->alloc, ARENA_BYTES);
    m->ensemble = LMN_ARENA_NEW(&m->arena, lmn_ensemble);
    const maker k = {m, m->ensemble, config, &m->signature, err};
    lamina_status st = LAMINA_E_NOMEM;
    if (m->ensemble) {
        m->ensemble->source = *source;
        st = sign(&k, name, version);
    }
    if (st == LAMINA_OK) st = lmn_model_make_cache(m, err);
    if (st == LAMINA_OK) st = make(&k);
    if (st != LAMINA_OK) {
        lmn_model_unref(m);
        return st;
    }
    m->load_ns = lmn_now_ns() - began;
    *out = m;
    return LAMINA_OK;
}
