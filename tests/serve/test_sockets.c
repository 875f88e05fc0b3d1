/*
 * Scenarios of the batcher over sockets: the same files, played in real time against a whole server
 * (3 ms for each of their microseconds, where no bound of the batcher's own says less) whose model
 * sleeps as long as the scenario says and notes which requests ran together. Batches, their order
 * and reasons, the status of every answer, and that none comes too early, must be as the file says.
 * What comes at one instant is sent while the loop is held in a model of its own, the gate, and so
 * is read in one turn.
 *
 * How long who may come back is waited for is a part of a run, so it is stretched with it; its
 * bound is lifted where a scenario is about that, and as good as nothing elsewhere, as in the
 * files.
 *
 * A machine that is busy elsewhere may be late with everything: each gets three tries, and a try in
 * which somebody was late proves nothing.
 */
#include "serve/dial.h"
#include "serve/neg_device.h"
#include "serve/scenario.h"
#include "serve/scenario_repo.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "lamina/serve.h"

#include <poll.h>
#include <time.h>

#define FIRST 1000 /* a row of request i holds FIRST + i; the gate and warm-up hold less */
#define GATE 999
#define WARM_NS 2000000
#define LATE_NS 8000000 /* events that have to keep apart are 30 ms apart */

typedef struct play {
    const char *name;
    uint64_t scale; /* nanoseconds of real time for a nanosecond of the scenario */
    char dir[512], runs[4096], want_runs[4096];
    sc *s;
    int fd[SC_MAX], status[SC_MAX], want[SC_MAX];
    uint64_t start, when[SC_MAX], due[SC_MAX]; /* of answers; due: of the scenario */
    long long run_at[SC_MAX];
    int n_runs, reasons[LMN_BATCH_REASONS], want_reasons[LMN_BATCH_REASONS];
    lmn_mutex lock;             /* of runs */
    atomic_bool late, held, go; /* held: the loop is in the gate, until go */
    bool fine;
    char said[200];
} play;

static void note_late(play *p, uint64_t due)
{
    if (lmn_now_ns() > due + LATE_NS) atomic_store(&p->late, true);
}

static void nap(play *p, uint64_t ns)
{
    const uint64_t due = lmn_now_ns() + ns;
    const struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    (void)nanosleep(&t, NULL);
    note_late(p, due);
}

/* ---- a device that takes its time ------------------------------------------------------------ */

static void note_run(play *p, const float *x, int64_t rows, int64_t each)
{
    lmn_mutex_lock(&p->lock);
    size_t n = strlen(p->runs);
    for (int64_t i = 0; i < rows; i++, x += each) {
        if (i && *x == x[-each]) continue;
        const int k = (int)*x - FIRST;
        const char *name = k >= 0 && k < p->s->n_requests ? p->s->request[k].name : "?";
        n += lmn_format(p->runs + n, sizeof p->runs - n, "%s%s", i ? " " : "", name);
    }
    (void)lmn_format(p->runs + n, sizeof p->runs - n, "\n");
    lmn_mutex_unlock(&p->lock);
}

static lamina_status slow_execute(void *self, lamina_kernel *kernel, lamina_call *call)
{
    play *p = self;
    const float *x;
    const int64_t *dims;
    (void)kernel;
    LMN_TRY(neg_rows(call, &x, &dims));
    const int k = sc_bucket(dims[0]);
    if (x[0] >= FIRST) {
        note_run(p, x, dims[0], dims[1]);
        nap(p, p->s->take[k] * p->scale);
    } else if (x[0] == GATE) {
        atomic_store(&p->held, true);
        while (!atomic_load(&p->go)) nap(p, 200000);
    } else {
        nap(p, p->s->seed_cost[k] ? p->s->seed_cost[k] * p->scale : WARM_NS);
    }
    return LAMINA_OK;
}

static const lamina_device_vtable slow = NEG_DEVICE(slow_execute);

/* ---- clients --------------------------------------------------------------------------------- */

static bool post(int fd, const char *model, const char *parameters, int64_t rows, int64_t each,
                 int value)
{
    const size_t cap = 512 + (size_t)(rows * each) * 8;
    char *text = malloc(2 * cap), *body = text + cap;
    size_t n = lmn_format(body, cap,
                          "{%s\"inputs\":[{\"name\":\"x\",\"shape\":[%lld,%lld],"
                          "\"datatype\":\"FP32\",\"data\":[",
                          parameters, (long long)rows, (long long)each);
    for (int64_t k = 0; k < rows * each; k++)
        n += lmn_format(body + n, cap - n, "%s%d", k ? "," : "", value);
    n += lmn_format(body + n, cap - n, "]}]}");
    const size_t h = lmn_format(text, cap,
                                "POST /v2/models/%s/infer HTTP/1.1\r\nHost: t\r\n"
                                "Connection: close\r\nContent-Length: %zu\r\n\r\n",
                                model, n);
    memmove(text + h, body, n);
    const bool sent = fd >= 0 && send(fd, text, h + n, MSG_NOSIGNAL) == (ssize_t)(h + n);
    free(text);
    return sent;
}

