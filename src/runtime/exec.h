/*
 * The executable form of a graph: one step a node, with the kernel of its device, the values that
 * die after it, and frames (the slots and memory of one run). Subgraphs have their own, reached
 * through the same structure; the frames of the top graph carry a plan of offsets, those of
 * subgraphs use the heap.
 */
#ifndef LMN_RUNTIME_EXEC_H
#define LMN_RUNTIME_EXEC_H

#include "base/os/os_thread.h"
#include "graph/graph.h"
#include "graph/slices.h"
#include "lamina/device.h"
#include "lamina/session.h"
#include "runtime/packs.h"
#include "runtime/profile.h"
#include "runtime/spans.h"
#include "runtime/workers.h"
#include "tune/tune.h"

typedef struct lmn_exec lmn_exec;
typedef struct lmn_plan lmn_plan;
typedef struct lmn_frame lmn_frame;

/* Memory for the activations of one run at a time, of any plan of the session. */
typedef struct lmn_block {
    struct lmn_block *next;
    uint64_t bytes; /* of data */
    _Alignas(LMN_TENSOR_ALIGN) uint8_t data[];
} lmn_block;

#define LMN_MAX_DEVICES 8
/* Devices of an engine, in order of preference (last registered first). */
typedef struct lmn_devices {
    struct {
        const lamina_device_vtable *vt;
        void *self;
    } dev[LMN_MAX_DEVICES];
    int32_t n;
} lmn_devices;

typedef struct lmn_step {
    const lmn_gnode *node;
    lamina_kernel *kernel;          /* NULL: reference evaluation */
    const lamina_device_vtable *vt; /* of the kernel */
    void *self;
    const lmn_vid *dies; /* values whose last reader this step is */
    uint32_t n_dies;
    char kernel_name[48];
    char reason[160];              /* why no device serves it */
    uint64_t n_calls, total_ticks; /* with profile, guarded by the session's lock */
    lmn_row *rows;                 /* with profile, the shapes met, same lock */
    double flops, bytes;           /* of the last plan, same lock */
    lmn_step_names names;          /* with a trace */
    lmn_tune_site site;
} lmn_step;

struct lmn_exec {
    lamina_session *session;
    const lmn_graph *g;
    lmn_step *steps; /* g->n_nodes */
    lmn_exec **subs; /* execs of the subgraphs in attributes, in order of appearance */
    const lmn_graph **sub_graphs;
    size_t n_subs;
    lmn_frame *idle; /* unplanned frames, guarded by the session's lock */
};

/* Offsets of one combination of input shapes. Immutable once made, except `idle` and the LRU
 * fields. */
struct lmn_plan {
    lmn_plan *next; /* most recently used first */
    int64_t *key;   /* per input: dtype, rank, dims...; n_key words */
    size_t n_key;
    uint64_t arena_bytes;
    int64_t *offset;       /* per value: offset in the arena, -1 = heap */
    size_t *bytes;         /* per value: planned bytes */
    lamina_tensor **known; /* per value: computed by inference, or NULL */
    bool *skip;            /* per node: all its outputs are known */
    lmn_slices slices;     /* stretches of steps that run a few images at a time */
    lmn_frame *idle;       /* frames waiting for a run */
    uint32_t n_frames;     /* idle and running; the plan goes when evicted and 0 */
    bool evicted;
    lmn_arena mem;
};

struct lmn_frame {
    lmn_frame *next;
    lmn_exec *x;
    lmn_plan *plan;       /* NULL: everything on the heap */
    lmn_block *block;     /* while it runs */
    uint8_t *arena;       /* where plan_data points into: the block it had last */
    lamina_tensor *slots; /* n_values */
    lamina_tensor **at;   /* n_values: the slot, a constant, or NULL for value 0 */
    lamina_tensor **io;   /* in and out pointers of all steps, back to back */
    void **plan_data;     /* same layout as outs: planned address */
    size_t *plan_bytes;
    size_t n_io, n_outs;
    lmn_step_span *spans; /* n_nodes with profile, else NULL */
};

