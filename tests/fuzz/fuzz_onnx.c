/*
 * Fuzz target: a model from its bytes to its outputs. It is loaded under small limits in both
 * modes; what is accepted must pass the verifier, and is run on small inputs, optimised and not.
 * One engine serves all inputs: its allocator refuses to hold more than a bound (as a container
 * would) and must hold exactly as much afterwards as before.
 */
#include "base/engine.h"
#include "graph/model.h"
#include "lamina/lamina.h"

#include "pb_mutate.h"

#include <stdlib.h>
#include <time.h>

#define LIVE_MAX (48u << 20)
#define RUN_NS 300000000u
#define MAX_PORTS 16

static size_t live;

static void *limited_alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    void *p = NULL;
    (void)ctx, (void)tag;
    if (bytes > LIVE_MAX - live || posix_memalign(&p, align < 16 ? 16 : align, bytes)) return NULL;
    live += bytes;
    return p;
}

static void limited_free(void *ctx, void *p, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)align, (void)tag;
    live -= bytes;
    free(p);
}

static uint64_t deadline(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + RUN_NS;
}

/* Small numbers, so that they also serve as indices and axes. Free dims are 2. NULL: no such. */
static lamina_tensor *make_tensor(lamina_engine *e, const lamina_port *p, int64_t most)
{
    int64_t dims[LAMINA_MAX_RANK], count = 1;
    const int32_t rank = p->rank < 0 ? 1 : p->rank;
    for (int32_t i = 0; i < rank; i++) {
        dims[i] = p->rank < 0 || p->dims[i] < 0 ? 2 : p->dims[i];
        if (dims[i] > most || (count *= dims[i]) > most) return NULL;
    }
    lamina_tensor *t = NULL;
    if (lamina_tensor_create(e, p->dtype ? p->dtype : LAMINA_F32, rank, dims, &t) != LAMINA_OK)
        return NULL;
    uint8_t *d = lamina_tensor_mutable_data(t);
    const size_t width = lamina_dtype_bits(p->dtype) / 8;
    if (p->dtype == LAMINA_STRING || width == 0) return t;
    for (size_t i = 0; i < (size_t)count; i++)
        d[i * width] = (uint8_t)(i % 3 & (width == 1 ? 1 : 3));
    return t;
}

static lamina_tensor *make_map(lamina_engine *e, const lamina_port *p)
{
    lamina_tensor *keys = NULL, *values = NULL, *map = NULL;
    const int64_t one = 1;
    if (lamina_tensor_create(e, p->key, 1, &one, &keys) == LAMINA_OK &&
        lamina_tensor_create(e, p->dtype ? p->dtype : LAMINA_F32, 1, &one, &values) == LAMINA_OK &&
        lamina_map_create(e, keys, values, &map) != LAMINA_OK)
        map = NULL;
    lamina_tensor_unref(keys);
    lamina_tensor_unref(values);
    return map;
}

static lamina_tensor *make_input(lamina_engine *e, const lamina_port *p)
{
    if (p->kind == LAMINA_KIND_NONE) return NULL;
    lamina_tensor *t = p->key ? make_map(e, p) : make_tensor(e, p, 4096), *seq = NULL;
    if (p->kind != LAMINA_KIND_SEQUENCE || !t) return t;
    if (lamina_sequence_create(e, lamina_tensor_dtype(t), 1, &t, &seq) != LAMINA_OK) seq = NULL;
    lamina_tensor_unref(t);
    return seq;
}

static void run(lamina_engine *e, lamina_model *m, bool plain)
{
    lamina_session *s = NULL;
    lamina_error err;
    lamina_tensor *in[MAX_PORTS] = {0}, *out[MAX_PORTS] = {0};
    const size_t n_in = lamina_model_input_count(m), n_out = lamina_model_output_count(m);
    const lamina_session_opts so = {
        .size = sizeof so, .max_const_bytes = 1u << 16, .no_optimize = plain, .reference = plain};
    if (n_in > MAX_PORTS || n_out > MAX_PORTS) return;
    if (lamina_session_create(m, &so, &s, &err) != LAMINA_OK) {
        if (!err.msg[0]) abort();
        return;
    }
    for (size_t i = 0; i < n_in; i++) {
        lamina_port p = {.size = sizeof p};
        if (lamina_model_input(m, i, &p) == LAMINA_OK) in[i] = make_input(e, &p);
    }
    const lamina_run_opts ro = {.size = sizeof ro, .deadline_ns = deadline(), .error = &err};
    lamina_status st =
        lamina_session_run(s, (const lamina_tensor *const *)in, n_in, out, n_out, &ro);
    if (st != LAMINA_OK && !err.msg[0]) abort();
    for (size_t i = 0; i < n_out; i++) lamina_tensor_unref(out[i]);
    for (size_t i = 0; i < n_in; i++) lamina_tensor_unref(in[i]);
    lamina_session_destroy(s);
}

static void try_load(lamina_engine *e, const uint8_t *data, size_t size, bool collect)
{
    lamina_model *m = NULL;
    lamina_error err;
    const lamina_load_opts limits = {.size = sizeof limits,
                                     .max_depth = 8,
                                     .max_nodes = 500,
                                     .max_values = 5000,
                                     .max_string = 4096,
                                     .max_elems = 1u << 16,
                                     .max_const_bytes = 1u << 20,
                                     .collect = collect,
                                     .lint = collect};
    if (lamina_model_load_memory(e, data, size, &limits, &m, &err) != LAMINA_OK) {
        if (!err.msg[0]) abort();
        return;
    }
    if (m->diags.n_errors == 0) {
        if (lmn_graph_verify(m->graph, NULL) != LAMINA_OK) abort();
        run(e, m, collect);
    }
    lamina_model_unref(m);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return pbm_mutate(data, size, max_size, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lamina_engine *e;
    static const lamina_allocator alloc = {LAMINA_ALLOCATOR_ABI, NULL, limited_alloc, limited_free};
    const lamina_engine_opts opts = {.size = sizeof opts, .allocator = &alloc, .n_threads = 1};
    if (!e && lamina_engine_create(&opts, &e) != LAMINA_OK) abort();
    const size_t before = live;
    try_load(e, data, size, false);
    try_load(e, data, size, true);
    (void)lmn_recycle_trim(&e->recycle, &e->alloc, 0);
    if (live != before) abort();
    return 0;
}
