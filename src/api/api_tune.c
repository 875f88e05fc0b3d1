/*
 * Tuning a model (lamina/tune.h): its problems are learned in one run and then all searched at the
 * same time, for each run of the model measures one choice of every problem where it will be used,
 * with the caches as they are there. What won is measured again, all of it together against the
 * rules, in pairs of whole runs; the model as a whole must not lose. A run beside which a burst of
 * multiply-adds of known length took longer than before is not believed.
 */
#include "lamina/tune.h"

#include "base/error.h"
#include "base/os/os_time.h"
#include "graph/model.h"
#include "runtime/exec.h"
#include "tune/tune_file.h"

#include <string.h>

#define DEFAULT_BUDGET_NS 60000000000ull
#define MOST_OUTPUTS 512

enum {
    BASE_RUNS = 5,       /* by the rules, before the search: the first of them warm up */
    BURST_STEPS = 30000, /* some 40 us of dependent multiply-adds */
    MOST_REPEATS = 6,    /* runs of one sample, if the budget has room for them */
    MOST_DISTURBED = 64, /* runs in a row that are not believed; after them all are */
    MOST_VERIFICATIONS = 4
};
static const double small_share = 0.004; /* of the model's time: cannot matter */
static const double burst_slack = 1.04;
static const double confirmed = 1.02; /* least median ratio in fresh pairs */

typedef struct job {
    lamina_session *session;
    const lamina_tensor *const *in;
    size_t n_in, n_out;
    lamina_tune_opts opts;
    lamina_tune_result res;
    lmn_tune_trial trial;
    double budget_s, start_s, run_s; /* of the search */
    double burst_ns;                 /* the least seen; 0 = not yet */
    int32_t disturbed, repeats;      /* repeats: runs whose least time is one sample */
    bool stop, drop;                 /* the caller wants the end of the search, of it all */
    lamina_error *err;
} job;

static double now_s(void)
{
    return (double)lmn_now_ns() * 1e-9;
}

static uint64_t wall(void *ctx)
{
    (void)ctx;
    return lmn_now_ns();
}

/* ---- telling ----------------------------------------------------------------------------------
 */

static void tell(job *j, lamina_tune_note *n)
{
    n->size = sizeof *n;
    n->count = (uint32_t)j->trial.n;
    if (!j->opts.note || j->opts.note(j->opts.ctx, n)) return;
    j->drop = j->drop || j->stop;
    j->stop = true;
}

static void tell_problem(job *j, uint32_t stage, int32_t i, int32_t choice, double gain)
{
    lmn_tune_problem *p = &j->trial.problems[i];
    char problem[96], text[64];
    lmn_tune_key_text(&p->key, problem, sizeof problem);
    lmn_choice_text(&p->choice[choice], text, sizeof text);
    lamina_tune_note n = {.stage = stage,
                          .index = (uint32_t)i,
                          .node = p->node,
                          .kernel = lmn_tune_family_name(p->key.family),
                          .problem = problem,
                          .choice = text,
                          .gain = gain};
    n.n_choices = p->small ? 0 : (uint32_t)p->n - 1;
    n.other_bits = p->other_bits[choice];
    n.share = j->run_s > 0 ? (double)p->rule_ns * 1e-9 / j->run_s : 0;
    tell(j, &n);
}

static void tell_progress(job *j, uint32_t stage, double progress, double eta_s)
{
    lamina_tune_note n = {.stage = stage,
                          .node = "",
                          .kernel = "",
                          .problem = "",
                          .choice = "",
                          .progress = progress,
                          .eta_s = eta_s};
    tell(j, &n);
}

/* ---- running ----------------------------------------------------------------------------------
 */

/* A fixed number of dependent operations: longer when the clock is low or somebody shares the
   core. */
static double burst(void)
{
    const uint64_t start = lmn_now_ns();
    volatile double keep = 0.5;
    double x = keep;
    for (int32_t i = 0; i < BURST_STEPS; i++) x = x * 0.999 + 1e-3;
    keep = x;
    return (double)(lmn_now_ns() - start);
}

