/*
 * The plug-in "tls": http/tls.h by OpenSSL 3. Records pass through a BIO of our own that reads from
 * the wire of the current call and writes into its buffer; between calls it has no wire and says
 * "later". OpenSSL's memory is OpenSSL's own; a session at rest holds no buffers.
 */
#include "http/tls.h"

#include "base/atomic.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { ALPN_MOST = 64 };

struct lmn_tls_context {
    lmn_atomic(uint32_t) refs; /* its maker's and its sessions' */
    SSL_CTX *ssl;
    BIO_METHOD *method;
    bool client;
    uint32_t n_alpn;
    uint8_t alpn[ALPN_MOST];
};

struct lmn_tls_session {
    lmn_tls_context *context;
    SSL *ssl;
    lmn_tls_wire *wire; /* of the call that runs; NULL between calls */
    bool lost;          /* the wire is, or the peer broke the protocol */
    const char *why;    /* then: constant text; NULL: the wire */
};

/* ---- errors ---- */

static const char *reason(void)
{
    const unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    return text ? text : "no reason given";
}

LMN_PRINTF(3, 4)
static lamina_status fail(lamina_error *err, lamina_status status, const char *fmt, ...)
{
    va_list ap;
    if (err) {
        memset(err, 0, sizeof *err);
        err->status = status;
        va_start(ap, fmt);
        (void)vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
    }
    ERR_clear_error();
    return status;
}

/* ---- the wire ---- */

static int wire_read(BIO *b, char *buf, size_t cap, size_t *got)
{
    lmn_tls_session *s = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    *got = 0;
    const int64_t n = s->wire ? s->wire->recv(s->wire->ctx, buf, cap) : LMN_TLS_AGAIN;
    if (n == LMN_TLS_AGAIN) BIO_set_retry_read(b);
    if (n == LMN_TLS_LOST) s->lost = true;
    if (n == 0) BIO_set_flags(b, BIO_FLAGS_IN_EOF);
    if (n <= 0) return 0;
    *got = (size_t)n;
    return 1;
}

static int wire_write(BIO *b, const char *p, size_t n, size_t *put)
{
    lmn_tls_session *s = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    *put = 0;
    /* There is room for all that a call may say; who makes us say more is cut. */
    if (!s->wire || n > LMN_TLS_OUT_BYTES - s->wire->out_n) {
        s->lost = true;
        return 0;
    }
    memcpy(s->wire->out + s->wire->out_n, p, n);
    s->wire->out_n += n;
    *put = n;
    return 1;
}

static long wire_control(BIO *b, int what, long number, void *p)
{
    (void)number, (void)p;
    if (what == BIO_CTRL_EOF) return BIO_test_flags(b, BIO_FLAGS_IN_EOF) != 0;
    return what == BIO_CTRL_FLUSH;
}

static int wire_make(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

static BIO_METHOD *wire_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "lamina");
    if (m && BIO_meth_set_read_ex(m, wire_read) && BIO_meth_set_write_ex(m, wire_write) &&
        BIO_meth_set_ctrl(m, wire_control) && BIO_meth_set_create(m, wire_make))
        return m;
    BIO_meth_free(m);
    return NULL;
}

/* ---- contexts ---- */

/* Nobody is there to be asked. */
static int no_passphrase(char *buf, int cap, int writing, void *ctx)
{
    (void)buf, (void)cap, (void)writing, (void)ctx;
    return 0;
}

static BIO *over(lmn_span text)
{
    return text.n && text.n <= INT_MAX ? BIO_new_mem_buf(text.p, (int)text.n) : NULL;
}

/* The next certificate; NULL: no more, *bad when what is there is none. */
static X509 *next_cert(BIO *text, bool *bad)
{
    ERR_clear_error();
    X509 *x = PEM_read_bio_X509(text, NULL, no_passphrase, NULL);
    *bad = !x && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE;
    return x;
}

static lamina_status use_cert(SSL_CTX *c, lmn_span text, lamina_error *err)
{
    BIO *b = over(text);
    bool bad = true;
    X509 *x = b ? next_cert(b, &bad) : NULL;
    bool ok = x && SSL_CTX_use_certificate(c, x) == 1;
    X509_free(x);
    while (ok && (x = next_cert(b, &bad)) != NULL) {
        ok = SSL_CTX_add0_chain_cert(c, x) == 1;
        if (!ok) X509_free(x);
    }
    BIO_free(b);
    if (ok && !bad) return LAMINA_OK;
    return fail(err, LAMINA_E_PARSE, "the certificate cannot be used: %s", reason());
}

