/*
 * Addresses as text, sockets that never block, waits that end: by an event, a wake or their time.
 */
#include "base/os/os_poll.h"
#include "base/os/os_socket.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "t.h"

#define MS UINT64_C(1000000)

static const struct {
    const char *text;
    bool good, local, is_unix;
    uint16_t port;
} addresses[] = {
    {"8000", true, true, false, 8000},
    {"127.0.0.1:0", true, true, false, 0},
    {"127.9.9.9:65535", true, true, false, 65535},
    {"localhost:80", true, true, false, 80},
    {"*:80", true, false, false, 80},
    {"0.0.0.0:80", true, false, false, 80},
    {"10.0.0.1:80", true, false, false, 80},
    {"[::1]:80", true, true, false, 80},
    {"[::]:80", true, false, false, 80},
    {"[2001:db8::1]:80", true, false, false, 80},
    {"unix:/a/b", true, true, true, 0},
    {"", false, false, false, 0},
    {":80", false, false, false, 0},
    {"80:", false, false, false, 0},
    {"127.0.0.1:65536", false, false, false, 0},
    {"127.0.0.1:-1", false, false, false, 0},
    {"127.0.0.1: 80", false, false, false, 0},
    {"127.0.0.1:80 ", false, false, false, 0},
    {"127.0.0.256:80", false, false, false, 0},
    {"::1:80", false, false, false, 0},
    {"[::1:80", false, false, false, 0},
    {"[]:80", false, false, false, 0},
    {"[127.0.0.1]:80", false, false, false, 0},
    {"example.org:80", false, false, false, 0},
    {"unix:", false, false, false, 0},
    {"0123456789012345678901234567890123456789012345678901234567890123456789:80", false, false,
     false, 0},
};

static void test_addresses(t_env *env)
{
    (void)env;
    for (size_t i = 0; i < T_COUNT(addresses); i++) {
        lmn_address a;
        lamina_error err = {0};
        T_CASE(addresses[i].text);
        const lamina_status st = lmn_address_parse(addresses[i].text, &a, &err);
        T_EQ(st, addresses[i].good ? LAMINA_OK : LAMINA_E_INVALID);
        if (st != LAMINA_OK) {
            T_CHECK(strstr(err.msg, "is no address") != NULL);
            continue;
        }
        T_EQ(lmn_address_port(&a), addresses[i].port);
        T_EQ(lmn_address_is_local(&a), addresses[i].local);
        T_EQ(lmn_address_is_unix(&a), addresses[i].is_unix);
        lmn_address_set_port(&a, 1234);
        T_EQ(lmn_address_port(&a), addresses[i].is_unix ? 0 : 1234);
    }
    T_CASE(NULL);
    char path[300] = "unix:/";
    memset(path + 6, 'a', 200);
    lmn_address a;
    T_EQ(lmn_address_parse(path, &a, NULL), LAMINA_E_INVALID); /* longer than a socket's may be */
}

static void test_talk(t_env *env)
{
    (void)env;
    lmn_address a;
    char peer[LMN_PEER_BYTES], buf[16];
    int listener, other, fd;
    T_OK(lmn_address_parse("127.0.0.1:0", &a, NULL));
    T_OK(lmn_sock_listen(&a, false, &listener, NULL));
    T_EQ(lmn_sock_accept(listener, peer), LMN_SOCK_AGAIN);
    lmn_sock_address(listener, &a);
    T_CHECK(lmn_address_port(&a) != 0);
    T_EQ(lmn_sock_listen(&a, false, &other, NULL), LAMINA_E_BUSY);
    T_OK(lmn_sock_connect(&a, &fd, NULL));
    T_EQ(lmn_poll_one(fd, LMN_POLL_OUT, 10000 * MS), LMN_POLL_OUT);
    T_OK(lmn_sock_connected(fd, NULL));
    T_EQ(lmn_poll_one(listener, LMN_POLL_IN, 10000 * MS), LMN_POLL_IN);
    const int at = lmn_sock_accept(listener, peer);
    T_REQUIRE(at >= 0);
    T_STR_EQ(peer, "127.0.0.1");
    T_EQ(lmn_sock_recv(at, buf, sizeof buf), LMN_SOCK_AGAIN);
    const lmn_span spans[2] = {{(const uint8_t *)"ab", 2}, {(const uint8_t *)"cde", 3}};
    T_EQ(lmn_sock_send(fd, spans, 2), 5);
    T_EQ(lmn_poll_one(at, LMN_POLL_IN, 10000 * MS), LMN_POLL_IN);
    T_EQ(lmn_sock_recv(at, buf, sizeof buf), 5);
    T_MEM_EQ(buf, "abcde", 5);
    lmn_sock_finish(fd);
    T_EQ(lmn_poll_one(at, LMN_POLL_IN, 10000 * MS), LMN_POLL_IN);
    T_EQ(lmn_sock_recv(at, buf, sizeof buf), 0);
    lmn_sock_close(at);
    int64_t sent = 0;
    for (int i = 0; i < 1000 && sent != LMN_SOCK_LOST; i++) sent = lmn_sock_send(fd, spans, 1);
    T_EQ(sent, LMN_SOCK_LOST); /* and no signal */
    lmn_sock_close(fd);
    lmn_sock_close(listener);
    T_OK(lmn_sock_connect(&a, &fd, NULL));
    (void)lmn_poll_one(fd, LMN_POLL_OUT, 10000 * MS);
    T_EQ(lmn_sock_connected(fd, NULL), LAMINA_E_IO); /* nobody listens any more */
    lmn_sock_close(fd);
    T_EQ(lmn_sock_adopt(0, NULL), LAMINA_E_INVALID);
}

static void *wake_later(void *arg)
{
    usleep(20000);
    lmn_wake(*(int *)arg);
    return NULL;
}

static void test_wake(t_env *env)
{
    (void)env;
    int poll, wake;
    lmn_thread t;
    lmn_poll_event e[4];
    T_OK(lmn_poll_open(&poll, NULL));
    T_OK(lmn_wake_open(&wake, NULL));
    T_OK(lmn_poll_add(poll, wake, LMN_POLL_IN, &wake, NULL));
    T_CHECK(lmn_poll_add(poll, wake, LMN_POLL_IN, &wake, NULL) != LAMINA_OK); /* twice */
    T_EQ(lmn_poll_wait(poll, e, 4, 0), 0);
    const uint64_t begin = lmn_now_ns();
    T_EQ(lmn_poll_wait(poll, e, 4, 5 * MS), 0);
    T_CHECK(lmn_now_ns() - begin >= 5 * MS);
    T_OK(lmn_thread_start(&t, wake_later, &wake));
    T_EQ(lmn_poll_wait(poll, e, 4, UINT64_MAX), 1);
    T_CHECK(e[0].who == &wake && e[0].what == LMN_POLL_IN);
    lmn_thread_join(&t);
    lmn_wake(wake);
    lmn_wake_clear(wake);
    T_EQ(lmn_poll_wait(poll, e, 4, 0), 0);
    lmn_poll_remove(poll, wake);
    lmn_poll_remove(poll, wake);
    lmn_wake(wake);
    T_EQ(lmn_poll_wait(poll, e, 4, MS), 0);
    lmn_poll_close(wake);
    lmn_poll_close(poll);
    lmn_poll_close(-1);
}

T_MAIN(T_TEST(test_addresses), T_TEST(test_talk), T_TEST(test_wake))