/* Is the machine as it was at its best? Rules out disturbed runs, but not for ever. */
static bool calm(job *j)
{
    const double ns = burst();
    if (j->burst_ns == 0 || ns < j->burst_ns) j->burst_ns = ns;
    if (ns <= burst_slack * j->burst_ns || j->disturbed >= MOST_DISTURBED) {
        j->disturbed = 0;
        return true;
    }
    j->disturbed++;
    return false;
}

/* One run with the choices that stand in the problems; its time. */
static lamina_status run_once(job *j, double *ns)
{
    lamina_tensor *out[MOST_OUTPUTS];
    const lamina_run_opts o = {.size = sizeof o, .error = j->err};
    lmn_tune_trial_clear(&j->trial);
    const uint64_t start = j->trial.clock(NULL);
    LMN_TRY(lamina_session_run(j->session, j->in, j->n_in, out, j->n_out, &o));
    *ns = (double)(j->trial.clock(NULL) - start);
    for (size_t i = 0; i < j->n_out; i++) lamina_tensor_unref(out[i]);
    j->res.n_runs++;
    return LAMINA_OK;
}

/* A sample: the least times of some runs in a row. */
static lamina_status sample(job *j, double *ns)
{
    lmn_tune_trial *t = &j->trial;
    for (int32_t i = 0; i < t->n; i++) t->problems[i].least_ns = UINT64_MAX;
    *ns = 0;
    for (int32_t r = 0; r < j->repeats; r++) {
        double one;
        LMN_TRY(run_once(j, &one));
        if (r == 0 || one < *ns) *ns = one;
        for (int32_t i = 0; i < t->n; i++) {
            lmn_tune_problem *p = &t->problems[i];
            if (p->n_calls && p->ns < p->least_ns) p->least_ns = p->ns;
        }
    }
    return LAMINA_OK;
}

/* Learn the problems, and what the rules take. */
static lamina_status learn(job *j)
{
    double ns = 0, least = 0;
    const lmn_tune_trial *t = &j->trial;
    for (int i = 0; i < BASE_RUNS; i++) {
        const double start = now_s();
        LMN_TRY(run_once(j, &ns));
        j->trial.learning = false;
        if (t->failed) return lmn_fail(j->err, LAMINA_E_NOMEM, "out of memory tuning a model");
        if (i == 0) continue;
        if (least == 0 || ns < least) least = ns;
        const double took = now_s() - start;
        if (i == 1 || took < j->run_s) j->run_s = took;
        for (int32_t k = 0; k < t->n; k++) {
            lmn_tune_problem *p = &t->problems[k];
            if (!p->rule_ns || p->ns < p->rule_ns) p->rule_ns = p->ns;
        }
    }
    for (int32_t k = 0; k < t->n; k++) {
        lmn_tune_problem *p = &t->problems[k];
        p->small = (double)p->rule_ns < small_share * least;
        j->res.n_small += p->small;
    }
    j->res.before_ns = j->res.after_ns = least;
    j->res.n_problems = (uint32_t)t->n;
    return LAMINA_OK;
}

/* ---- searching --------------------------------------------------------------------------------
 */

/* As many rivals as the budget has runs for: the first offers are the most promising. */
static int32_t afford(const job *j)
{
    const double pairs = j->budget_s / (2 * j->run_s * 1.05);
    int32_t n = LMN_CHOICE_MOST;
    while (n > 0 && lmn_search_cost(n) > pairs) n--;
    return n;
}

static lamina_status begin_search(job *j)
{
    const int32_t most = afford(j);
    lmn_tune_trial *t = &j->trial;
    if (most == 0 && t->n > 0)
        return lmn_fail(j->err, LAMINA_E_LIMIT,
                        "a run takes %.2f s: a search needs a budget of %.0f s at least", j->run_s,
                        lmn_search_cost(1) * 2.1 * j->run_s + 1);
    int32_t longest = 0;
    for (int32_t i = 0; i < t->n; i++) {
        lmn_tune_problem *p = &t->problems[i];
        if (p->n > most + 1) p->n = most + 1;
        lmn_search_init(&p->search, p->small ? 0 : p->n - 1);
        longest = (int32_t)lmn_max_i64(longest, lmn_search_left(&p->search));
        tell_problem(j, LAMINA_TUNE_FOUND, i, 0, 1);
    }
    const double fit = j->budget_s / (2.2 * j->run_s * (longest + 1));
    j->repeats = fit < 1 ? 1 : fit > MOST_REPEATS ? MOST_REPEATS : (int32_t)fit;
    return LAMINA_OK;
}

