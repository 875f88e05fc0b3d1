/*
 * The memory planner: no two storages that are alive together overlap, the block is close to the
 * lower bound, and lifetimes know views, in-place results and what must stay out of the block.
 */
#include "graph/planner.h"
#include "graph_case.h"

static uint64_t lower_bound(const lmn_storage *s, size_t n)
{
    uint64_t most = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t sum = 0; /* what is alive when i begins */
        for (size_t k = 0; k < n; k++)
            if (s[k].first <= s[i].first && s[i].first <= s[k].last) sum += s[k].bytes;
        most = sum > most ? sum : most;
    }
    return most;
}

static void check_placement(const lmn_storage *s, size_t n, uint64_t total)
{
    for (size_t i = 0; i < n; i++) {
        T_CHECK(s[i].at + s[i].bytes <= total);
        for (size_t k = i + 1; k < n; k++) {
            const bool meet = s[i].first <= s[k].last && s[k].first <= s[i].last;
            const bool overlap = s[i].at < s[k].at + s[k].bytes && s[k].at < s[i].at + s[i].bytes;
            if (meet && overlap) T_EQ(i, k); /* prints both */
        }
    }
}

static void place(t_env *env, lmn_storage *s, size_t n, uint64_t *total)
{
    lmn_arena tmp;
    lmn_arena_init(&tmp, &env->alloc, 0);
    T_OK(lmn_planner_place(s, n, &tmp, total));
    lmn_arena_finish(&tmp);
}

static void test_random(t_env *env)
{
    static lmn_storage s[300];
    double worst = 1, sum = 0;
    enum { ROUNDS = 300 };
    for (int round = 0; round < ROUNDS; round++) {
        const size_t n = (size_t)t_rand_int(env, 0, 120);
        const int64_t span = t_rand_int(env, 0, 12);
        uint32_t step = 0;
        uint64_t total;
        for (size_t i = 0; i < n; i++) {
            step += (uint32_t)t_rand_int(env, 0, 1);
            const uint64_t bytes = 64u << t_rand_int(env, 0, 8);
            s[i] = (lmn_storage){.bytes = bytes + 64 * (uint64_t)t_rand_int(env, 0, 3),
                                 .first = step,
                                 .last = step + (uint32_t)t_rand_int(env, 0, span)};
        }
        place(env, s, n, &total);
        check_placement(s, n, total);
        const uint64_t bound = lower_bound(s, n);
        T_CHECK(total >= bound);
        const double ratio = bound ? (double)total / (double)bound : 1;
        worst = ratio > worst ? ratio : worst;
        sum += ratio;
    }
    T_CHECK(worst < 1.35);
    T_CHECK(sum / ROUNDS < 1.04);
}

/* Above the bound of the size order, and with more alive than one place looks at. */
static void test_many(t_env *env)
{
    enum { N = 12000 };
    lmn_storage *s = calloc(N, sizeof *s);
    T_REQUIRE(s != NULL);
    uint64_t total;
    for (uint32_t i = 0; i < N; i++)
        s[i] = (lmn_storage){.bytes = 64, .first = i, .last = i < N / 2 ? N : i + 1};
    place(env, s, N, &total);
    T_CHECK(total >= lower_bound(s, 1) && total <= 64u * N);
    uint64_t end = 0;
    for (size_t i = 0; i < N; i++) end = s[i].at + 64 > end ? s[i].at + 64 : end;
    T_EQ(end, total);
    for (size_t i = 1; i < N / 2; i++) T_CHECK(s[i].at != s[i - 1].at);
    free(s);
}

static void test_overflow(t_env *env)
{
    lmn_storage s[2] = {{.bytes = (uint64_t)INT64_MAX - 63}, {.bytes = 128}};
    uint64_t total;
    lmn_arena tmp;
    lmn_arena_init(&tmp, &env->alloc, 0);
    T_EQ(lmn_planner_place(s, 2, &tmp, &total), LAMINA_E_NOMEM);
    T_OK(lmn_planner_place(s, 0, &tmp, &total));
    T_EQ(total, 0);
    lmn_arena_finish(&tmp);
}