/* Requests of another key, or of more bytes, have longer rows. */
static void send_request(play *p, int i)
{
    char parameters[100];
    const lmn_infer *r = &p->s->request[i].r;
    const int64_t longer = (int64_t)r->bytes / (4 * r->rows);
    const uint64_t timeout = r->timeout_ns ? r->timeout_ns + GRACE_NS : 0;
    (void)snprintf(parameters, sizeof parameters,
                   "\"parameters\":{\"priority\":%u,\"timeout\":%llu},", r->priority,
                   (unsigned long long)(timeout / 1000 * p->scale));
    if (!post(p->fd[i], "m", parameters, r->rows, longer > 1 ? longer : 1 + (int64_t)r->key,
              FIRST + i))
        p->status[i] = -1;
}

static void leave(play *p, int i)
{
    const struct linger now = {.l_onoff = 1};
    p->want[i] = 0; /* whatever it would have been */
    if (p->fd[i] < 0) return;
    (void)setsockopt(p->fd[i], SOL_SOCKET, SO_LINGER, &now, sizeof now); /* a reset */
    (void)close(p->fd[i]);
    p->fd[i] = -1;
}

static int read_status(int fd)
{
    char text[64] = "";
    size_t n = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (n < 13 && poll(&wait, 1, 30000) > 0) {
        const ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got <= 0) break;
        n += (size_t)got;
    }
    return n >= 13 ? atoi(text + 9) : -1;
}

/* Batches by reason, as the metrics tell. */
static void read_reasons(play *p, uint16_t port)
{
    static const char get[] = "GET /metrics HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n";
    const int fd = dial(port);
    char *text = calloc(1, 1 << 18), key[120];
    size_t n = 0;
    if (fd >= 0 && text && send(fd, get, sizeof get - 1, MSG_NOSIGNAL) > 0)
        for (ssize_t got; (got = recv(fd, text + n, (1 << 18) - 1 - n, 0)) > 0;) n += (size_t)got;
    for (int i = 0; text && i < LMN_BATCH_REASONS; i++) {
        (void)snprintf(key, sizeof key,
                       "lamina_batch_dispatch_total{model=\"m\",version=\"1\",reason=\"%s\"} ",
                       sc_reason[i]);
        const char *at = strstr(text, key);
        p->reasons[i] = at ? atoi(at + strlen(key)) : -1;
    }
    if (fd >= 0) (void)close(fd);
    free(text);
}

/* ---- what must come of it -------------------------------------------------------------------- */

static void expect(play *p, const char *text)
{
    size_t n = 0;
    char line[1024], *next;
    while (*text) {
        const size_t len = strcspn(text, "\n");
        (void)snprintf(line, sizeof line, "%.*s", (int)len, text);
        text += len + (text[len] == '\n');
        const long long at = strtoll(line, NULL, 10);
        char *what = strtok_r(strchr(line, ' '), " ", &next);
        const int status = !strcmp(what, "done") ? 200 : !strcmp(what, "cancelled") ? 0 : 503;
        bool first = true;
        for (char *w; (w = strtok_r(NULL, " ", &next)) != NULL; first = false) {
            char *colon = strchr(w, ':');
            if (colon) *colon = 0;
            const int i = (int)(sc_named(p->s, w) - p->s->request);
            if (strcmp(what, "run") != 0) p->want[i] = status;
            if (!strcmp(what, "done")) p->due[i] = (uint64_t)at * SC_US;
            if (!strcmp(what, "run"))
                n += lmn_format(p->want_runs + n, sizeof p->want_runs - n, "%s%s", first ? "" : " ",
                                w);
            if (!colon) continue;
            const char *why = strtok_r(NULL, " ", &next);
            for (int k = 0; k < LMN_BATCH_REASONS; k++)
                p->want_reasons[k] += !strcmp(what, "run") && !strcmp(why, sc_reason[k]);
            if (!strcmp(why, "invalid")) p->want[i] = 400;
            break;
        }
        if (strcmp(what, "run") != 0) continue;
        n += lmn_format(p->want_runs + n, sizeof p->want_runs - n, "\n");
        p->run_at[p->n_runs++] = at;
    }
}

