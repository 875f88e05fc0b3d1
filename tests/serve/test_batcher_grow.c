/*
 * How large a whole batch becomes, on a simulated clock: it doubles while twice as many rows wait
 * and that pays, and only then.
 */

#include "serve/batcher.h"
#include "t.h"

enum { MOST = 2100 };

typedef struct price {
    uint64_t fixed_ns, row_ns;
    int64_t from; /* runs of this many rows or more take dear_ns a row */
    uint64_t dear_ns;
    int64_t fails; /* runs of this many or more fail; 0: none */
} price;

static uint64_t cost(const price *p, int64_t rows)
{
    const bool dear = p->from && rows >= p->from;
    return dear ? (uint64_t)rows * p->dear_ns : p->fixed_ns + (uint64_t)rows * p->row_ns;
}

typedef struct flood {
    lmn_batcher b;
    lmn_infer q[MOST];
    uint64_t now;
    int64_t largest;  /* batch since it was last looked at */
    uint64_t plan_ns; /* that the first run of more rows than ever takes beside */
    int64_t seen;
} flood;

static flood *begin(t_env *env, const lmn_batch_config *c, const price *p)
{
    static flood the_only;
    lamina_error err = {0};
    flood *f = &the_only;
    memset(f, 0, sizeof *f);
    T_OK_ERR(lmn_batcher_init(&f->b, &env->alloc, c, &err), &err);
    for (int i = 0; i < MOST; i++) f->q[i].rows = 1;
    for (int64_t rows = 1; rows <= c->max_batch_size; rows *= 2)
        lmn_batcher_seed(&f->b, rows, cost(p, rows));
    f->now = 1;
    f->seen = c->max_batch_size;
    return f;
}

static void answered(flood *f)
{
    for (lmn_infer *r = lmn_batcher_answers(&f->b); r; r = r->next) r->user = NULL;
}

/* So many come; returns how many wait then. */
static uint64_t come(flood *f, int n)
{
    for (int i = 0, k = 0; i < MOST && k < n; i++) {
        if (f->q[i].user) continue;
        k++;
        if (lmn_batcher_submit(&f->b, &f->q[i], f->now) == LAMINA_OK) f->q[i].user = f;
    }
    return f->b.n_queued;
}

/* So many come, then one batch runs. */
static void one_run(flood *f, const price *p, int n)
{
    lmn_batch batch;
    (void)come(f, n);
    T_REQUIRE(lmn_batcher_next(&f->b, f->now, &batch));
    if (batch.rows > f->largest) f->largest = batch.rows;
    uint64_t took = cost(p, batch.rows);
    if (batch.rows > f->seen) took += f->plan_ns, f->seen = batch.rows;
    f->now += took;
    const bool failed = p->fails && batch.rows >= p->fails;
    lmn_batcher_done(&f->b, &batch, batch.rows, failed ? 0 : took, f->now);
    answered(f);
}

static void end(flood *f)
{
    lmn_batcher_cancel_all(&f->b);
    answered(f);
    lmn_batcher_finish(&f->b);
}

static const lmn_batch_config of_64 = {.dynamic = true, .max_batch_size = 64, .grow_rows = 1024};

/* The sizes that warm-up found once, by what a run costs. */
static void test_prices(t_env *env)
{
    const struct {
        const char *name;
        price p;
        int64_t rows, tried;
    } cases[] = {
        {"to 128",
         {.fixed_ns = 3000000, .row_ns = 20000, .from = 200, .dear_ns = 150000},
         128,
         256},
        {"to 256",
         {.fixed_ns = 3000000, .row_ns = 20000, .from = 400, .dear_ns = 150000},
         256,
         512},
        {"to the bound", {.fixed_ns = 3000000, .row_ns = 2000}, 1024, 1024},
        {"five hundredths pay", {.fixed_ns = 800000, .row_ns = 100000}, 128, 256},
        {"no run of twice as many would end within 40 ms",
         {.fixed_ns = 8000000, .row_ns = 170000},
         128,
         128},
        {"four do not", {.fixed_ns = 1100000, .row_ns = 200000}, 64, 128},
        {"it would pay, and nobody should wait for it",
         {.fixed_ns = 40000000, .row_ns = 100000},
         64,
         64},
        {"too long, which only the run shows",
         {.fixed_ns = 25000000, .row_ns = 1000, .from = 100, .dear_ns = 600000},
         64,
         128},
        {"it would not", {.row_ns = 50000}, 64, 128},
        {"short runs", {.fixed_ns = 50000, .row_ns = 100}, 64, 64},
        {"it fails", {.fixed_ns = 3000000, .row_ns = 20000, .fails = 100}, 64, 128},
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        T_CASE(cases[i].name);
        const price *p = &cases[i].p;
        flood *f = begin(env, &of_64, p);
        f->plan_ns = 8000000;
        for (int k = 0; k < 100; k++) one_run(f, p, MOST);
        T_EQ(f->b.whole, cases[i].rows);
        T_EQ(f->b.room, lmn_max_i64(256, 2 * cases[i].rows));
        T_EQ(f->largest, cases[i].tried);
        f->largest = 0;
        for (int k = 0; k < 100; k++) one_run(f, p, MOST);
        T_EQ(f->largest, cases[i].rows); /* it is not tried all the time */
        /* What is said of a wait follows. */
        lmn_batcher_cancel_all(&f->b);
        answered(f);
        const uint64_t each = lmn_batcher_cost(&f->b, f->b.whole);
        T_CHECK(each >= cost(p, f->b.whole) * 99 / 100 && each <= cost(p, f->b.whole) * 11 / 10);
        end(f);
    }
    T_CASE(NULL);
}

