/*
 * Bearer tokens: kept as SHA-256 only, compared in a time that does not depend on them. A token may
 * have a name, a rate and models: `TOKEN [name=N] [rate=100/s] [models=a,b]`.
 *
 * A rate is one word, the instant up to which it is used up: a request moves it by its share of the
 * window, and is refused when it would lie more than a window ahead. So a whole window's requests
 * may come at once, loops share one limit, and nothing ticks.
 *
 * A table of tokens never changes once it is made. The file read again makes another; a token that
 * stands in both keeps its counters and what is used up of its rate. Loops hold a reference to the
 * table they saw last and compare one pointer a request.
 */
#include "serve/server_int.h"

#include "base/text.h"

#include <string.h>

#define MAX_FILE ((uint64_t)1 << 20)
#define MAX_TOKEN 512u
#define MAX_RATE 1000000000
#define SECOND UINT64_C(1000000000)

/* --- the file --- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* The next word of a line; empty: there is none. */
static lmn_span word_of(lmn_span *line)
{
    while (line->n && is_blank(*line->p)) line->p++, line->n--;
    lmn_span w = {line->p, 0};
    while (w.n < line->n && !is_blank(w.p[w.n])) w.n++;
    line->p += w.n;
    line->n -= w.n;
    return w;
}

/* What stands behind "key="; false: it is something else. */
static bool value_of(lmn_span word, const char *key, lmn_span *value)
{
    const size_t n = strlen(key);
    if (word.n < n || memcmp(word.p, key, n) != 0) return false;
    *value = (lmn_span){word.p + n, word.n - n};
    return true;
}

static lamina_status set_name(lmn_token *t, lmn_span v, lamina_error *err)
{
    bool ok = v.n && v.n < sizeof t->name && !t->name[0];
    for (size_t i = 0; ok && i < v.n; i++)
        ok = (v.p[i] >= '0' && v.p[i] <= '9') || (v.p[i] >= 'a' && v.p[i] <= 'z') ||
             (v.p[i] >= 'A' && v.p[i] <= 'Z') || memchr("._-", v.p[i], 3);
    if (!ok)
        return lmn_fail(err, LAMINA_E_INVALID, "a name has 1 to %u letters, digits, '.', '_', '-'",
                        (unsigned)sizeof t->name - 1);
    memcpy(t->name, v.p, v.n);
    return LAMINA_OK;
}

static lamina_status set_rate(lmn_token *t, lmn_span v, lamina_error *err)
{
    int64_t n = 0;
    const uint8_t unit = v.n > 2 && v.p[v.n - 2] == '/' ? v.p[v.n - 1] : 0;
    t->window_ns = unit == 's' ? SECOND : unit == 'm' ? 60 * SECOND : 3600 * SECOND;
    if (t->rate || !unit || !memchr("smh", unit, 3) || !lmn_parse_i64(v.p, v.n - 2, &n) || n < 1 ||
        n > MAX_RATE)
        return lmn_fail(err, LAMINA_E_INVALID, "a rate is like 100/s, 100/m or 100/h");
    t->rate = (uint32_t)n;
    return LAMINA_OK;
}

static lamina_status set_models(const lmn_tokens *s, lmn_token *t, lmn_span v, lamina_error *err)
{
    bool ok = v.n && !t->models;
    for (size_t i = 0, from = 0; ok && i <= v.n; i++) {
        if (i < v.n && v.p[i] != ',') continue;
        ok = lmn_repo_name_ok((lmn_span){v.p + from, i - from});
        from = i + 1;
    }
    if (!ok) return lmn_fail(err, LAMINA_E_INVALID, "models are names with commas between them");
    t->models = lmn_alloc(s->alloc, v.n + 1, 1, "token models");
    if (!t->models) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    t->models_bytes = v.n + 1;
    for (size_t i = 0; i < v.n; i++) t->models[i] = v.p[i] == ',' ? 0 : (char)v.p[i];
    t->models[v.n] = 0;
    return LAMINA_OK;
}

/* Counters and the used part of a rate: the old table's for a token that it has. */
static lmn_token_use *use_of(const lmn_tokens *s, const lmn_token *t, const lmn_tokens *old)
{
    for (uint32_t i = 0; old && i < old->n; i++)
        if (memcmp(old->token[i].digest, t->digest, sizeof t->digest) == 0) {
            (void)lmn_atomic_add(&old->token[i].use->refs, 1, relaxed);
            return old->token[i].use;
        }
    const size_t bytes = sizeof(lmn_token_use) + s->n_loops * sizeof(lmn_token_shard);
    lmn_token_use *u = lmn_alloc(s->alloc, bytes, _Alignof(lmn_token_use), "token use");
    if (!u) return NULL;
    memset(u, 0, bytes);
    lmn_atomic_init(&u->refs, 1);
    return u;
}

