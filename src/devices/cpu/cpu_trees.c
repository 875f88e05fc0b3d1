/*
 * Decision forests on the CPU: the grove (ops/grove.h) is made once, when the node is compiled, and
 * serves f32 features. What has no grove, bad files included, is left to the reference.
 */
#include "devices/cpu/cpu_tools.h"
#include "ops/grove.h"

typedef struct state {
    lmn_grove grove;
    void *block; /* its arrays; NULL: there is no grove */
    size_t bytes;
} state;

static bool supports(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    (void)dev;
    const lmn_fact *x = node->op->n_in > 0 ? node->in[0] : NULL;
    const bool f32 = x && x->kind == LMN_FACT_TENSOR && x->dtype == LAMINA_F32;
    (void)lmn_format(text, cap, "%s", f32 ? "grove" : "the features are not float32");
    return f32;
}

static lamina_status make(const lmn_cpu_dev *dev, const lamina_node *node, state *s,
                          lamina_status (*forest)(lmn_eval *ec, lmn_forest *f), lamina_error *err)
{
    lmn_eval ec = {.node = node->op, .engine = dev->engine};
    lmn_forest f;
    lmn_grove g;
    lamina_status st = LAMINA_OK;
    if (forest(&ec, &f) == LAMINA_OK && lmn_grove_build(&ec, &f, &g)) {
        s->bytes = lmn_grove_bytes(&g);
        s->block = lmn_alloc(&dev->engine->alloc, s->bytes, 64, "cpu");
        if (s->block)
            lmn_grove_copy(&g, s->block, &s->grove);
        else
            st = lmn_fail(err, LAMINA_E_NOMEM, "out of memory preparing the trees");
    }
    lmn_scratch_release(&ec);
    return st;
}

static void finish(const lmn_cpu_dev *dev, void *p)
{
    state *s = p;
    lmn_free(&dev->engine->alloc, s->block, s->bytes, 64, "cpu");
}

/* The grove if it can serve this call. */
static const lmn_grove *grove_for(const lamina_kernel *k, const lmn_eval *ec)
{
    const state *s = k->state;
    return s->block && lmn_cpu_is_f32(lmn_in(ec, 0)) ? &s->grove : NULL;
}

#define BINDING(sym, opname, family)                                                             \
    static lamina_status init_##family(const lmn_cpu_dev *dev, const lamina_node *node, void *p, \
                                       lamina_error *err)                                        \
    {                                                                                            \
        return make(dev, node, p, lmn_tree_##family##_forest, err);                              \
    }                                                                                            \
    static lamina_status run_##family(const lamina_kernel *k, lmn_eval *ec)                      \
    {                                                                                            \
        const lmn_grove *g = grove_for(k, ec);                                                   \
        return g ? lmn_tree_##family##_eval(ec, g) : lmn_cpu_reference(ec);                      \
    }                                                                                            \
    const lmn_cpu_binding lmn_cpu_##sym = {.domain = "ai.onnx.ml",                               \
                                           .op = opname,                                         \
                                           .supports = supports,                                 \
                                           .state_bytes = sizeof(state),                         \
                                           .init = init_##family,                                \
                                           .finish = finish,                                     \
                                           .run = run_##family};
BINDING(tree_ensemble, "TreeEnsemble", ensemble)
BINDING(tree_regressor, "TreeEnsembleRegressor", regressor)
BINDING(tree_classifier, "TreeEnsembleClassifier", classifier)
