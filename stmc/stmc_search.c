/*
 * The search: runs of one scene, each a path of choices (whose operation happens next, which write
 * a load returns). All paths are walked depth first with sleep sets (Godefroid 1996): a thread
 * whose next operation was explored at a point sleeps until an operation that depends on it
 * happens. A load that wakes because of a write need not return older writes again: that was
 * explored. Other modes: at most N preemptions (no sleep sets, they do not mix); random priorities
 * (PCT, Burckhardt et al. 2010); replay of one path.
 *
 * A thread that spins (stmc_yield) is not run again before somebody has written, and then sees the
 * newest writes: fairness, and what keeps the paths of a waiting loop finite.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "stmc_int.h"

#define C (&stmc_now)

checker stmc_now;
static jmp_buf over;

void stmc_fail(const char *fmt, ...)
{
    if (!C->failed) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(C->failure, sizeof C->failure, fmt, ap);
        va_end(ap);
        C->failed = true;
    }
}

void stmc_leave(void)
{
    if (!C->failed) return;
    if (C->self == 0) longjmp(over, 1);
    stmc_fibre_switch(&C->threads[C->self].fibre, &C->main);
}

static uint64_t random_next(void)
{
    uint64_t z = (C->rng += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

int stmc_choose(int n)
{
    if (n <= 1) return 0;
    if (C->at_choice < C->n_choices) {
        choice *c = &C->choices[C->at_choice++];
        c->n = (uint16_t)n;
        if (c->at >= n) {
            stmc_fail("this replay is of another scene or build");
            return 0;
        }
        return c->at;
    }
    if (C->n_choices == MAX_CHOICES) {
        stmc_fail("more than %d choices on one path: make the scene smaller", MAX_CHOICES);
        return 0;
    }
    const int at = C->opt.mode == SEARCH_RANDOM ? (int)(random_next() % (unsigned)n) : 0;
    C->choices[C->n_choices++] = (choice){(uint16_t)n, (uint16_t)at};
    C->at_choice++;
    return at;
}

/* ---- what happens next ------------------------------------------------------------------------
 */

static bool is_write(stmc_op op)
{
    return op == STMC_STORE || (op >= STMC_EXCHANGE && op <= STMC_CAS);
}

/* Must sleeping `a` wake when `b` happens? */
static bool depends(const pending *a, const pending *b)
{
    if (a->op == STMC_YIELD || b->op == STMC_YIELD) return false;
    if (a->op == STMC_HEAVY || b->op == STMC_HEAVY) return true;
    const bool fence = a->op == STMC_FENCE || b->op == STMC_FENCE;
    if (fence) return a->order == STMC_seq_cst && b->order == STMC_seq_cst;
    if (a->loc != b->loc) return false;
    if (a->op == STMC_WAKE || b->op == STMC_WAKE)
        return a->op == b->op || a->op == STMC_WAIT || b->op == STMC_WAIT;
    const bool b_writes = is_write(b->op) && !(b->op == STMC_CAS && !b->result);
    if (b_writes) return true;
    if (b->op == STMC_WAIT) return is_write(a->op);
    return is_write(a->op) && a->order == STMC_seq_cst && b->order == STMC_seq_cst;
}

static bool runnable(int t)
{
    const thread *th = &C->threads[t];
    if (th->state == RUN_READY) return true;
    if (th->state == RUN_WAITING) return th->next.timed;
    return th->state == RUN_SPINNING && C->n_writes > th->spun_at;
}

/* Nobody can run but spinners that have seen everything: one more turn each, then it is over. */
static bool respin(void)
{
    bool any = false;
    for (int t = 1; t <= C->n_threads; t++) {
        thread *th = &C->threads[t];
        if (th->state != RUN_SPINNING || th->respun_at == C->n_writes) continue;
        th->respun_at = C->n_writes;
        th->state = RUN_READY;
        any = true;
    }
    return any;
}

static void stuck(void)
{
    char who[300] = "";
    size_t n = 0;
    for (int t = 1; t <= C->n_threads; t++) {
        const thread *th = &C->threads[t];
        if (th->state == RUN_DONE || n >= sizeof who) continue;
        n += (size_t)snprintf(who + n, sizeof who - n, "%sthread %d %s%s", n ? ", " : "", t,
                              th->state == RUN_WAITING ? "waits on " : "spins",
                              th->state == RUN_WAITING ? th->next.site->text : "");
    }
    stmc_fail("deadlock or lost wake-up: %s, and nobody is left to change that", who);
}

