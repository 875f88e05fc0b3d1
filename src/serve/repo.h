/*
 * Models of a folder, `DIR/<model>/<version>/model.onnx`, or of one file: which versions are
 * loaded, and how they come and go while requests are served.
 *
 * One thread loads and frees; loops never do. What loops look up is a table that is never changed:
 * a change makes a new one and swaps the pointer. A loop keeps a reference to the table it saw last
 * (lmn_repo_view), so that a look-up costs one relaxed load and no lock. A version is held by a
 * reference from admission to answer; the last one hands it back to the loading thread.
 */
#ifndef LMN_SERVE_REPO_H
#define LMN_SERVE_REPO_H

#include "base/engine.h"
#include "base/os/os_file.h"
#include "serve/config.h"
#include "serve/metrics.h"

#define LMN_REPO_MAX_MODELS 4096u
#define LMN_REPO_NAME_MAX 128u
#define LMN_REPO_REASON_BYTES 256u

typedef struct lmn_repo lmn_repo;
typedef struct lmn_repo_table lmn_repo_table;

/* A version that is loaded. */
typedef struct lmn_version {
    lmn_signature sig; /* what protocols show, names of classes included */
    lmn_model *model;
    const lmn_serve_config *config;
    uint64_t number;
    lmn_version_shard *shards; /* one a loop, and one for steps of ensembles */
    uint32_t n_shards;
    /* the repository's own */
    lmn_repo *repo;
    struct lmn_version *next;
    lmn_atomic(uint32_t) refs;
    lmn_arena arena;
    lmn_os_file_id file;
} lmn_version;

typedef enum lmn_repo_mode {
    LMN_REPO_FIXED,    /* what is there at the start */
    LMN_REPO_EXPLICIT, /* what is asked for */
    LMN_REPO_POLL      /* what is there now */
} lmn_repo_mode;

typedef struct lmn_repo_opts {
    const char *path; /* a folder, or the file of one model */
    lmn_repo_mode mode;
    uint32_t poll_ms;             /* how often to look; 0 = 1000 */
    const char *const *load;      /* EXPLICIT: loaded at the start; "*" = all. n_load */
    uint32_t n_load, n_shards;    /* shards of metrics for a version: loops; at least 1 */
    const lmn_model_config *over; /* command line: fields that are not 0 (max_batch_size: not -1)
                                     hold for every model; may be NULL */
    /* asked before a file is opened, as lamina_server_opts has it; may be NULL */
    lamina_status (*probe)(void *ctx, const char *path, lamina_error *err);
    void *probe_ctx;
    void (*changed)(void *ctx); /* by the loading thread: there is a new table; may be NULL */
    void (*said)(void *ctx, const char *line); /* one line a change, for a log; may be NULL */
    void *ctx;
} lmn_repo_opts;

/* Loads what is to be there at the start, and returns when that is done or has failed. A single
 * file that cannot be loaded fails this; of a folder lmn_repo_index tells. Strings are copied. */
lamina_status lmn_repo_open(lamina_engine *engine, const lmn_repo_opts *opts, lmn_repo **out,
                            lamina_error *err);
/* Load the file of a model of the repository at `models` and warm it up with its configuration, as
 * the repository would, and let it go. */
lamina_status lmn_repo_try(lamina_engine *engine, const char *models, const lmn_model_config *over,
                           const char *path, lamina_error *err);
/* No version is held any more by others, no view, no job is running. NULL is fine. */
void lmn_repo_close(lmn_repo *r);
/* Every request that is queued or runs is answered E_CANCELLED as soon as may be. */
void lmn_repo_abort(lmn_repo *r);

/* Of one loop: the table it saw last. Zeroed at first. */
typedef struct lmn_repo_view {
    const lmn_repo_table *table;
    uint64_t generation;
} lmn_repo_view;
/* Make it the newest: by the loop, before a look-up or when told of a change. */
void lmn_repo_see(lmn_repo *r, lmn_repo_view *v);
void lmn_repo_unsee(lmn_repo *r, lmn_repo_view *v);

/* A model of the table that is seen; version 0 = the highest. *known: there is such a model. The
 * result is borrowed as long as the view is not changed: lmn_version_ref to keep it. */
lmn_version *lmn_repo_find(const lmn_repo_view *v, lmn_span name, uint64_t version, bool *known);
/* Models, and versions of one, of the table that is seen; NULL past the end. */
lmn_version *lmn_repo_at(const lmn_repo_view *v, uint32_t model, uint32_t version);

static inline lmn_version *lmn_version_ref(lmn_version *v)
{
    (void)lmn_atomic_add(&v->refs, 1, relaxed);
    return v;
}
void lmn_version_unref(lmn_version *v);

/* Can everything that should be loaded be used? */
bool lmn_repo_ready(const lmn_repo *r);

/* A row of the index. */
typedef struct lmn_repo_row {
    const char *name;
    uint64_t version;  /* 0: no version is known */
    const char *state; /* "READY", "UNAVAILABLE", "LOADING" */
    const char *reason;
} lmn_repo_row;
/* Calls `each` for every row, in order; strings are lent until it returns. */
void lmn_repo_index(lmn_repo *r, void (*each)(void *ctx, const lmn_repo_row *row), void *ctx);

/* Load a model anew, or unload it; EXPLICIT alone. `done` is called by the loading thread, with
 * status and error set. The record is the caller's, and must live until then. */
typedef struct lmn_repo_job {
    struct lmn_repo_job *next;
    bool unload;
    char name[LMN_REPO_NAME_MAX + 1];
    lamina_status status; /* E_INVALID: no such model */
    lamina_error error;
    void (*done)(struct lmn_repo_job *self);
} lmn_repo_job;
void lmn_repo_post(lmn_repo *r, lmn_repo_job *job);
lmn_repo_mode lmn_repo_get_mode(const lmn_repo *r);

/* [A-Za-z0-9._-]{1,128}, not beginning with a dot. */
bool lmn_repo_name_ok(lmn_span name);

#endif
