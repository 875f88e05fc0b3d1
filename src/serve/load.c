/*
 * The load generator (lamina/loadgen.h): a plan of due times, connections that serve it, and
 * histograms. One thread, one epoll. A request that is due takes an idle connection, else a new
 * one, else it waits in line with its due time; so what a slow server delays is counted against it.
 */
#include "base/os/os_self.h"
#include "serve/load_int.h"

#include <math.h>
#include <string.h>

#define TAG "load"
/* Rates beyond never sleep for long enough to poll only at the end of a gap: they would poll all
 * the time, at the cost of a server that shares the machine, or the core by its other thread. */
#define POLL_MOST 2000.0
/* There a gap this short is slept through, and answers are looked at when it is over: a server that
 * shares the machine would pay for each wake-up, and no answer counts as sooner than it was. */
#define NAP_NS ((uint64_t)200000)

/* ---- histograms --------------------------------------------------------------------------------
 */

void lmn_load_note(lmn_load_times *t, uint64_t ns)
{
    t->count[lmn_hist_bucket(ns)]++;
    t->n++;
    if (ns > t->max) t->max = ns;
}

uint64_t lmn_load_share(const lmn_load_times *t, double share)
{
    if (t->n == 0) return 0;
    const double want = ceil(share * (double)t->n);
    if (want >= (double)t->n) return t->max;
    uint64_t seen = 0;
    for (uint32_t b = 0; b < LMN_HIST_BUCKETS; b++) {
        seen += t->count[b];
        if (seen == 0 || (double)seen < want) continue;
        const uint64_t low = lmn_hist_floor(b), high = lmn_hist_floor(b + 1);
        const uint64_t middle = low + (high - low) / 2;
        return middle < t->max ? middle : t->max;
    }
    return t->max;
}

/* ---- seconds -----------------------------------------------------------------------------------
 */

/* Close the second at hand. False: there is no room for more. */
static bool close_second(lmn_load_run *r)
{
    lamina_loadgen *l = r->load;
    if (l->n_seconds == LMN_LOAD_SECONDS) return false;
    lamina_loadgen_second *s = &l->second[l->n_seconds];
    *s = r->at_hand;
    s->p50_ns = lmn_load_share(&r->second_times, 0.5);
    s->p99_ns = lmn_load_share(&r->second_times, 0.99);
    s->max_ns = r->second_times.max;
    memset(&r->at_hand, 0, sizeof r->at_hand);
    memset(&r->second_times, 0, sizeof r->second_times);
    if (r->opts.progress) r->opts.progress(r->opts.progress_ctx, (uint32_t)l->n_seconds, s);
    l->n_seconds++;
    return true;
}

/* Close those before `now`. What is still out at the end of the run belongs to its last second if
 * it is answered within one more. */
static void turn_seconds(lmn_load_run *r, uint64_t now)
{
    if (now >= r->end_ns && now - r->end_ns < 1000000000u) now = r->end_ns - 1;
    while (now >= r->begin_ns && (now - r->begin_ns) / 1000000000u > r->load->n_seconds)
        if (!close_second(r)) return;
}

/* ---- what becomes of a request -----------------------------------------------------------------
 */

static bool counts(const lmn_load_run *r, uint64_t due)
{
    return due >= r->begin_ns;
}

void lmn_load_answered(lmn_load_run *r, const lmn_load_link *c, uint32_t status, uint64_t now)
{
    if (!counts(r, c->due_ns)) return;
    lamina_loadgen *l = r->load;
    if (status < 600) l->status[status]++;
    if (status >= 200 && status < 300) {
        l->stats.n_ok++, r->at_hand.n_ok++;
        lmn_load_note(&l->times[LAMINA_LOADGEN_LATENCY], now - c->due_ns);
        lmn_load_note(&l->times[LAMINA_LOADGEN_SERVICE], now - c->sent_ns);
        lmn_load_note(&r->second_times, now - c->due_ns);
    } else if (status == 429 || status == 503) {
        l->stats.n_refused++, r->at_hand.n_refused++;
        lmn_load_note(&l->times[LAMINA_LOADGEN_REFUSAL], now - c->sent_ns);
    } else {
        l->stats.n_other++, r->at_hand.n_failed++;
    }
}

