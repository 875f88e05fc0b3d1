/*
 * The batcher on a simulated clock: every scenario of tests/serve/scenarios gives exactly the
 * batches, reasons, refusals and answers that stand in it; and at random, for every configuration:
 * no request is lost or answered twice, none runs in too large a batch or with strangers, order and
 * bounds hold, nobody starves, an instance is never idle while something may run.
 */
#include "serve/scenario.h"

#include <dirent.h>
#include <time.h>

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *text = calloc(1, 1 << 16);
    if (text) (void)!fread(text, 1, (1 << 16) - 1, f);
    (void)fclose(f);
    return text;
}

static void one_scenario(t_env *env, const char *path)
{
    char *text = read_all(path);
    sc *s = calloc(1, sizeof *s);
    lamina_error err = {0};
    T_REQUIRE(text && s && (s->request = calloc(SC_MAX, sizeof *s->request)));
    const char *want = sc_read(s, text);
    if (T_OK_ERR(lmn_batcher_init(&s->b, &env->alloc, &s->config, &err), &err)) {
        for (int i = 0; i <= 32; i++)
            if (s->seed_cost[i]) lmn_batcher_seed(&s->b, (int64_t)1 << i, s->seed_cost[i]);
        sc_play(s);
        T_STR_EQ(s->log, want);
        T_EQ(s->b.n_queued, 0);
        lmn_batcher_finish(&s->b);
    }
    free(s->request);
    free(s);
    free(text);
}

static void test_scenarios(t_env *env)
{
    const char *dir = T_SOURCE_DIR "/tests/serve/scenarios";
    DIR *d = opendir(dir);
    int n = 0;
    T_REQUIRE(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        char path[512];
        if (e->d_name[0] == '.') continue;
        (void)snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        T_CASE(e->d_name);
        one_scenario(env, path);
        n++;
    }
    (void)closedir(d);
    T_CASE(NULL);
    T_CHECK(n >= 10);
}

/* ---- at random ------------------------------------------------------------------------------- */

#define N 4000

typedef struct seen {
    lmn_infer r;
    lmn_atomic(uint32_t) gone;
    int answered;
    bool in, ran;
    uint64_t left; /* when it left the queue */
} seen;

typedef struct world {
    lmn_batcher b;
    seen *q;
    lmn_batch run[8];
    uint64_t until[8];
    bool busy[8];
    uint64_t last_answer; /* sequence, with preserve_ordering */
    int n_in, n_answered;
} world;

static void random_config(t_env *env, lmn_batch_config *c)
{
    *c = (lmn_batch_config){.dynamic = t_rand_int(env, 0, 5) > 0,
                            .max_batch_size = t_rand_int(env, 0, 1) ? 8 : t_rand_int(env, 1, 40),
                            .n_instances = (uint32_t)t_rand_int(env, 1, 3),
                            .max_queue_rows = t_rand_int(env, 0, 3) ? 0 : t_rand_int(env, 1, 300)};
    if (t_rand_int(env, 0, 2) == 0) c->delay_ns = (uint64_t)t_rand_int(env, 1, 400) * 1000;
    if (t_rand_int(env, 0, 2) == 0) c->max_request_rows = c->max_batch_size + 60;
    c->rejoin = c->dynamic && !c->delay_ns && t_rand_int(env, 0, 2) == 0;
    c->press = c->dynamic && c->max_batch_size && t_rand_int(env, 0, 2) == 0;
    if (t_rand_int(env, 0, 2) == 0)
        c->n_levels = (uint32_t)t_rand_int(env, 1, 4);
    else
        c->preserve_ordering = t_rand_int(env, 0, 2) == 0;
    for (int64_t p = 2; p <= c->max_batch_size && c->n_preferred < 3; p += t_rand_int(env, 1, 6))
        if (t_rand_int(env, 0, 3) == 0) c->preferred[c->n_preferred++] = p;
    for (uint32_t l = 0; l < LMN_BATCH_MAX_LEVELS; l++) {
        lmn_batch_level *p = &c->level[l];
        p->allow_override = true;
        if (t_rand_int(env, 0, 3) == 0) p->max_queue_size = (uint32_t)t_rand_int(env, 1, 60);
        if (t_rand_int(env, 0, 3) == 0)
            p->default_timeout_ns = (uint64_t)t_rand_int(env, 10, 5000) * 1000;
        p->action = t_rand_int(env, 0, 3) ? LMN_BATCH_REJECT : LMN_BATCH_DEFER;
    }
}

