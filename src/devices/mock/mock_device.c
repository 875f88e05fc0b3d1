/*
 * The mock device (mock.h). Counters are atomic, since executions come from many threads.
 */
#include "devices/mock/mock.h"

#include <string.h>

#include "base/atomic.h"
#include "base/engine.h"
#include "ops/node.h"

enum { MOCK_OPS_CAP = 256 };

typedef struct mock {
    lamina_engine *engine;
    char ops[MOCK_OPS_CAP]; /* "A,B", "" = all */
    int64_t fail_at;        /* 0 = never */
    lmn_atomic(int64_t) supports, compiled, freed, executed;
} mock;

struct lamina_kernel {
    mock *dev;
};

static lamina_status mock_probe(char *reason, size_t cap)
{
    if (cap) reason[0] = 0;
    return LAMINA_OK;
}

/* A positive decimal number of n digits that fits; 0 = it is none. */
static int64_t number(const char *p, size_t n)
{
    int64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || i > 15) return 0;
        v = v * 10 + (p[i] - '0');
    }
    return v;
}

static lamina_status read_options(mock *m, const char *p)
{
    while (p && *p) {
        const size_t n = strcspn(p, " ");
        if (n > 4 && n - 4 < sizeof m->ops && !strncmp(p, "ops=", 4)) {
            memcpy(m->ops, p + 4, n - 4);
            m->ops[n - 4] = 0;
        } else if (n > 5 && !strncmp(p, "fail=", 5) && number(p + 5, n - 5) > 0) {
            m->fail_at = number(p + 5, n - 5);
        } else if (n > 0) {
            return LAMINA_E_INVALID;
        }
        p += n + (p[n] == ' ');
    }
    return LAMINA_OK;
}

static lamina_status mock_open(lamina_engine *engine, const char *options, void **self)
{
    mock *m = lmn_calloc(&engine->alloc, 1, sizeof *m, "mock");
    if (!m) return LAMINA_E_NOMEM;
    m->engine = engine;
    const lamina_status st = read_options(m, options);
    if (st != LAMINA_OK) {
        lmn_cfree(&engine->alloc, m, 1, sizeof *m, "mock");
        return st;
    }
    *self = m;
    return LAMINA_OK;
}

static void mock_close(void *self)
{
    mock *m = self;
    lmn_cfree(&m->engine->alloc, m, 1, sizeof *m, "mock");
}

static bool listed(const char *ops, const char *op)
{
    const size_t len = strlen(op);
    while (*ops) {
        const size_t n = strcspn(ops, ",");
        if (n == len && !memcmp(ops, op, n)) return true;
        ops += n + (ops[n] == ',');
    }
    return false;
}

static bool serves(const mock *m, const lamina_node *node)
{
    const lmn_op_def *def = node->op->def;
    return def->eval && (!m->ops[0] || (!def->domain[0] && listed(m->ops, def->name)));
}

static bool mock_supports(void *self, const lamina_node *node, char *text, size_t cap)
{
    mock *m = self;
    const bool yes = serves(m, node);
    lmn_atomic_add(&m->supports, 1, seq_cst);
    (void)lmn_format(text, cap, "%s",
                     yes ? "mock" : "the mock was not told to serve this operator");
    return yes;
}

static lamina_status mock_compile(void *self, const lamina_node *node, lamina_kernel **out,
                                  lamina_error *err)
{
    mock *m = self;
    if (!serves(m, node))
        return lmn_fail(err, LAMINA_E_UNSUPPORTED, "the mock does not serve this operator");
    lamina_kernel *k = lmn_calloc(&m->engine->alloc, 1, sizeof *k, "mock");
    if (!k) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory compiling a node");
    k->dev = m;
    lmn_atomic_add(&m->compiled, 1, seq_cst);
    *out = k;
    return LAMINA_OK;
}

static void mock_kernel_free(void *self, lamina_kernel *k)
{
    mock *m = self;
    lmn_atomic_add(&m->freed, 1, seq_cst);
    lmn_cfree(&m->engine->alloc, k, 1, sizeof *k, "mock");
}

static lamina_status mock_execute(void *self, lamina_kernel *k, lamina_call *call)
{
    (void)self;
    const int64_t nth = lmn_atomic_add(&k->dev->executed, 1, seq_cst) + 1;
    if (nth == k->dev->fail_at)
        return lmn_eval_fail(lmn_call_eval(call), LAMINA_E_DEVICE,
                             "the mock fails its execution %lld", (long long)nth);
    return lamina_call_reference(call);
}

void lmn_mock_count(void *self, lmn_mock_counts *out)
{
    mock *m = self;
    *out = (lmn_mock_counts){
        lmn_atomic_load(&m->supports, seq_cst), lmn_atomic_load(&m->compiled, seq_cst),
        lmn_atomic_load(&m->freed, seq_cst), lmn_atomic_load(&m->executed, seq_cst)};
}

const lamina_device_vtable lmn_device_mock = {
    .abi = LAMINA_DEVICE_ABI,
    .name = "mock",
    .probe = mock_probe,
    .open = mock_open,
    .close = mock_close,
    .supports = mock_supports,
    .compile = mock_compile,
    .kernel_free = mock_kernel_free,
    .execute = mock_execute,
};
