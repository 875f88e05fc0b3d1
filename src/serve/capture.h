/*
 * What is watched for some seconds at the request of the admin address, by a thread of its own: one
 * at a time. capture.c has the request, the thread's life and the answer.
 */
#ifndef LMN_SERVE_CAPTURE_H
#define LMN_SERVE_CAPTURE_H

#include "base/os/os_thread.h"
#include "lamina/trace.h"
#include "serve/server_int.h"

typedef struct lmn_capture lmn_capture;
struct lmn_capture {
    lmn_http_task task;
    lmn_serve_loop *home;
    lmn_http_request *req;
    lamina_trace *trace; /* of the engine; a profile does without */
    uint64_t ns;
    uint32_t level;
    const char *type; /* of the answer */
    /* In the thread: fills `text`, or `error`. */
    lamina_status (*watch)(lmn_capture *c);
    lmn_thread thread;
    lamina_status status;
    lamina_error error;
    lmn_strbuf text;
};

/* Sleep a while; false: the time is over, or the server ends. */
bool lmn_capture_wait(lmn_capture *c, uint64_t until, uint64_t step_ns);

/* A reader of the engine's trace; for the caller to close. */
lamina_status lmn_capture_reader(lmn_capture *c, lamina_trace_reader **out);

/* profiling.c */
lamina_status lmn_profiling_watch(lmn_capture *c);

#endif