static void collect(world *w)
{
    for (lmn_infer *r = lmn_batcher_answers(&w->b), *next; r; r = next) {
        seen *q = r->user;
        next = r->next;
        T_EQ(q->answered++, 0);
        T_CHECK(q->in);
        w->n_answered++;
        if (!w->b.config.preserve_ordering) continue;
        T_EQ(r->sequence, w->last_answer + 1);
        w->last_answer = r->sequence;
    }
}

static void check_batch(world *w, const lmn_batch *batch, uint64_t now)
{
    const lmn_batch_config *c = &w->b.config;
    int64_t rows = 0;
    uint32_t n = 0;
    T_CHECK(batch->instance < c->n_instances && !w->busy[batch->instance]);
    for (const lmn_infer *r = batch->first; r; r = r->next) {
        seen *q = r->user;
        T_CHECK(!q->ran && !q->answered && !lmn_atomic_load(&q->gone, relaxed));
        T_EQ(r->key, batch->first->key);
        T_CHECK(!r->next || r->order.key < r->next->order.key ||
                (r->order.key == r->next->order.key && r->sequence < r->next->sequence));
        /* on time, unless it was deferred */
        if (c->level[r->level].action == LMN_BATCH_REJECT) T_CHECK(now <= r->deadline_ns);
        q->ran = true;
        q->left = now;
        rows += r->rows;
        n++;
    }
    T_EQ(rows, batch->rows);
    T_EQ(n, batch->n);
    T_CHECK(n > 0 && (n == 1 || c->dynamic));
    if (n > 1) T_CHECK(rows <= c->max_batch_size);
    if (batch->reason == LMN_BATCH_FULL && !c->n_preferred) T_CHECK(rows > 0);
    if (batch->reason == LMN_BATCH_IDLE) T_EQ(c->delay_ns, 0);
    if (batch->reason == LMN_BATCH_SINGLE) T_CHECK(!c->dynamic);
}

static void step(t_env *env, world *w, uint64_t now)
{
    lmn_batch batch;
    for (uint32_t i = 0; i < w->b.config.n_instances; i++)
        if (w->busy[i] && w->until[i] <= now) {
            w->busy[i] = false;
            lmn_batcher_done(&w->b, &w->run[i], w->run[i].rows, 1 + w->until[i] % 1000, now);
        }
    collect(w);
    while (lmn_batcher_next(&w->b, now, &batch)) {
        collect(w);
        check_batch(w, &batch, now);
        w->run[batch.instance] = batch;
        w->busy[batch.instance] = true;
        w->until[batch.instance] = now + (uint64_t)t_rand_int(env, 1, 300) * 1000;
    }
    collect(w);
    /* work-conserving: who is free and sees requests has been asked to wait for them */
    bool idle = false;
    for (uint32_t i = 0; i < w->b.config.n_instances; i++) idle |= !w->busy[i];
    if (idle && w->b.n_queued) T_CHECK(w->b.config.delay_ns > 0 || lmn_batcher_holds(&w->b, now));
    if (idle && w->b.n_queued) T_CHECK(lmn_batcher_look_again(&w->b) < UINT64_MAX);
}

static int64_t most_rows(const lmn_batch_config *c)
{
    return c->max_request_rows ? c->max_request_rows : c->max_batch_size;
}

static void arrive(t_env *env, world *w, seen *q, uint64_t now)
{
    const lmn_batch_config *c = &w->b.config;
    q->r = (lmn_infer){.rows = c->max_batch_size && t_rand_int(env, 0, 3) == 0
                                   ? t_rand_int(env, 1, most_rows(c) + 1)
                                   : 1,
                       .key = (uint64_t)t_rand_int(env, 0, 2),
                       .bytes = (size_t)t_rand_int(env, 1, 1 << 20),
                       .priority = (uint32_t)t_rand_int(env, 0, 5),
                       .gone = &q->gone,
                       .user = q};
    if (t_rand_int(env, 0, 2) == 0) q->r.timeout_ns = (uint64_t)t_rand_int(env, 1, 900) * 1000;
    const int64_t load = w->b.load;
    const lamina_status st = lmn_batcher_submit(&w->b, &q->r, now);
    q->in = st == LAMINA_OK;
    w->n_in += q->in;
    T_EQ(st == LAMINA_E_INVALID, c->max_batch_size && q->r.rows > most_rows(c));
    if (st == LAMINA_E_LIMIT || st == LAMINA_E_TIMEOUT) T_CHECK(q->r.retry_after_s > 0);
    if (st == LAMINA_OK && load) T_CHECK(w->b.load <= c->max_queue_rows);
}

