/*
 * A process beside the server in which models' files are tried before the server touches them. It
 * is forked while there is one thread and nothing to lose; for each file it forks a child that
 * gives up nearly everything, loads the model, warms it up and says how that went. A child that
 * crashes, hangs or wants too much memory is a sentence, and the server lives on.
 */
#ifndef LAMINA_CLI_NURSERY_H
#define LAMINA_CLI_NURSERY_H

#include "cli_sandbox.h"
#include "lamina/serve.h"

#include <sys/types.h>

typedef struct cli_nursery {
    int line;         /* to the process; -1: there is none */
    pid_t pid;        /* its own */
    uint64_t time_ms; /* that a model may take */
    uint64_t memory;  /* bytes of address space that it may take; 0: no limit */
} cli_nursery;

/* Before there are threads, and before the caller's own sandbox. `opts` and `sandbox` are used by
 * the children; sandbox NULL: they keep what they have. False: the system gives no process. */
bool cli_nursery_start(cli_nursery *n, const lamina_server_opts *opts, const cli_sandbox *sandbox);
/* For lamina_server_opts.probe; ctx is the nursery. One thread at a time. */
lamina_status cli_nursery_try(void *ctx, const char *path, lamina_error *err);
/* It ends when its line does. */
void cli_nursery_stop(cli_nursery *n);

#endif
