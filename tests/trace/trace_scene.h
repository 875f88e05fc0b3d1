/*
 * What the tests of trace/ share: a small trace in the test's folder, and the account of a reader.
 */
#ifndef LMN_TESTS_TRACE_SCENE_H
#define LMN_TESTS_TRACE_SCENE_H

#include "t.h"
#include "trace/reader.h"
#include "trace/trace.h"

LMN_UNUSED static lamina_trace *scene_trace(t_env *env, char path[512], uint32_t lanes,
                                            uint32_t events, bool allow_set)
{
    lamina_error err;
    lamina_trace *t = NULL;
    const lamina_trace_opts o = {.size = sizeof o,
                                 .n_lanes = lanes,
                                 .lane_events = events,
                                 .allow_set = allow_set,
                                 .allocator = &env->alloc};
    (void)t_path(env, "a.trace", path, 512);
    T_OK_ERR(lamina_trace_create(path, &o, &t, &err), &err);
    return t;
}

/* Number `n` as an event: in all places where it shows when words are mixed. */
LMN_UNUSED static void scene_emit(lamina_trace_lane *lane, uint32_t name, uint64_t n)
{
    const lmn_trace_put e = {.time = n + 1,
                             .value = n,
                             .kind = LAMINA_TRACE_SPAN,
                             .name = name,
                             .span = (uint32_t)n,
                             .parent = (uint32_t)~n,
                             .args = {n, n ^ 1, n ^ 2, n ^ 3}};
    lmn_trace_emit(lane, &e);
}

/* Is it whole? */
LMN_UNUSED static bool scene_whole(const lmn_raw_event *e, uint64_t *n)
{
    const uint64_t *w = e->w, v = w[LMN_EV_VALUE];
    *n = v;
    return w[LMN_EV_TIME] == v + 1 && w[LMN_EV_ARGS] == v && w[LMN_EV_ARGS + 1] == (v ^ 1) &&
           w[LMN_EV_ARGS + 2] == (v ^ 2) && w[LMN_EV_ARGS + 3] == (v ^ 3) &&
           w[LMN_EV_SPAN] == ((uint64_t)(uint32_t)~v << 32 | (uint32_t)v);
}

#endif
