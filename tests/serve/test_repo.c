/*
 * The repository of models without a server: which versions are chosen, what a change on the disk
 * does, that what cannot be loaded takes nothing away, and that views and references keep versions
 * alive while they are replaced.
 */
#include "serve/repo_jobs.h"
#include "serve/served_models.h"

#include "base/os/os_dir.h"
#include "base/os/os_self.h"
#include "base/os/os_thread.h"
#include "devices/device_list.h"
#include "lamina/device.h"

/* repo/<model>/<version>/model.onnx: y = factor * x */
static void put(t_env *env, const char *model, int version, float factor)
{
    static pb bytes;
    char path[700];
    scale_model(&bytes, factor);
    (void)t_path(env, "repo", path, sizeof path);
    T_OK(lmn_os_dir_make(path, NULL));
    size_t n = strlen(path);
    n += (size_t)snprintf(path + n, sizeof path - n, "/%s", model);
    T_OK(lmn_os_dir_make(path, NULL));
    n += (size_t)snprintf(path + n, sizeof path - n, "/%d", version);
    T_OK(lmn_os_dir_make(path, NULL));
    (void)snprintf(path + n, sizeof path - n, "/model.onnx");
    T_OK(lmn_os_file_replace(path, bytes.p, factor == 0 ? 7 : bytes.n, NULL)); /* 0: broken */
}

static void configure(t_env *env, const char *model, const char *text)
{
    char name[200], path[600];
    (void)snprintf(name, sizeof name, "repo/%s/config.pbtxt", model);
    (void)t_path(env, name, path, sizeof path);
    T_OK(lmn_os_file_replace(path, text, strlen(text), NULL));
}

static lmn_repo *open_repo(t_env *env, lmn_repo_mode mode, uint32_t poll_ms)
{
    static const char *const ALL[] = {"*"};
    char path[512];
    lmn_repo *r = NULL;
    lamina_error err = {0};
    const lmn_repo_opts o = {.path = t_path(env, "repo", path, sizeof path),
                             .mode = mode,
                             .poll_ms = poll_ms,
                             .load = ALL,
                             .n_load = mode == LMN_REPO_EXPLICIT};
    T_OK(lamina_device_register(env->engine, &lmn_device_cpu, NULL, NULL));
    T_OK_ERR(lmn_repo_open(env->engine, &o, &r, &err), &err);
    return r;
}

/* The number of the version that is served; 0: none. */
static uint64_t served(lmn_repo *r, lmn_repo_view *v, const char *model, uint64_t version)
{
    bool known;
    lmn_repo_see(r, v);
    lmn_version *found =
        lmn_repo_find(v, (lmn_span){(const uint8_t *)model, strlen(model)}, version, &known);
    T_CHECK(known || !found);
    return found ? found->number : 0;
}

typedef struct row_text {
    char text[2000];
} row_text;

static void add_row(void *ctx, const lmn_repo_row *row)
{
    row_text *t = ctx;
    const size_t n = strlen(t->text);
    (void)snprintf(t->text + n, sizeof t->text - n, "%s/%d %s%s\n", row->name, (int)row->version,
                   row->state, row->reason[0] ? " !" : "");
}

static void check_index(lmn_repo *r, const char *want)
{
    row_text t = {""};
    lmn_repo_index(r, add_row, &t);
    T_STR_EQ(t.text, want);
}

static void test_versions(t_env *env)
{
    lmn_repo_view v = {0};
    for (int i = 1; i <= 12; i++) put(env, "all", i, 1);
    for (int i = 1; i <= 3; i++) put(env, "one", i, 1);
    put(env, "some", 2, 1);
    put(env, "some", 5, 1);
    put(env, "bad", 1, 0);
    configure(env, "all", "version_policy { all { } }");
    configure(env, "some", "version_policy { specific { versions: [2, 4] } }");
    lmn_repo *r = open_repo(env, LMN_REPO_FIXED, 0);
    T_REQUIRE(r != NULL);
    T_EQ(served(r, &v, "all", 0), 12);
    T_EQ(served(r, &v, "all", 1), 1);
    T_EQ(served(r, &v, "all", 13), 0);
    T_EQ(served(r, &v, "one", 0), 3);
    T_EQ(served(r, &v, "one", 2), 0);
    T_EQ(served(r, &v, "some", 0), 2);
    T_EQ(served(r, &v, "bad", 0), 0);
    T_EQ(served(r, &v, "none", 0), 0);
    T_CHECK(!lmn_repo_ready(r));
    T_EQ(repo_change(r, "one", true), LAMINA_E_INVALID);
    lmn_repo_unsee(r, &v);
    lmn_repo_close(r);
}

