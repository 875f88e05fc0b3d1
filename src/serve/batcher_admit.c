/*
 * Who is let in: what a configuration may say, and whether there is room and time for a request.
 */
#include "serve/batcher_int.h"

/* ---- configuration --------------------------------------------------------------------------- */

lamina_status lmn_batch_check(const lmn_batch_config *c, lamina_error *err)
{
    if (c->max_batch_size < 0 || c->max_batch_size > LMN_BATCH_MAX_ROWS)
        return lmn_fail(err, LAMINA_E_INVALID, "max_batch_size %lld is not in 0..%lld",
                        (long long)c->max_batch_size, (long long)LMN_BATCH_MAX_ROWS);
    if (c->max_request_rows &&
        (c->max_request_rows < c->max_batch_size || c->max_request_rows > LMN_BATCH_MAX_ROWS))
        return lmn_fail(err, LAMINA_E_INVALID, "max_request_rows %lld is not in %lld..%lld",
                        (long long)c->max_request_rows, (long long)c->max_batch_size,
                        (long long)LMN_BATCH_MAX_ROWS);
    if (c->n_preferred > LMN_BATCH_MAX_PREFERRED || c->n_levels > LMN_BATCH_MAX_LEVELS ||
        c->n_instances > LMN_BATCH_MAX_INSTANCES)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "at most %u preferred batch sizes, %u priority levels and %u instances",
                        LMN_BATCH_MAX_PREFERRED, LMN_BATCH_MAX_LEVELS, LMN_BATCH_MAX_INSTANCES);
    for (uint32_t i = 0; i < c->n_preferred; i++)
        if (c->preferred[i] <= (i ? c->preferred[i - 1] : 0) || c->preferred[i] > c->max_batch_size)
            return lmn_fail(err, LAMINA_E_INVALID,
                            "preferred batch sizes must ascend within 1..max_batch_size (%lld)",
                            (long long)c->max_batch_size);
    if (c->default_level > (c->n_levels ? c->n_levels : 1))
        return lmn_fail(err, LAMINA_E_INVALID, "default_priority_level %u is not in 1..%u",
                        c->default_level, c->n_levels ? c->n_levels : 1);
    if (c->rejoin && c->delay_ns)
        return lmn_fail(err, LAMINA_E_INVALID, "rejoin and a delay are one too many");
    if (c->press && (!c->dynamic || !c->max_batch_size))
        return lmn_fail(err, LAMINA_E_INVALID, "press is for batches");
    if (c->n_levels > 1 && c->preserve_ordering)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "preserve_ordering and priority_levels contradict each other; drop one");
    if (c->grow_rows && (!c->dynamic || !c->max_batch_size || c->grow_rows > LMN_BATCH_MAX_ROWS))
        return lmn_fail(err, LAMINA_E_INVALID, "only batches grow, up to %lld rows",
                        (long long)LMN_BATCH_MAX_ROWS);
    return LAMINA_OK;
}

void lmn_batch_defaults(lmn_batch_config *c)
{
    if (!c->n_levels) c->n_levels = 1;
    if (!c->default_level) c->default_level = 1;
    if (!c->n_instances) c->n_instances = 1;
    if (!c->max_queue_bytes) c->max_queue_bytes = (size_t)256 << 20;
    if (!c->rejoin_ns) c->rejoin_ns = LMN_BATCH_REJOIN_NS;
    if (c->max_queue_rows <= 0) c->max_queue_rows = lmn_max_i64(64, 4 * c->max_batch_size);
    c->max_queue_rows = lmn_max_i64(c->max_queue_rows, c->max_batch_size);
}

int64_t lmn_batch_load(const lmn_batch_config *c, int64_t rows)
{
    return c->max_batch_size ? lmn_min_i64(rows, c->max_batch_size) : rows;
}

lamina_status lmn_batch_fits(const lmn_batch_config *c, lmn_infer *r)
{
    const int64_t most = c->max_request_rows ? c->max_request_rows : c->max_batch_size;
    if (!c->max_batch_size || r->rows <= most) return LAMINA_OK;
    return r->status = lmn_fail(&r->error, LAMINA_E_INVALID,
                                "the request has %lld rows, and the model takes at most %lld",
                                (long long)r->rows, (long long)most);
}

/* ---- requests -------------------------------------------------------------------------------- */

static uint32_t seconds(uint64_t ns)
{
    const uint64_t s = ns / 1000000000u + 1;
    return s > 3600 ? 3600 : (uint32_t)s;
}

/* The deadline of r by the policy of its level. */
static uint64_t deadline(const lmn_batch_level *p, const lmn_infer *r, uint64_t now)
{
    uint64_t t = p->default_timeout_ns ? p->default_timeout_ns : UINT64_MAX;
    if (p->allow_override && r->timeout_ns && r->timeout_ns < t) t = r->timeout_ns;
    return lmn_batch_later(now, t);
}

