/*
 * Proof of the memory planner: random models run with every byte of the block that holds no live
 * value overwritten before each step, and their outputs equal those of a run without a plan bit for
 * bit. What is alive is found here from the graph and from where values really lie, never from the
 * planner's own lifetimes. On the way no two live values may share bytes unless one is a view of
 * the other, or Concat and Split make one of the other, nor may the places that the plan gives
 * them meet. Every value also has the type and
 * the extents that inference proved of it, symbols included. Models of images, too, some of which
 * go through stretches of steps at a time. Other seeds: T_SEED.
 */
#include "runtime/rt_images.h"

#define MODELS 600 /* each with and without passes */
#define MAX_VALUES 512
#define MAX_ARENA 65536
#define MAX_SYMS 4096

/* One session under watch. */
typedef struct watch {
    const lmn_graph *g;
    lmn_vid root[MAX_VALUES];                  /* of a view: what it looks at in the end */
    lmn_vid kin[MAX_VALUES];                   /* the same through Concat and Split, too */
    size_t born[MAX_VALUES], last[MAX_VALUES]; /* steps; a graph output lives for ever */
    const lmn_plan *plan;                      /* that born and last are of */
    const lmn_slice *slice;                    /* that the step is in, or NULL */
    uint64_t n_steps, n_poisoned, n_shared, n_parts, n_proven, n_sliced;
    int64_t sym[MAX_SYMS]; /* of this run; -1 = not met yet */
    size_t before;         /* the step watched last */
    bool begins;
} watch;

static lmn_vid kin_of(const watch *w, lmn_vid v)
{
    while (w->kin[v] != v) v = w->kin[v];
    return v;
}

/* What a node joins, cuts or looks at is kin of what it makes. */
static void learn_kin(watch *w, const lmn_gnode *n)
{
    const bool join = strcmp(n->op.def->name, "Concat") == 0;
    const bool cut = strcmp(n->op.def->name, "Split") == 0;
    const bool view = n->op.def->flags & LMN_OP_VIEW;
    for (int32_t k = 0; k < n->op.n_in && (join || ((cut || view) && k == 0)); k++)
        for (int32_t o = 0; o < n->op.n_out && (cut || o == 0); o++)
            if (n->out[o] && n->in[k]) w->kin[kin_of(w, n->out[o])] = kin_of(w, n->in[k]);
}

static void learn(watch *w, const lmn_plan *p)
{
    const lmn_graph *g = w->g;
    w->plan = p;
    for (size_t v = 0; v < g->n_values; v++) {
        w->root[v] = w->kin[v] = (lmn_vid)v;
        w->born[v] = w->last[v] = 0;
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (p->skip[i]) continue;
        if (n->op.def->flags & LMN_OP_VIEW) w->root[n->out[0]] = w->root[n->in[0]];
        learn_kin(w, n);
        for (int32_t k = 0; k < n->op.n_out; k++) w->born[n->out[k]] = i + 1;
        for (int32_t k = 0; k < n->op.n_in; k++) w->last[n->in[k]] = i + 1;
    }
    for (size_t i = 0; i < g->n_outputs; i++) w->last[g->outputs[i]] = SIZE_MAX;
}

static bool listed(const lmn_slice_value *list, uint32_t n, size_t v)
{
    uint32_t k = 0;
    while (k < n && list[k].v != v) k++;
    return k < n;
}

/* Does it hold all images, of which a step of a stretch sees some? */
static bool in_part(const watch *w, size_t v)
{
    const lmn_slice *s = w->slice;
    return s && (listed(s->in, s->n_in, v) || listed(s->out, s->n_out, v));
}

/* In a stretch what came and what stays is there until the last images are done. */
static bool lasts(const watch *w, size_t v, size_t i)
{
    const lmn_slice *s = w->slice;
    if (!s) return w->born[v] <= i && w->last[v] > i;
    if (listed(s->out, s->n_out, v)) return true;
    return w->born[v] <= i && w->last[v] > (w->born[v] <= s->first ? s->first : i);
}