/* As often as it may, it is tried anew: the machine was busy. */
static void test_again(t_env *env)
{
    price p = {.row_ns = 50000};
    flood *f = begin(env, &of_64, &p);
    for (int k = 0; k < 50; k++) one_run(f, &p, MOST);
    T_EQ(f->b.whole, 64);
    p = (price){.fixed_ns = 3000000, .row_ns = 20000, .from = 200, .dear_ns = 50000};
    for (int k = 0; k < 50; k++) one_run(f, &p, MOST);
    T_EQ(f->b.whole, 64);
    f->now += 60000000000u;
    for (int k = 0; k < 50; k++) one_run(f, &p, MOST);
    T_EQ(f->b.whole, 128);
    end(f);
}

/* Where fewer wait than it would take nothing is tried, nor where somebody said what holds. */
static void test_only_then(t_env *env)
{
    const price p = {.fixed_ns = 3000000, .row_ns = 20000};
    lmn_batch_config c = of_64;
    flood *f = begin(env, &c, &p);
    for (int k = 0; k < 200; k++) one_run(f, &p, k ? 64 : 127); /* 127 wait, of whom 64 run */
    T_EQ(f->largest, 64);
    one_run(f, &p, 65);
    T_EQ(f->largest, 128);
    T_EQ(f->b.whole, 64); /* once is no proof */
    end(f);
    c.grow_rows = 0;
    f = begin(env, &c, &p);
    for (int k = 0; k < 200; k++) one_run(f, &p, MOST);
    T_EQ(f->largest, 64);
    end(f);
    c = of_64, c.max_queue_rows = 127;
    f = begin(env, &c, &p);
    for (int k = 0; k < 200; k++) one_run(f, &p, MOST);
    T_EQ(f->largest, 64);
    end(f);
    c.max_queue_rows = 300; /* it stays, whatever the batch */
    f = begin(env, &c, &p);
    for (int k = 0; k < 200; k++) one_run(f, &p, MOST);
    T_EQ(f->b.whole, 256);
    T_EQ(f->b.room, 300);
    end(f);
    c = of_64, c.n_preferred = 1, c.preferred[0] = 64;
    f = begin(env, &c, &p);
    for (int k = 0; k < 200; k++) one_run(f, &p, MOST);
    T_EQ(f->largest, 64);
    end(f);
}

/* Requests that make up no whole batch, of one size or the other: what tells nothing is not tried
   all the time. */
static void test_odd_rows(t_env *env)
{
    static const int64_t rows[] = {24, 40, 50, 65, 100};
    const price p = {.fixed_ns = 3000000, .row_ns = 1000, .from = 65, .dear_ns = 400000};
    for (size_t i = 0; i < T_COUNT(rows); i++) {
        lmn_batch_config c = of_64;
        c.max_request_rows = 1000;
        flood *f = begin(env, &c, &p);
        for (int k = 0; k < MOST; k++) f->q[k].rows = rows[i];
        for (int k = 0; k < 100; k++) one_run(f, &p, MOST);
        f->largest = 0;
        for (int k = 0; k < 100; k++) one_run(f, &p, MOST);
        T_EQ(f->b.whole, 64);
        T_CHECK(f->largest <= lmn_max_i64(64, rows[i]));
        T_CHECK(!f->b.grow.due || rows[i] > 64);
        end(f);
    }
}

/* Who is refused run after run leaves room for one batch; for two as long as that is tried. */
static void test_pressed(t_env *env)
{
    const price p = {.fixed_ns = 8000000, .row_ns = 20000, .from = 200, .dear_ns = 100000};
    lmn_batch_config c = of_64;
    c.press = true;
    flood *f = begin(env, &c, &p);
    for (int k = 0; k < 100; k++) one_run(f, &p, MOST);
    T_EQ(f->b.whole, 128);
    T_CHECK(f->b.pressed);
    T_EQ(come(f, MOST), 128);
    f->b.grow.again_ns = f->now; /* twice as many are tried again */
    one_run(f, &p, 1);
    T_CHECK(f->b.pressed && f->b.grow.due);
    T_EQ(come(f, MOST), 256);
    end(f);
}

T_MAIN(T_TEST(test_prices), T_TEST(test_again), T_TEST(test_only_then), T_TEST(test_odd_rows),
       T_TEST(test_pressed))
