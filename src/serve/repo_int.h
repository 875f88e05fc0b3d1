/*
 * Inside the repository: rows of models as the loading thread keeps them. Rows are changed by that
 * thread alone, under the lock, so that the index may be read by others; it reads them without.
 */
#ifndef LMN_SERVE_REPO_INT_H
#define LMN_SERVE_REPO_INT_H

#include "base/os/os_thread.h"
#include "serve/repo.h"

enum { LMN_REPO_PATH = 4400 }; /* bytes of the path of a file of the repository, at most */

typedef struct lmn_repo_slot { /* a version that is, or should be, there */
    uint64_t number;
    lmn_version *loaded;  /* a reference; NULL: it could not be loaded */
    lmn_os_file_id tried; /* the file that was looked at last */
    char reason[LMN_REPO_REASON_BYTES];
} lmn_repo_slot;

typedef struct lmn_repo_model {
    char name[LMN_REPO_NAME_MAX + 1];
    lmn_repo_slot *slots; /* the highest number first */
    uint32_t n_slots;
    size_t cap_slots;
    lmn_os_file_id config_file;
    bool wanted, loading;
    bool ensemble, stale;               /* stale: its configuration is to be read again */
    uint64_t print, print_ns;           /* what its files looked like last, and since when */
    uint64_t tried;                     /* of an ensemble: the generation of its models then */
    uint64_t mark;                      /* of a walk over steps */
    char reason[LMN_REPO_REASON_BYTES]; /* why there is no version at all */
} lmn_repo_model;

struct lmn_repo {
    lamina_engine *engine;
    const lamina_allocator *alloc;
    lmn_arena arena; /* path, name, what the options hold */
    char *path;      /* folder, or file of one model */
    bool one_file;
    lmn_repo_mode mode;
    uint32_t poll_ms, n_shards;
    const lmn_model_config *over;
    lamina_status (*probe)(void *ctx, const char *path, lamina_error *err);
    void *probe_ctx;
    void (*changed)(void *ctx);
    void (*said)(void *ctx, const char *line);
    void *ctx;

    lmn_mutex lock; /* models, table, jobs, dead */
    lmn_repo_model **models;
    uint32_t n_models;
    size_t cap_models;
    lmn_repo_table *table; /* a reference */
    lmn_atomic(uint64_t) generation;
    lmn_repo_job *jobs, *jobs_last;
    lmn_version *dead;
    lmn_atomic(uint32_t) bell; /* rung when there is something for the thread */
    lmn_atomic(uint32_t) stop, ready;
    lmn_thread thread;
    bool started;
    int poll, wake, watch; /* of LMN_REPO_POLL, to wait for the bell and for news; -1: none */
    uint64_t pending_at;   /* when a model that changes may be quiet */
    uint64_t mark;         /* of the walk that goes on */
};

typedef enum lmn_repo_refresh {
    LMN_REFRESH_PLAIN,    /* of an ensemble only that it is one: it is stale then */
    LMN_REFRESH_IF_THERE, /* of an ensemble if the models of its steps are loaded; else E_AGAIN */
    LMN_REFRESH_ALL
} lmn_repo_refresh;

/* Read what stands in the folder of a model, load what is new, let go what is not wanted. The
 * status says whether anything of it could not be loaded; versions that were loaded stay. */
lamina_status lmn_repo_refresh_model(lmn_repo *r, lmn_repo_model *m, lmn_repo_refresh how,
                                     lamina_error *err);
/* Let all versions go. */
void lmn_repo_drop_model(lmn_repo *r, lmn_repo_model *m);
/* The row of a name; made if there is none. NULL: out of memory, or too many. */
lmn_repo_model *lmn_repo_model_named(lmn_repo *r, const char *name, bool make);
/* Has anything changed on the disk since it was looked at? *print: of what is there now. */
bool lmn_repo_model_changed(const lmn_repo *r, const lmn_repo_model *m, uint64_t *print);
/* Make the table of what is loaded now, and tell. */
lamina_status lmn_repo_publish(lmn_repo *r);
void lmn_repo_ring(lmn_repo *r);
LMN_PRINTF(2, 3)
void lmn_repo_say(const lmn_repo *r, const char *fmt, ...);

/* repo_read.c: what folders say; arenas are the caller's. */
/* A file of the repository, whole; *id, NULL is fine: which. E_STATE: there is none. */
lamina_status lmn_repo_read_file(lmn_repo *r, lmn_arena *arena, const char *rel, uint64_t most,
                                 lmn_span *out, lmn_os_file_id *id, lamina_error *err);
/* config.json, config.pbtxt, or what holds without. */
lamina_status lmn_repo_read_config(lmn_repo *r, const char *name, lmn_arena *arena,
                                   lmn_serve_config *c, lmn_os_file_id *id, lamina_error *err);
/* Numbers of the versions that the policy wants, the highest first. */
lamina_status lmn_repo_list_versions(lmn_repo *r, const char *name, lmn_arena *arena,
                                     const lmn_serve_config *c, uint64_t **out, uint32_t *n,
                                     lamina_error *err);
/* Where the file of a version lies, after a look that it lies beneath the repository. */
lamina_status lmn_repo_locate(const lmn_repo *r, const char *name, uint64_t number,
                              const char *file, char path[LMN_REPO_PATH], lmn_os_file_id *id,
                              lamina_error *err);

void lmn_repo_table_unref(lmn_repo_table *t); /* repo_table.c; NULL is fine */

/* repo_watch.c: the loading thread's wait, and what tells it that files changed. */
/* Without what it needs it looks at the clock alone. */
void lmn_repo_watch_open(lmn_repo *r);
void lmn_repo_watch_close(lmn_repo *r);
/* Folders of the repository that are there now will tell. */
void lmn_repo_watch_all(lmn_repo *r);
/* Those of a model: before it is read, or what changes meanwhile is told to nobody. */
void lmn_repo_watch_model(const lmn_repo *r, const char *name);
/* Wait for the bell or news until `at`; what was told: LMN_WATCH_DONE, LMN_WATCH_FOLDER. */
uint32_t lmn_repo_rest(lmn_repo *r, uint32_t heard, uint64_t at);
/* A model whose files are as they were `quiet_ns` ago is not being written. */
bool lmn_repo_is_quiet(lmn_repo *r, lmn_repo_model *m, uint64_t print, uint64_t quiet_ns);

/* repo_ensemble.c */
/* Are models loaded for all steps? True of what has none. */
bool lmn_repo_steps_there(lmn_repo *r, const lmn_serve_config *c);
/* Make v->model of the steps of v->config. */
lamina_status lmn_repo_open_ensemble(lmn_repo *r, lmn_version *v, const char *name,
                                     const char *number, lamina_error *err);
/* Is a model of its steps no longer the one that is served? */
bool lmn_repo_outdated(lmn_repo *r, const lmn_version *v);
/* After anything was loaded or let go: make ensembles of what is there now. */
void lmn_repo_settle_ensembles(lmn_repo *r);

/* A version that nobody holds. */
void lmn_version_free(lmn_version *v);

#endif
