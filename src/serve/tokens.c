/*
 * Bearer tokens: kept as SHA-256 only, compared in a time that does not depend on them.
 */
#include "serve/server_int.h"

#include <string.h>

#define MAX_FILE ((uint64_t)1 << 20)
#define MAX_TOKEN 512u

static lamina_status add(lamina_server *s, const uint8_t *p, size_t n, lamina_error *err)
{
    void *grown = s->tokens;
    lmn_sha256 h;
    if (n < 8 || n > MAX_TOKEN)
        return lmn_fail(err, LAMINA_E_INVALID, "a token must have 8 to %u characters", MAX_TOKEN);
    const lamina_status st = lmn_grow(s->alloc, &grown, &s->cap_tokens, s->n_tokens + 1,
                                      LMN_SERVE_MAX_TOKENS, LMN_SHA256_BYTES, "tokens");
    if (st != LAMINA_OK)
        return lmn_fail(err, st, "there are more than %u tokens", LMN_SERVE_MAX_TOKENS);
    s->tokens = grown;
    lmn_sha256_init(&h);
    lmn_sha256_add(&h, p, n);
    lmn_sha256_finish(&h, s->tokens[s->n_tokens++]);
    return LAMINA_OK;
}

/* One a line; empty lines and those that begin with '#' are passed over. */
lamina_status lmn_tokens_read(lamina_server *s, const char *path, lamina_error *err)
{
    int fd = -1;
    uint64_t bytes = 0;
    LMN_TRY(lmn_os_open(path, &fd, &bytes, err));
    uint8_t *text = bytes <= MAX_FILE ? lmn_alloc(s->alloc, (size_t)bytes + 1, 16, "tokens") : NULL;
    lamina_status st = LAMINA_OK;
    if (!text)
        st = lmn_fail(err, LAMINA_E_LIMIT, "the file of tokens is too long");
    else
        st = lmn_os_read_at(fd, 0, text, (size_t)bytes, err);
    lmn_os_close(fd);
    for (const uint8_t *p = text, *end = text ? text + bytes : NULL; st == LAMINA_OK && p < end;) {
        const uint8_t *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        size_t n = (size_t)(stop - p);
        while (n && (p[n - 1] == '\r' || p[n - 1] == ' ' || p[n - 1] == '\t')) n--;
        if (n && *p != '#') st = add(s, p, n, err);
        p = stop < end ? stop + 1 : end;
    }
    if (text) memset(text, 0, (size_t)bytes);
    lmn_free(s->alloc, text, (size_t)bytes + 1, 16, "tokens");
    if (st == LAMINA_OK && !s->n_tokens)
        st = lmn_fail(err, LAMINA_E_INVALID, "the file of tokens holds none");
    return st;
}

bool lmn_tokens_allow(const lamina_server *s, const lmn_http_request *r)
{
    const lmn_span v = lmn_http_field_get(r, "authorization");
    uint8_t digest[LMN_SHA256_BYTES];
    lmn_sha256 h;
    uint32_t found = 0;
    if (v.n < 8 || v.n > 7 + MAX_TOKEN || (v.p[0] | 0x20) != 'b' || memcmp(v.p + 1, "earer ", 6))
        return false;
    lmn_sha256_init(&h);
    lmn_sha256_add(&h, v.p + 7, v.n - 7);
    lmn_sha256_finish(&h, digest);
    for (uint32_t i = 0; i < s->n_tokens; i++) {
        uint32_t differ = 0;
        for (size_t k = 0; k < LMN_SHA256_BYTES; k++)
            differ |= (uint32_t)(s->tokens[i][k] ^ digest[k]);
        found |= (differ - 1) >> 31; /* 1 when differ is 0 */
    }
    return found != 0;
}