/* Lifetimes of a graph; the caller looks values up by name. */
typedef struct lives {
    lmn_graph *g;
    lmn_lifetimes l;
    lmn_arena tmp;
    bool skip[32], off[64];
} lives;

static void lives_of(t_env *env, const char *text, lives *x)
{
    memset(x, 0, sizeof *x);
    lmn_arena_init(&x->tmp, &env->alloc, 0);
    x->g = graph_ready(env, text);
    if (!x->g || !T_CHECK(x->g->n_values < 64 && x->g->n_nodes < 32)) return;
    lmn_fact *facts = LMN_ARENA_ARRAY(&x->tmp, lmn_fact, x->g->n_values);
    for (size_t v = 0; v < x->g->n_values; v++) {
        facts[v] = x->g->values[v].fact;
        x->off[v] = x->g->values[v].is_input || x->g->values[v].constant;
    }
    const lmn_lifetimes_in in = {x->g, facts, x->skip, x->off, NULL};
    T_OK(lmn_planner_lifetimes(&in, &x->tmp, &x->l));
}

static void lives_end(lives *x)
{
    lmn_graph_destroy(x->g);
    lmn_arena_finish(&x->tmp);
}

static int64_t storage_of(const lives *x, const char *name)
{
    for (size_t v = 1; v < x->g->n_values; v++)
        if (strcmp(x->g->values[v].name, name) == 0) return x->l.of[v];
    t_fail(__FILE__, __LINE__, "no value %s", name);
    return -1;
}

static void test_lifetimes(t_env *env)
{
    lives x;
    lives_of(env,
             "graph \"g\" {\n"
             "input %1 \"x\" float32[4,8]\n"
             "input %2 \"u\" float32[N]\n"
             "const %3 \"s\" int64[1] [-1]\n"
             "node %4 \"a\" = Transpose \"\" (%1)\n"     /* step 0 */
             "node %5 \"b\" = Relu \"\" (%4)\n"          /* 1: over a */
             "node %6 \"v\" = Reshape \"\" (%5, %3)\n"   /* 2: looks at b */
             "node %7 \"c\" = Neg \"\" (%6)\n"           /* 3: over b, its last reader */
             "node %8 \"d\" = Transpose \"\" (%7)\n"     /* 4 */
             "node %9 \"e\" = Add \"\" (%8, %7)\n"       /* 5: over c or d */
             "node %10 \"y\" = Neg \"\" (%9)\n"          /* 6 */
             "node %11 \"w\" = Neg \"\" (%2)\n"          /* 7: unknown size */
             "node %12 \"z\" = Reshape \"\" (%10, %3)\n" /* 8: a view that leaves */
             "output %12 \"z\"\n"
             "output %11 \"w\"\n"
             "}\n",
             &x);
    T_REQUIRE(x.g != NULL);
    T_EQ(x.l.n, 2);
    T_EQ(storage_of(&x, "a"), storage_of(&x, "b"));
    T_EQ(storage_of(&x, "v"), -1);
    T_EQ(storage_of(&x, "b"), storage_of(&x, "c"));
    T_CHECK(storage_of(&x, "d") != storage_of(&x, "c"));
    T_CHECK(storage_of(&x, "e") >= 0);
    T_EQ(storage_of(&x, "y"), -1); /* a graph output looks at it */
    T_EQ(storage_of(&x, "w"), -1);
    T_EQ(storage_of(&x, "x"), -1);
    const lmn_storage *first = &x.l.storages[storage_of(&x, "a")];
    T_EQ(first->bytes, 128);
    T_EQ(first->first, 0);
    T_CHECK(first->last >= 5);
    lives_end(&x);
}