lamina_status lmn_batch_refuse(lmn_batcher *b, lmn_infer *r, uint64_t now, const char *what)
{
    r->retry_after_s = seconds(lmn_batcher_wait(b, b->config.n_levels - 1, false, now));
    return r->status =
               lmn_fail(&r->error, LAMINA_E_LIMIT, "the queue of the model is full (%s)", what);
}

/* May no more rows wait, since a whole batch does for each instance? (One of twice as many, while
 * that is tried.) */
static bool is_pressed(const lmn_batcher *b)
{
    const int64_t whole = b->grow.due ? 2 * b->whole : b->whole;
    return b->pressed && b->load >= whole * (int64_t)b->config.n_instances;
}

/* Does pressing make half as many more be refused in a time? */
static bool provokes(const lmn_batcher *b)
{
    return (double)b->since.n * (double)b->before.ns >
           1.5 * (double)b->before.n * (double)b->since.ns;
}

/* A batch was formed while it is pressed, `n` were refused in the `ns` since the last one. */
static void press_on(lmn_batcher *b, uint64_t n, uint64_t ns, uint64_t now)
{
    /* The first runs take what waited beyond a batch. */
    enum { FROM = LMN_BATCH_PRESS_RUNS / 2, TO = FROM + LMN_BATCH_PRESS_RUNS };
    const uint32_t run = b->press_runs++;
    if (run < FROM) b->since.n = b->since.ns = 0;
    if (run >= FROM && run < TO) b->since.n += n, b->since.ns += ns;
    if (run == TO && provokes(b)) {
        b->pressed = false;
        b->press_until = lmn_batch_later(now, LMN_BATCH_PRESS_NS);
        b->press_runs = 0;
        return;
    }
    if (run == TO) { /* looked at anew: other clients may come */
        b->since.n = n, b->since.ns = ns;
        b->press_runs = FROM + 1;
    }
    if (now >= b->press_until) { /* the next run tells whether it goes on */
        b->pressed = false;
        b->before.n -= b->before.n / LMN_BATCH_PRESS_RUNS;
        b->before.ns -= b->before.ns / LMN_BATCH_PRESS_RUNS;
        b->press_runs = n ? LMN_BATCH_PRESS_RUNS - 1 : 0;
    }
}

void lmn_batch_press(lmn_batcher *b, uint64_t now)
{
    const uint64_t n = b->turned, ns = now - b->formed_ns;
    b->turned = 0;
    b->formed_ns = now;
    if (!b->config.press) return;
    if (b->pressed) {
        press_on(b, n, ns, now);
        return;
    }
    if (now < b->press_until) return;
    /* Of these runs the later half: clients that begin together are refused more at first. */
    if (b->press_runs <= LMN_BATCH_PRESS_RUNS / 2) b->before.n = b->before.ns = 0;
    b->before.n += n, b->before.ns += ns;
    b->press_runs = n ? b->press_runs + 1 : 0;
    if (b->press_runs < LMN_BATCH_PRESS_RUNS) return;
    b->pressed = true;
    b->press_until = lmn_batch_later(now, LMN_BATCH_PRESS_NS);
    b->press_runs = 0;
}

void lmn_batcher_turned(lmn_batcher *b, uint64_t n)
{
    b->turned += n;
}

bool lmn_batcher_full(const lmn_batcher *b)
{
    const lmn_batch_config *c = &b->config;
    const uint32_t most = c->n_levels == 1 ? c->level[0].max_queue_size : 0;
    return b->load >= b->room || (most && b->n_queued >= most) || is_pressed(b);
}

lamina_status lmn_batch_admit(lmn_batcher *b, lmn_infer *r, uint64_t now)
{
    const lmn_batch_config *c = &b->config;
    const uint32_t n = r->priority && r->priority <= c->n_levels ? r->priority : c->default_level;
    const lmn_batch_level *p = &c->level[n - 1];
    r->level = n - 1;
    r->deadline_ns = deadline(p, r, now);
    r->retry_after_s = 0;
    LMN_TRY(lmn_batch_fits(c, r));
    if (p->max_queue_size && b->at_level[n - 1].n >= p->max_queue_size)
        return lmn_batch_refuse(b, r, now, "requests");
    if (b->n_queued) {
        if (is_pressed(b) || lmn_batch_load(c, r->rows) > b->room - b->load) {
            b->turned++;
            return lmn_batch_refuse(b, r, now, "rows");
        }
        if (b->bytes > c->max_queue_bytes || r->bytes > c->max_queue_bytes - b->bytes)
            return lmn_batch_refuse(b, r, now, "bytes");
    }
    if (r->deadline_ns == UINT64_MAX || p->action != LMN_BATCH_REJECT) return LAMINA_OK;
    const uint64_t wait = lmn_batcher_wait(b, n - 1, true, now);
    if (wait <= r->deadline_ns - now) return LAMINA_OK;
    r->retry_after_s = seconds(wait);
    return r->status = lmn_fail(&r->error, LAMINA_E_TIMEOUT,
                                "the request would wait about %llu us and may wait %llu us",
                                (unsigned long long)(wait / 1000),
                                (unsigned long long)((r->deadline_ns - now) / 1000));
}
