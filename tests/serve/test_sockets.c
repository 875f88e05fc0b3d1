/*
 * Scenarios of the batcher over sockets: the same files, played in real time against a whole server
 * (3 ms for each of their microseconds) whose model sleeps as long as the scenario says and notes
 * which requests ran together. Batches, their order and reasons, and the status of every answer
 * must be those that stand in the file. Only scenarios in which an instance is busy when several
 * requests come at one instant: which of them a loop reads first is nobody's promise.
 *
 * A machine that is busy elsewhere may be late with everything: each gets three tries, and a try in
 * which somebody was late proves nothing.
 */
#include "runtime/rt_build.h"
#include "serve/scenario.h"

#include "base/os/os_dir.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "lamina/device.h"
#include "lamina/serve.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#define SCALE 3000 /* nanoseconds of real time for a nanosecond of a scenario */
#define FIRST 1000 /* a row of request i holds FIRST + i; warm-up holds less */
#define WARM_NS 2000000
#define LATE_NS 8000000 /* events that have to keep apart are 30 ms apart */

typedef struct play {
    const char *name;
    char dir[512], runs[4096], want_runs[4096];
    sc *s;
    int fd[SC_MAX], status[SC_MAX], want[SC_MAX];
    int reasons[LMN_BATCH_REASONS], want_reasons[LMN_BATCH_REASONS];
    lmn_mutex lock; /* of runs */
    atomic_bool late;
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

static lamina_status slow_probe(char *reason, size_t cap)
{
    (void)reason, (void)cap;
    return LAMINA_OK;
}
static lamina_status slow_open(lamina_engine *engine, const char *options, void **self)
{
    (void)engine;
    *self = (void *)(uintptr_t)strtoull(options, NULL, 10); /* the play */
    return LAMINA_OK;
}
static void slow_close(void *self)
{
    (void)self;
}
static bool slow_supports(void *self, const lamina_node *node, char *text, size_t cap)
{
    (void)self;
    (void)snprintf(text, cap, "slow");
    return !strcmp(lamina_node_op(node), "Neg");
}
static lamina_status slow_compile(void *self, const lamina_node *node, lamina_kernel **out,
                                  lamina_error *err)
{
    (void)node, (void)err;
    *out = self;
    return LAMINA_OK;
}
static void slow_free(void *self, lamina_kernel *kernel)
{
    (void)self, (void)kernel;
}

static void note_run(play *p, const float *x, int64_t rows)
{
    lmn_mutex_lock(&p->lock);
    size_t n = strlen(p->runs);
    for (int64_t i = 0; i < rows; i++) {
        if (i && x[i] == x[i - 1]) continue;
        const int k = (int)x[i] - FIRST;
        const char *name = k >= 0 && k < p->s->n_requests ? p->s->request[k].name : "?";
        n += lmn_format(p->runs + n, sizeof p->runs - n, "%s%s", i ? " " : "", name);
    }
    (void)lmn_format(p->runs + n, sizeof p->runs - n, "\n");
    lmn_mutex_unlock(&p->lock);
}

static lamina_status slow_execute(void *self, lamina_kernel *kernel, lamina_call *call)
{
    play *p = self;
    const lamina_tensor *in = lamina_call_input(call, 0);
    const int64_t *dims = lamina_tensor_dims(in);
    const float *x = lamina_tensor_data(in);
    lamina_tensor *out;
    (void)kernel;
    LMN_TRY(lamina_call_output(call, 0, LAMINA_F32, 2, dims, &out));
    float *y = lamina_tensor_mutable_data(out);
    for (int64_t i = 0; i < dims[0]; i++) y[i] = -x[i];
    const bool warm = x[0] < FIRST;
    if (!warm) note_run(p, x, dims[0]);
    nap(p, warm ? WARM_NS : p->s->take[sc_bucket(dims[0])] * SCALE);
    return LAMINA_OK;
}

static const lamina_device_vtable slow = {.abi = LAMINA_DEVICE_ABI,
                                          .name = "slow",
                                          .probe = slow_probe,
                                          .open = slow_open,
                                          .close = slow_close,
                                          .supports = slow_supports,
                                          .compile = slow_compile,
                                          .kernel_free = slow_free,
                                          .execute = slow_execute};

/* ---- the repository -------------------------------------------------------------------------- */

static void policy(FILE *f, const lmn_batch_level *l)
{
    (void)fprintf(f, "{ timeout_action: %s allow_timeout_override: %s max_queue_size: %u",
                  l->action == LMN_BATCH_DEFER ? "DELAY" : "REJECT",
                  l->allow_override ? "true" : "false", l->max_queue_size);
    if (l->default_timeout_ns)
        (void)fprintf(f, " default_timeout_microseconds: %llu",
                      (unsigned long long)(l->default_timeout_ns / 1000 * SCALE));
    (void)fprintf(f, " }\n");
}

static bool write_config(const play *p)
{
    char path[700];
    const lmn_batch_config *c = &p->s->config;
    (void)snprintf(path, sizeof path, "%s/m/config.pbtxt", p->dir);
    FILE *f = fopen(path, "w");
    if (!f) return false;
    (void)fprintf(f, "max_batch_size: %lld\ninstance_group { count: %u }\ndynamic_batching {\n",
                  (long long)c->max_batch_size, c->n_instances);
    for (uint32_t i = 0; i < c->n_preferred; i++)
        (void)fprintf(f, "preferred_batch_size: %lld\n", (long long)c->preferred[i]);
    if (c->delay_ns)
        (void)fprintf(f, "max_queue_delay_microseconds: %llu\n",
                      (unsigned long long)(c->delay_ns / 1000 * SCALE));
    if (c->preserve_ordering) (void)fprintf(f, "preserve_ordering: true\n");
    if (!c->n_levels) {
        (void)fprintf(f, "default_queue_policy ");
        policy(f, &c->level[0]);
    } else {
        (void)fprintf(f, "priority_levels: %u\ndefault_priority_level: %u\n", c->n_levels,
                      c->default_level ? c->default_level : 1);
    }
    for (uint32_t i = 0; i < c->n_levels; i++) {
        (void)fprintf(f, "priority_queue_policy { key: %u value ", i + 1);
        policy(f, &c->level[i]);
        (void)fprintf(f, "}\n");
    }
    (void)fprintf(f, "}\n");
    return fclose(f) == 0;
}

static bool write_model(const play *p, const pb *model)
{
    char path[700];
    (void)snprintf(path, sizeof path, "%s/m", p->dir);
    if (lmn_os_dir_make(p->dir, NULL) || lmn_os_dir_make(path, NULL)) return false;
    (void)snprintf(path, sizeof path, "%s/m/1", p->dir);
    if (lmn_os_dir_make(path, NULL)) return false;
    (void)snprintf(path, sizeof path, "%s/m/1/model.onnx", p->dir);
    FILE *f = fopen(path, "wb");
    const bool whole = f && fwrite(model->p, 1, model->n, f) == model->n;
    return (!f || fclose(f) == 0) && whole && write_config(p);
}

/* ---- clients --------------------------------------------------------------------------------- */

static int dial(uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)(const void *)&to, sizeof to) == 0)
        return fd;
    if (fd >= 0) (void)close(fd);
    return -1;
}

