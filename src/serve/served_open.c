/*
 * Opening a served model: the file is loaded, its ports become a signature, the configuration is
 * held against them, and what it left open is found out by running the model. Everything that says
 * why it cannot be served is a sentence without the path it came from.
 */
#include "serve/ensemble_int.h"

#include <string.h>

#define TAG "serve"
#define ARENA_BYTES ((size_t)16 << 20)
#define AUTO_ROWS 64
#define INLINE_NS ((uint64_t)500000) /* the longest run that a loop does itself */
#define PRESS_NS ((uint64_t)8000000) /* the shortest run in which a loop surely fills a batch */
#define INLINE_INSTANCES 16u         /* loops that may run one model at a time */
#define INLINE_ROWS 8192             /* of a request in a loop: it does nothing else meanwhile */
#define MAX_RUN_NS ((uint64_t)300000000000)

/* ---- signature ------------------------------------------------------------------------------- */

static lamina_status take_port(lmn_model *m, const lamina_port *p, bool input, lmn_serve_port *out,
                               lamina_error *err)
{
    const char *what = input ? "input" : "output";
    if (p->kind != LAMINA_KIND_TENSOR)
        return lmn_fail(err, LAMINA_E_UNSUPPORTED,
                        "%s \"%.120s\" is a sequence or a map, which no request can carry; export "
                        "the model with tensors (for scikit-learn: zipmap=False)",
                        what, p->name);
    if (p->dtype == LAMINA_DTYPE_NONE)
        return lmn_fail(err, LAMINA_E_UNSUPPORTED, "%s \"%.120s\" has no element type", what,
                        p->name);
    *out = (lmn_serve_port){.name = lmn_arena_str(&m->arena, p->name),
                            .dtype = p->dtype,
                            .rank = p->rank,
                            .optional = input && p->optional};
    if (p->rank > 0) memcpy(out->dims, p->dims, (size_t)p->rank * sizeof p->dims[0]);
    return LAMINA_OK;
}

static lamina_status sign(lmn_model *m, const char *name, const char *version, lamina_error *err)
{
    size_t n_in = lamina_model_input_count(m->file);
    const size_t n_out = lamina_model_output_count(m->file);
    lamina_port p = {.size = sizeof p};
    while (n_in && lamina_model_input(m->file, n_in - 1, &p) == LAMINA_OK && p.has_default) n_in--;
    if (n_in > LMN_INFER_MAX_PORTS || n_out > LMN_INFER_MAX_PORTS)
        return lmn_fail(err, LAMINA_E_LIMIT, "the model has more than %u inputs or outputs",
                        LMN_INFER_MAX_PORTS);
    lmn_serve_port *in = LMN_ARENA_ARRAY(&m->arena, lmn_serve_port, n_in);
    lmn_serve_port *out = LMN_ARENA_ARRAY(&m->arena, lmn_serve_port, n_out);
    m->signature = (lmn_signature){.model = lmn_arena_str(&m->arena, name),
                                   .version = lmn_arena_str(&m->arena, version),
                                   .platform = "onnx_lamina",
                                   .in = in,
                                   .out = out,
                                   .n_in = (uint32_t)n_in,
                                   .n_out = (uint32_t)n_out};
    lamina_status st = in && out ? LAMINA_OK : LAMINA_E_NOMEM;
    for (size_t i = 0; i < n_in && st == LAMINA_OK; i++) {
        st = lamina_model_input(m->file, i, &p);
        if (st == LAMINA_OK) LMN_TRY(take_port(m, &p, true, &in[i], err));
    }
    for (size_t i = 0; i < n_out && st == LAMINA_OK; i++) {
        st = lamina_model_output(m->file, i, &p);
        if (st == LAMINA_OK) LMN_TRY(take_port(m, &p, false, &out[i], err));
    }
    if (st != LAMINA_OK || m->arena.failed)
        return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for the signature of a model");
    m->fixed = true;
    for (size_t i = 0; i < n_in; i++) {
        m->fixed = m->fixed && !in[i].optional && in[i].rank >= 0;
        for (int32_t k = 1; k < in[i].rank; k++) m->fixed = m->fixed && in[i].dims[k] >= 0;
    }
    return LAMINA_OK;
}