static int pick_random(const int *may, int n)
{
    if (random_next() % 16 == 0) C->priority[may[random_next() % (unsigned)n]] = -(int)C->n_steps;
    int best = 0;
    for (int i = 1; i < n; i++)
        if (C->priority[may[i]] > C->priority[may[best]]) best = i;
    return best;
}

/* The thread to run, 0 when all are done or this path was seen. */
static int pick(void)
{
    int may[N_THREADS], n = 0, n_all = 0;
    bool last_may = false;
    do {
        for (int t = 1; t <= C->n_threads; t++) {
            if (!runnable(t)) continue;
            n_all++;
            if (C->asleep >> t & 1) continue;
            last_may |= t == C->last_thread;
            may[n++] = t;
        }
    } while (n_all == 0 && respin());
    if (n_all == 0) {
        for (int t = 1; t <= C->n_threads; t++)
            if (C->threads[t].state != RUN_DONE) {
                stuck();
                return 0;
            }
        return 0;
    }
    if (n == 0) {
        C->pruned = true;
        return 0;
    }
    if (C->opt.mode == SEARCH_BOUNDED && last_may && C->preempted >= C->opt.preemptions)
        return C->last_thread;
    int at;
    if (C->opt.mode == SEARCH_RANDOM && !C->opt.replay && n > 1 && C->n_choices < MAX_CHOICES) {
        at = pick_random(may, n);
        C->choices[C->n_choices++] = (choice){(uint16_t)n, (uint16_t)at};
        C->at_choice++;
    } else {
        at = stmc_choose(n);
    }
    if (C->opt.mode == SEARCH_ALL)
        for (int i = 0; i < at; i++) C->asleep |= 1u << may[i];
    C->preempted += last_may && may[at] != C->last_thread;
    return may[at];
}

static void wake_sleepers(const pending *done)
{
    for (int t = 1; t <= C->n_threads; t++) {
        pending *p = &C->threads[t].next;
        if (!(C->asleep >> t & 1) || !depends(p, done)) continue;
        C->asleep &= ~(1u << t);
        if (p->op == STMC_LOAD && is_write(done->op))
            p->floor = C->locs[p->loc].n_messages - 1;
        else
            p->floor = 0;
    }
}

/* Which message the operation reads: asks the search where there are several. */
static uint32_t source(int t)
{
    pending *op = &C->threads[t].next;
    if (op->op != STMC_LOAD && op->op != STMC_CAS) return 0;
    const location *l = &C->locs[op->loc];
    uint32_t m[256];
    int n = 0;
    if (op->op == STMC_CAS && l->messages[l->n_messages - 1].value == op->expected)
        m[n++] = l->n_messages - 1;
    n += stmc_readable(t, op, m + n, 255);
    return m[stmc_choose(n)];
}

/* Up to its next operation, or the end. */
static void resume(int t)
{
    C->self = t;
    stmc_fibre_switch(&C->main, &C->threads[t].fibre);
}

static void happen(int t)
{
    thread *th = &C->threads[t];
    C->self = t;
    if (th->state == RUN_WAITING) { /* a timed wait that nobody ended */
        th->next.result = 2;
        th->state = RUN_READY;
        resume(t);
        return;
    }
    if (th->next.op == STMC_YIELD) /* awake again: the newest is seen, though not acquired */
        for (int i = 0; i < C->n_locs; i++) th->know.view[i] = C->locs[i].n_messages - 1;
    th->state = RUN_READY;
    stmc_perform(t, source(t));
    if (C->failed) return;
    wake_sleepers(&th->next);
    C->last_thread = t;
    if (th->state != RUN_WAITING) resume(t);
    for (int w = 1; w <= C->n_threads && !C->failed; w++) {
        if (!C->threads[w].woken) continue;
        C->threads[w].woken = false;
        resume(w);
    }
}

/* ---- the side of a scene ----------------------------------------------------------------------
 */

static stmc_order order_now(const stmc_site *site)
{
    return site == C->weak_site ? C->weak_order : site->order;
}

static void list_site(stmc_site *site)
{
    if (site->state) return;
    site->state = calloc(1, sizeof *site->state);
    if (!site->state) return;
    site->state->site = site;
    stmc_state **at = &C->sites;
    while (*at) at = &(*at)->next;
    *at = site->state;
}