/* Which instance of several notes its run first is not said: runs of one instant in one order. */
static void sort_runs(const play *p, char *text)
{
    char copy[sizeof p->runs], *line[SC_MAX], *next;
    int n = 0;
    memcpy(copy, text, sizeof copy);
    for (char *w = strtok_r(copy, "\n", &next); w && n < p->n_runs;
         w = strtok_r(NULL, "\n", &next)) {
        int k = n++;
        for (; k && p->run_at[k] == p->run_at[k - 1] && strcmp(line[k - 1], w) > 0; k--)
            line[k] = line[k - 1];
        line[k] = w;
    }
    size_t at = 0;
    for (int i = 0; i < n; i++) at += lmn_format(text + at, sizeof copy - at, "%s\n", line[i]);
}

static void judge(play *p)
{
    sort_runs(p, p->runs);
    sort_runs(p, p->want_runs);
    p->fine = !strcmp(p->runs, p->want_runs);
    if (!p->fine) (void)lmn_format(p->said, sizeof p->said, "ran %.150s", p->runs);
    for (int i = 0; i < p->s->n_requests; i++) {
        const char *name = p->s->request[i].name;
        if (p->want[i] && p->status[i] != p->want[i]) {
            p->fine = false;
            (void)lmn_format(p->said, sizeof p->said, "%s got %d", name, p->status[i]);
        }
        if (p->want[i] == 200 && p->when[i] < p->start + p->due[i] * p->scale) {
            p->fine = false;
            (void)lmn_format(p->said, sizeof p->said, "%s has its answer too early", name);
        }
    }
    for (int i = 0; i < LMN_BATCH_REASONS; i++)
        if (p->reasons[i] != p->want_reasons[i]) {
            p->fine = false;
            (void)lmn_format(p->said, sizeof p->said, "%d batches %s", p->reasons[i], sc_reason[i]);
        }
}

/* Read the answers that there are until `at`; `last`: no longer than any is missing. */
static void listen_until(play *p, uint64_t at, bool last)
{
    for (;;) {
        struct pollfd wait[SC_MAX];
        nfds_t n = 0;
        for (int i = 0; i < p->s->n_requests; i++)
            if (p->fd[i] >= 0) wait[n++] = (struct pollfd){.fd = p->fd[i], .events = POLLIN};
        const uint64_t now = lmn_now_ns(), left = at > now ? at - now : 0;
        const struct timespec t = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
        const bool any = n && ppoll(wait, n, &t, NULL) > 0;
        if (!n && !last) nap(p, left);
        for (int i = 0; any && i < p->s->n_requests; i++)
            for (nfds_t k = 0; k < n; k++) {
                if (!wait[k].revents || wait[k].fd != p->fd[i] || p->fd[i] < 0) continue;
                p->status[i] = read_status(p->fd[i]);
                p->when[i] = lmn_now_ns();
                (void)close(p->fd[i]);
                p->fd[i] = -1;
            }
        if (!any) return;
    }
}

/* Those that come at one instant are read in one turn. */
static void arrive(play *p, int from, int to, uint16_t port)
{
    int gate = -1;
    if (to - from > 1 && (gate = dial(port)) >= 0 && post(gate, "gate", "", 1, 1, GATE))
        while (!atomic_load(&p->held)) nap(p, 200000);
    for (int e = from; e < to; e++) {
        const int i = (int)(p->s->event[e].of - p->s->request);
        if (p->s->event[e].what)
            leave(p, i);
        else
            send_request(p, i);
    }
    if (gate < 0) return;
    atomic_store(&p->go, true);
    (void)read_status(gate);
    (void)close(gate);
    atomic_store(&p->held, false);
    atomic_store(&p->go, false);
}

static void serve(play *p, lamina_server *server)
{
    const uint16_t port = lamina_server_port(server, 0);
    for (int i = 0; i < p->s->n_requests; i++) p->fd[i] = dial(port);
    p->start = lmn_now_ns() + 50000000;
    for (int e = 0, next; e < p->s->n_events; e = next) {
        const uint64_t at = p->start + p->s->event[e].at * p->scale;
        for (next = e; next < p->s->n_events; next++)
            if (p->s->event[next].at != p->s->event[e].at) break;
        listen_until(p, at, false);
        arrive(p, e, next, port);
        note_late(p, at);
    }
    listen_until(p, lmn_now_ns() + 30000000000u, true);
    read_reasons(p, port);
}

