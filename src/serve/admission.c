/*
 * Who may come, before anything of a request but its head is read: by token, for its models, as
 * often as its rate lets it.
 */
#include "serve/server_int.h"

#include "base/text.h"

/* Needs no token: health, and who has the admin socket. */
static bool is_open(const lmn_serve_loop *l, const lmn_http_request *r)
{
    return !l->tokens || lmn_text_is(r->path, "/v2/health/live") ||
           lmn_text_is(r->path, "/v2/health/ready") ||
           lmn_text_is(r->path, "/inference.GRPCInferenceService/ServerLive") ||
           lmn_text_is(r->path, "/inference.GRPCInferenceService/ServerReady") ||
           lmn_text_is(r->path, "/grpc.health.v1.Health/Check") ||
           (r->local && r->listener == l->server->admin);
}

bool lmn_serve_may(const lmn_serve_loop *l, const lmn_http_request *r, lmn_span model)
{
    if (is_open(l, r)) return true;
    const lmn_token *token = lmn_tokens_find(l->tokens, r);
    return token && lmn_token_has_model(token, model);
}

/* Who has some models sees these, and nothing that tells of others. */
static bool is_for(const lmn_token *token, const lmn_http_request *r)
{
    lmn_span model;
    if (!token->models) return true;
    switch (lmn_routes_about(r->path, &model)) {
    case LMN_ABOUT_MODEL: return lmn_token_has_model(token, model);
    case LMN_ABOUT_NONE: return true;
    default: return false;
    }
}

/* A token is wanted. False: it was answered. */
static bool enter(lmn_serve_loop *l, lmn_http_request *r)
{
    char text[160];
    lmn_token *token = lmn_tokens_find(l->tokens, r);
    if (!token) {
        lmn_serve_refuse(l, r, LMN_ROUTE_OTHER, 401,
                         "this server wants a token: Authorization: Bearer TOKEN", 0);
        return false;
    }
    lmn_token_shard *shard = &token->use->shard[l->index];
    lmn_token_note(l, r, token);
    if (!is_for(token, r)) {
        lmn_count(&shard->n[LMN_TOKEN_FORBIDDEN], 1);
        lmn_serve_refuse(l, r, LMN_ROUTE_OTHER, 403, "this token is for other models", 0);
        return false;
    }
    const uint64_t wait = lmn_token_take(token, r->head_ns);
    lmn_count(&shard->n[wait ? LMN_TOKEN_LIMITED : LMN_TOKEN_ADMITTED], 1);
    if (!wait) return true;
    (void)lmn_format(text, sizeof text, "this token may ask %u times in %u s",
                     (unsigned)token->rate, (unsigned)(token->window_ns / 1000000000u));
    lmn_serve_refuse(l, r, LMN_ROUTE_OTHER, 429, text, (uint32_t)(wait / 1000000000u + 1));
    return false;
}

bool lmn_serve_admit(lmn_serve_loop *l, lmn_http_request *r)
{
    lmn_tokens_see(l);
    return LMN_LIKELY(is_open(l, r)) || enter(l, r);
}