/* One run in flight: shared by the frames of its subgraphs. */
typedef struct lmn_run {
    lamina_session *session;
    lmn_par par;
    lmn_par_ctx par_ctx;
    lmn_stop stop;
    lamina_error *err;
    uint32_t depth;
    uint32_t number; /* of this run in its session, from 1 */
    uint64_t start;  /* tick of the call; 0: the profile does not note this run */
    lmn_run_spans spans;
    struct lmn_run *next, *prev; /* in the session's list */
} lmn_run;

struct lamina_session {
    lamina_engine *engine;
    lamina_model *model;
    lmn_graph *g;
    lamina_session_opts opts;
    lmn_devices *devices;
    lmn_workpool *pool;
    lmn_packs *packs;
    lmn_exec *x;
    lmn_mutex lock; /* guards plans, idle frames, blocks, runs, stats */
    lmn_plan *plans;
    lmn_run *runs;
    uint32_t n_plans;
    lmn_block *blocks; /* that wait for a run, most recently used first */
    uint64_t idle_bytes, n_runs, n_plans_made, n_plan_hits;
    lmn_spans spans;      /* as it was when the session was made */
    lmn_tune_table tuned; /* choices of the file, immutable */
    lmn_tune tune;        /* what the steps' sites point to */
    lmn_profile *profile; /* NULL unless asked for; guarded by lock but for its clock */
    uint64_t slice_bytes; /* what makes a step worth it (graph/slices.h); tests set less */
    /* NULL but in tests that look at the memory of a run: called before every step, subgraphs
       included. Set while nothing runs. */
    void (*watch)(void *ctx, lmn_frame *f, size_t step);
    void *watch_ctx;
};

/* Build the steps of g and its subgraphs: placement on devices, kernels, lifetimes. */
lamina_status lmn_exec_create(lamina_session *s, const lmn_graph *g, lmn_exec **out,
                              lamina_error *err);
void lmn_exec_destroy(lmn_exec *x);
/* Make the plan for these input shapes. */
lamina_status lmn_plan_create(lmn_exec *x, const int64_t *key, size_t n_key,
                              const lamina_tensor *const *in, lmn_plan **out, lamina_error *err);
void lmn_plan_destroy(lmn_exec *x, lmn_plan *p);
/* A new frame for x and plan p, which needs a place to run (NULL: everything on the heap). */
lamina_status lmn_frame_create(lmn_exec *x, lmn_plan *p, lmn_frame **out);
void lmn_frame_destroy(lmn_frame *f);
/* The next run is in this block, of the bytes of its plan at least; NULL where that needs none. */
void lmn_frame_place(lmn_frame *f, lmn_block *b);
/* Let go of what the slots hold. */
void lmn_frame_clear(lmn_frame *f);
/* Bind inputs (borrowed), run all steps, hand out n_out refs. *n_done: steps finished. */
lamina_status lmn_frame_run(lmn_frame *f, lmn_run *run, lamina_tensor *const *in, size_t n_in,
                            lamina_tensor **out, size_t n_out, size_t *n_done);

/*
 * The plan cache. Both under no lock, each takes it once: enter finds or makes a frame for these
 * inputs, with memory, and lists the run as in flight; leave unlists it and parks the frame and the
 * memory, within the bounds of the session.
 */
lamina_status lmn_plans_enter(lamina_session *s, const int64_t *key, size_t n_key,
                              const lamina_tensor *const *in, lmn_run *run, lmn_frame **out);
void lmn_plans_leave(lamina_session *s, lmn_run *run, lmn_frame *f, size_t n_done);
/* Release waiting blocks, least recently used first, until keep_bytes are left. */
uint64_t lmn_plans_trim(lamina_session *s, uint64_t keep_bytes);
/* Release every plan; no run is in flight. */
void lmn_plans_destroy(lamina_session *s);

#endif