static lamina_status add(lmn_tokens *s, lmn_span line, const lmn_tokens *old, lamina_error *err)
{
    void *grown = s->token;
    lmn_sha256 h;
    lmn_span value;
    const lmn_span secret = word_of(&line);
    if (secret.n < 8 || secret.n > MAX_TOKEN)
        return lmn_fail(err, LAMINA_E_INVALID, "a token must have 8 to %u characters", MAX_TOKEN);
    lamina_status st = lmn_grow(s->alloc, &grown, &s->cap, s->n + 1, LMN_SERVE_MAX_TOKENS,
                                sizeof *s->token, "tokens");
    if (st != LAMINA_OK)
        return lmn_fail(err, st, "there are more than %u tokens", LMN_SERVE_MAX_TOKENS);
    s->token = grown;
    lmn_token *t = &s->token[s->n];
    memset(t, 0, sizeof *t);
    lmn_sha256_init(&h);
    lmn_sha256_add(&h, secret.p, secret.n);
    lmn_sha256_finish(&h, t->digest);
    t->use = use_of(s, t, old);
    if (!t->use) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    s->n++;
    for (lmn_span word; st == LAMINA_OK && (word = word_of(&line)).n;) {
        if (value_of(word, "name=", &value))
            st = set_name(t, value, err);
        else if (value_of(word, "rate=", &value))
            st = set_rate(t, value, err);
        else if (value_of(word, "models=", &value))
            st = set_models(s, t, value, err);
        else
            st = lmn_fail(err, LAMINA_E_INVALID, "behind a token stand name=, rate= and models=");
    }
    for (uint32_t i = 0; st == LAMINA_OK && t->name[0] && i + 1 < s->n; i++)
        if (strcmp(s->token[i].name, t->name) == 0)
            st = lmn_fail(err, LAMINA_E_INVALID, "another token has that name");
    return st;
}

/* One a line; empty lines and those that begin with "#" are passed over. */
static lamina_status parse(lmn_tokens *s, lmn_span text, const lmn_tokens *old, lamina_error *err)
{
    uint32_t number = 0;
    while (text.n) {
        const uint8_t *stop = memchr(text.p, '\n', text.n);
        lmn_span line = {text.p, stop ? (size_t)(stop - text.p) : text.n};
        const size_t used = line.n + (stop != NULL);
        text = (lmn_span){text.p + used, text.n - used};
        number++;
        while (line.n && (line.p[line.n - 1] == '\r' || is_blank(line.p[line.n - 1]))) line.n--;
        if (!line.n || *line.p == '#') continue;
        const lamina_status st = add(s, line, old, err);
        if (st != LAMINA_OK) {
            lmn_error_prefix(err, "line %u of the file of tokens", (unsigned)number);
            return st;
        }
    }
    return s->n
               ? LAMINA_OK
               : lmn_fail(err, LAMINA_E_INVALID, "the file of tokens holds none: write one a line");
}

lamina_status lmn_tokens_parse(const lamina_allocator *alloc, lmn_span text, uint32_t n_loops,
                               const lmn_tokens *old, lmn_tokens **out, lamina_error *err)
{
    lmn_tokens *s = lmn_calloc(alloc, 1, sizeof *s, "tokens");
    if (!s) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    s->alloc = alloc;
    s->n_loops = n_loops;
    lmn_atomic_init(&s->refs, 1);
    const lamina_status st = parse(s, text, old, err);
    if (st == LAMINA_OK)
        *out = s;
    else
        lmn_tokens_unref(s);
    return st;
}

static lamina_status read_tokens(lamina_server *s, const lmn_tokens *old, lmn_tokens **out,
                                 lamina_error *err)
{
    int fd = -1;
    uint64_t bytes = 0;
    lamina_status st = lmn_os_open(s->tokens_path, &fd, &bytes, err);
    if (st != LAMINA_OK) {
        lmn_error_prefix(err, "the file of tokens");
        return st;
    }
    uint8_t *text = bytes <= MAX_FILE ? lmn_alloc(s->alloc, (size_t)bytes + 1, 16, "tokens") : NULL;
    if (!text)
        st = lmn_fail(err, LAMINA_E_LIMIT, "the file of tokens is too long");
    else
        st = lmn_os_read_at(fd, 0, text, (size_t)bytes, err);
    lmn_os_close(fd);
    if (st == LAMINA_OK)
        st = lmn_tokens_parse(s->alloc, (lmn_span){text, (size_t)bytes}, s->n_loops, old, out, err);
    if (st != LAMINA_OK) {
        char shown[160];
        (void)lmn_format_name(shown, sizeof shown, s->tokens_path, strlen(s->tokens_path));
        lmn_error_prefix(err, "%s", shown);
    }
    if (text) explicit_bzero(text, (size_t)bytes);
    lmn_free(s->alloc, text, (size_t)bytes + 1, 16, "tokens");
    return st;
}