uint64_t stmc_atomic(stmc_site *site, void *p, size_t n, uint64_t value, uint64_t *expected)
{
    list_site(site);
    thread *th = &C->threads[C->self];
    th->next = (pending){.site = site,
                         .op = site->op,
                         .order = order_now(site),
                         .p = p,
                         .n = n,
                         .value = value,
                         .expected = expected ? *expected : 0,
                         .loc = -1,
                         .timed = site->op == STMC_WAIT && expected};
    if (site->op != STMC_FENCE && site->op != STMC_HEAVY && site->op != STMC_YIELD)
        th->next.loc = stmc_location(p, n);
    stmc_leave();
    if (C->self == 0) { /* alone */
        const pending *op = &th->next;
        stmc_perform(0, op->loc >= 0 ? C->locs[op->loc].n_messages - 1 : 0);
    } else {
        if (site->op == STMC_YIELD) {
            th->state = RUN_SPINNING;
            th->spun_at = C->n_writes;
        }
        stmc_fibre_switch(&th->fibre, &C->main);
    }
    stmc_leave();
    if (site->op == STMC_CAS) *expected = th->next.expected;
    return th->next.result;
}

void stmc_claim(int holds, const char *text, const char *file, int line)
{
    if (!holds) stmc_fail("thread %d: claim fails: %s (%s:%d)", C->self, text, file, line);
    stmc_leave();
}

int stmc_self(void)
{
    return C->self - 1;
}

static void body(void)
{
    const int t = C->self;
    C->scene->thread[t - 1]();
    C->threads[t].state = RUN_DONE;
    stmc_fibre_switch(&C->threads[t].fibre, &C->main);
}

static void reset(void)
{
    stmc_forget();
    C->n_locs = C->n_steps = 0;
    memset(C->n_ops, 0, sizeof C->n_ops);
    C->n_writes = 0;
    C->at_choice = 0;
    C->asleep = 0;
    C->last_thread = C->preempted = 0;
    C->failed = C->pruned = false;
    C->self = 0;
    memset(&C->sc, 0, sizeof C->sc);
    for (int t = 0; t < N_THREADS; t++) {
        thread *th = &C->threads[t];
        memset(&th->know, 0, sizeof th->know);
        memset(&th->acquired, 0, sizeof th->acquired);
        memset(&th->released, 0, sizeof th->released);
        th->know.vc.at[t] = 1;
        th->state = RUN_READY;
        th->woken = false;
        th->respun_at = UINT64_MAX;
        C->priority[t] = (int)(random_next() % 1000);
    }
}

/* Threads up to their first operation, in order: nothing before it is visible. */
static void start_threads(void)
{
    for (int t = 1; t <= C->n_threads; t++) {
        thread *th = &C->threads[t];
        C->threads[0].know.vc.at[0] += t == 1;
        stmc_know(&th->know, &C->threads[0].know);
        th->know.vc.at[t] = 1;
        stmc_fibre_start(&th->fibre, body);
        if (C->failed) return;
        resume(t);
        if (C->failed) return;
    }
}

static void one_run(void)
{
    reset();
    if (setjmp(over)) return;
    if (C->scene->begin) C->scene->begin();
    start_threads();
    for (int t; !C->failed && (t = pick()) > 0;) happen(t);
    if (C->failed || C->pruned) return;
    for (int t = 1; t <= C->n_threads; t++)
        if (C->n_ops[t] > C->most_ops[t]) C->most_ops[t] = C->n_ops[t];
    C->self = 0;
    for (int t = 1; t <= C->n_threads; t++) stmc_know(&C->threads[0].know, &C->threads[t].know);
    if (C->scene->end) C->scene->end();
    stmc_leaks();
}

/* The next path depth first; false when all were walked. */
static bool advance(void)
{
    while (C->n_choices) {
        choice *c = &C->choices[C->n_choices - 1];
        if (++c->at < c->n) return true;
        C->n_choices--;
    }
    return false;
}

static void read_replay(const char *s)
{
    C->n_choices = 0;
    while (*s && C->n_choices < MAX_CHOICES) {
        C->choices[C->n_choices++] = (choice){UINT16_MAX, (uint16_t)strtoul(s, (char **)&s, 10)};
        while (*s == '.') s++;
    }
}

bool stmc_search(const stmc_scene *scene)
{
    C->scene = scene;
    C->n_threads = 0;
    while (C->n_threads < STMC_MAX_THREADS && scene->thread[C->n_threads]) C->n_threads++;
    C->n_choices = 0;
    C->n_runs = C->n_pruned = 0;
    memset(C->most_ops, 0, sizeof C->most_ops);
    C->rng = C->opt.seed;
    if (C->opt.replay) read_replay(C->opt.replay);
    do {
        if (C->opt.mode == SEARCH_RANDOM && !C->opt.replay) C->n_choices = 0;
        one_run();
        C->n_runs++;
        C->n_pruned += C->pruned;
        if (C->failed || C->opt.replay) break;
    } while (C->n_runs < C->opt.max_runs && (C->opt.mode == SEARCH_RANDOM || advance()));
    return !C->failed;
}
