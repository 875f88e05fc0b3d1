/*
 * What may be changed while the server runs, under Triton's names: which requests are traced, for
 * all models or for one, and what goes to the log. HTTP and gRPC both read and change through this.
 *
 * A change is made in one piece: an edit starts from what holds, takes settings one by one, and
 * counts only when it is committed. What this server cannot do is refused by name (E_UNSUPPORTED),
 * a value that makes no sense is E_INVALID; both with a sentence. Who may change is the caller's
 * business: requests that came by the admin address.
 */
#ifndef LMN_SERVE_SETTINGS_H
#define LMN_SERVE_SETTINGS_H

#include "base/atomic.h"
#include "base/error.h"
#include "base/os/os_mutex.h"
#include "lamina/log.h"
#include "lamina/serve.h"

#define LMN_SETTINGS_ROWS 8u    /* of one answer, at most */
#define LMN_SETTINGS_MODELS 64u /* that have settings of their own */
#define LMN_SETTINGS_NAME 129u

typedef enum lmn_setting_kind {
    LMN_SETTING_TEXT,
    LMN_SETTING_LIST, /* of texts; of one, as it is shown */
    LMN_SETTING_BOOL, /* "true", "false" */
    LMN_SETTING_U32   /* digits */
} lmn_setting_kind;

/* As it is shown. Those of traces are texts and lists, as Triton has them. */
typedef struct lmn_setting {
    const char *name;
    lmn_setting_kind kind;
    char value[24];
} lmn_setting;

/* As it is given. n 0: back to what it was at the start, of a model to what holds for all. */
typedef struct lmn_setting_value {
    lmn_setting_kind kind;
    const lmn_span *text;
    uint32_t n;
} lmn_setting_value;

/* `model` empty: what holds for all. How many rows. Any thread. */
uint32_t lmn_trace_settings_get(lamina_server *s, lmn_span model,
                                lmn_setting out[LMN_SETTINGS_ROWS]);
uint32_t lmn_log_settings_get(lamina_server *s, lmn_setting out[LMN_SETTINGS_ROWS]);

/* ---- changes ---- */

/* Of all models, or what one has of its own. */
typedef struct lmn_trace_setting {
    char model[LMN_SETTINGS_NAME]; /* "": all */
    uint32_t own;                  /* bits: those that hold here; of the others that of all holds */
    bool timestamps;               /* trace_level */
    uint32_t rate;                 /* one request of so many that nobody traces yet */
    int64_t count;                 /* so many more; -1: no bound */
} lmn_trace_setting;

typedef struct lmn_log_setting {
    bool on[3];       /* information, warnings, errors */
    uint32_t verbose; /* > 0: every request, however few are sampled */
} lmn_log_setting;

typedef struct lmn_settings_edit {
    bool log;                           /* of the log, not of traces */
    bool possible;                      /* traces have somewhere to go */
    uint32_t said;                      /* bits: settings that were given */
    lmn_trace_setting trace, otherwise; /* and what a setting that is taken back becomes */
    lmn_log_setting lines;
} lmn_settings_edit;

/* The model exists: that is for the caller to see to. */
void lmn_trace_edit_begin(lamina_server *s, lmn_span model, lmn_settings_edit *e);
void lmn_log_edit_begin(lamina_server *s, lmn_settings_edit *e);
/* A JSON object of settings; E_PARSE when it is none. */
lamina_status lmn_settings_edit_json(lmn_settings_edit *e, lmn_span body, lamina_error *err);
lamina_status lmn_settings_edit_set(lmn_settings_edit *e, lmn_span name, const lmn_setting_value *v,
                                    lamina_error *err);
/* E_LIMIT: too many models have settings of their own. */
lamina_status lmn_settings_edit_commit(lamina_server *s, const lmn_settings_edit *e,
                                       lamina_error *err);

/* ---- what holds; part of the server ---- */

/* Row 0 is that of all models. */
typedef struct lmn_settings {
    lmn_mutex lock; /* rows, log */
    lmn_trace_setting row[1 + LMN_SETTINGS_MODELS], at_start;
    lmn_log_setting lines;
    uint32_t n;
    lmn_atomic(uint32_t) generation;                   /* of the rows */
    lmn_atomic(uint32_t) traced;                       /* somebody may be traced */
    lmn_atomic(int64_t) left[1 + LMN_SETTINGS_MODELS]; /* of `count` */
    lmn_atomic(uint32_t) off;                          /* bits: levels that are not logged */
    lmn_atomic(uint32_t) verbose;
} lmn_settings;

/* What a loop saw of them last, so that it takes no lock; zeroed at first. */
typedef struct lmn_settings_seen {
    lmn_trace_setting row[1 + LMN_SETTINGS_MODELS];
    uint32_t n, generation;
    uint32_t until[1 + LMN_SETTINGS_MODELS]; /* requests to let pass before the next is traced */
} lmn_settings_seen;

typedef enum lmn_trace_asked {
    LMN_TRACE_UNASKED, /* the request says nothing */
    LMN_TRACE_YES,     /* its client traces it: by the flag of traceparent */
    LMN_TRACE_NO
} lmn_trace_asked;

/* `traced`: whether traces have somewhere to go. */
void lmn_settings_init(lmn_settings *t, bool traced, uint32_t rate);
/* Is a request for this model to be traced? Counts it. By the loop that `seen` belongs to. */
bool lmn_settings_pick(lmn_settings *t, lmn_settings_seen *seen, const char *model,
                       lmn_trace_asked asked);
static inline bool lmn_settings_logs(const lmn_settings *t, lamina_log_level level)
{
    return !(lmn_atomic_load(&t->off, relaxed) >> (uint32_t)level & 1u);
}

#endif