void lmn_load_failed(lmn_load_run *r, uint64_t due, uint64_t *counter)
{
    if (!counts(r, due)) return;
    ++*counter;
    r->at_hand.n_failed++;
}

/* ---- the plan ----------------------------------------------------------------------------------
 */

static uint64_t next_gap(lmn_load_run *r)
{
    const double mean = 1e9 / r->opts.rate;
    if (r->opts.steady) return (uint64_t)mean;
    const double gap = -log1p(-lmn_rng_f64(&r->rng)) * mean;
    return gap < 1e12 ? (uint64_t)gap : 1000000000000u;
}

/* Put what is due by now in line. A line that is full means that the server is past help: what no
   longer fits is counted as never sent. */
static void make_due(lmn_load_run *r, uint64_t now)
{
    while (r->next_due <= now && r->next_due < r->end_ns) {
        const uint64_t due = r->next_due;
        r->next_due += next_gap(r);
        if (now - due > r->load->stats.behind_ns && counts(r, due))
            r->load->stats.behind_ns = now - due;
        if (counts(r, due)) r->load->stats.n_due++, r->at_hand.n_due++;
        if (r->line_n < LMN_LOAD_LINE)
            r->line[(r->line_at + r->line_n++) % LMN_LOAD_LINE] = due;
        else
            lmn_load_failed(r, due, &r->load->stats.n_unsent);
    }
}

/* Hand what waits in line to connections. */
static void hand_out(lmn_load_run *r, uint64_t now)
{
    while (r->line_n > 0) {
        const uint64_t due = r->line[r->line_at];
        if (now - due > r->timeout_ns) {
            lmn_load_failed(r, due, &r->load->stats.n_timeout);
        } else if (!lmn_load_send(r, due, now)) {
            return;
        }
        r->line_at = (r->line_at + 1) % LMN_LOAD_LINE, r->line_n--;
    }
}

/* A closed loop: a connection that has nothing to do sends at once. */
static void keep_busy(lmn_load_run *r, uint64_t now)
{
    while (now < r->end_ns && lmn_load_send(r, now, now)) {
        if (!counts(r, now)) continue;
        r->load->stats.n_due++, r->at_hand.n_due++;
    }
}

static uint64_t wait_ns(const lmn_load_run *r, uint64_t now)
{
    uint64_t until = now + 100000000u; /* to look at seconds, time-outs and the stop word */
    if (r->opts.rate > 0 && r->next_due < until) until = r->next_due;
    if (r->opts.rate > POLL_MOST) return until > now ? until - now : 0;
    /* a sleep shorter than a wake-up takes would be late: poll instead */
    return until < now + 150000u ? 0 : until - now - 100000u;
}

static bool stopped(const lmn_load_run *r)
{
    const lmn_atomic(uint32_t) *word = (const lmn_atomic(uint32_t) *)r->opts.stop;
    return word && lmn_atomic_load(word, relaxed) != 0;
}

static void drive(lmn_load_run *r)
{
    lmn_poll_event event[LMN_POLL_MOST];
    for (uint64_t now = lmn_now_ns(); !stopped(r); now = lmn_now_ns()) {
        turn_seconds(r, now);
        lmn_load_expire(r, now);
        if (r->opts.rate > 0) {
            make_due(r, now);
            hand_out(r, now);
        } else {
            keep_busy(r, now);
        }
        if (now >= r->end_ns && r->n_out == 0 && r->line_n == 0) break;
        uint64_t wait = wait_ns(r, now);
        if (r->opts.rate > POLL_MOST && wait >= 1000 && wait < NAP_NS) {
            lmn_sleep_us((uint32_t)(wait / 1000));
            wait = 0;
        }
        const uint32_t n = lmn_poll_wait(r->poll, event, LMN_POLL_MOST, wait);
        now = n ? lmn_now_ns() : now;
        for (uint32_t i = 0; i < n; i++) lmn_load_event(r, event[i].who, event[i].what, now);
    }
    for (; r->line_n > 0; r->line_n--, r->line_at = (r->line_at + 1) % LMN_LOAD_LINE)
        lmn_load_failed(r, r->line[r->line_at], &r->load->stats.n_unsent);
}