/* Any thread but a loop: it reads a file. Only one at a time makes tables. */
lamina_status lmn_tokens_reload(lamina_server *s, lamina_error *err)
{
    lmn_tokens *made = NULL, *old = lmn_atomic_load(&s->tokens, acquire);
    LMN_TRY(read_tokens(s, old, &made, err));
    lmn_mutex_lock(&s->lock);
    lmn_atomic_store(&s->tokens, made, release);
    lmn_mutex_unlock(&s->lock);
    lmn_tokens_unref(old);
    return LAMINA_OK;
}

void lmn_tokens_unref(lmn_tokens *s)
{
    if (!s || lmn_atomic_sub(&s->refs, 1, acq_rel) != 1) return;
    for (uint32_t i = 0; i < s->n; i++) {
        lmn_token *t = &s->token[i];
        lmn_free(s->alloc, t->models, t->models_bytes, 1, "token models");
        if (lmn_atomic_sub(&t->use->refs, 1, acq_rel) != 1) continue;
        const size_t bytes = sizeof *t->use + s->n_loops * sizeof(lmn_token_shard);
        lmn_free(s->alloc, t->use, bytes, _Alignof(lmn_token_use), "token use");
    }
    lmn_free(s->alloc, s->token, s->cap * sizeof *s->token, 16, "tokens");
    lmn_cfree(s->alloc, s, 1, sizeof *s, "tokens");
}

/* There is another table than the loop has seen: under the lock it is not freed meanwhile. */
void lmn_tokens_take(lmn_serve_loop *l)
{
    lamina_server *s = l->server;
    lmn_tokens *old = l->tokens;
    lmn_mutex_lock(&s->lock);
    l->tokens = lmn_atomic_load(&s->tokens, relaxed);
    if (l->tokens) (void)lmn_atomic_add(&l->tokens->refs, 1, relaxed);
    lmn_mutex_unlock(&s->lock);
    lmn_tokens_unref(old);
}

/* --- requests --- */

lmn_token *lmn_tokens_find(const lmn_tokens *s, const lmn_http_request *r)
{
    const lmn_span v = lmn_http_field_get(r, "authorization");
    uint8_t digest[LMN_SHA256_BYTES];
    lmn_sha256 h;
    uint32_t found = 0;
    if (v.n < 8 || v.n > 7 + MAX_TOKEN || (v.p[0] | 0x20) != 'b' || memcmp(v.p + 1, "earer ", 6))
        return NULL;
    lmn_sha256_init(&h);
    lmn_sha256_add(&h, v.p + 7, v.n - 7);
    lmn_sha256_finish(&h, digest);
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t differ = 0;
        for (size_t k = 0; k < LMN_SHA256_BYTES; k++)
            differ |= (uint32_t)(s->token[i].digest[k] ^ digest[k]);
        found |= (0u - ((differ - 1) >> 31)) & (i + 1); /* all ones when differ is 0 */
    }
    return found && found <= s->n ? &s->token[found - 1] : NULL;
}

bool lmn_token_has_model(const lmn_token *t, lmn_span name)
{
    if (!t->models) return true;
    for (size_t i = 0; i < t->models_bytes; i += strlen(t->models + i) + 1)
        if (strlen(t->models + i) == name.n && memcmp(t->models + i, name.p, name.n) == 0)
            return true;
    return false;
}

uint64_t lmn_token_take(lmn_token *t, uint64_t now)
{
    if (!t->rate) return 0;
    const uint64_t share = t->window_ns / t->rate, most = now + t->window_ns;
    uint64_t at = lmn_atomic_load(&t->use->at, relaxed), next;
    do {
        /* beyond a window when the rate was another before */
        next = (at < now ? now : at < most ? at : most) + share;
        if (next > most) return next - most;
    } while (!lmn_atomic_cas(&t->use->at, &at, next, relaxed));
    return 0;
}