/* Nobody who waited with another group's or level's was overtaken by more than the bound. */
static void check_starvation(const world *w)
{
    for (int i = 0; i < N; i++) {
        const seen *q = &w->q[i];
        const uint64_t bound =
            LMN_BATCH_HORIZON_NS + q->r.level * LMN_BATCH_LEVEL_NS +
            (w->b.config.level[q->r.level].action == LMN_BATCH_DEFER ? LMN_BATCH_DEFER_NS : 0);
        for (int k = i + 1; k < N && q->ran; k++)
            if (w->q[k].ran && w->q[k].left < q->left &&
                w->q[k].r.arrived_ns > q->r.arrived_ns + bound && w->q[k].r.key == q->r.key)
                t_fail(__FILE__, __LINE__, "%d was overtaken by %d", i, k);
    }
}

static void one_world(t_env *env, world *w)
{
    lmn_batch_config c;
    lamina_error err = {0};
    random_config(env, &c);
    memset(w->q, 0, N * sizeof *w->q);
    const uint64_t pace = t_rand_int(env, 0, 3) == 0 ? 60000000 : 60000;
    T_REQUIRE(T_OK_ERR(lmn_batcher_init(&w->b, &env->alloc, &c, &err), &err));
    uint64_t now = 1000;
    for (int i = 0; i < N; i++) {
        const uint64_t to = now + (uint64_t)t_rand_int(env, 0, (int64_t)pace);
        for (uint64_t at; (at = lmn_batcher_look_again(&w->b)) < to && at > now;)
            step(env, w, now = at);
        now = to;
        step(env, w, now);
        arrive(env, w, &w->q[i], now);
        seen *other = &w->q[t_rand_int(env, 0, i)];
        if (t_rand_int(env, 0, 15) == 0) lmn_atomic_store(&other->gone, 1, relaxed);
        if (t_rand_int(env, 0, 15) == 0 && other->in && !other->answered && !other->ran)
            (void)lmn_batcher_cancel(&w->b, &other->r);
        step(env, w, now);
    }
    if (t_rand_int(env, 0, 3) == 0) lmn_batcher_cancel_all(&w->b);
    for (int i = 0; i < 100000 && w->n_answered < w->n_in; i++) step(env, w, now += 50000);
    T_EQ(w->n_answered, w->n_in);
    T_EQ(w->b.n_queued, 0);
    T_EQ(w->b.rows, 0);
    T_EQ(w->b.load, 0);
    T_EQ(w->b.bytes, 0);
    check_starvation(w);
    lmn_batcher_finish(&w->b);
}

static void test_random(t_env *env)
{
    world *w = malloc(sizeof *w);
    seen *q = malloc(N * sizeof *q);
    T_REQUIRE(w && q);
    for (int i = 0; i < 60; i++) {
        memset(w, 0, sizeof *w);
        w->q = q;
        one_world(env, w);
    }
    free(q);
    free(w);
}

static void test_config(t_env *env)
{
    static const struct {
        lmn_batch_config c;
        const char *says;
    } bad[] = {
        {{.max_batch_size = -1}, "max_batch_size"},
        {{.max_batch_size = 8, .n_preferred = 2, .preferred = {4, 4}}, "ascend"},
        {{.max_batch_size = 8, .n_preferred = 1, .preferred = {9}}, "max_batch_size"},
        {{.max_batch_size = 8, .n_preferred = 17}, "16"},
        {{.max_batch_size = 8, .max_request_rows = 7}, "8..1048576"},
        {{.max_request_rows = LMN_BATCH_MAX_ROWS + 1}, "0..1048576"},
        {{.n_levels = 33}, "32"},
        {{.n_levels = 2, .default_level = 3}, "default_priority_level"},
        {{.n_levels = 2, .preserve_ordering = true}, "contradict"},
        {{.n_instances = 65}, "64"},
        {{.max_batch_size = 8, .press = true}, "press"},
    };
    for (size_t i = 0; i < T_COUNT(bad); i++) {
        lmn_batcher b;
        lamina_error err = {0};
        T_EQ(lmn_batcher_init(&b, &env->alloc, &bad[i].c, &err), LAMINA_E_INVALID);
        T_CHECK(strstr(err.msg, bad[i].says) != NULL);
    }
}

