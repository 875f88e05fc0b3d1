/*
 * The least that a server of a model can do, for what it costs to be asked by network at all: no
 * HTTP is read, a receive is taken for a request and gets fixed bytes. On one core;
 * "answer": a run of one row before each answer. "refuse": 429 at once, beside a thread that runs
 * 128 rows without a pause and prints its rows a second, each second.
 * Usage: bench_serve_least MODEL answer|refuse (its input has N rows); prints the port.
 */
#include "bench_input.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 128, EVENTS = 256, LINE = 1024 };

typedef struct least {
    bench_model model;
    lamina_session *session;
    bool refuses;
    char line[LINE];
    size_t bytes;
} least;

static void *run_on(void *ctx)
{
    const least *l = ctx;
    for (;;) {
        const double begun = bench_now();
        double took = 0;
        int64_t rows = 0;
        for (; took < 1; took = bench_now() - begun, rows += BATCH)
            bench_run(&l->model, l->session);
        printf("%.1f\n", (double)rows / took);
        fflush(stdout);
    }
    return NULL;
}

static void write_line(least *l)
{
    const char *refusal = "{\"error\":\"as many requests wait as may wait\"}";
    const char *answer =
        "{\"model_name\":\"heavy\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","
        "\"datatype\":"
        "\"FP32\",\"shape\":[1,10],\"data\":[0.11,0.22,0.33,0.44,0.55,0.66,0.77,0.88,0.99,0.12]}]}";
    const char *body = l->refuses ? refusal : answer;
    l->bytes = (size_t)snprintf(l->line, LINE,
                                "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                                "Content-Length: %zu\r\n\r\n%s",
                                l->refuses ? "429 Too Many Requests\r\nRetry-After: 1" : "200 OK",
                                strlen(body), body);
}

static int listen_at(int *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof a;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, size) || listen(fd, 4096) ||
        getsockname(fd, (struct sockaddr *)&a, &size))
        return -1;
    *port = ntohs(a.sin_port);
    return fd;
}

static void take_in(int poll, int listener)
{
    const int one = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0;) {
        struct epoll_event e = {.events = EPOLLIN, .data = {.fd = fd}};
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e);
    }
}

static void serve(const least *l, int fd)
{
    static char bytes[1 << 16];
    const ssize_t n = recv(fd, bytes, sizeof bytes, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN) close(fd);
        return;
    }
    if (!l->refuses) bench_run(&l->model, l->session);
    if (send(fd, l->line, l->bytes, MSG_NOSIGNAL) < 0) close(fd);
}

int main(int argc, char **argv)
{
    static least l;
    int port;
    pthread_t t;
    if (argc != 3) return fputs("usage: bench_serve_least MODEL answer|refuse\n", stderr), 2;
    l.refuses = argv[2][0] == 'r';
    const int listener = listen_at(&port), poll = epoll_create1(0);
    if (listener < 0 || poll < 0) return 1;
    bench_open(&l.model, argv[1], 1);
    bench_inputs(&l.model, &(char *){l.refuses ? "N=128" : "N=1"}, 1);
    l.session = bench_session(&l.model, NULL);
    write_line(&l);
    bench_run(&l.model, l.session);
    printf("%d\n", port);
    fflush(stdout);
    if (l.refuses && pthread_create(&t, NULL, run_on, &l)) return 1;
    struct epoll_event event[EVENTS] = {{.events = EPOLLIN, .data = {.fd = listener}}};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, event);
    for (;;) {
        const int n = epoll_wait(poll, event, EVENTS, -1);
        for (int i = 0; i < n; i++)
            if (event[i].data.fd == listener)
                take_in(poll, listener);
            else
                serve(&l, event[i].data.fd);
    }
}