static lamina_status use_key(SSL_CTX *c, lmn_span text, lamina_error *err)
{
    BIO *b = over(text);
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, NULL) : NULL;
    const bool ok = k && SSL_CTX_use_PrivateKey(c, k) == 1 && SSL_CTX_check_private_key(c) == 1;
    EVP_PKEY_free(k);
    BIO_free(b);
    if (ok) return LAMINA_OK;
    return fail(err, LAMINA_E_PARSE, "the key cannot be used: %s", reason());
}

/* The others must come with a certificate that one of these signed; a server shows clients the
 * list. A client without any trusts whom the system trusts. */
static lamina_status trust(SSL_CTX *c, lmn_span text, bool client, lamina_error *err)
{
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_verify_depth(c, 8);
    if (client && !text.n) {
        if (SSL_CTX_set_default_verify_paths(c) == 1) return LAMINA_OK;
        return fail(err, LAMINA_E_PARSE, "the system's roots cannot be used: %s", reason());
    }
    BIO *b = over(text);
    X509_STORE *store = SSL_CTX_get_cert_store(c);
    X509 *x;
    bool bad = true, ok = b != NULL;
    uint32_t n = 0;
    for (; ok && (x = next_cert(b, &bad)) != NULL; n++) {
        ok = X509_STORE_add_cert(store, x) == 1 && (client || SSL_CTX_add_client_CA(c, x) == 1);
        X509_free(x);
    }
    BIO_free(b);
    if (ok && !bad && n) return LAMINA_OK;
    return fail(err, LAMINA_E_PARSE, "the certificates of the %s cannot be used: %s",
                client ? "CA" : "client CA", reason());
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *n,
                       const unsigned char *theirs, unsigned int n_theirs, void *ctx)
{
    const lmn_tls_context *c = ctx;
    (void)ssl;
    return SSL_select_next_proto((unsigned char **)(uintptr_t)out, n, c->alpn, c->n_alpn, theirs,
                                 n_theirs) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool set_rules(SSL_CTX *c, bool client)
{
    static const unsigned char NAME[] = "lamina";
    (void)SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* a request tells by itself what was cut off; the body of an answer need not */
    if (!client) (void)SSL_CTX_set_options(c, SSL_OP_IGNORE_UNEXPECTED_EOF);
    (void)SSL_CTX_set_mode(c, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
    (void)SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF); /* tickets need none */
    SSL_CTX_set_read_ahead(c, 1);
    SSL_CTX_set_default_passwd_cb(c, no_passphrase);
    return SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(c, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1 &&
           SSL_CTX_set_session_id_context(c, NAME, sizeof NAME - 1) == 1;
}

static void context_free(lmn_tls_context *c)
{
    if (!c || lmn_atomic_sub(&c->refs, 1, acq_rel) != 1) return;
    SSL_CTX_free(c->ssl);
    BIO_meth_free(c->method);
    OPENSSL_free(c);
}

static lamina_status context_make(const lmn_tls_files *f, lmn_tls_context **out, lamina_error *err)
{
    lmn_tls_context *c = OPENSSL_zalloc(sizeof *c);
    if (!c || f->alpn.n > ALPN_MOST) {
        OPENSSL_free(c);
        return fail(err, c ? LAMINA_E_LIMIT : LAMINA_E_NOMEM, "no room for a TLS context");
    }
    lmn_atomic_init(&c->refs, 1);
    c->method = wire_method();
    c->client = f->client;
    c->ssl = SSL_CTX_new(f->client ? TLS_client_method() : TLS_server_method());
    lamina_status st = LAMINA_OK;
    if (!c->method || !c->ssl || !set_rules(c->ssl, f->client))
        st = fail(err, LAMINA_E_NOMEM, "OpenSSL makes no context: %s", reason());
    const bool named = !f->client || f->cert.n || f->key.n;
    if (st == LAMINA_OK && named) st = use_cert(c->ssl, f->cert, err);
    if (st == LAMINA_OK && named) st = use_key(c->ssl, f->key, err);
    if (st == LAMINA_OK && (f->ca.n || f->client)) st = trust(c->ssl, f->ca, f->client, err);
    if (st == LAMINA_OK && f->client && f->alpn.n) {
        if (SSL_CTX_set_alpn_protos(c->ssl, f->alpn.p, (unsigned)f->alpn.n) != 0)
            st = fail(err, LAMINA_E_NOMEM, "OpenSSL takes no protocols: %s", reason());
    } else if (st == LAMINA_OK && f->alpn.n) {
        memcpy(c->alpn, f->alpn.p, f->alpn.n);
        c->n_alpn = (uint32_t)f->alpn.n;
        SSL_CTX_set_alpn_select_cb(c->ssl, choose_alpn, c);
    }
    if (st == LAMINA_OK)
        *out = c;
    else
        context_free(c);
    return st;
}

/* ---- sessions ---- */

static void session_free(lmn_tls_session *s)
{
    if (!s) return;
    SSL_free(s->ssl);
    context_free(s->context);
    OPENSSL_free(s);
}

/* Whom a client expects: the certificate must name it. Names are also told to the server. */
static bool expect(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *p = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(p, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (!host || !*host) return false;
    if (X509_VERIFY_PARAM_set1_ip_asc(p, host) == 1) return true;
    ERR_clear_error();
    return X509_VERIFY_PARAM_set1_host(p, host, 0) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static lmn_tls_session *session_make(lmn_tls_context *c, const char *host)
{
    lmn_tls_session *s = OPENSSL_zalloc(sizeof *s);
    if (!s) return NULL;
    s->context = c;
    (void)lmn_atomic_add(&c->refs, 1, relaxed);
    s->ssl = SSL_new(c->ssl);
    BIO *b = s->ssl ? BIO_new(c->method) : NULL;
    if (!b || (c->client && !expect(s->ssl, host))) {
        BIO_free(b);
        session_free(s);
        ERR_clear_error();
        return NULL;
    }
    BIO_set_data(b, s);
    SSL_set_bio(s->ssl, b, b);
    if (c->client)
        SSL_set_connect_state(s->ssl);
    else
        SSL_set_accept_state(s->ssl);
    return s;
}

/* What a call of OpenSSL that gave rc <= 0 means. */
static int32_t outcome(lmn_tls_session *s, int rc)
{
    const int e = SSL_get_error(s->ssl, rc);
    const long unproved = SSL_get_verify_result(s->ssl);
    if (e == SSL_ERROR_SSL && !s->lost)
        s->why = unproved != X509_V_OK ? X509_verify_cert_error_string(unproved) : reason();
    ERR_clear_error();
    if (s->lost) return LMN_TLS_LOST;
    if (e == SSL_ERROR_WANT_READ) return LMN_TLS_AGAIN;
    if (e == SSL_ERROR_ZERO_RETURN) return 0;
    s->lost = true;
    return LMN_TLS_LOST;
}

static int32_t handshake(lmn_tls_session *s, lmn_tls_wire *w)
{
    if (s->lost) return LMN_TLS_LOST;
    s->wire = w;
    const int rc = SSL_do_handshake(s->ssl);
    const int32_t is = rc == 1 ? 1 : outcome(s, rc);
    s->wire = NULL;
    return is == 0 ? LMN_TLS_LOST : is; /* an end is none here */
}

static int64_t session_read(lmn_tls_session *s, lmn_tls_wire *w, void *buf, size_t cap)
{
    size_t n = 0;
    if (s->lost) return LMN_TLS_LOST;
    s->wire = w;
    const int rc = SSL_read_ex(s->ssl, buf, cap, &n);
    const int64_t is = rc == 1 ? (int64_t)n : outcome(s, rc);
    s->wire = NULL;
    return is;
}

/* Bytes that make no record yet; or its head alone, which OpenSSL does not count as waiting. */
static bool within(const lmn_tls_session *s)
{
    return SSL_has_pending(s->ssl) || strcmp(SSL_rstate_string(s->ssl), "RB") == 0;
}

static bool session_write(lmn_tls_session *s, lmn_tls_wire *w, const void *p, size_t n)
{
    size_t put = 0;
    if (s->lost) return false;
    if (n == 0) return true;
    s->wire = w;
    const int rc = SSL_write_ex(s->ssl, p, n, &put);
    s->wire = NULL;
    if (rc == 1 && put == n) return true;
    ERR_clear_error();
    s->lost = true; /* the wire always takes all: so this is an error */
    return false;
}

static void finish(lmn_tls_session *s, lmn_tls_wire *w)
{
    if (s->lost) return;
    s->wire = w;
    (void)SSL_shutdown(s->ssl);
    s->wire = NULL;
    ERR_clear_error();
}

static lmn_span alpn(const lmn_tls_session *s)
{
    const unsigned char *p = NULL;
    unsigned int n = 0;
    SSL_get0_alpn_selected(s->ssl, &p, &n);
    return (lmn_span){p, n};
}

static const char *why(const lmn_tls_session *s)
{
    return s->why;
}

static const char *about(void)
{
    return OpenSSL_version(OPENSSL_VERSION);
}

__attribute__((visibility("default"))) extern const lmn_tls_table lamina_tls_plugin;
const lmn_tls_table lamina_tls_plugin = {.head = {LMN_TLS_VERSION, sizeof lamina_tls_plugin},
                                         .about = about,
                                         .context_make = context_make,
                                         .context_free = context_free,
                                         .session_make = session_make,
                                         .session_free = session_free,
                                         .handshake = handshake,
                                         .read = session_read,
                                         .within = within,
                                         .write = session_write,
                                         .finish = finish,
                                         .alpn = alpn,
                                         .why = why};