/* Feeds a run to all searches; the pairs still to come of the longest one. */
static int32_t feed(job *j, bool believed)
{
    int32_t left = 0;
    for (int32_t i = 0; i < j->trial.n; i++) {
        lmn_tune_problem *p = &j->trial.problems[i];
        lmn_search *s = &p->search;
        if (s->done) continue;
        if (believed && p->n_calls)
            lmn_search_feed(s, (double)p->least_ns);
        else
            lmn_search_again(s);
        if (s->done) tell_problem(j, LAMINA_TUNE_DECIDED, i, s->winner, s->gain);
        const int32_t more = lmn_search_left(s);
        if (more > left) left = more;
    }
    return left;
}

static lamina_status search(job *j)
{
    double ns;
    lmn_tune_trial *t = &j->trial;
    int32_t left = 0;
    for (int32_t i = 0; i < t->n; i++)
        left = (int32_t)lmn_max_i64(left, lmn_search_left(&t->problems[i].search));
    const int32_t all = left;
    while (left > 0 && !j->stop && !j->res.out_of_time) {
        for (int32_t i = 0; i < t->n; i++)
            t->problems[i].now = lmn_search_next(&t->problems[i].search);
        const bool before = calm(j);
        LMN_TRY(sample(j, &ns));
        left = feed(j, before && calm(j));
        const double spent = now_s() - j->start_s;
        const double per_run = spent / (double)j->res.n_runs * j->repeats;
        j->res.out_of_time = left > 0 && spent > j->budget_s;
        const double eta =
            lmn_min_i64((int64_t)(left * 2 * per_run), (int64_t)j->budget_s) + 30 * per_run;
        tell_progress(j, LAMINA_TUNE_SEARCHING, 1 - (double)left / all, eta);
    }
    j->res.stopped = j->stop;
    for (int32_t i = 0; i < t->n; i++) {
        lmn_search *s = &t->problems[i].search;
        if (s->done) continue;
        lmn_search_stop(s);
        tell_problem(j, LAMINA_TUNE_DECIDED, i, s->winner, s->gain);
    }
    return LAMINA_OK;
}

/* ---- verifying --------------------------------------------------------------------------------
 */

/* All winners against the rules, in pairs of whole runs; fresh ratios for every problem too. */
typedef struct fresh {
    lmn_pairs whole;
    lmn_pairs *problem; /* by problem */
    double *gain;       /* by problem, of the round that judged it */
    double rule_ns[LMN_SEARCH_PAIRS];
} fresh;

static lamina_status one_pair(job *j, fresh *f)
{
    double whole[2];
    lmn_tune_trial *t = &j->trial;
    const int32_t at = f->whole.n;
    bool believed = true;
    for (int half = 0; half < 2; half++) {
        const bool won = (at + half) % 2 == 1;
        for (int32_t i = 0; i < t->n; i++)
            t->problems[i].now = won ? t->problems[i].search.winner : 0;
        believed = calm(j) && believed;
        LMN_TRY(sample(j, &whole[won]));
        believed = calm(j) && believed;
        for (int32_t i = 0; i < t->n; i++) {
            lmn_pairs *p = &f->problem[i];
            const float ns = (float)t->problems[i].least_ns;
            if (half == 0)
                p->ratio[p->n] = ns;
            else
                p->ratio[p->n] = won ? p->ratio[p->n] / ns : ns / p->ratio[p->n];
        }
    }
    if (!believed) return LAMINA_OK; /* the pair is written over by the next */
    for (int32_t i = 0; i < t->n; i++) f->problem[i].n++;
    f->rule_ns[at] = whole[0];
    f->whole.ratio[f->whole.n++] = (float)(whole[0] / whole[1]);
    return LAMINA_OK;
}

static double median(double *x, int32_t n)
{
    for (int32_t i = 1; i < n; i++)
        for (int32_t k = i; k > 0 && x[k - 1] > x[k]; k--) {
            const double y = x[k];
            x[k] = x[k - 1], x[k - 1] = y;
        }
    return n ? x[n / 2] : 0;
}

