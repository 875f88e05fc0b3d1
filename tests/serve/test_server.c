/*
 * The whole server in this process: clients on several threads while models are replaced, unloaded
 * and loaded again, answers that are right at any moment, nothing held at the end. For the thread
 * sanitizer above all; what routes say is judged by tests/serving.
 */
#include "serve/dial.h"
#include "serve/served_models.h"

#include "base/os/os_dir.h"
#include "base/os/os_self.h"
#include "base/os/os_thread.h"
#include "devices/device_list.h"
#include "lamina/device.h"
#include "lamina/serve.h"

/* y = factor * x, rows of four. */
static void put_model(t_env *env, const char *dir, float factor)
{
    static pb bytes;
    char path[700];
    (void)snprintf(path, sizeof path, "%s/model.onnx", dir);
    scale_model(&bytes, factor);
    T_OK(lmn_os_file_replace(path, bytes.p, bytes.n, NULL));
    (void)env;
}

/* One request on an open connection; the status, and the answer's body terminated in `body`. */
static int ask(int fd, const char *method, const char *path, const char *sent, char *body,
               size_t cap)
{
    char head[1024];
    const int n =
        snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: t\r\nContent-Length: %zu\r\n\r\n%s",
                 method, path, strlen(sent), sent);
    size_t got = 0, need = 0;
    if (send(fd, head, (size_t)n, MSG_NOSIGNAL) != n) return -1;
    for (;;) {
        const ssize_t r = recv(fd, body + got, cap - 1 - got, 0);
        if (r <= 0) return -1;
        got += (size_t)r;
        body[got] = 0;
        const char *end = strstr(body, "\r\n\r\n"), *length = strstr(body, "Content-Length: ");
        if (!end) continue;
        if (length) need = (size_t)(end + 4 - body) + strtoul(length + 16, NULL, 10);
        if (got >= need) break;
    }
    const int status = atoi(body + 9);
    char *end = strstr(body, "\r\n\r\n") + 4;
    memmove(body, end, strlen(end) + 1);
    return status;
}

typedef struct client {
    lamina_server *server;
    atomic_bool *stop;
    long long n_ok, n_away, n_bad;
    char said[200];
} client;

static const char REQUEST[] = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,4],\"datatype\":\"FP32\","
                              "\"data\":[1,1,1,1]}]}";

static void *run_client(void *arg)
{
    client *c = arg;
    char body[4096];
    const int fd = dial(lamina_server_port(c->server, 0));
    while (fd >= 0 && !atomic_load(c->stop)) {
        const int status = ask(fd, "POST", "/v2/models/m/infer", REQUEST, body, sizeof body);
        if (status == 200 && (strstr(body, "[1,1,1,1]") || strstr(body, "[2,2,2,2]")))
            c->n_ok++;
        else if (status == 503)
            c->n_away++; /* unloaded at this moment */
        else if (!c->n_bad++)
            (void)snprintf(c->said, sizeof c->said, "%d %.150s", status, body);
        if (status < 0) break;
    }
    if (fd >= 0) (void)close(fd);
    return NULL;
}

static void churn(t_env *env, lamina_server *s, const char *dir, int turns)
{
    static char body[256 << 10];
    const int fd = dial(lamina_server_port(s, 1));
    T_REQUIRE(fd >= 0);
    for (int i = 0; i < turns; i++) {
        put_model(env, dir, (float)(1 + (i & 1)));
        T_EQ(ask(fd, "POST", "/v2/repository/models/m/load", "", body, sizeof body), 200);
        T_EQ(ask(fd, "GET", "/metrics", "", body, sizeof body) > 0, 1);
        if (i % 8 == 7) {
            T_EQ(ask(fd, "POST", "/v2/repository/models/m/unload", "", body, sizeof body), 200);
            T_EQ(ask(fd, "POST", "/v2/repository/models/m/load", "", body, sizeof body), 200);
        }
    }
    (void)close(fd);
}

enum { CLIENTS = 4 };