/* Bytes of a live value from where on in the block. Of what a step sees a part of: all. */
static bool place_of(const watch *w, const lmn_frame *f, size_t v, uint64_t *at, uint64_t *bytes)
{
    const lamina_tensor *t = f->at[v];
    const lmn_vid r = w->root[v];
    if (in_part(w, v)) {
        if (f->plan->offset[r] < 0) return false;
        *at = (uint64_t)f->plan->offset[r];
        *bytes = f->plan->bytes[r];
        return true;
    }
    if (t->kind != LAMINA_KIND_TENSOR || (const uint8_t *)t->data < f->arena ||
        (const uint8_t *)t->data >= f->arena + f->plan->arena_bytes)
        return false;
    *at = (uint64_t)((const uint8_t *)t->data - f->arena);
    *bytes = t->data_bytes;
    return true;
}

/* Made before step i and still read by it or later, with bytes in the block? */
static bool lives(const watch *w, const lmn_frame *f, size_t v, size_t i)
{
    uint64_t at, bytes;
    return w->born[v] && lasts(w, v, i) && place_of(w, f, v, &at, &bytes);
}

static bool apart(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a + a_bytes <= b || b + b_bytes <= a;
}

/* Every pair of live values: by where they lie, and by where the plan put them. */
static void check_pairs(watch *w, const lmn_frame *f, const lmn_vid *live, size_t n)
{
    for (size_t a = 0; a < n; a++)
        for (size_t b = a + 1; b < n; b++) {
            uint64_t at, a_bytes, bt, b_bytes;
            (void)place_of(w, f, live[a], &at, &a_bytes);
            (void)place_of(w, f, live[b], &bt, &b_bytes);
            const bool same = w->root[live[a]] == w->root[live[b]];
            const bool kin = kin_of(w, live[a]) == kin_of(w, live[b]);
            w->n_shared += same;
            w->n_parts += !same && !apart(at, a_bytes, bt, b_bytes);
            if (!kin && !apart(at, a_bytes, bt, b_bytes))
                t_fail(__FILE__, __LINE__, "values %s and %s share bytes",
                       w->g->values[live[a]].name, w->g->values[live[b]].name);
            const int64_t ap = f->plan->offset[live[a]], bp = f->plan->offset[live[b]];
            if (ap >= 0 && bp >= 0 && !kin &&
                !apart((uint64_t)ap, f->plan->bytes[live[a]], (uint64_t)bp,
                       f->plan->bytes[live[b]]))
                t_fail(__FILE__, __LINE__, "the plan puts %s and %s on each other",
                       w->g->values[live[a]].name, w->g->values[live[b]].name);
        }
}

/* A symbol is what the first value that has it says, and the same everywhere. */
static void check_fact(watch *w, lmn_vid v, const lamina_tensor *t)
{
    const lmn_fact *f = &w->g->values[v].fact;
    if (f->kind != LMN_FACT_TENSOR || t->kind != LAMINA_KIND_TENSOR) return;
    T_CHECK(!f->dtype || f->dtype == t->dtype);
    if (f->rank < 0 || !T_EQ(f->rank, t->rank)) return;
    for (int32_t k = 0; k < f->rank; k++) {
        const lmn_dim d = f->dims[k];
        const int64_t sym = lmn_dim_is_const(d) ? -1 : lmn_dim_as_sym(w->g->dims, d);
        int64_t want;
        if (sym >= 0 && sym < MAX_SYMS && w->sym[sym] < 0) w->sym[sym] = t->dims[k];
        if (!lmn_dim_eval(w->g->dims, d, w->sym, &want)) continue;
        if (want != t->dims[k])
            t_fail(__FILE__, __LINE__, "value %s has extent %lld, inference proved %lld",
                   w->g->values[v].name, (long long)t->dims[k], (long long)want);
        w->n_proven += !lmn_dim_is_const(d);
    }
}