/* ---- batch dimension ------------------------------------------------------------------------- */

/* Why can the first dimension of this port not be that of a batch? NULL: it can. */
static const char *no_batch(const lmn_serve_port *p)
{
    if (p->rank == 0) return "is a scalar";
    if (p->rank > 0 && p->dims[0] >= 0) return "begins with a fixed dimension";
    if (p->dtype != LAMINA_STRING && lamina_dtype_bits(p->dtype) < 8)
        return "has elements smaller than a byte";
    return NULL;
}

/* Do the first dimensions of all inputs that name them have one name? */
static bool one_symbol(const lmn_model *m)
{
    char first[128] = "";
    for (uint32_t i = 0; i < m->signature.n_in; i++) {
        lamina_port p = {.size = sizeof p};
        if (lamina_model_input(m->file, i, &p) != LAMINA_OK || p.rank < 1) return false;
        if (!p.dim_names[0][0]) continue;
        if (!first[0])
            (void)lmn_format(first, sizeof first, "%.120s", p.dim_names[0]);
        else if (strncmp(first, p.dim_names[0], 120) != 0)
            return false;
    }
    return true;
}

/* Hold max_batch_size against the ports; -1 becomes a first guess or 0. */
static lamina_status settle_batch(lmn_model *m, lamina_error *err)
{
    lmn_batch_config *b = &m->config.batch;
    const lmn_signature *s = &m->signature;
    m->find_out = b->max_batch_size == -1;
    const char *why = NULL;
    const lmn_serve_port *p = NULL;
    for (uint32_t i = 0; i < s->n_in + s->n_out && !why; i++) {
        p = i < s->n_in ? &s->in[i] : &s->out[i - s->n_in];
        why = no_batch(p);
    }
    if (m->find_out) {
        b->max_batch_size = why || !s->n_in || !one_symbol(m) ? 0 : AUTO_ROWS;
        b->dynamic = b->max_batch_size > 0;
        m->find_out = b->dynamic;
        /* Only who was told a limit may be held to it: what is found out depends on the machine. */
        b->max_request_rows = b->dynamic ? LMN_BATCH_MAX_ROWS : 0;
    } else if (b->max_batch_size > 0 && why) {
        return lmn_fail(err, LAMINA_E_SHAPE,
                        "max_batch_size is %lld, and \"%.120s\" %s; set it to 0, or export the "
                        "model with a free first dimension",
                        (long long)b->max_batch_size, p->name, why);
    }
    if (b->max_batch_size == 0) b->dynamic = false;
    return LAMINA_OK;
}

/* ---- putting it together --------------------------------------------------------------------- */

/* How many different numbers of rows lmn_model_pad gives. */
static uint32_t n_sizes(const lmn_model *m)
{
    const int64_t max = m->config.batch.max_batch_size;
    uint32_t n = 0;
    for (int64_t r = 1; r <= max && n < 240; r = lmn_model_pad(m, r) + 1) n++;
    for (int64_t r = max; m->find_out && r > 0 && r < LMN_MODEL_FOUND_ROWS; r *= 2) n += 8;
    return n + 4;
}

lamina_status lmn_model_session(lmn_model *m, uint32_t n_threads, lamina_error *err)
{
    const uint32_t n = n_sizes(m) * (m->fixed ? 1 : 2);
    const lamina_session_opts o = {.size = sizeof o,
                                   .n_threads = n_threads,
                                   .max_plans = n < 16 ? 16 : n,
                                   .precision = m->config.precision};
    lamina_session *s;
    LMN_TRY(lamina_session_create(m->file, &o, &s, err));
    lamina_session_destroy(m->session);
    m->session = s;
    return LAMINA_OK;
}

static lamina_status make_runners(lmn_model *m, uint32_t n)
{
    m->runner = lmn_calloc(&m->engine->alloc, n, sizeof *m->runner, TAG);
    LMN_CHECK(m->runner, LAMINA_E_NOMEM);
    for (uint32_t i = 0; i < n; i++) m->runner[i].model = m;
    return LAMINA_OK;
}