/* What is read again later is not overwritten, and one input is not taken over twice. */
static void test_kept_alive(t_env *env)
{
    lives x;
    lives_of(env,
             "graph \"g\" {\n"
             "input %1 \"x\" float32[16]\n"
             "node %2 \"a\" = Transpose \"\" (%1)\n"
             "node %3 \"b\" = Neg \"\" (%2)\n"
             "node %4 \"c\" = Mul \"\" (%2, %2)\n"
             "node %5 \"d\" = Add \"\" (%3, %4)\n"
             "node %6 \"unread\" = Transpose \"\" (%5)\n"
             "node %7 \"e\" = Transpose \"\" (%5)\n"
             "node %8 \"f\" = Sub \"\" (%7, %1)\n"
             "node %9 \"g\" = Transpose \"\" (%8)\n"
             "output %9 \"g\"\n"
             "}\n",
             &x);
    T_REQUIRE(x.g != NULL);
    T_CHECK(storage_of(&x, "b") != storage_of(&x, "a")); /* a is read by c */
    T_CHECK(storage_of(&x, "c") != storage_of(&x, "a")); /* c reads a twice: two reads left */
    T_CHECK(storage_of(&x, "d") == storage_of(&x, "b") ||
            storage_of(&x, "d") == storage_of(&x, "c"));
    const lmn_storage *unread = &x.l.storages[storage_of(&x, "unread")];
    T_EQ(unread->first, 4);
    T_EQ(unread->last, 4);
    T_EQ(storage_of(&x, "f"), storage_of(&x, "e"));
    uint64_t total;
    place(env, x.l.storages, x.l.n, &total);
    check_placement(x.l.storages, x.l.n, total);
    T_EQ(total, lower_bound(x.l.storages, x.l.n));
    lives_end(&x);
}

static uint64_t place_in(const lives *x, const char *name)
{
    for (size_t v = 1; v < x->g->n_values; v++)
        if (strcmp(x->g->values[v].name, name) == 0) return x->l.within[v];
    return UINT64_MAX;
}

/* As YOLO's blocks and dense ones are: what is joined is made there, what was cut is read there. */
static void test_parts(t_env *env)
{
    lives x;
    lives_of(env,
             "graph \"g\" {\n"
             "input %1 \"x\" float32[1,4,16]\n"
             "const %2 \"two\" int64[2] [2, 2]\n"
             "const %3 \"s\" int64[3] [1, 2, 16]\n"
             "node %4 \"all\" = Transpose \"\" (%1) { perm: ints [0, 1, 2] }\n"
             "node %5 \"low\", %6 \"high\" = Split \"\" (%4, %2) { axis: int 1 }\n"
             "node %7 \"a\" = Neg \"\" (%6)\n"
             "node %8 \"v\" = Reshape \"\" (%7, %3)\n"
             "node %9 \"b\" = Neg \"\" (%8)\n"
             "node %10 \"few\" = Concat \"\" (%8, %9) { axis: int -2 }\n"
             "node %11 \"most\" = Concat \"\" (%5, %6, %10) { axis: int 1 }\n"
             "node %12 \"rest\" = Add \"\" (%11, %11)\n"
             "node %13 \"more\" = Concat \"\" (%12, %12) { axis: int 1 }\n"
             "node %14 \"late\" = Neg \"\" (%7)\n"
             "node %15 \"end\" = Concat \"\" (%13, %14) { axis: int 1 }\n"
             "output %15 \"end\"\n"
             "}\n",
             &x);
    T_REQUIRE(x.g != NULL);
    static const struct {
        const char *name;
        uint64_t at;
    } want[] = {{"all", 0}, {"low", 0}, {"high", 128}, {"a", 256}, {"b", 384}, {"few", 256}};
    for (size_t i = 0; i < T_COUNT(want); i++) {
        T_CASE(want[i].name);
        T_EQ(storage_of(&x, want[i].name), storage_of(&x, "most"));
        T_EQ(place_in(&x, want[i].name), want[i].at);
    }
    T_CASE(NULL);
    T_EQ(storage_of(&x, "v"), -1);
    /* the sum may not overwrite what holds a, and is joined with a copy of itself */
    T_CHECK(storage_of(&x, "rest") != storage_of(&x, "most"));
    T_EQ(storage_of(&x, "rest"), storage_of(&x, "more"));
    const lmn_storage *s = &x.l.storages[storage_of(&x, "most")];
    T_EQ(s->bytes, 512);
    T_EQ(s->first, 0);
    T_EQ(s->last, 9); /* a is read late */
    lives_end(&x);
}

