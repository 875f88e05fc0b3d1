/*
 * Fuzz target: operators. The bytes drive the generator of the property tests: which operator,
 * types, shapes, attributes (absurd ones too), and the nodes behind it. Each model is loaded and
 * run by reference, optimised, and by two threads on strided inputs; whatever comes, a refusal has
 * a sentence, the graph verifies and all memory comes back. Values are the property tests' matter.
 */
#include "base/engine.h"
#include "graph/model.h"
#include "lamina/lamina.h"
#include "props/props.h"

#include <stdlib.h>
#include <time.h>

#define LIVE_MAX (48u << 20)
#define RUN_NS 300000000u
#define MAX_PORTS (PR_MAX_OUT + 1)

static _Atomic size_t live;

static void *limited_alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    void *p = NULL;
    (void)ctx, (void)tag;
    if (bytes > LIVE_MAX || live > LIVE_MAX - bytes) return NULL;
    if (posix_memalign(&p, align < 16 ? 16 : align, bytes ? bytes : 1)) return NULL;
    live += bytes;
    return p;
}

static void limited_free(void *ctx, void *p, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)align, (void)tag;
    if (p) live -= bytes;
    free(p);
}

static uint64_t deadline(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + RUN_NS;
}

static void run(lamina_engine *e, lamina_model *m, pr_draw *d, bool reference, bool strided)
{
    lamina_session *s = NULL;
    lamina_error err = {0};
    lamina_tensor *in[PR_MAX_IN] = {0}, *out[MAX_PORTS] = {0};
    size_t n_in = 0;
    const size_t n_out = lamina_model_output_count(m);
    const lamina_session_opts so = {.size = sizeof so,
                                    .max_const_bytes = 1u << 16,
                                    .n_threads = strided ? 2 : 1,
                                    .no_optimize = reference,
                                    .reference = reference};
    if (lamina_session_create(m, &so, &s, &err) != LAMINA_OK) {
        if (!err.msg[0]) abort();
        return;
    }
    bool made = n_out <= MAX_PORTS;
    for (int32_t i = 0; i < d->n_in; i++) {
        if (d->in[i].absent || d->in[i].constant) continue;
        in[n_in] = pr_input_for(e, d, &d->in[i], strided);
        made = in[n_in++] && made;
    }
    const lamina_run_opts ro = {.size = sizeof ro, .deadline_ns = deadline(), .error = &err};
    if (made && lamina_session_run(s, (const lamina_tensor *const *)in, n_in, out, n_out, &ro) &&
        !err.msg[0])
        abort();
    for (size_t i = 0; i < MAX_PORTS; i++) lamina_tensor_unref(out[i]);
    for (size_t i = 0; i < n_in; i++) lamina_tensor_unref(in[i]);
    lamina_session_destroy(s);
}

static void try_draw(lamina_engine *e, pr_draw *d)
{
    lamina_model *m = NULL;
    lamina_error err = {0};
    pr_bytes bytes = {0};
    const lamina_load_opts limits = {
        .size = sizeof limits, .max_elems = 1u << 18, .max_const_bytes = 4u << 20};
    pr_model(d, &bytes);
    if (lamina_model_load_memory(e, bytes.p, bytes.n, &limits, &m, &err) == LAMINA_OK) {
        if (lmn_graph_verify(m->graph, NULL) != LAMINA_OK) abort();
        run(e, m, d, true, false);
        run(e, m, d, false, false);
        run(e, m, d, false, true);
    } else if (!err.msg[0]) {
        abort();
    }
    lamina_model_unref(m);
    pr_free(&bytes);
}

/* Operator `k` of those with or without subgraphs, around again past the last. */
static const lmn_op_def *drawable(size_t k, bool body)
{
    const lmn_op_def *const *all = lmn_op_all(NULL);
    size_t n = 0;
    for (size_t i = 0; all[i]; i++) n += pr_has_body(all[i]) == body;
    k %= n;
    for (;; all++)
        if (pr_has_body(*all) == body && k-- == 0) return *all;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lamina_engine *e;
    static const lamina_allocator alloc = {LAMINA_ALLOCATOR_ABI, NULL, limited_alloc, limited_free};
    const lamina_engine_opts opts = {.size = sizeof opts, .allocator = &alloc, .n_threads = 2};
    if (!e && lamina_engine_create(&opts, &e) != LAMINA_OK) abort();
    if (size < 2) return 0;
    pr_draw d;
    const lmn_op_def *op = drawable(data[0] | (size_t)data[1] << 8, data[1] >= 0xf0);
    const size_t before = live;
    if (pr_draw_from_bytes(&d, e, op, data + 2, size - 2)) try_draw(e, &d);
    pr_draw_free(&d);
    (void)lmn_recycle_trim(&e->recycle, &e->alloc, 0);
    if (live != before) abort();
    return 0;
}
