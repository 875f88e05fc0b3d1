/*
 * The server behind TLS, with OpenSSL as the client: what plain connections do, in both versions;
 * handshakes that are slow, broken, too old or without a certificate; tickets, ALPN, reload.
 * Certificates are made here.
 */
#include "http_rig.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define MS UINT64_C(1000000)

/* ---- certificates ---- */

static void put_file(const char *path, EVP_PKEY *k, X509 *x)
{
    FILE *f = fopen(path, "w");
    if (k) PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL);
    if (x) PEM_write_X509(f, x);
    fclose(f);
}

/* NAME.pem and NAME.key, signed by itself; `serial` is how tests tell one from another. */
static void make_cert(t_env *env, const char *name, long serial)
{
    char file[64], path[512];
    EVP_PKEY *k = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, k);
    X509_sign(x, k, EVP_sha256());
    snprintf(file, sizeof file, "%s.pem", name);
    put_file(t_path(env, file, path, sizeof path), NULL, x);
    snprintf(file, sizeof file, "%s.key", name);
    put_file(t_path(env, file, path, sizeof path), k, NULL);
    X509_free(x);
    EVP_PKEY_free(k);
}

typedef struct files {
    char cert[512], key[512], ca[512];
} files;

static lmn_http_tls *open_tls(t_env *env, files *f, bool ask_clients)
{
    lmn_http_tls *t = NULL;
    lamina_error err = {0};
    make_cert(env, "server", 1);
    make_cert(env, "client", 7);
    t_path(env, "server.pem", f->cert, sizeof f->cert);
    t_path(env, "server.key", f->key, sizeof f->key);
    t_path(env, "client.pem", f->ca, sizeof f->ca);
    const lmn_http_tls_opts o = {f->cert, f->key, ask_clients ? f->ca : NULL, {0}};
    (void)T_OK_ERR(lmn_http_tls_open(&env->alloc, &o, &t, &err), &err);
    return t;
}

/* ---- the client ---- */

typedef struct client {
    int fd;
    SSL_CTX *ctx;
    SSL *ssl;
} client;

static bool shake(client *c, const rig *g, int version, SSL_SESSION *old)
{
    static const unsigned char ALPN[] = "\x02zz\x08http/1.1";
    const struct timeval limit = {.tv_sec = 10};
    c->fd = rig_connect(g);
    (void)setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    c->ssl = SSL_new(c->ctx);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_min_proto_version(c->ssl, version);
    SSL_set_max_proto_version(c->ssl, version);
    SSL_set_alpn_protos(c->ssl, ALPN, sizeof ALPN - 1);
    if (old) SSL_set_session(c->ssl, old);
    return SSL_connect(c->ssl) == 1;
}

static bool connect_tls(client *c, const rig *g, int version)
{
    c->ctx = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_security_level(c->ctx, 0);
    return shake(c, g, version, NULL);
}

static void leave(client *c)
{
    SSL_free(c->ssl);
    SSL_CTX_free(c->ctx);
    close(c->fd);
    ERR_clear_error();
}

static bool say(client *c, const void *p, size_t n)
{
    return SSL_write(c->ssl, p, (int)n) == (int)n;
}

static bool say_text(client *c, const char *text)
{
    return say(c, text, strlen(text));
}

/* One answer with Content-Length: its status, the body in buf. 0: there was none. */
static int answer(client *c, char *buf, size_t cap)
{
    size_t n = 0;
    char head[4096] = "";
    while (n < sizeof head - 1) {
        if (SSL_read(c->ssl, head + n, 1) != 1) return 0;
        head[++n] = 0;
        if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0) break;
    }
    const char *length = strstr(head, "Content-Length: ");
    const size_t want = length ? strtoul(length + 16, NULL, 10) : 0;
    for (n = 0; n < want && n < cap - 1;) {
        const int k = SSL_read(c->ssl, buf + n, (int)(want - n));
        if (k <= 0) return 0;
        n += (size_t)k;
    }
    buf[n] = 0;
    return atoi(head + 9);
}