/* What stays a copy: several runs, places that contradict or do not suit, what leaves. */
static void test_parts_apart(t_env *env)
{
    lives x;
    lives_of(env,
             "graph \"g\" {\n"
             "input %1 \"x\" float32[2,8]\n"
             "node %2 \"a\" = Transpose \"\" (%1) { perm: ints [0, 1] }\n"
             "node %3 \"b\" = Transpose \"\" (%1) { perm: ints [0, 1] }\n"
             "node %4 \"rows\" = Concat \"\" (%2, %3) { axis: int 1 }\n"
             "node %5 \"c\", %6 \"d\" = Split \"\" (%4) { axis: int 0, num_outputs: int 2 }\n"
             "node %7 \"turned\" = Concat \"\" (%6, %5) { axis: int 0 }\n"
             "node %8 \"e\", %9 \"f\" = Split \"\" (%3) { axis: int 0, num_outputs: int 2 }\n"
             "node %10 \"twice\" = Concat \"\" (%2, %2, %1) { axis: int 0 }\n"
             "node %11 \"g\" = Concat \"\" (%8, %9) { axis: int 0 }\n"
             "node %12 \"sum\" = Add \"\" (%10, %10)\n"
             "node %13 \"leaves\" = Concat \"\" (%11, %7) { axis: int -1 }\n"
             "output %13 \"leaves\"\n"
             "output %12 \"sum\"\n"
             "}\n",
             &x);
    T_REQUIRE(x.g != NULL);
    const int64_t a = storage_of(&x, "a"), b = storage_of(&x, "b"), rows = storage_of(&x, "rows");
    T_CHECK(a >= 0 && b >= 0 && a != rows && b != rows); /* two runs each */
    T_EQ(storage_of(&x, "c"), rows);
    T_EQ(storage_of(&x, "d"), rows);
    T_EQ(place_in(&x, "d"), 64);
    T_CHECK(storage_of(&x, "turned") != rows); /* c and d are joined the other way round */
    T_EQ(storage_of(&x, "e"), b);
    T_CHECK(storage_of(&x, "g") != b);                   /* of b only e is a part there */
    T_CHECK(storage_of(&x, "f") != storage_of(&x, "e")); /* at an odd address */
    T_EQ(a, storage_of(&x, "twice"));
    T_EQ(place_in(&x, "a"), 0); /* the second is a copy */
    T_EQ(x.l.storages[a].bytes, 192);
    T_EQ(storage_of(&x, "leaves"), -1);
    T_CHECK(storage_of(&x, "g") >= 0 && storage_of(&x, "turned") >= 0);
    lives_end(&x);
}

/* A convolution of images overwrites its residual and nothing else. */
static void test_residual(t_env *env)
{
    lives x;
    lives_of(env,
             "graph \"g\" {\n"
             "input %1 \"x\" bfloat16[1,4,4,8]\n"
             "input %2 \"w\" float32[8,8,1,1]\n"
             "input %3 \"b\" float32[8]\n"
             "node %4 \"a\" = Neg \"\" (%1)\n"
             "node %5 \"z\" = Neg \"\" (%1)\n"
             "node %6 \"y\" = lamina:ImageConv \"\" (%4, %2, %3, %5)\n"
             "node %7 \"alone\" = lamina:ImageConv \"\" (%6, %2, %3)\n"
             "node %8 \"end\" = Transpose \"\" (%7)\n"
             "output %8 \"end\"\n"
             "}\n",
             &x);
    T_REQUIRE(x.g != NULL);
    T_CHECK(storage_of(&x, "y") >= 0);
    T_EQ(storage_of(&x, "y"), storage_of(&x, "z"));
    T_CHECK(storage_of(&x, "y") != storage_of(&x, "a"));
    T_CHECK(storage_of(&x, "alone") != storage_of(&x, "y"));
    lives_end(&x);
}

T_MAIN(T_TEST(test_random), T_TEST(test_many), T_TEST(test_overflow), T_TEST(test_lifetimes),
       T_TEST(test_kept_alive), T_TEST(test_residual), T_TEST(test_parts), T_TEST(test_parts_apart))