static void send_request(play *p, int i, uint16_t port)
{
    char body[2048], head[2300];
    const lmn_infer *r = &p->s->request[i].r;
    size_t n = lmn_format(body, sizeof body,
                          "{\"parameters\":{\"priority\":%u,\"timeout\":%llu},"
                          "\"inputs\":[{\"name\":\"x\",\"shape\":[%lld,1],"
                          "\"datatype\":\"FP32\",\"data\":[",
                          r->priority, (unsigned long long)(r->timeout_ns / 1000 * SCALE),
                          (long long)r->rows);
    for (int64_t k = 0; k < r->rows; k++)
        n += lmn_format(body + n, sizeof body - n, "%s%d", k ? "," : "", FIRST + i);
    n += lmn_format(body + n, sizeof body - n, "]}]}");
    const size_t h = lmn_format(head, sizeof head,
                                "POST /v2/models/m/infer HTTP/1.1\r\nHost: t\r\n"
                                "Connection: close\r\nContent-Length: %zu\r\n\r\n%s",
                                n, body);
    p->fd[i] = dial(port);
    if (p->fd[i] >= 0 && send(p->fd[i], head, h, MSG_NOSIGNAL) != (ssize_t)h) p->status[i] = -1;
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
    char *text = calloc(1, 1 << 18), key[64];
    size_t n = 0;
    if (fd >= 0 && text && send(fd, get, sizeof get - 1, MSG_NOSIGNAL) > 0)
        for (ssize_t got; (got = recv(fd, text + n, (1 << 18) - 1 - n, 0)) > 0;) n += (size_t)got;
    for (int i = 0; text && i < LMN_BATCH_REASONS; i++) {
        (void)snprintf(key, sizeof key, "reason=\"%s\"} ", sc_reason[i]);
        const char *at = strstr(text, "lamina_batch_dispatch_total{");
        at = at ? strstr(at, key) : NULL;
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
        char *what = strtok_r(strchr(line, ' '), " ", &next);
        const int status = !strcmp(what, "done") ? 200 : !strcmp(what, "cancelled") ? 0 : 503;
        bool first = true;
        for (char *w; (w = strtok_r(NULL, " ", &next)) != NULL; first = false) {
            char *colon = strchr(w, ':');
            if (colon) *colon = 0;
            const int i = (int)(sc_named(p->s, w) - p->s->request);
            if (strcmp(what, "run") != 0) p->want[i] = status;
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
        if (!strcmp(what, "run")) n += lmn_format(p->want_runs + n, sizeof p->want_runs - n, "\n");
    }
}

static void judge(play *p)
{
    p->fine = !strcmp(p->runs, p->want_runs);
    if (!p->fine) (void)lmn_format(p->said, sizeof p->said, "ran %.150s", p->runs);
    for (int i = 0; i < p->s->n_requests; i++)
        if (p->want[i] && p->status[i] != p->want[i]) {
            p->fine = false;
            (void)lmn_format(p->said, sizeof p->said, "%s got %d", p->s->request[i].name,
                             p->status[i]);
        }
    for (int i = 0; i < LMN_BATCH_REASONS; i++)
        if (p->reasons[i] != p->want_reasons[i]) {
            p->fine = false;
            (void)lmn_format(p->said, sizeof p->said, "%d batches %s", p->reasons[i], sc_reason[i]);
        }
}

static void serve(play *p, lamina_server *server)
{
    const uint16_t port = lamina_server_port(server, 0);
    const uint64_t start = lmn_now_ns() + 20000000;
    for (int e = 0; e < p->s->n_events; e++) {
        const sc_event *v = &p->s->event[e];
        const uint64_t at = start + v->at * SCALE, now = lmn_now_ns();
        const int i = (int)(v->of - p->s->request);
        if (at > now) nap(p, at - now);
        if (v->what)
            leave(p, i);
        else
            send_request(p, i, port);
        note_late(p, at);
    }
    for (int i = 0; i < p->s->n_requests; i++)
        if (p->fd[i] >= 0) {
            p->status[i] = read_status(p->fd[i]);
            (void)close(p->fd[i]);
        }
    read_reasons(p, port);
}

static void *run_play(void *arg)
{
    play *p = arg;
    lamina_engine *engine;
    lamina_server *server;
    lamina_error err;
    char self[32];
    const char *listen[] = {"127.0.0.1:0"};
    const lamina_engine_opts eo = {.size = sizeof eo, .n_threads = 1};
    if (lamina_engine_create(&eo, &engine) != LAMINA_OK) return NULL;
    (void)snprintf(self, sizeof self, "%llu", (unsigned long long)(uintptr_t)p);
    const lamina_server_opts o = {.size = sizeof o,
                                  .models = p->dir,
                                  .listen = listen,
                                  .n_listen = 1,
                                  .queue_rows = (uint64_t)p->s->config.max_queue_rows};
    if (lamina_device_register(engine, &slow, self, &err) == LAMINA_OK &&
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

static bool prepare(t_env *env, play *p, const char *name, int attempt, const pb *model)
{
    char path[512], folder[64];
    static char text[1 << 15];
    (void)snprintf(path, sizeof path, T_SOURCE_DIR "/tests/serve/scenarios/%s.txt", name);
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    (void)fclose(f);
    *p = (play){.name = name, .s = calloc(1, sizeof *p->s)};
    if (!p->s || !(p->s->request = calloc(SC_MAX, sizeof *p->s->request))) return false;
    lmn_mutex_init(&p->lock);
    for (int i = 0; i < SC_MAX; i++) p->fd[i] = -1;
    expect(p, sc_read(p->s, text));
    (void)snprintf(folder, sizeof folder, "%s-%d", name, attempt);
    (void)t_path(env, folder, p->dir, sizeof p->dir);
    return write_model(p, model);
}

static void test_scenarios(t_env *env)
{
    static const char *const names[] = {"work_conserving", "delay", "priorities", "timeouts",
                                        "defer",           "rows",  "gone"};
    enum { N = sizeof names / sizeof names[0] };
    static pb g, model;
    play *p = calloc(N, sizeof *p);
    lmn_thread t[N];
    bool fine[N] = {false}, late[N] = {false};
    T_REQUIRE(p);
    rt_node(&g, "Neg", "x", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "N 1");
    rt_port(&g, 12, "y", LAMINA_F32, "N 1");
    pb_model(&model, &g);
    for (int attempt = 0; attempt < 3; attempt++) {
        bool began[N] = {false};
        for (int i = 0; i < N; i++) {
            if (fine[i]) continue;
            T_CHECK(prepare(env, &p[i], names[i], attempt, &model));
            began[i] = lmn_thread_start(&t[i], run_play, &p[i]) == LAMINA_OK;
        }
        for (int i = 0; i < N; i++) {
            if (fine[i]) continue;
            if (began[i]) lmn_thread_join(&t[i]);
            fine[i] = p[i].fine;
            late[i] = late[i] || atomic_load(&p[i].late);
            if (!fine[i]) printf("   try %d of %s: %s\n", attempt + 1, names[i], p[i].said);
            free(p[i].s->request);
            free(p[i].s);
        }
    }
    for (int i = 0; i < N; i++) {
        T_CASE(names[i]);
        if (!fine[i] && late[i])
            printf("   %s: the machine was too busy to tell\n", names[i]);
        else
            T_CHECK(fine[i]);
    }
    free(p);
}

T_MAIN(T_TEST(test_scenarios))