static int32_t count_winners(const job *j)
{
    int32_t n = 0;
    for (int32_t i = 0; i < j->trial.n; i++) n += j->trial.problems[i].search.winner > 0;
    return n;
}

static void drop_winner(job *j, int32_t i, double gain)
{
    lmn_search *s = &j->trial.problems[i].search;
    tell_problem(j, LAMINA_TUNE_DROPPED, i, s->winner, gain);
    s->winner = 0;
}

/* Who did not win again goes; true: somebody went. */
static bool drop_unconfirmed(job *j, fresh *f)
{
    bool any = false;
    for (int32_t i = 0; i < j->trial.n; i++) {
        const lmn_pairs *p = &f->problem[i];
        const double m = f->gain[i] = lmn_pairs_median(p);
        if (!j->trial.problems[i].search.winner || (m >= confirmed && lmn_pairs_sure(p))) continue;
        drop_winner(j, i, m);
        any = true;
    }
    return any;
}

/* The model as a whole is slower: the half of the winners that saves least goes. */
static void drop_weak(job *j, const fresh *f)
{
    const lmn_tune_trial *t = &j->trial;
    for (int32_t n = (count_winners(j) + 1) / 2; n > 0; n--) {
        int32_t least = -1;
        double saved = 0;
        for (int32_t i = 0; i < t->n; i++) {
            const double s = (f->gain[i] - 1) * (double)t->problems[i].rule_ns;
            if (!t->problems[i].search.winner || (least >= 0 && s >= saved)) continue;
            least = i, saved = s;
        }
        drop_winner(j, least, f->gain[least]);
    }
}

static lamina_status verify(job *j, fresh *f)
{
    const double start = now_s();
    for (int round = 0; round < MOST_VERIFICATIONS; round++) {
        f->whole.n = 0;
        memset(f->problem, 0, (size_t)j->trial.n * sizeof *f->problem);
        while (count_winners(j) && f->whole.n < LMN_SEARCH_JUDGED && !j->drop) {
            LMN_TRY(one_pair(j, f));
            const double done = (double)f->whole.n / LMN_SEARCH_JUDGED;
            tell_progress(j, LAMINA_TUNE_VERIFYING, done,
                          done > 0 ? (now_s() - start) / done * (1 - done) : 0);
        }
        if (!count_winners(j) || j->drop) break;
        /* every winner is judged once: a second look would lose good ones to noise */
        const bool dropped = round == 0 && drop_unconfirmed(j, f);
        const bool loses = lmn_pairs_median(&f->whole) < 1;
        if (!dropped && !loses) {
            j->res.before_ns = median(f->rule_ns, f->whole.n);
            j->res.after_ns = j->res.before_ns / lmn_pairs_median(&f->whole);
            return LAMINA_OK;
        }
        if (loses && !dropped) drop_weak(j, f);
    }
    for (int32_t i = 0; i < j->trial.n; i++)
        if (j->trial.problems[i].search.winner) drop_winner(j, i, f->gain[i]);
    return LAMINA_OK;
}

/* ---- keeping ----------------------------------------------------------------------------------
 */

/* Winners, and the rule where an earlier winner did not win again. */
static lamina_status keep(job *j, const fresh *f, const char *path)
{
    const lmn_tune_trial *t = &j->trial;
    const lamina_engine *e = j->session->engine;
    lmn_tune_table old = {.alloc = &e->alloc};
    if (path) LMN_TRY(lmn_tune_load(e, path, &old));
    lmn_tune_record *r = lmn_calloc(&e->alloc, (size_t)t->n + 1, sizeof *r, "tune");
    lamina_status st = r ? LAMINA_OK : lmn_fail(j->err, LAMINA_E_NOMEM, "out of memory");
    size_t n = 0;
    for (int32_t i = 0; r && i < t->n; i++) {
        const lmn_tune_problem *p = &t->problems[i];
        const int32_t winner = p->search.winner;
        const lmn_tune_record *was = lmn_tune_table_find(&old, &p->key);
        const bool settled = !p->small && p->search.n > 0 && !j->res.out_of_time && !j->stop;
        if (winner) {
            const double gain = f->gain[i];
            r[n++] = (lmn_tune_record){p->key, p->choice[winner], gain};
            j->res.n_tuned++;
            tell_problem(j, LAMINA_TUNE_KEPT, i, winner, gain);
        } else if (was && settled &&
                   (was->choice.path || was->choice.mc || was->choice.nc || was->choice.kc)) {
            r[n++] = (lmn_tune_record){p->key, p->choice[0], 1};
        }
    }
    if (st == LAMINA_OK && path) st = lmn_tune_append(e, path, r, n, j->err);
    if (st == LAMINA_OK && path && n) (void)lmn_format(j->res.path, sizeof j->res.path, "%s", path);
    lmn_cfree(&e->alloc, r, (size_t)t->n + 1, sizeof *r, "tune");
    lmn_tune_table_finish(&old);
    return st;
}