/* ---- beginning and end -------------------------------------------------------------------------
 */

static lamina_status check(const lamina_loadgen_opts *o, lamina_error *err)
{
    if (!o->address || !o->target || o->target[0] != '/')
        return lmn_fail(err, LAMINA_E_INVALID,
                        "an address and a target that begins with / are needed");
    for (const char *p = o->target; *p; p++)
        if ((uint8_t)*p <= ' ' || (uint8_t)*p >= 127)
            return lmn_fail(err, LAMINA_E_INVALID,
                            "the target holds a blank or a byte that must be escaped");
    if (!(o->rate >= 0 && o->rate <= 1e7))
        return lmn_fail(err, LAMINA_E_INVALID, "a rate is 0 to 10,000,000 requests a second");
    if (!(o->duration_s >= 0 && o->duration_s <= LMN_LOAD_SECONDS - 1))
        return lmn_fail(err, LAMINA_E_INVALID, "a run lasts at most %d s",
                        (int)LMN_LOAD_SECONDS - 1);
    if (o->n_connections > LMN_LOAD_LINKS)
        return lmn_fail(err, LAMINA_E_INVALID, "at most %d connections", (int)LMN_LOAD_LINKS);
    if (!(o->timeout_s >= 0 && o->timeout_s <= 3600) || !(o->warmup_s <= 3600))
        return lmn_fail(err, LAMINA_E_INVALID, "time-out and warm-up are at most an hour");
    return LAMINA_OK;
}

/* The bytes of a request, the same each time. */
static lamina_status write_request(lmn_load_run *r, lamina_error *err)
{
    const lamina_loadgen_opts *o = &r->opts;
    lmn_strbuf *b = &r->request;
    const bool unix_socket = lmn_address_is_unix(&r->where.address);
    lmn_strbuf_printf(b, "%s %s HTTP/1.1\r\nHost: %s\r\n",
                      o->method       ? o->method
                      : o->body_bytes ? "POST"
                                      : "GET",
                      o->target, unix_socket ? "localhost" : r->where.host);
    for (size_t i = 0; i < o->n_fields; i++) {
        if (strpbrk(o->fields[i], "\r\n") || !strchr(o->fields[i], ':'))
            return lmn_fail(err, LAMINA_E_INVALID, "a field is one line \"Name: value\"");
        lmn_strbuf_printf(b, "%s\r\n", o->fields[i]);
    }
    if (o->body_bytes)
        lmn_strbuf_printf(b, "Content-Type: %s\r\nContent-Length: %llu\r\n",
                          o->content_type ? o->content_type : "application/json",
                          (unsigned long long)o->body_bytes);
    lmn_strbuf_str(b, "\r\n");
    lmn_strbuf_add(b, o->body, o->body_bytes);
    if (b->status != LAMINA_OK) return lmn_fail(err, b->status, "no memory for the request");
    return LAMINA_OK;
}

static lamina_status begin(lmn_load_run *r, lamina_error *err)
{
    const lamina_loadgen_opts *o = &r->opts;
    LMN_TRY(check(o, err));
    const lmn_tls_client_opts tls = {
        .ca = o->ca, .cert = o->cert, .key = o->key, .host = o->server_name};
    LMN_TRY(lmn_client_find(o->address, &tls, &r->where, err));
    lmn_strbuf_init(&r->request, r->alloc, 1u << 30);
    r->head_only = o->method && strcmp(o->method, "HEAD") == 0;
    LMN_TRY(write_request(r, err));
    LMN_TRY(lmn_poll_open(&r->poll, err));
    r->n_links = o->n_connections ? o->n_connections : 64;
    r->link = lmn_calloc(r->alloc, r->n_links, sizeof *r->link, TAG);
    r->line = lmn_calloc(r->alloc, LMN_LOAD_LINE, sizeof *r->line, TAG);
    r->load = lmn_calloc(r->alloc, 1, sizeof *r->load, TAG);
    if (!r->link || !r->line || !r->load)
        return lmn_fail(err, LAMINA_E_NOMEM, "no memory for connections");
    return lmn_load_links_begin(r, err);
}

