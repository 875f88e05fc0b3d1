/*
 * A line on the terminal while something takes long: a thread of its own writes it after a second
 * and wipes it at the end. Nothing happens when stderr is no terminal.
 */
#include "cli.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

struct cli_progress {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool done;
    const char *what, *of;
    double start;
};

static void *tick(void *arg)
{
    cli_progress *p = arg;
    bool shown = false;
    (void)pthread_mutex_lock(&p->lock);
    while (!p->done) {
        struct timespec at;
        (void)clock_gettime(CLOCK_REALTIME, &at);
        at.tv_sec++;
        if (pthread_cond_timedwait(&p->wake, &p->lock, &at) != ETIMEDOUT || p->done) continue;
        (void)fprintf(stderr, "\r%s %.60s: %.0f s ", p->what, p->of, cli_now_s() - p->start);
        (void)fflush(stderr);
        shown = true;
    }
    (void)pthread_mutex_unlock(&p->lock);
    if (shown) (void)fputs("\r\033[K", stderr);
    return NULL;
}

cli_progress *cli_progress_start(const char *what, const char *of)
{
    cli_progress *p = isatty(STDERR_FILENO) ? malloc(sizeof *p) : NULL;
    if (!p) return NULL;
    *p = (cli_progress){.what = what, .of = of, .start = cli_now_s()};
    (void)pthread_mutex_init(&p->lock, NULL);
    (void)pthread_cond_init(&p->wake, NULL);
    if (pthread_create(&p->thread, NULL, tick, p) == 0) return p;
    free(p);
    return NULL;
}

void cli_progress_stop(cli_progress *p)
{
    if (!p) return;
    (void)pthread_mutex_lock(&p->lock);
    p->done = true;
    (void)pthread_cond_signal(&p->wake);
    (void)pthread_mutex_unlock(&p->lock);
    (void)pthread_join(p->thread, NULL);
    (void)pthread_cond_destroy(&p->wake);
    (void)pthread_mutex_destroy(&p->lock);
    free(p);
}
