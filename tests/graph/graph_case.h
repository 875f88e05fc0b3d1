/*
 * Graphs as text for tests: parse, print, run a pass, evaluate. Everything fails the running test
 * with the sentence of the error.
 */
#ifndef LMN_TESTS_GRAPH_CASE_H
#define LMN_TESTS_GRAPH_CASE_H

#include "graph/graph_text.h"
#include "graph/passes/pass.h"
#include "t.h"

LMN_UNUSED static lmn_graph *graph_of(t_env *env, const char *text)
{
    lmn_graph *g = NULL;
    lamina_error err = {0};
    T_OK_ERR(lmn_graph_parse(env->engine, text, strlen(text), &g, &err), &err);
    return g;
}

/* As graph_of, verified and inferred. */
LMN_UNUSED static lmn_graph *graph_ready(t_env *env, const char *text)
{
    lmn_graph *g = graph_of(env, text);
    lmn_diags diags;
    lamina_error err = {0};
    if (!g) return NULL;
    lmn_diags_init(&diags, &env->alloc);
    T_OK(lmn_graph_verify(g, &diags));
    const lamina_status st = lmn_graph_infer(g, &diags);
    (void)lmn_diags_to_error(&diags, &err);
    T_OK_ERR(st, &err);
    lmn_diags_finish(&diags);
    return g;
}

LMN_UNUSED static void graph_text(t_env *env, const lmn_graph *g, lmn_strbuf *out)
{
    lmn_strbuf_init(out, &env->alloc, (size_t)1 << 24);
    T_OK(lmn_graph_print(g, 0, out));
}

/* One pass by name, verified afterwards; how many rewrites it made. */
LMN_UNUSED static uint32_t graph_pass(lmn_graph *g, const char *pass)
{
    lmn_pass_ctx ctx = {.max_const_bytes = (uint64_t)1 << 20,
                        .short_images = strcmp(pass, "short_products") == 0};
    T_OK(lmn_pass_run(g, pass, &ctx));
    T_OK(lmn_graph_verify(g, NULL));
    return ctx.n_changed;
}

#endif
