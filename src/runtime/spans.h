/*
 * What sessions write into the trace of their engine: spans of plans, runs, nodes and chunks, and a
 * histogram of runs. Beside the profile (profile.h), which sums by node and shape inside the
 * session: both hang on the same reading of the clock between two steps.
 *
 * A run takes one lane for all of its time. Without a trace, or with its level at 0, a run pays for
 * one branch; names are looked up when the session is made. Where noting would cost more of a run
 * than LMN_SPANS_SHARE, which takes a run of a few microseconds, only some of the runs are noted;
 * the histogram counts each of them for those it stands for.
 */
#ifndef LMN_RUNTIME_SPANS_H
#define LMN_RUNTIME_SPANS_H

#include "base/engine.h"
#include "base/par.h"
#include "trace/trace_hook.h"

struct lamina_session;
struct lmn_exec;
struct lmn_run;
struct lmn_step;

/* Most of a run that noting runs, or runs and nodes, may cost. */
#define LMN_SPANS_SHARE_RUNS 0.0025
#define LMN_SPANS_SHARE_NODES 0.015

/* Of a session; trace NULL: none. */
typedef struct lmn_spans {
    lamina_trace *trace;
    uint32_t run, plan, chunk, model; /* names */
    lamina_trace_metric *run_ns, *errors, *plans;
    lmn_mutex_hook lock_hook;
    lmn_atomic(uint32_t) n_skip; /* runs to come that are not noted */
    lmn_atomic(uint64_t) at; /* the level at which they are passed over: another one ends that */
    lmn_atomic(uint32_t) weight; /* runs that the next noted one stands for */
} lmn_spans;

/* Of a step: numbers of its operator, its node and its kernel. */
typedef struct lmn_step_names {
    uint32_t op, node, kernel;
} lmn_step_names;

/* Of a run. */
typedef struct lmn_run_spans {
    lamina_trace_lane *lane; /* NULL: this run is not written */
    bool nodes;              /* the nodes are */
    uint32_t id;
    uint64_t start;
    lmn_par inner; /* what the chunks run on when they are written */
    uint32_t node; /* that is running */
    uint32_t n_nodes;
} lmn_run_spans;

static inline lamina_trace *lmn_engine_trace(const lamina_engine *e)
{
    return e->slot[LMN_SLOT_TRACE].ptr;
}

/* Names of the session and, once they are there, of its steps. */
void lmn_spans_open(struct lamina_session *s);
void lmn_spans_name_steps(struct lmn_exec *x);
/* For the session's lock: keeping the owner costs a system call, so at the deepest level alone. */
const lmn_mutex_hook *lmn_spans_lock_hook(const struct lamina_session *s);

void lmn_spans_begin_run(struct lmn_run *run);                 /* only with a trace that is on */
void lmn_spans_end_run(struct lmn_run *run, lamina_status st); /* only with a lane */
void lmn_spans_plan(struct lmn_run *run, uint64_t start);
/* The step that ran from start to end. */
void lmn_spans_node(struct lmn_run *run, const struct lmn_step *s, uint64_t start, uint64_t end);
/* The step that runs now; NULL: the frame is done. */
void lmn_spans_inside(struct lmn_run *run, const struct lmn_step *s);

#endif
