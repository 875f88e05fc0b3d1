/*
 * Test helper: changes of a repository, waited for.
 */
#ifndef LMN_TESTS_SERVE_REPO_JOBS_H
#define LMN_TESTS_SERVE_REPO_JOBS_H

#include "base/os/os_self.h"
#include "serve/repo.h"

#include <stdatomic.h>
#include <stdio.h>

typedef struct waited {
    lmn_repo_job job;
    atomic_int done;
} waited;

static void job_done(lmn_repo_job *j)
{
    atomic_store(&((waited *)j)->done, 1);
}

/* Load the model, or unload it; what came of it. */
static lamina_status repo_change(lmn_repo *r, const char *model, bool unload)
{
    waited w = {.job = {.unload = unload, .done = job_done}};
    (void)snprintf(w.job.name, sizeof w.job.name, "%s", model);
    lmn_repo_post(r, &w.job);
    while (!atomic_load(&w.done)) lmn_sleep_ms(1);
    return w.job.status;
}

#endif