static void free_runners(lmn_model *m, uint32_t n)
{
    for (uint32_t i = 0; m->runner && i < n; i++) lmn_runner_finish(&m->runner[i]);
    lmn_cfree(&m->engine->alloc, m->runner, n, sizeof *m->runner, TAG);
    m->runner = NULL;
}

void lmn_model_free(lmn_model *m)
{
    lamina_engine *e = m->engine;
    const uint32_t n = m->batcher.config.n_instances;
    if (m->ensemble) lmn_ensemble_free(m);
    free_runners(m, n);
    lmn_batcher_finish(&m->batcher);
    if (m->cached) lmn_respcache_finish(&m->cache);
    lmn_cfree(&e->alloc, m->thread, n + 1, sizeof *m->thread, TAG);
    lamina_session_destroy(m->session);
    lamina_model_unref(m->file);
    lmn_arena_finish(&m->arena);
    lmn_mutex_finish(&m->lock);
    lmn_free(&e->alloc, m, sizeof *m, _Alignof(lmn_model), TAG);
}

static lamina_status start_threads(lmn_model *m, lamina_error *err)
{
    const uint32_t n = m->batcher.config.n_instances;
    m->keeper_until = UINT64_MAX;
    m->thread = lmn_calloc(&m->engine->alloc, n + 1, sizeof *m->thread, TAG);
    if (!m->thread) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for threads");
    for (; m->n_started <= n; m->n_started++) {
        const lamina_status st = lmn_thread_start(
            &m->thread[m->n_started], m->n_started < n ? lmn_model_instance : lmn_model_keeper, m);
        if (st != LAMINA_OK)
            return lmn_fail(err, st, "the system gives no thread for an instance of the model");
    }
    return LAMINA_OK;
}

static uint64_t longest(const lmn_warm *warm)
{
    uint64_t most = 0;
    for (int i = 0; i <= 32; i++)
        if (warm->cost_ns[i] > most) most = warm->cost_ns[i];
    return most;
}

/* Where it runs, after what it cost. */
static void choose_place(lmn_model *m, const lmn_warm *warm)
{
    lmn_batch_config *b = &m->config.batch;
    const bool choose = m->config.where == LMN_RUN_CHOOSE;
    const uint64_t most = longest(warm);
    /* A request of any shape may cost any time: never in a loop, unless somebody says so. */
    m->inlined = m->config.where == LMN_RUN_INLINE;
    if (choose) m->inlined = m->fixed && warm->ran && most && most <= INLINE_NS;
    for (uint32_t i = 0; i < m->signature.n_in && b->max_batch_size <= 0; i++)
        if (m->signature.in[i].rank > 0 && m->signature.in[i].dims[0] < 0)
            m->inlined = m->config.where == LMN_RUN_INLINE;
    if (choose && m->inlined && b->max_request_rows > INLINE_ROWS)
        b->max_request_rows = lmn_max_i64(INLINE_ROWS, b->max_batch_size);
    m->config.where = m->inlined ? LMN_RUN_INLINE : LMN_RUN_THREADS;
}