/* A run of a batch of 8 in which so many requests come. Each that is refused counts `again` times
 * more, as if it came again at once and its owner refused it. Returns how many wait at the end. */
static uint64_t one_run(lmn_batcher *b, lmn_infer *q, int n, uint64_t again, uint64_t now)
{
    lmn_batch batch;
    if (!b->n_queued) T_OK(lmn_batcher_submit(b, &q[0], now)), q[0].user = q;
    T_CHECK(lmn_batcher_next(b, now, &batch));
    for (int i = 0; i < n; i++) {
        lmn_infer *r = q;
        while (r->user) r++; /* one that is free */
        if (lmn_batcher_submit(b, r, now) == LAMINA_OK)
            r->user = r;
        else
            lmn_batcher_turned(b, again);
    }
    const uint64_t waiting = b->n_queued;
    T_EQ(lmn_batcher_full(b), waiting == (b->pressed ? 8 : 16));
    lmn_batcher_done(b, &batch, batch.rows, 100000, now + 100000);
    for (lmn_infer *r = lmn_batcher_answers(b); r; r = r->next) r->user = NULL;
    return waiting;
}

/* Refused run after run, one batch may wait; not two, unless those who are refused come again at
 * once. When its time is over one run tells whether it goes on. */
static void test_pressed(t_env *env)
{
    enum { RUN = 100000, RUNS = LMN_BATCH_PRESS_RUNS };
    const lmn_batch_config c = {
        .dynamic = true, .max_batch_size = 8, .max_queue_rows = 16, .press = true};
    lmn_infer *q = calloc(64, sizeof *q);
    lmn_batcher b;
    lamina_error err = {0};
    uint64_t now = 1;
    int n = 0;
    T_REQUIRE(q && T_OK_ERR(lmn_batcher_init(&b, &env->alloc, &c, &err), &err));
    for (int i = 0; i < 64; i++) q[i].rows = 1;
    for (int i = 0; i < RUNS; i++) T_EQ(one_run(&b, q, 24, 0, now += RUN), 16);
    for (int i = 0; i < 100; i++) T_EQ(one_run(&b, q, 24, 0, now += RUN), 8);
    T_EQ(one_run(&b, q, 24, 0, now += LMN_BATCH_PRESS_NS), 16); /* its time is over */
    for (int i = 0; i < 100; i++) T_EQ(one_run(&b, q, 24, 0, now += RUN), 8);
    (void)one_run(&b, q, 0, 0, now += RUN);
    (void)one_run(&b, q, 0, 0, now += LMN_BATCH_PRESS_NS); /* and nobody was refused lately */
    (void)one_run(&b, q, 0, 0, now += RUN);
    for (int i = 0; i < RUNS; i++) T_EQ(one_run(&b, q, 24, 0, now += RUN), 16);
    for (int i = 0; i < 100; i++) T_EQ(one_run(&b, q, 56, 0, now += 3 * RUN), 8); /* slower */
    while (b.n_queued) (void)one_run(&b, q, 0, 0, now += RUN);
    lmn_batcher_finish(&b);
    /* 26 clients, of whom those that are answered or refused come at once */
    T_REQUIRE(T_OK_ERR(lmn_batcher_init(&b, &env->alloc, &c, &err), &err));
    for (int i = 0; i < 64; i++) q[i].user = NULL;
    for (int i = 0; i < 200; i++) n += one_run(&b, q, 26 - (int)b.n_queued, 20, now += RUN) == 8;
    T_EQ(n, RUNS / 2 + RUNS + 1);
    while (b.n_queued) (void)one_run(&b, q, 0, 0, now += RUN);
    lmn_batcher_finish(&b);
    /* such clients take the place of others long after it was found */
    T_REQUIRE(T_OK_ERR(lmn_batcher_init(&b, &env->alloc, &c, &err), &err));
    for (int i = 0; i < 64; i++) q[i].user = NULL;
    for (int i = 0; i < 100; i++) n = (int)one_run(&b, q, 24, 0, now += RUN);
    T_EQ(n, 8);
    for (n = 0; one_run(&b, q, 26 - (int)b.n_queued, 20, now += RUN) == 8;) n++;
    T_CHECK(n >= RUNS && n <= 2 * RUNS + 1);
    while (b.n_queued) (void)one_run(&b, q, 0, 0, now += RUN);
    lmn_batcher_finish(&b);
    free(q);
}