static lamina_status tune(job *j, const char *path)
{
    const lamina_allocator *a = &j->session->engine->alloc;
    LMN_TRY(learn(j));
    j->start_s = now_s();
    j->res.n_runs = 0;
    LMN_TRY(begin_search(j));
    LMN_TRY(search(j));
    fresh *f = lmn_calloc(a, 1, sizeof *f, "tune");
    const size_t n = (size_t)j->trial.n + 1;
    lamina_status st = LAMINA_E_NOMEM;
    if (f) f->problem = lmn_calloc(a, n, sizeof *f->problem, "tune");
    if (f) f->gain = lmn_calloc(a, n, sizeof *f->gain, "tune");
    if (f && f->problem && f->gain) {
        st = verify(j, f);
        if (st == LAMINA_OK) st = keep(j, f, path);
    } else {
        (void)lmn_fail(j->err, st, "out of memory tuning a model");
    }
    if (f) lmn_cfree(a, f->problem, n, sizeof *f->problem, "tune");
    if (f) lmn_cfree(a, f->gain, n, sizeof *f->gain, "tune");
    lmn_cfree(a, f, 1, sizeof *f, "tune");
    return st;
}

lamina_status lamina_tune(lamina_model *model, const lamina_tensor *const *inputs, size_t n_inputs,
                          const lamina_tune_opts *opts, lamina_tune_result *out, lamina_error *err)
{
    job j = {.in = inputs, .n_in = n_inputs, .err = err};
    char path[LMN_TUNE_PATH_MAX];
    if (!model || (!inputs && n_inputs))
        return lmn_fail(err, LAMINA_E_INVALID, "tuning needs a model and its inputs");
    if (lmn_opts_read(&j.opts, sizeof j.opts, opts) != LAMINA_OK ||
        (out && (out->size < sizeof(size_t) || out->size > sizeof *out)))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "the tuning options set a field this version does not know");
    const bool file = lmn_tune_path(model->engine, j.opts.path, path, sizeof path);
    if (!file && !j.opts.dry_run)
        return lmn_fail(err, LAMINA_E_STATE,
                        "there is no file to keep choices in: LAMINA_TUNE is off, or neither "
                        "XDG_CACHE_HOME nor HOME is set; name one");
    const lamina_session_opts so = {.size = sizeof so,
                                    .n_threads = j.opts.n_threads,
                                    .precision = j.opts.precision,
                                    .tune = "off"};
    LMN_TRY(lamina_session_create(model, &so, &j.session, err));
    j.budget_s = (double)(j.opts.budget_ns ? j.opts.budget_ns : DEFAULT_BUDGET_NS) * 1e-9;
    j.n_out = lamina_model_output_count(model);
    lmn_tune_trial_init(&j.trial, &model->engine->alloc, j.opts.same_bits);
    const lamina_engine *e = model->engine;
    const uint32_t width = e->n_threads ? e->n_threads : e->topo.width;
    if (width > 1 && j.opts.n_threads != 1) j.trial.clock = wall;
    j.session->tune.trial = &j.trial;
    lamina_status st = j.n_out <= MOST_OUTPUTS
                           ? tune(&j, file && !j.opts.dry_run ? path : NULL)
                           : lmn_fail(err, LAMINA_E_LIMIT, "more than %d outputs", MOST_OUTPUTS);
    lamina_session_destroy(j.session);
    lmn_tune_trial_finish(&j.trial);
    if (st == LAMINA_OK && out) {
        j.res.size = out->size;
        memcpy(out, &j.res, j.res.size);
    }
    return st;
}