lamina_status lmn_model_make_cache(lmn_model *m, lamina_error *err)
{
    if (!m->config.cache_bytes) return LAMINA_OK;
    if (lmn_respcache_init(&m->cache, m->engine, m->config.cache_bytes) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for a response cache");
    m->cached = true;
    return LAMINA_OK;
}

/* Of a batch that was found out; `took`: by the largest. A larger one is looked for when so many
 * rows wait: to try more here would only make the start longer. */
static void settle_queue(lmn_batch_config *b, uint64_t took)
{
    if (!b->dynamic) return;
    if (b->max_batch_size == AUTO_ROWS) b->grow_rows = LMN_MODEL_FOUND_ROWS;
    b->press = !b->max_queue_rows && took >= PRESS_NS;
}

static lamina_status prepare(lmn_model *m, lamina_error *err)
{
    lmn_warm warm = {.ran = false};
    LMN_TRY(settle_batch(m, err));
    if (m->config.coupled) m->config.batch.dynamic = false;
    m->signature.max_batch_size = m->config.batch.max_batch_size;
    if (m->config.cache_bytes && m->config.batch.preserve_ordering)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "response_cache and preserve_ordering contradict each other; drop one");
    lmn_batcher probe; /* says what is wrong with the configuration before anything runs */
    LMN_TRY(lmn_batcher_init(&probe, &m->engine->alloc, &m->config.batch, err));
    lmn_batcher_finish(&probe);
    LMN_TRY(lmn_model_session(m, m->config.n_threads, err));
    if (make_runners(m, 1) != LAMINA_OK) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    lamina_status st = lmn_model_warm(m, &warm, err);
    if (st == LAMINA_OK) {
        choose_place(m, &warm);
        /* A loop has one core; pool threads would only be in the way of the other loops. */
        if (m->inlined && !m->config.n_threads) st = lmn_model_session(m, 1, err);
        if (st == LAMINA_OK && m->inlined && !m->config.n_threads)
            st = lmn_model_warm(m, &warm, err);
    }
    free_runners(m, 1);
    LMN_TRY(st);
    if (m->inlined && !m->config.batch.n_instances) m->config.batch.n_instances = INLINE_INSTANCES;
    if (m->config.batch.n_preferred) { /* of a size that was found out */
        while (m->config.batch.n_preferred &&
               m->config.batch.preferred[m->config.batch.n_preferred - 1] >
                   m->config.batch.max_batch_size)
            m->config.batch.n_preferred--;
    }
    if (m->find_out && !m->inlined) settle_queue(&m->config.batch, longest(&warm));
    m->config.batch.rejoin = !m->inlined && m->config.batch.dynamic && !m->config.batch.delay_ns;
    LMN_TRY(lmn_batcher_init(&m->batcher, &m->engine->alloc, &m->config.batch, err));
    m->config.batch = m->batcher.config;
    if (m->inlined && m->config.batch.n_instances == INLINE_INSTANCES)
        m->config.batch.n_instances = 1; /* what is said of it: nobody configured more */
    m->signature.max_batch_size = m->config.batch.max_batch_size;
    for (int i = 0; i <= 32; i++)
        if (warm.cost_ns[i]) lmn_batcher_seed(&m->batcher, (int64_t)1 << i, warm.cost_ns[i]);
    if (make_runners(m, m->batcher.config.n_instances) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for the instances of a model");
    LMN_TRY(lmn_model_make_cache(m, err));
    return m->inlined ? LAMINA_OK : start_threads(m, err);
}

/* Errors go to clients: the folders of the server are none of their business. */
static void forget_path(lamina_error *err, const char *path)
{
    const char *slash = strrchr(path, '/');
    const size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    for (char *at = err->msg; n && *at; at++)
        while (!strncmp(at, path, n)) memmove(at, at + n, strlen(at + n) + 1);
}

lamina_status lmn_model_open(lamina_engine *engine, const char *path, const char *name,
                             const char *version, const lmn_model_config *config, lmn_model **out,
                             lamina_error *err)
{
    const uint64_t began = lmn_now_ns();
    lamina_error own;
    if (!err) err = &own;
    lmn_model *m = lmn_alloc(&engine->alloc, sizeof *m, _Alignof(lmn_model), TAG);
    if (!m) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for a model");
    memset(m, 0, sizeof *m);
    lmn_atomic_init(&m->refs, 1);
    m->engine = engine;
    m->config = *config;
    if (!m->config.max_run_ns) m->config.max_run_ns = MAX_RUN_NS;
    lmn_mutex_init(&m->lock);
    lmn_arena_init(&m->arena, &engine->alloc, ARENA_BYTES);
    if (m->config.coupled) m->config.coupled = lmn_arena_str(&m->arena, config->coupled);
    lamina_status st = lamina_model_load(engine, path, NULL, &m->file, err);
    if (st == LAMINA_OK) st = sign(m, name, version, err);
    if (st == LAMINA_OK) st = prepare(m, err);
    if (st != LAMINA_OK) {
        forget_path(err, path);
        lmn_model_unref(m);
        return st;
    }
    m->load_ns = lmn_now_ns() - began;
    lmn_atomic_store(&m->beat_ns, lmn_now_ns(), relaxed);
    *out = m;
    return LAMINA_OK;
}
