/*
 * What "dynamic_batching" says: sizes, delay, levels of priority and the policies of their queues.
 */
#include "serve/config_fields.h"

#include "base/text.h"

#include <string.h>

#define MAX_MICROSECONDS INT64_C(86400000000) /* a day */

static lamina_status count(lmn_cfg_reader *r, const lmn_cfg_node *n, uint32_t most, uint32_t *out)
{
    int64_t v;
    LMN_TRY(lmn_cfg_number(r, n, 0, most, &v));
    return *out = (uint32_t)v, LAMINA_OK;
}

static lamina_status microseconds(lmn_cfg_reader *r, const lmn_cfg_node *n, uint64_t *ns)
{
    int64_t us;
    LMN_TRY(lmn_cfg_number(r, n, 0, MAX_MICROSECONDS, &us));
    return *ns = (uint64_t)us * 1000u, LAMINA_OK;
}

static lamina_status policy_size(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return count(r, n, 1 << 24, &((lmn_batch_level *)into)->max_queue_size);
}

static lamina_status policy_action(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const char *const NAMES[] = {"REJECT", "DELAY", NULL};
    uint32_t which;
    LMN_TRY(lmn_cfg_choice(r, n, NAMES, &which));
    ((lmn_batch_level *)into)->action = which ? LMN_BATCH_DEFER : LMN_BATCH_REJECT;
    return LAMINA_OK;
}

static lamina_status policy_timeout(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return microseconds(r, n, &((lmn_batch_level *)into)->default_timeout_ns);
}

static lamina_status policy_override(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_boolean(r, n, &((lmn_batch_level *)into)->allow_override);
}

static lamina_status policy(lmn_cfg_reader *r, const lmn_cfg_node *n, lmn_batch_level *level)
{
    static const lmn_cfg_field ROWS[] = {{"max_queue_size", policy_size, false},
                                         {"timeout_action", policy_action, false},
                                         {"default_timeout_microseconds", policy_timeout, false},
                                         {"allow_timeout_override", policy_override, false}};
    return lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), level);
}

static lamina_status preferred(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    lmn_batch_config *b = into;
    int64_t v;
    uint32_t at = b->n_preferred;
    LMN_TRY(lmn_cfg_number(r, n, 1, INT32_MAX, &v));
    for (uint32_t i = 0; i < b->n_preferred; i++)
        if (b->preferred[i] == v) return lmn_cfg_bad(r, n, "says a size twice");
    if (at == LMN_BATCH_MAX_PREFERRED)
        return lmn_cfg_bad(r, n, "has more than %u sizes", LMN_BATCH_MAX_PREFERRED);
    for (; at && b->preferred[at - 1] > v; at--) b->preferred[at] = b->preferred[at - 1];
    b->preferred[at] = v;
    b->n_preferred++;
    return LAMINA_OK;
}

static lamina_status delay(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return microseconds(r, n, &((lmn_batch_config *)into)->delay_ns);
}

static lamina_status ordering(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_boolean(r, n, &((lmn_batch_config *)into)->preserve_ordering);
}

static lamina_status levels(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return count(r, n, LMN_BATCH_MAX_LEVELS, &((lmn_batch_config *)into)->n_levels);
}

static lamina_status default_level(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return count(r, n, LMN_BATCH_MAX_LEVELS, &((lmn_batch_config *)into)->default_level);
}

static lamina_status default_policy(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    (void)into;
    return policy(r, n, &r->fallback);
}

static lamina_status level_policy(lmn_cfg_reader *r, const lmn_cfg_node *at, int64_t level,
                                  const lmn_cfg_node *value)
{
    if (r->given[level - 1]) return lmn_cfg_bad(r, at, "says level %lld twice", (long long)level);
    r->given[level - 1] = true;
    if (level > r->last_level) r->last_level = (uint32_t)level;
    return policy(r, value, &r->c->model.batch.level[level - 1]);
}

static lamina_status priority_policy(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t level;
    lmn_cfg_keyed e;
    (void)into;
    if (!r->json) {
        LMN_TRY(lmn_cfg_entry(r, n, &e));
        LMN_TRY(lmn_cfg_number(r, e.key, 1, LMN_BATCH_MAX_LEVELS, &level));
        return level_policy(r, n, level, e.value);
    }
    if (n->kind != LMN_CFG_MESSAGE) return lmn_cfg_bad(r, n, "must be an object");
    for (const lmn_cfg_node *v = n->first; v; v = v->next) {
        if (!lmn_parse_i64(v->name, strlen(v->name), &level) || level < 1 ||
            level > LMN_BATCH_MAX_LEVELS)
            return lmn_cfg_bad(r, v, "is no priority level");
        LMN_TRY(level_policy(r, n, level, v));
    }
    return LAMINA_OK;
}

lamina_status lmn_cfg_batching(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const lmn_cfg_field ROWS[] = {{"preferred_batch_size", preferred, true},
                                         {"max_queue_delay_microseconds", delay, false},
                                         {"preserve_ordering", ordering, false},
                                         {"priority_levels", levels, false},
                                         {"default_priority_level", default_level, false},
                                         {"default_queue_policy", default_policy, false},
                                         {"priority_queue_policy", priority_policy, true}};
    lmn_batch_config *b = &((lmn_serve_config *)into)->model.batch;
    b->dynamic = true;
    return lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), b);
}

/* What its fields say about each other. */
lamina_status lmn_cfg_settle_batching(lmn_cfg_reader *r)
{
    const lmn_serve_config *c = r->c;
    lmn_batch_config *b = &r->c->model.batch;
    const uint32_t n_levels = b->n_levels ? b->n_levels : 1;
    if (b->dynamic && c->has_max_batch && b->max_batch_size == 0)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"dynamic_batching\" needs a max_batch_size above 0");
    if (c->has_max_batch && b->n_preferred && b->preferred[b->n_preferred - 1] > b->max_batch_size)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"preferred_batch_size\" %lld is above max_batch_size %lld",
                        (long long)b->preferred[b->n_preferred - 1], (long long)b->max_batch_size);
    if (b->default_level > b->n_levels)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"default_priority_level\" is above priority_levels");
    if (b->n_levels && !b->default_level)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"priority_levels\" needs a default_priority_level");
    if (r->last_level > b->n_levels)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"priority_queue_policy\" names level %u, there are %u", r->last_level,
                        b->n_levels);
    for (uint32_t i = 0; i < n_levels; i++)
        if (!r->given[i]) b->level[i] = r->fallback;
    return LAMINA_OK;
}