static void test_churn(t_env *env)
{
    char dir[512], version[600];
    const char *listen[] = {"127.0.0.1:0"}, *load[] = {"*"};
    lamina_server *s = NULL;
    lamina_error err = {0};
    atomic_bool stop = false;
    client c[CLIENTS];
    lmn_thread threads[CLIENTS];
    T_OK(lamina_device_register(env->engine, &lmn_device_cpu, NULL, NULL));
    (void)t_path(env, "m", dir, sizeof dir);
    (void)snprintf(version, sizeof version, "%s/1", dir);
    T_OK(lmn_os_dir_make(dir, NULL));
    T_OK(lmn_os_dir_make(version, NULL));
    put_model(env, version, 1);
    const lamina_server_opts o = {.size = sizeof o,
                                  .models = env->dir,
                                  .listen = listen,
                                  .n_listen = 1,
                                  .admin = "127.0.0.1:0",
                                  .control = LAMINA_CONTROL_EXPLICIT,
                                  .load = load,
                                  .n_load = 1,
                                  .n_loops = 2,
                                  .otlp = "http://127.0.0.1:1", /* nobody is there */
                                  .otlp_rate = 1};
    T_REQUIRE(T_OK_ERR(lamina_server_start(env->engine, &o, &s, &err), &err));
    for (int i = 0; i < CLIENTS; i++) {
        c[i] = (client){.server = s, .stop = &stop};
        T_OK(lmn_thread_start(&threads[i], run_client, &c[i]));
    }
    churn(env, s, version, 40);
    lmn_sleep_ms(50);
    atomic_store(&stop, true);
    for (int i = 0; i < CLIENTS; i++) {
        lmn_thread_join(&threads[i]);
        T_CHECK(c[i].n_ok > 0);
        if (!T_EQ(c[i].n_bad, 0)) printf("    said: %s\n", c[i].said);
    }
    lamina_server_model_info info = {.size = sizeof info};
    T_OK(lamina_server_model(s, 0, &info));
    T_STR_EQ(info.name, "m");
    T_CHECK(info.ready && info.example[0]);
    T_EQ(lamina_server_model(s, 1, &info), LAMINA_E_RANGE);
    lamina_server_stop(s, 1000);
}

/* x through a loop of many turns: a run takes long enough for a thread of its own. */
static void put_slow_model(const char *dir, int64_t turns)
{
    static pb g, bytes, body, attr;
    static const char config[] =
        "max_batch_size: 4\ninstance_group [{count: 1 kind: KIND_CPU}]\n"
        "dynamic_batching { default_queue_policy { max_queue_size: 2 } }\n";
    char path[700];
    const uint8_t yes = 1;
    rt_node(&body, "Identity", "c_in", "c_out", NULL);
    rt_node(&body, "Identity", "v_in", "v_out", NULL);
    pb_str(&body, 2, "body");
    rt_port(&body, 11, "i", LAMINA_I64, "");
    rt_port(&body, 11, "c_in", LAMINA_BOOL, "");
    rt_port(&body, 11, "v_in", LAMINA_F32, "N 4");
    rt_port(&body, 12, "c_out", LAMINA_BOOL, "");
    rt_port(&body, 12, "v_out", LAMINA_F32, "N 4");
    rt_attr_graph(&attr, "body", &body);
    rt_node(&g, "Loop", "n c x", "y", &attr);
    pb_str(&g, 2, "g");
    rt_weight(&g, "n", LAMINA_I64, 0, NULL, &turns, sizeof turns);
    rt_weight(&g, "c", LAMINA_BOOL, 0, NULL, &yes, 1);
    rt_port(&g, 11, "x", LAMINA_F32, "N 4");
    rt_port(&g, 12, "y", LAMINA_F32, "N 4");
    pb_model(&bytes, &g);
    (void)snprintf(path, sizeof path, "%s/1", dir);
    T_OK(lmn_os_dir_make(path, NULL));
    (void)snprintf(path, sizeof path, "%s/1/model.onnx", dir);
    T_OK(lmn_os_file_replace(path, bytes.p, bytes.n, NULL));
    (void)snprintf(path, sizeof path, "%s/config.pbtxt", dir);
    T_OK(lmn_os_file_replace(path, config, sizeof config - 1, NULL));
}