static void run(lmn_load_run *r)
{
    const lamina_loadgen_opts *o = &r->opts;
    const double warm = o->warmup_s < 0 ? 0 : o->warmup_s > 0 ? o->warmup_s : 1;
    const uint64_t now = lmn_now_ns();
    r->begin_ns = now + (uint64_t)(warm * 1e9);
    r->end_ns = r->begin_ns + (uint64_t)((o->duration_s > 0 ? o->duration_s : 10) * 1e9);
    r->timeout_ns = (uint64_t)((o->timeout_s > 0 ? o->timeout_s : 10) * 1e9);
    lmn_rng_init(&r->rng, o->seed, 0);
    r->next_due = now;
    drive(r);
    const uint64_t over = lmn_now_ns();
    const uint64_t last = over < r->end_ns ? over : r->end_ns;
    r->load->stats.seconds = last > r->begin_ns ? (double)(last - r->begin_ns) * 1e-9 : 0;
    const lamina_loadgen_second *s = &r->at_hand;
    turn_seconds(r, over);
    if (s->n_due + s->n_ok + s->n_refused + s->n_failed > 0) (void)close_second(r);
}

static void finish(lmn_load_run *r)
{
    lmn_load_links_finish(r);
    lmn_tls_client_close(r->where.tls);
    lmn_poll_close(r->poll);
    lmn_strbuf_finish(&r->request);
    lmn_cfree(r->alloc, r->link, r->n_links, sizeof *r->link, TAG);
    lmn_cfree(r->alloc, r->line, LMN_LOAD_LINE, sizeof *r->line, TAG);
}

lamina_status lamina_loadgen_run(const lamina_loadgen_opts *opts, lamina_loadgen **out,
                                 lamina_error *err)
{
    lmn_load_run r = {.alloc = &lmn_libc_allocator, .poll = -1};
    if (!opts || !out) return lmn_fail(err, LAMINA_E_INVALID, "options and a result are needed");
    if (lmn_opts_read(&r.opts, sizeof r.opts, opts) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID, "an option that this version does not know is set");
    const lamina_status st = begin(&r, err);
    if (st == LAMINA_OK) run(&r);
    finish(&r);
    if (st == LAMINA_OK)
        *out = r.load;
    else
        lamina_loadgen_free(r.load);
    return st;
}

void lamina_loadgen_free(lamina_loadgen *load)
{
    lmn_cfree(&lmn_libc_allocator, load, 1, sizeof *load, TAG);
}

lamina_status lamina_loadgen_get_stats(const lamina_loadgen *load, lamina_loadgen_stats *out)
{
    LMN_CHECK(load && out && out->size >= sizeof out->size, LAMINA_E_INVALID);
    const size_t n = out->size < sizeof *out ? out->size : sizeof *out;
    memcpy((char *)out + sizeof out->size, (const char *)&load->stats + sizeof out->size,
           n - sizeof out->size);
    return LAMINA_OK;
}

uint64_t lamina_loadgen_percentile(const lamina_loadgen *load, int32_t times, double share)
{
    if (!load || times < 0 || times > LAMINA_LOADGEN_REFUSAL || !(share >= 0)) return 0;
    return lmn_load_share(&load->times[times], share);
}

uint64_t lamina_loadgen_status(const lamina_loadgen *load, uint32_t status)
{
    return load && status < 600 ? load->status[status] : 0;
}

lamina_status lamina_loadgen_get_second(const lamina_loadgen *load, size_t i,
                                        lamina_loadgen_second *out)
{
    LMN_CHECK(load && out, LAMINA_E_INVALID);
    LMN_CHECK(i < load->n_seconds, LAMINA_E_RANGE);
    *out = load->second[i];
    return LAMINA_OK;
}