static void test_explicit(t_env *env)
{
    lmn_repo_view v = {0};
    put(env, "m", 1, 1);
    lmn_repo *r = open_repo(env, LMN_REPO_EXPLICIT, 0);
    T_REQUIRE(r != NULL);
    check_index(r, "m/1 READY\n");
    T_CHECK(lmn_repo_ready(r));
    /* one that is held outlives its place */
    bool known;
    lmn_repo_see(r, &v);
    lmn_version *held =
        lmn_version_ref(lmn_repo_find(&v, (lmn_span){(const uint8_t *)"m", 1}, 0, &known));
    put(env, "m", 2, 2);
    T_EQ(repo_change(r, "m", false), LAMINA_OK);
    T_EQ(served(r, &v, "m", 0), 2);
    check_index(r, "m/2 READY\n");
    T_EQ(held->number, 1);
    T_STR_EQ(held->sig.in[0].name, "x");
    lmn_version_unref(held);
    /* broken: the old one stays, the row says so */
    put(env, "m", 2, 0);
    T_CHECK(repo_change(r, "m", false) != LAMINA_OK);
    T_EQ(served(r, &v, "m", 0), 2);
    check_index(r, "m/2 READY !\n");
    put(env, "m", 3, 0);
    T_CHECK(repo_change(r, "m", false) != LAMINA_OK);
    T_EQ(served(r, &v, "m", 0), 2);
    T_CHECK(lmn_repo_ready(r));
    configure(env, "m", "nonsense: 1");
    T_EQ(repo_change(r, "m", false), LAMINA_E_INVALID);
    T_EQ(served(r, &v, "m", 0), 2);
    configure(env, "m", "max_batch_size: 4");
    put(env, "m", 3, 3);
    T_EQ(repo_change(r, "m", false), LAMINA_OK);
    T_EQ(served(r, &v, "m", 0), 3);
    check_index(r, "m/3 READY\n");
    T_EQ(repo_change(r, "m", true), LAMINA_OK);
    T_EQ(served(r, &v, "m", 0), 0);
    T_EQ(repo_change(r, "m", true), LAMINA_E_INVALID);
    T_EQ(repo_change(r, "other", false), LAMINA_E_INVALID);
    lmn_repo_unsee(r, &v);
    lmn_repo_close(r);
}

static bool comes(lmn_repo *r, lmn_repo_view *v, const char *model, uint64_t number)
{
    for (int i = 0; i < 2000; i++) {
        if (served(r, v, model, 0) == number) return true;
        lmn_sleep_ms(5);
    }
    return false;
}

static void test_poll(t_env *env)
{
    lmn_repo_view v = {0};
    char from[512], to[512];
    put(env, "a", 1, 1);
    lmn_repo *r = open_repo(env, LMN_REPO_POLL, 5);
    T_REQUIRE(r != NULL);
    T_EQ(served(r, &v, "a", 0), 1);
    put(env, "a", 2, 1);
    T_CHECK(comes(r, &v, "a", 2));
    put(env, "b", 7, 1);
    T_CHECK(comes(r, &v, "b", 7));
    T_EQ(rename(t_path(env, "repo/b", from, sizeof from), t_path(env, "away", to, sizeof to)), 0);
    T_CHECK(comes(r, &v, "b", 0));
    lmn_repo_unsee(r, &v);
    lmn_repo_close(r);
}

typedef struct reader {
    lmn_repo *r;
    atomic_bool *stop;
    long n, wrong;
} reader;

static void *read_always(void *arg)
{
    reader *me = arg;
    lmn_repo_view v = {0};
    lmn_version *kept = NULL;
    bool known;
    while (!atomic_load(me->stop)) {
        lmn_repo_see(me->r, &v);
        lmn_version *now = lmn_repo_find(&v, (lmn_span){(const uint8_t *)"m", 1}, 0, &known);
        if (kept) {
            me->wrong += kept->number != 1 || kept->sig.n_in != 1;
            lmn_version_unref(kept);
        }
        kept = now ? lmn_version_ref(now) : NULL;
        me->n++;
    }
    if (kept) lmn_version_unref(kept);
    lmn_repo_unsee(me->r, &v);
    return NULL;
}

static void test_threads(t_env *env)
{
    atomic_bool stop = false;
    reader readers[3];
    lmn_thread threads[3];
    put(env, "m", 1, 1);
    lmn_repo *r = open_repo(env, LMN_REPO_EXPLICIT, 0);
    T_REQUIRE(r != NULL);
    for (int i = 0; i < 3; i++) {
        readers[i] = (reader){r, &stop, 0, 0};
        T_OK(lmn_thread_start(&threads[i], read_always, &readers[i]));
    }
    for (int i = 0; i < 30; i++) {
        put(env, "m", 1, (float)(i + 1));
        T_EQ(repo_change(r, "m", false), LAMINA_OK);
        if (i % 10 == 9) T_EQ(repo_change(r, "m", true), LAMINA_OK);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < 3; i++) {
        lmn_thread_join(&threads[i]);
        T_CHECK(readers[i].n > 0);
        T_EQ(readers[i].wrong, 0);
    }
    lmn_repo_close(r);
}

static void test_names(t_env *env)
{
    static const char *const GOOD[] = {"a", "A-b_c.9", "x.y"}, *const BAD[] = {"",     ".",
                                                                               "..",   ".a",
                                                                               "a/b",  "a b",
                                                                               "a%2f", "\xc3\xa9"};
    char longest[LMN_REPO_NAME_MAX + 2];
    (void)env;
    for (size_t i = 0; i < T_COUNT(GOOD); i++)
        T_CHECK(lmn_repo_name_ok((lmn_span){(const uint8_t *)GOOD[i], strlen(GOOD[i])}));
    for (size_t i = 0; i < T_COUNT(BAD); i++)
        T_CHECK(!lmn_repo_name_ok((lmn_span){(const uint8_t *)BAD[i], strlen(BAD[i])}));
    memset(longest, 'a', sizeof longest);
    T_CHECK(lmn_repo_name_ok((lmn_span){(const uint8_t *)longest, LMN_REPO_NAME_MAX}));
    T_CHECK(!lmn_repo_name_ok((lmn_span){(const uint8_t *)longest, LMN_REPO_NAME_MAX + 1}));
}

T_MAIN(T_TEST(test_versions), T_TEST(test_explicit), T_TEST(test_poll), T_TEST(test_threads),
       T_TEST(test_names))