static int ask(client *c, const char *text, char *buf, size_t cap)
{
    return say_text(c, text) ? answer(c, buf, cap) : 0;
}

#define HELLO "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"

/* ---- tests ---- */

static void talk(const rig *g, int version)
{
    client c;
    char *big = malloc(RIG_BIG + 1), head[200];
    T_REQUIRE(connect_tls(&c, g, version));
    const unsigned char *alpn;
    unsigned int n_alpn;
    SSL_get0_alpn_selected(c.ssl, &alpn, &n_alpn);
    T_CHECK(n_alpn == 8 && memcmp(alpn, "http/1.1", 8) == 0);
    for (int i = 0; i < 20; i++) {
        T_EQ(ask(&c, HELLO, big, RIG_BIG), 200);
        T_STR_EQ(big, "hello");
    }
    /* two at once, one of them from another thread */
    T_EQ(ask(&c, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab" HELLO, big, 100),
         200);
    T_STR_EQ(big, "ab");
    T_EQ(answer(&c, big, 100), 200);
    T_STR_EQ(big, "hello");
    T_EQ(ask(&c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n", big, RIG_BIG + 1), 200);
    T_CHECK(strlen(big) == RIG_BIG && big[0] == 'b' && big[RIG_BIG - 1] == 'b');
    /* up and down again */
    const size_t n = (size_t)3 << 20;
    memset(big, 'x', n);
    (void)snprintf(head, sizeof head,
                   "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", n);
    T_CHECK(say(&c, head, strlen(head)) && say(&c, big, n));
    T_EQ(answer(&c, big, RIG_BIG + 1), 200);
    T_EQ(strlen(big), n);
    T_EQ(ask(&c,
             "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
             "3\r\nabc\r\n0\r\n\r\n",
             big, 100),
         200);
    T_STR_EQ(big, "abc");
    T_EQ(ask(&c, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", big, 100), 200);
    T_EQ(SSL_read(c.ssl, big, 1), 0); /* it says that no more will come */
    T_EQ(SSL_get_shutdown(c.ssl), SSL_RECEIVED_SHUTDOWN);
    leave(&c);
    free(big);
}

static void test_talk(t_env *env)
{
    rig g;
    files f;
    lmn_http_stats stats;
    lmn_http_tls *t = open_tls(env, &f, false);
    T_REQUIRE(t);
    T_CHECK(strstr(lmn_http_tls_about(t), "OpenSSL") != NULL);
    T_REQUIRE(rig_start_tls(&g, env, "127.0.0.1:0", t, NULL, 1));
    talk(&g, TLS1_2_VERSION);
    talk(&g, TLS1_3_VERSION);
    lmn_http_get_stats(g.server, &stats);
    T_EQ(stats.handshakes, 2);
    T_EQ(stats.bad_handshakes, 0);
    rig_stop(&g);
    lmn_http_tls_close(t);
}

/* Many at once over several loops, left open when the server stops. */
static void test_many(t_env *env)
{
    enum { N = 24 };
    rig g;
    files f;
    client c[N];
    char body[64];
    lmn_http_tls *t = open_tls(env, &f, false);
    T_REQUIRE(t && rig_start_tls(&g, env, "127.0.0.1:0", t, NULL, 3));
    for (int i = 0; i < N; i++)
        T_CHECK(connect_tls(&c[i], &g, i % 2 ? TLS1_2_VERSION : TLS1_3_VERSION));
    for (int i = 0; i < N; i++) T_EQ(ask(&c[i], HELLO, body, sizeof body), 200);
    T_CHECK(say_text(&c[0], "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    RIG_UNTIL(lmn_http_in_flight(g.server) == 1);
    leave(&c[0]); /* while its answer is made */
    rig_stop(&g);
    for (int i = 1; i < N; i++) leave(&c[i]);
    lmn_http_tls_close(t);
}

static void test_refused(t_env *env)
{
    rig g;
    files f;
    client c;
    char body[4096];
    lmn_http_stats stats;
    const lmn_http_limits limits = {.header_ns = 300 * MS};
    lmn_http_tls *t = open_tls(env, &f, false);
    T_REQUIRE(t && rig_start_tls(&g, env, "127.0.0.1:0", t, &limits, 1));
    T_CHECK(!connect_tls(&c, &g, TLS1_1_VERSION));
    leave(&c);
    int fd = rig_connect(&g); /* plain HTTP */
    T_CHECK(rig_say(fd, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    T_CHECK(rig_read_all(fd, body, sizeof body) < 64);
    close(fd);
    fd = rig_connect(&g); /* nothing at all */
    T_EQ(rig_read_all(fd, body, sizeof body), 0);
    close(fd);
    fd = rig_connect(&g); /* the beginning of a greeting */
    T_CHECK(rig_send(fd, "\x16\x03\x01\x02\x00\x01\x00", 7));
    T_CHECK(rig_read_all(fd, body, sizeof body) < 64);
    close(fd);
    lmn_http_get_stats(g.server, &stats);
    T_EQ(stats.timed_out, 2);
    T_EQ(stats.handshakes, 0);
    T_EQ(stats.bad_handshakes, 2);
    /* a new handshake within a connection */
    T_REQUIRE(connect_tls(&c, &g, TLS1_2_VERSION));
    T_CHECK(SSL_renegotiate(c.ssl) != 1 || SSL_do_handshake(c.ssl) != 1);
    leave(&c);
    /* half a request, then silence: an answer that says so */
    T_REQUIRE(connect_tls(&c, &g, TLS1_3_VERSION));
    T_EQ(ask(&c, "GET / HTTP", body, sizeof body), 408);
    leave(&c);
    rig_stop(&g);
    lmn_http_tls_close(t);
}

/* Bytes that come one by one, and bytes that are noise. */
static void test_bytes(t_env *env)
{
    rig g;
    files f;
    char body[64];
    uint8_t noise[600];
    lmn_http_tls *t = open_tls(env, &f, false);
    T_REQUIRE(t && rig_start_tls(&g, env, "127.0.0.1:0", t, NULL, 1));
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl, in, out);
    SSL_set_connect_state(ssl);
    const int fd = rig_connect(&g);
    int n = 0;
    for (int step = 0; step < 100 && n < 40; step++) {
        char byte, got[16384];
        if (SSL_is_init_finished(ssl) && step < 50) {
            T_CHECK(SSL_write(ssl, HELLO, sizeof HELLO - 1) > 0);
            step = 50;
        }
        const int k = SSL_read(ssl, got, sizeof got);
        if (k > 0) n += k;
        while (BIO_read(out, &byte, 1) == 1) {
            T_CHECK(rig_send(fd, &byte, 1));
            usleep(100);
        }
        if (n < 40 && SSL_is_init_finished(ssl) && step < 50) continue;
        const ssize_t more = n < 40 ? rig_recv(fd, got, sizeof got) : 0;
        if (more > 0) BIO_write(in, got, (int)more);
    }
    T_CHECK(n > 40);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    for (int i = 0; i < 200; i++) { /* records whose heads are right */
        const int raw = rig_connect(&g);
        const size_t len = 6 + (size_t)t_rand_int(env, 0, 500);
        for (size_t k = 0; k < len; k++) noise[k] = (uint8_t)t_rand(env);
        const uint8_t head[6] = {(uint8_t)t_rand_int(env, 20, 24),
                                 3,
                                 (uint8_t)t_rand_int(env, 0, 4),
                                 (uint8_t)((len - 5) >> 8),
                                 (uint8_t)(len - 5),
                                 1};
        memcpy(noise, head, 6);
        (void)rig_send(raw, noise, len);
        close(raw);
    }
    client c;
    T_REQUIRE(connect_tls(&c, &g, TLS1_3_VERSION));
    T_EQ(ask(&c, HELLO, body, sizeof body), 200);
    leave(&c);
    rig_stop(&g);
    lmn_http_tls_close(t);
}

static void test_clients_certificate(t_env *env)
{
    rig g;
    files f;
    client c;
    char body[64], key[512];
    lmn_http_tls *t = open_tls(env, &f, true);
    T_REQUIRE(t && rig_start_tls(&g, env, "127.0.0.1:0", t, NULL, 1));
    for (int i = 0; i < 2; i++) {
        /* in 1.3 a client learns of its refusal when it reads */
        const int version = i ? TLS1_3_VERSION : TLS1_2_VERSION;
        T_CHECK(!connect_tls(&c, &g, version) || ask(&c, HELLO, body, sizeof body) == 0);
        leave(&c);
        c.ctx = SSL_CTX_new(TLS_client_method());
        T_EQ(SSL_CTX_use_certificate_chain_file(c.ctx, f.ca), 1);
        t_path(env, "client.key", key, sizeof key);
        T_EQ(SSL_CTX_use_PrivateKey_file(c.ctx, key, SSL_FILETYPE_PEM), 1);
        T_CHECK(shake(&c, &g, version, NULL));
        T_EQ(ask(&c, HELLO, body, sizeof body), 200);
        leave(&c);
        c.ctx = SSL_CTX_new(TLS_client_method()); /* one that nobody of ours signed */
        T_EQ(SSL_CTX_use_certificate_chain_file(c.ctx, f.cert), 1);
        T_EQ(SSL_CTX_use_PrivateKey_file(c.ctx, f.key, SSL_FILETYPE_PEM), 1);
        T_CHECK(!shake(&c, &g, version, NULL) || ask(&c, HELLO, body, sizeof body) == 0);
        leave(&c);
    }
    rig_stop(&g);
    lmn_http_tls_close(t);
}

static void test_ticket(t_env *env)
{
    rig g;
    files f;
    client c;
    char body[64];
    lmn_http_tls *t = open_tls(env, &f, false);
    T_REQUIRE(t && rig_start_tls(&g, env, "127.0.0.1:0", t, NULL, 1));
    for (int i = 0; i < 2; i++) {
        const int version = i ? TLS1_3_VERSION : TLS1_2_VERSION;
        T_REQUIRE(connect_tls(&c, &g, version));
        T_EQ(ask(&c, HELLO, body, sizeof body), 200);
        SSL_SESSION *old = SSL_get1_session(c.ssl);
        SSL_shutdown(c.ssl);
        SSL_free(c.ssl);
        close(c.fd);
        T_CHECK(shake(&c, &g, version, old));
        T_EQ(SSL_session_reused(c.ssl), 1);
        T_EQ(ask(&c, HELLO, body, sizeof body), 200);
        SSL_SESSION_free(old);
        leave(&c);
    }
    rig_stop(&g);
    lmn_http_tls_close(t);
}

static long serial_of(const client *c)
{
    X509 *x = SSL_get1_peer_certificate(c->ssl);
    const long serial = x ? ASN1_INTEGER_get(X509_get_serialNumber(x)) : 0;
    X509_free(x);
    return serial;
}

static void test_reload(t_env *env)
{
    rig g;
    files f;
    client before, after;
    char body[64], path[512];
    lamina_error err = {0};
    lmn_http_tls *t = open_tls(env, &f, false);
    T_REQUIRE(t && rig_start_tls(&g, env, "127.0.0.1:0", t, NULL, 2));
    T_REQUIRE(connect_tls(&before, &g, TLS1_3_VERSION));
    T_EQ(serial_of(&before), 1);
    make_cert(env, "server", 2);
    T_OK_ERR(lmn_http_tls_reload(t, &err), &err);
    T_REQUIRE(connect_tls(&after, &g, TLS1_3_VERSION));
    T_EQ(serial_of(&after), 2);
    leave(&after);
    T_EQ(ask(&before, HELLO, body, sizeof body), 200);
    leave(&before);
    t_write(env, "server.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n", 33, path, sizeof path);
    T_EQ(lmn_http_tls_reload(t, &err), LAMINA_E_PARSE);
    T_CHECK(strstr(err.msg, "certificate") != NULL && !strchr(err.msg, '/'));
    make_cert(env, "other", 3);
    T_EQ(rename(t_path(env, "other.pem", path, sizeof path), f.cert), 0);
    T_EQ(lmn_http_tls_reload(t, &err), LAMINA_E_PARSE); /* another's key */
    T_CHECK(strstr(err.msg, "key") != NULL);
    T_EQ(remove(f.key), 0);
    T_EQ(lmn_http_tls_reload(t, &err), LAMINA_E_IO);
    T_REQUIRE(connect_tls(&after, &g, TLS1_3_VERSION));
    T_EQ(serial_of(&after), 2);
    leave(&after);
    rig_stop(&g);
    lmn_http_tls_close(t);
}

/* Streams: one that ends, and one without end whose reader does not read. */
static void test_stream(t_env *env)
{
    rig g;
    files f;
    client c;
    char all[8192];
    size_t n = 0;
    const lmn_http_limits limits = {.stall_ns = 300 * MS};
    lmn_http_tls *t = open_tls(env, &f, false);
    T_REQUIRE(t && rig_start_tls(&g, env, "127.0.0.1:0", t, &limits, 1));
    T_REQUIRE(connect_tls(&c, &g, TLS1_3_VERSION));
    T_CHECK(say_text(&c, "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    for (int k; (k = SSL_read(c.ssl, all + n, (int)(sizeof all - 1 - n))) > 0;) n += (size_t)k;
    all[n] = 0;
    T_CHECK(strstr(all, "data: 9\n\n") && strcmp(all + n - 5, "0\r\n\r\n") == 0);
    leave(&c);
    T_REQUIRE(connect_tls(&c, &g, TLS1_3_VERSION));
    T_CHECK(say_text(&c, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n"));
    lmn_http_stats stats;
    RIG_UNTIL((lmn_http_get_stats(g.server, &stats), stats.open == 0));
    leave(&c);
    /* an answer that nobody fetches */
    T_REQUIRE(connect_tls(&c, &g, TLS1_3_VERSION));
    T_CHECK(say_text(&c, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    RIG_UNTIL((lmn_http_get_stats(g.server, &stats), stats.open == 0));
    T_EQ(stats.timed_out, 1);
    leave(&c);
    rig_stop(&g);
    lmn_http_tls_close(t);
}

static void test_no_plugin(t_env *env)
{
    lmn_http_tls *t = NULL;
    lamina_error err = {0};
    const lmn_http_tls_opts o = {"a", "b", NULL, {0}};
    setenv("LAMINA_PLUGIN_PATH", "/nowhere", 1);
    T_EQ(lmn_http_tls_open(&env->alloc, &o, &t, &err), LAMINA_E_UNSUPPORTED);
    T_CHECK(strstr(err.msg, "/nowhere/liblamina-tls.so") != NULL);
    unsetenv("LAMINA_PLUGIN_PATH");
    T_EQ(lmn_http_tls_open(&env->alloc, &o, &t, &err), LAMINA_E_IO);
    T_CHECK(t == NULL);
}

T_MAIN(T_TEST(test_talk), T_TEST(test_many), T_TEST(test_refused), T_TEST(test_bytes),
       T_TEST(test_clients_certificate), T_TEST(test_ticket), T_TEST(test_reload),
       T_TEST(test_stream), T_TEST(test_no_plugin))