/* What the step before this one made, or the inputs when a run begins. */
static void check_facts(watch *w, const lmn_frame *f, size_t i)
{
    const bool begins = w->begins || i <= w->before;
    const lmn_gnode *n = &w->g->nodes[w->before];
    for (size_t k = 0; begins && k < MAX_SYMS; k++) w->sym[k] = -1;
    for (size_t k = 0; begins && k < w->g->n_inputs; k++)
        check_fact(w, w->g->inputs[k], f->at[w->g->inputs[k]]);
    for (int32_t k = 0; !begins && k < n->op.n_out; k++)
        if (n->out[k] && w->last[n->out[k]] > w->before + 1)
            check_fact(w, n->out[k], f->at[n->out[k]]);
    w->begins = false;
    w->before = i;
}

static void before_step(void *ctx, lmn_frame *f, size_t i)
{
    static bool used[MAX_ARENA];
    lmn_vid live[MAX_VALUES];
    size_t n = 0;
    watch *w = ctx;
    if (f->x->g != w->g || !f->plan) return;
    if (w->plan != f->plan) learn(w, f->plan);
    w->slice = NULL;
    for (size_t k = 0; k < f->plan->slices.n; k++) {
        const lmn_slice *s = &f->plan->slices.all[k];
        if (i >= s->first && i <= s->last) w->slice = s;
    }
    w->n_sliced += w->slice != NULL;
    if (!w->slice)
        check_facts(w, f, i);
    else if (i <= w->before)
        w->begins = true; /* a step sees less than the run was given: checked behind the stretch */
    if (!f->plan->arena_bytes || f->plan->arena_bytes > MAX_ARENA) return;
    memset(used, 0, f->plan->arena_bytes);
    for (size_t v = 1; v < w->g->n_values; v++) {
        if (!lives(w, f, v, i)) continue;
        uint64_t at = 0, bytes = 0;
        (void)place_of(w, f, v, &at, &bytes);
        T_CHECK(at + bytes <= f->plan->arena_bytes);
        memset(used + at, 1, bytes);
        live[n++] = (lmn_vid)v;
    }
    check_pairs(w, f, live, n);
    for (size_t b = 0; b < f->plan->arena_bytes; b++) {
        if (!used[b]) f->arena[b] = 0xff; /* NaN as a float, -1 as a size, no bool */
        w->n_poisoned += !used[b];
    }
    w->n_steps++;
}

/* The same steps with every value on the heap. */
static void run_unplanned(lamina_session *s, lamina_tensor *const *in, lamina_tensor **out)
{
    lamina_error err = {0};
    lmn_run run = {.session = s, .err = &err};
    lmn_frame *f = NULL;
    size_t done = 0;
    lmn_workers_par(s->pool, 1, &run.stop, &run.par_ctx, &run.par);
    T_OK(lmn_frame_create(s->x, NULL, &f));
    if (!f) return;
    T_OK_ERR(lmn_frame_run(f, &run, in, s->g->n_inputs, out, s->g->n_outputs, &done), &err);
    lmn_frame_clear(f);
    lmn_frame_destroy(f);
}

static void compare(const lamina_tensor *a, const lamina_tensor *b)
{
    if (!T_CHECK(a && b)) return;
    T_EQ(lamina_tensor_rank(a), lamina_tensor_rank(b));
    if (!T_CHECK(lamina_tensor_bytes(a) == lamina_tensor_bytes(b)) || !lamina_tensor_bytes(a))
        return;
    T_MEM_EQ(lamina_tensor_data(a), lamina_tensor_data(b), lamina_tensor_bytes(a));
}