static void *run_play(void *arg)
{
    play *p = arg;
    lamina_engine *engine;
    lamina_server *server;
    lamina_error err;
    const char *listen[] = {"127.0.0.1:0"};
    const lamina_engine_opts eo = {.size = sizeof eo, .n_threads = 1};
    if (lamina_engine_create(&eo, &engine) != LAMINA_OK) return NULL;
    const lamina_server_opts o = {.size = sizeof o,
                                  .models = p->dir,
                                  .listen = listen,
                                  .n_listen = 1,
                                  .n_loops = 1,
                                  .queue_rows = (uint64_t)p->s->config.max_queue_rows};
    if (neg_register(engine, &slow, p, &err) == LAMINA_OK &&
        lamina_server_start(engine, &o, &server, &err) == LAMINA_OK) {
        serve(p, server);
        lamina_server_stop(server, 10000);
        judge(p);
    } else {
        (void)lmn_format(p->said, sizeof p->said, "%.190s", err.msg);
    }
    lamina_engine_destroy(engine);
    return NULL;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint64_t scale;
} scenarios[] = {
    {"admission", 3000},
    {"ageing", 1}, /* the levels of the batcher are 10 s apart */
    {"bounds", 3000},
    {"deadline", 100}, /* it does not wait for the delay, which is 1 s then */
    {"defer", 3000},
    {"delay", 3000},
    {"delay_preferred", 3000},
    {"edf", 1000}, /* no deadline means one after a second */
    {"full", 3000},
    {"gone", 3000},
    {"instances", 3000},
    {"keys", 3000},
    {"ordering", 10000}, /* b comes 1 us after a, and is to be read alone */
    {"preferred", 3000},
    {"priorities", 3000},
    {"rejoin", 10000}, /* 3 us: 30 ms */
    {"rows", 3000},
    {"single", 3000},
    {"timeouts", 3000},
    {"work_conserving", 3000},
};

static bool prepare(t_env *env, play *p, int which, int attempt, const pb *model)
{
    char path[512], folder[64];
    static char text[1 << 15];
    const char *name = scenarios[which].name;
    (void)snprintf(path, sizeof path, T_SOURCE_DIR "/tests/serve/scenarios/%s.txt", name);
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    (void)fclose(f);
    *p = (play){.name = name, .scale = scenarios[which].scale, .s = calloc(1, sizeof *p->s)};
    if (!p->s || !(p->s->request = calloc(SC_MAX, sizeof *p->s->request))) return false;
    lmn_mutex_init(&p->lock);
    for (int i = 0; i < SC_MAX; i++) p->fd[i] = -1;
    expect(p, sc_read(p->s, text));
    (void)snprintf(folder, sizeof folder, "%s-%d", name, attempt);
    (void)t_path(env, folder, p->dir, sizeof p->dir);
    return write_models(p->dir, &p->s->config, p->scale, model);
}

static void test_scenarios(t_env *env)
{
    enum { N = sizeof scenarios / sizeof scenarios[0] };
    static pb g, model;
    play *p = calloc(N, sizeof *p);
    lmn_thread t[N];
    bool fine[N] = {false}, late[N] = {false};
    T_REQUIRE(p);
    rt_node(&g, "Neg", "x", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "N D");
    rt_port(&g, 12, "y", LAMINA_F32, "N D");
    pb_model(&model, &g);
    for (int attempt = 0; attempt < 3; attempt++) {
        bool began[N] = {false};
        for (int i = 0; i < N; i++) {
            if (fine[i]) continue;
            T_CHECK(prepare(env, &p[i], i, attempt, &model));
            began[i] = lmn_thread_start(&t[i], run_play, &p[i]) == LAMINA_OK;
        }
        for (int i = 0; i < N; i++) {
            if (fine[i]) continue;
            if (began[i]) lmn_thread_join(&t[i]);
            fine[i] = p[i].fine;
            late[i] = late[i] || atomic_load(&p[i].late);
            if (!fine[i])
                printf("   try %d of %s: %s\n", attempt + 1, scenarios[i].name, p[i].said);
            free(p[i].s->request);
            free(p[i].s);
        }
    }
    for (int i = 0; i < N; i++) {
        T_CASE(scenarios[i].name);
        if (!fine[i] && late[i])
            printf("   %s: the machine was too busy to tell\n", scenarios[i].name);
        else
            T_CHECK(fine[i]);
    }
    free(p);
}

T_MAIN(T_TEST(test_scenarios))