/* 10^5 requests, each with a key, a deadline and a level of its own: nothing is quadratic. */
static void test_many(t_env *env)
{
    enum { MANY = 100000 };
    const lmn_batch_config c = {.dynamic = true,
                                .max_batch_size = 8,
                                .max_queue_rows = MANY,
                                .max_queue_bytes = (size_t)1 << 40,
                                .delay_ns = 1000,
                                .n_levels = 32,
                                .level = {{.allow_override = true}}};
    lmn_batcher b;
    lmn_batch batch;
    lamina_error err = {0};
    const size_t head = lmn_align_up(offsetof(lmn_infer, error), 64); /* all it looks at */
    uint8_t *q = calloc(MANY, head);
    T_REQUIRE(q);
    T_REQUIRE(T_OK_ERR(lmn_batcher_init(&b, &env->alloc, &c, &err), &err));
    const clock_t start = clock();
    for (int i = 0; i < MANY; i++) {
        lmn_infer *r = (lmn_infer *)(void *)(q + (size_t)i * head);
        r->rows = 1;
        r->key = t_rand(env) % 50000;
        r->priority = 1 + (uint32_t)(i % 32);
        r->timeout_ns = (uint64_t)(MANY - i) * 1000000;
        T_OK(lmn_batcher_submit(&b, r, 1 + (uint64_t)i));
    }
    int n = 0;
    for (uint64_t now = 1000000; n < MANY && lmn_batcher_next(&b, now, &batch); now++) {
        n += (int)batch.n;
        lmn_batcher_done(&b, &batch, 0, 0, now);
        (void)lmn_batcher_answers(&b);
    }
    T_EQ(n, MANY);
    printf("   %.0f ns a request\n", (double)(clock() - start) * 1e9 / CLOCKS_PER_SEC / MANY);
    lmn_batcher_finish(&b);
    free(q);
}

/* When it is settled what runs next, nobody who comes later is in it. */
static void test_settled(t_env *env)
{
    enum { MOST = 64 };
    static lmn_infer q[MOST];
    for (int round = 0; round < 400; round++) {
        const lmn_batch_config c = {.dynamic = t_rand_int(env, 0, 3) > 0,
                                    .max_batch_size = t_rand_int(env, 0, 6),
                                    .n_instances = (uint32_t)t_rand_int(env, 1, 3),
                                    .n_levels = (uint32_t)t_rand_int(env, 1, 2)};
        const int64_t most_rows = c.max_batch_size ? t_rand_int(env, 1, c.max_batch_size) : 1;
        const uint64_t n_keys = (uint64_t)t_rand_int(env, 0, 1);
        lmn_batcher b;
        lmn_batch batch[3], next;
        lamina_error err = {0};
        uint32_t n = 0, running = 0;
        T_REQUIRE(T_OK_ERR(lmn_batcher_init(&b, &env->alloc, &c, &err), &err));
        T_CHECK(!lmn_batcher_settled(&b));
        for (uint64_t now = 1; n < MOST / 2; n++, now++) {
            q[n] = (lmn_infer){.rows = t_rand_int(env, 1, most_rows), .key = n_keys * (n & 1)};
            if (lmn_batcher_submit(&b, &q[n], now) != LAMINA_OK) break;
        }
        while (lmn_batcher_next(&b, 100, &next)) batch[running++] = next;
        const bool settled = lmn_batcher_settled(&b);
        const uint64_t last = b.sequence;
        T_CHECK(!settled || (running == c.n_instances && !n_keys && c.n_levels == 1));
        for (uint32_t i = 0; i < 4; i++) {
            q[n + i] = (lmn_infer){.rows = t_rand_int(env, 1, most_rows)};
            (void)lmn_batcher_submit(&b, &q[n + i], 200 + i);
        }
        for (uint32_t i = 0; i < running; i++) lmn_batcher_done(&b, &batch[i], 0, 0, 300);
        for (uint32_t i = 0; i < c.n_instances && lmn_batcher_next(&b, 300, &next); i++) {
            for (const lmn_infer *r = next.first; r && settled; r = r->next)
                T_CHECK(r->sequence <= last);
            batch[i] = next;
        }
        lmn_batcher_cancel_all(&b);
        (void)lmn_batcher_answers(&b);
        lmn_batcher_finish(&b);
    }
}

T_MAIN(T_TEST(test_scenarios), T_TEST(test_random), T_TEST(test_settled), T_TEST(test_pressed),
       T_TEST(test_config), T_TEST(test_many))