/* More clients than the queue holds: refused or served right on one connection each; afterwards all
 * is as it was. */
static void test_overload(t_env *env)
{
    enum { MANY = 12 };
    char dir[512], body[4096];
    const char *listen[] = {"127.0.0.1:0"};
    lamina_server *s = NULL;
    lamina_error err = {0};
    atomic_bool stop = false;
    client c[MANY];
    lmn_thread threads[MANY];
    long long n_ok = 0, n_away = 0;
    T_OK(lamina_device_register(env->engine, &lmn_device_cpu, NULL, NULL));
    (void)t_path(env, "m", dir, sizeof dir);
    T_OK(lmn_os_dir_make(dir, NULL));
    put_slow_model(dir, 3000);
    const lamina_server_opts o = {
        .size = sizeof o, .models = env->dir, .listen = listen, .n_listen = 1, .n_loops = 2};
    T_REQUIRE(T_OK_ERR(lamina_server_start(env->engine, &o, &s, &err), &err));
    for (int i = 0; i < MANY; i++) {
        c[i] = (client){.server = s, .stop = &stop};
        T_OK(lmn_thread_start(&threads[i], run_client, &c[i]));
    }
    lmn_sleep_ms(300);
    atomic_store(&stop, true);
    for (int i = 0; i < MANY; i++) {
        lmn_thread_join(&threads[i]);
        n_ok += c[i].n_ok;
        n_away += c[i].n_away;
        if (!T_EQ(c[i].n_bad, 0)) printf("    said: %s\n", c[i].said);
    }
    T_CHECK(n_ok > 0 && n_away > 0);
    const int fd = dial(lamina_server_port(s, 0));
    for (int i = 0; i < 5; i++)
        T_EQ(ask(fd, "POST", "/v2/models/m/infer", REQUEST, body, sizeof body), 200);
    (void)close(fd);
    lamina_server_stop(s, 1000);
}

static void test_options(t_env *env)
{
    const char *public[] = {"0.0.0.0:0"};
    char dir[512];
    lamina_server *s = T_UNTOUCHED;
    lamina_error err;
    lamina_server_opts o = {.size = sizeof o};
    T_EQ(lamina_server_start(env->engine, &o, &s, &err), LAMINA_E_INVALID);
    (void)t_path(env, "m", dir, sizeof dir);
    o.models = env->dir;
    o.listen = public;
    o.n_listen = 1;
    T_EQ(lamina_server_start(env->engine, &o, &s, &err), LAMINA_E_PERM);
    o.insecure = true;
    o.admin = "0.0.0.0:0";
    T_EQ(lamina_server_start(env->engine, &o, &s, &err), LAMINA_E_PERM);
    o.admin = NULL;
    o.models = "/nowhere/at/all";
    T_EQ(lamina_server_start(env->engine, &o, &s, &err), LAMINA_E_IO);
    o.models = env->dir;
    o.max_batch = -2;
    T_EQ(lamina_server_start(env->engine, &o, &s, &err), LAMINA_E_INVALID);
    o.max_batch = 0;
    o.otlp = "https://127.0.0.1:1";
    T_EQ(lamina_server_start(env->engine, &o, &s, &err), LAMINA_E_INVALID);
    o.otlp = NULL;
    o.log_sample = 1;
    T_EQ(lamina_server_start(env->engine, &o, &s, &err), LAMINA_E_INVALID);
    T_CHECK(s == T_UNTOUCHED);
    lamina_server_stop(NULL, 0);
    lamina_server_drain(NULL);
    T_EQ(lamina_server_port(NULL, 0), 0);
}

T_MAIN(T_TEST(test_churn), T_TEST(test_overload), T_TEST(test_options))