static void check_run(rr_model *m, lamina_session *s, int64_t n)
{
    lamina_tensor *in[RR_INPUTS + 1], *want[16] = {0}, *got[16] = {0};
    lamina_error err = {0};
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    rr_feed(m, n, in);
    run_unplanned(s, in, want);
    for (int again = 0; again < 2; again++) { /* the second finds what the first left */
        T_OK_ERR(lamina_session_run(s, (const lamina_tensor *const *)(uintptr_t)in, RR_INPUTS + 1,
                                    got, m->n_out, &o),
                 &err);
        for (lmn_frame *f = s->plans->idle; f; f = f->next)
            if (f->plan->arena_bytes) memset(f->arena, 0xff, f->plan->arena_bytes);
        for (size_t i = 0; i < m->n_out; i++) {
            compare(want[i], got[i]);
            lamina_tensor_unref(got[i]);
            got[i] = NULL;
        }
    }
    for (size_t i = 0; i < m->n_out; i++) lamina_tensor_unref(want[i]);
    for (int i = 0; i <= RR_INPUTS; i++) lamina_tensor_unref(in[i]);
}

static void check_model(t_env *env, rr_model *m, bool optimise, uint64_t slice_bytes, watch *total)
{
    static watch w;
    lamina_model *model = rt_load_bytes(env, &m->bytes);
    const lamina_session_opts o = {.size = sizeof o, .n_threads = 1, .no_optimize = !optimise};
    lamina_session *s = rt_session(model, &o);
    if (s && T_CHECK(s->g->n_values <= MAX_VALUES && s->g->n_outputs <= 16)) {
        memset(&w, 0, sizeof w);
        w.g = s->g;
        w.begins = true;
        T_CHECK(lmn_dim_sym_count(s->g->dims) <= MAX_SYMS);
        if (slice_bytes) s->slice_bytes = slice_bytes;
        s->watch = before_step;
        s->watch_ctx = &w;
        check_run(m, s, t_rand_int(env, 1, 6));
        check_run(m, s, t_rand_int(env, 0, 9));
        total->n_steps += w.n_steps;
        total->n_poisoned += w.n_poisoned;
        total->n_shared += w.n_shared;
        total->n_parts += w.n_parts;
        total->n_proven += w.n_proven;
        total->n_sliced += w.n_sliced;
    }
    lamina_session_destroy(s);
    lamina_model_unref(model);
}

static void test_random_models(t_env *env)
{
    static rr_model m;
    static watch total;
    rt_cpu(env);
    for (int i = 0; i < MODELS && !atomic_load(&t_now.n_failed); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "model %d", i);
        T_CASE(name);
        rr_make(env, &m, (int)t_rand_int(env, 3, 40));
        check_model(env, &m, false, 0, &total);
        check_model(env, &m, true, 0, &total);
    }
    T_CASE(NULL);
    /* that something was watched: steps, dead bytes, views beside what they look at */
    T_CHECK(total.n_steps > 100 * MODELS && total.n_poisoned > 10000 * MODELS);
    T_CHECK(total.n_shared > MODELS && total.n_proven > 10 * MODELS && total.n_parts > MODELS);
    printf("%d models, %llu steps, %llu bytes overwritten, %llu live pairs of views, "
           "%llu of parts, %llu extents as inferred\n",
           MODELS, (unsigned long long)total.n_steps, (unsigned long long)total.n_poisoned,
           (unsigned long long)total.n_shared, (unsigned long long)total.n_parts,
           (unsigned long long)total.n_proven);
}

static void test_images(t_env *env)
{
    static rr_model m;
    static watch total;
    rt_cpu(env);
    for (int i = 0; i < MODELS && !atomic_load(&t_now.n_failed); i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "images %d", i);
        T_CASE(name);
        ri_make(env, &m, (int)t_rand_int(env, 3, 30));
        const uint64_t least = 1u << t_rand_int(env, 0, 13); /* 8192: up to three at once */
        check_model(env, &m, false, least, &total);
        check_model(env, &m, true, least, &total);
    }
    T_CASE(NULL);
    T_CHECK(total.n_sliced > 20 * MODELS && total.n_poisoned > 10000 * MODELS);
    printf("%d models of images, %llu steps, %llu of them in stretches\n", MODELS,
           (unsigned long long)total.n_steps, (unsigned long long)total.n_sliced);
}

T_MAIN(T_TEST(test_random_models), T_TEST(test_images))
