/*
 * Packed weights in a file: the same bits with it and without, whatever is wrong with folder or
 * file. The model is a small file, its weights lie in another, so that both can change.
 */
#include "runtime/rt_model.h"

#include "base/os/os_cache.h"
#include "runtime/packs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { K = 96, MID = 192, N = 200, W1 = K * MID, W2 = N * MID, ROWS = 3 };
static const int64_t rows_of[ROWS] = {2, 5, 37};

/* ---- a model and its answers ------------------------------------------------------------------
 */

static void external(pb *g, const char *name, int64_t rows, int64_t cols, size_t offset)
{
    static pb t, e;
    char text[32];
    t.n = e.n = 0;
    pb_int(&t, 1, (uint64_t)rows), pb_int(&t, 1, (uint64_t)cols);
    pb_int(&t, 2, LAMINA_F32), pb_str(&t, 8, name);
    pb_str(&e, 1, "location"), pb_str(&e, 2, "weights"), pb_msg(&t, 13, &e);
    (void)snprintf(text, sizeof text, "%zu", offset);
    e.n = 0;
    pb_str(&e, 1, "offset"), pb_str(&e, 2, text), pb_msg(&t, 13, &e);
    pb_int(&t, 14, 1);
    pb_msg(g, 5, &t);
}

static void write_weights(t_env *env, float shift)
{
    static float w[W1 + W2];
    char path[512];
    for (int i = 0; i < W1 + W2; i++) w[i] = (float)(i * 37 % 101) / 101.0f - 0.5f + shift;
    (void)t_write(env, "weights", w, sizeof w, path, sizeof path);
}

static void write_model(t_env *env)
{
    static pb g, bytes, attr;
    char path[512];
    g.n = 0;
    external(&g, "w1", K, MID, 0), external(&g, "w2", N, MID, sizeof(float) * W1);
    rt_node(&g, "MatMul", "x w1", "h", NULL);
    rt_attr_int(&attr, "transB", 1);
    rt_node(&g, "Gemm", "h w2", "y", &attr);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "M 96");
    rt_port(&g, 12, "y", LAMINA_F32, "M 200");
    pb_model(&bytes, &g);
    (void)t_write(env, "m.onnx", bytes.p, bytes.n, path, sizeof path);
    write_weights(env, 0);
}

typedef struct answer {
    float y[ROWS][37 * N];
    lamina_session_stats stats;
    char note[600], file[600];
} answer;

static lamina_session_opts opts_of(const char *cache, uint32_t precision)
{
    return (lamina_session_opts){
        .size = sizeof(lamina_session_opts), .prepack_cache = cache, .precision = precision};
}

static void run_all(t_env *env, lamina_session *s, answer *a)
{
    for (int i = 0; i < ROWS; i++) {
        lamina_error err = {0};
        lamina_tensor *x = rt_floats(env, 2, (int64_t[]){rows_of[i], K}), *y = NULL;
        const lamina_run_opts o = {.size = sizeof o, .error = &err};
        T_OK_ERR(lamina_session_run(s, (const lamina_tensor *const *)&x, 1, &y, 1, &o), &err);
        if (y) memcpy(a->y[i], lamina_tensor_data(y), lamina_tensor_bytes(y));
        lamina_tensor_unref(x), lamina_tensor_unref(y);
    }
    a->stats = (lamina_session_stats){.size = sizeof a->stats};
    T_OK(lamina_session_get_stats(s, &a->stats));
    (void)snprintf(a->note, sizeof a->note, "%s", a->stats.packed_note);
    (void)snprintf(a->file, sizeof a->file, "%s", a->stats.packed_file);
}

static lamina_session *open_session(t_env *env, const lamina_session_opts *o)
{
    char path[512];
    lamina_error err = {0};
    lamina_model *m = NULL;
    T_OK_ERR(
        lamina_model_load(env->engine, t_path(env, "m.onnx", path, sizeof path), NULL, &m, &err),
        &err);
    lamina_session *s = rt_session(m, o);
    lamina_model_unref(m);
    return s;
}

/* One session of these options, all its answers. */
static answer *ask_opts(t_env *env, const lamina_session_opts *o)
{
    static answer all[40]; /* more than a test asks for */
    static unsigned next;
    answer *a = &all[next++ % T_COUNT(all)];
    memset(a, 0, sizeof *a);
    lamina_session *s = open_session(env, o);
    if (s) run_all(env, s, a);
    lamina_session_destroy(s);
    return a;
}

static answer *ask(t_env *env, const char *cache, uint32_t precision)
{
    const lamina_session_opts o = opts_of(cache, precision);
    return ask_opts(env, &o);
}

static void same(const answer *a, const answer *b)
{
    for (int i = 0; i < ROWS; i++)
        T_MEM_EQ(a->y[i], b->y[i], (size_t)rows_of[i] * N * sizeof(float));
}

/* Everything is in the file, or on the heap with a reason. */
static void mapped(const answer *a)
{
    T_STR_EQ(a->note, "");
    T_CHECK(a->file[0] == '/');
    T_EQ(a->stats.packed_mapped_bytes, a->stats.packed_bytes);
}
static void on_heap(const answer *a, const char *reason)
{
    T_CHECK(a->stats.packed_bytes > 0);
    T_EQ(a->stats.packed_mapped_bytes, 0);
    if (!strstr(a->note, reason)) T_STR_EQ(a->note, reason);
}

/* A folder for the test; false where this CPU packs nothing. */
static bool begin(t_env *env, char *dir, size_t cap)
{
    rt_cpu(env);
    write_model(env);
    (void)t_path(env, "cache", dir, cap);
    T_EQ(mkdir(dir, 0700), 0);
    const answer *a = ask(env, dir, LAMINA_PRECISION_EXACT);
    T_OK(lamina_prepack_clear(dir, NULL, NULL, NULL));
    return a->stats.n_packed > 0;
}

static void test_same_bits(t_env *env)
{
    char dir[512];
    if (!begin(env, dir, sizeof dir)) T_SKIP("no kernel here packs weights");
    for (uint32_t p = LAMINA_PRECISION_EXACT; p <= LAMINA_PRECISION_STRICT; p++) {
        const answer *plain = ask(env, NULL, p);
        T_EQ(plain->stats.packed_mapped_bytes, 0);
        T_STR_EQ(plain->note, "");
        const answer *first = ask(env, dir, p), *second = ask(env, dir, p);
        mapped(first), mapped(second);
        same(plain, first), same(plain, second);
    }
    const answer *off = ask(env, "off", LAMINA_PRECISION_EXACT);
    T_EQ(off->stats.n_packed, 0);
    const lamina_session_opts wrong = opts_of("not/absolute", 0);
    on_heap(ask_opts(env, &wrong), "absolute path");
}

/* ---- what can be wrong with a file ------------------------------------------------------------
 */

static void damage(const char *path, off_t at, off_t new_size)
{
    const int fd = open(path, O_RDWR);
    uint8_t b = 0;
    T_CHECK(fd >= 0);
    if (new_size >= 0) T_EQ(ftruncate(fd, new_size), 0);
    if (new_size < 0) T_EQ(pread(fd, &b, 1, at), 1);
    b ^= 0x40;
    if (new_size < 0) T_EQ(pwrite(fd, &b, 1, at), 1);
    (void)close(fd);
}

static void test_damage(t_env *env)
{
    static const struct {
        const char *name;
        off_t at, size;
    } CASES[] = {{"magic", 0, -1},       {"version", 8, -1},           {"length", 16, -1},
                 {"sum", 32, -1},        {"entry", 512 + 8, -1},       {"layout", 512 + 90, -1},
                 {"empty", 0, 0},        {"head alone", 0, 512},       {"cut", 0, 4096},
                 {"half a head", 0, 40}, {"one byte less", 0, 1 << 18}};
    char dir[512];
    if (!begin(env, dir, sizeof dir)) T_SKIP("no kernel here packs weights");
    const answer *plain = ask(env, NULL, 0);
    const answer *first = ask(env, dir, 0);
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        T_CASE(CASES[i].name);
        damage(first->file, CASES[i].at, CASES[i].size);
        const answer *again = ask(env, dir, 0); /* made anew */
        mapped(again), same(plain, again);
        first = ask(env, dir, 0);
        mapped(first), same(plain, first);
    }
    T_CASE("data");
    damage(first->file, 512 + 3 * 192 + 70000, -1);
    char file[600];
    (void)snprintf(file, sizeof file, "%s", first->file);
    const answer *hurt = ask(env, dir, 0);
    T_CHECK(strstr(hurt->note, "damaged"));
    T_CHECK(hurt->stats.packed_mapped_bytes < hurt->stats.packed_bytes);
    same(plain, hurt);
    T_CHECK(access(file, F_OK) != 0); /* nobody meets it again */
    mapped(ask(env, dir, 0));
}

static void test_stale(t_env *env)
{
    char dir[512];
    if (!begin(env, dir, sizeof dir)) T_SKIP("no kernel here packs weights");
    for (int i = 0; i < 4; i++) {
        write_weights(env, (float)i); /* within the clock's granularity, the same size */
        const answer *plain = ask(env, NULL, 0), *kept = ask(env, dir, 0);
        mapped(kept), same(plain, kept);
        const answer *again = ask(env, dir, 0);
        mapped(again), same(plain, again);
    }
}

/* A file whose weights are old enough to be known by place: they are not read again. */
static void test_known_by_place(t_env *env)
{
    char dir[512];
    if (!begin(env, dir, sizeof dir)) T_SKIP("no kernel here packs weights");
    mapped(ask(env, dir, 0));
    const struct timespec wait = {.tv_sec = 2, .tv_nsec = 100000000};
    (void)nanosleep(&wait, NULL);
    const answer *found = ask(env, dir, 0); /* by sums; then notes the place */
    mapped(found);
    const int fd = open(found->file, O_RDWR);
    uint8_t image[512 + 2 * 192];
    T_EQ(pread(fd, image, sizeof image, 0), sizeof image);
    lmn_packhead head;
    lmn_packentry entries[2];
    memcpy(&head, image, sizeof head), memcpy(entries, image + 512, sizeof entries);
    T_EQ(head.n_entries, 2);
    for (int i = 0; i < 2; i++) {
        T_CHECK(entries[i].source.file.ino != 0);
        entries[i].source.sum ^= 1; /* who reads the weights will not find them */
    }
    lmn_packfile_seal(image, head.bytes, entries, 2, "x", 1);
    T_EQ(pwrite(fd, image, sizeof image, 0), sizeof image);
    (void)close(fd);
    mapped(ask(env, dir, 0));
    lmn_packfile f;
    T_OK(lmn_packdir_open(found->file, &f, NULL));
    T_CHECK(!strcmp(f.head->model, "x")); /* the very file: it was not made anew */
    lmn_os_unmap(f.map);
    write_weights(env, 1); /* another state of the file: the place tells nothing any more */
    const answer *plain = ask(env, NULL, 0), *kept = ask(env, dir, 0);
    mapped(kept), same(plain, kept);
}

/* ---- what can be wrong with a folder ----------------------------------------------------------
 */

static void test_folders(t_env *env)
{
    char dir[512], other[512], file[600];
    if (!begin(env, dir, sizeof dir)) T_SKIP("no kernel here packs weights");
    const answer *plain = ask(env, NULL, 0), *a;
    T_CASE("others may write");
    T_EQ(chmod(dir, 0777), 0);
    a = ask(env, dir, 0), on_heap(a, "others may write"), same(plain, a);
    T_EQ(chmod(dir, 0700), 0);
    T_CASE("a symbolic link");
    T_EQ(symlink(dir, t_path(env, "link", other, sizeof other)), 0);
    a = ask(env, other, 0), on_heap(a, "symbolic link"), same(plain, a);
    T_CASE("below a file");
    (void)t_write(env, "plain", "x", 1, other, sizeof other);
    (void)snprintf(file, sizeof file, "%s/cache", other);
    a = ask(env, file, 0), on_heap(a, "cannot use"), same(plain, a);
    T_CASE("another writes");
    lmn_packdir d;
    int lock = -1;
    T_OK(lmn_packdir_find(&d, dir, NULL));
    T_OK(lmn_packdir_lock(&d, &lock, NULL));
    a = ask(env, dir, 0), on_heap(a, "another session"), same(plain, a);
    T_EQ(lamina_prepack_clear(dir, NULL, NULL, NULL), LAMINA_E_BUSY);
    lmn_os_close(lock);
    T_CASE("a file that others may write");
    a = ask(env, dir, 0), mapped(a);
    (void)snprintf(file, sizeof file, "%s", a->file);
    T_EQ(chmod(file, 0666), 0);
    a = ask(env, dir, 0), mapped(a), same(plain, a); /* replaced */
    struct stat st;
    T_EQ(stat(file, &st), 0);
    T_EQ(st.st_mode & 0777, 0600);
    T_CASE("a link in the place of the file");
    T_EQ(unlink(file), 0);
    T_EQ(symlink(other, file), 0);
    a = ask(env, dir, 0), mapped(a), same(plain, a);
    T_EQ(lstat(file, &st), 0);
    T_CHECK(S_ISREG(st.st_mode));
    T_EQ(stat(other, &st), 0);
    T_EQ(st.st_size, 1); /* untouched */
}

static void test_limits(t_env *env)
{
    char dir[512];
    if (!begin(env, dir, sizeof dir)) T_SKIP("no kernel here packs weights");
    const answer *plain = ask(env, NULL, 0), *a;
    T_CASE("the folder's size");
    lamina_session_opts o = opts_of(dir, 0);
    o.prepack_cache_bytes = 100000;
    a = ask_opts(env, &o), on_heap(a, "more than the folder may hold"), same(plain, a);
    T_CASE("the process's limit");
    struct rlimit old, low;
    T_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
    low = old, low.rlim_cur = 1 << 16;
    T_EQ(setrlimit(RLIMIT_FSIZE, &low), 0);
    a = ask(env, dir, 0), on_heap(a, "limited to"), same(plain, a);
    T_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
    T_CASE("least recently used");
    a = ask(env, dir, 0), mapped(a);
    char first[600], leftover[620];
    (void)snprintf(first, sizeof first, "%s", a->file);
    const struct timespec past[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
    T_EQ(utimensat(AT_FDCWD, first, past, 0), 0);
    (void)snprintf(leftover, sizeof leftover, "%s.1.0.tmp", first);
    const int fd = open(leftover, O_CREAT | O_WRONLY, 0600);
    (void)close(fd);
    o = opts_of(dir, LAMINA_PRECISION_STRICT);
    o.prepack_cache_bytes = a->stats.packed_bytes * 3 / 2;
    a = ask_opts(env, &o), mapped(a);
    T_CHECK(access(first, F_OK) != 0);
    T_CHECK(access(leftover, F_OK) != 0);
    T_CHECK(access(a->file, F_OK) == 0);
}

/* ---- the look from outside --------------------------------------------------------------------
 */

typedef struct seen {
    int n, n_bad;
    lamina_prepack_file last;
    char model[600];
} seen;

static void look_at(void *ctx, const lamina_prepack_file *f)
{
    seen *s = ctx;
    s->n++, s->n_bad += f->status != LAMINA_OK;
    s->last = *f;
    (void)snprintf(s->model, sizeof s->model, "%s", f->model);
    T_CHECK((f->status == LAMINA_OK) == !f->problem[0]);
}

static void test_list(t_env *env)
{
    char dir[512], path[512];
    if (!begin(env, dir, sizeof dir)) T_SKIP("no kernel here packs weights");
    seen s = {0};
    T_OK(lamina_prepack_list(t_path(env, "nothing", path, sizeof path), true, look_at, &s, NULL));
    T_EQ(s.n, 0);
    const answer *a = ask(env, dir, 0);
    T_OK(lamina_prepack_list(dir, true, look_at, &s, NULL));
    T_EQ(s.n, 1);
    T_EQ(s.n_bad, 0);
    T_EQ(s.last.n_tensors, a->stats.n_packed);
    T_CHECK(s.last.bytes >= a->stats.packed_bytes);
    T_CHECK(s.last.made_ns && s.last.used_ns);
    T_CHECK(strstr(s.model, "m.onnx"));
    damage(a->file, 512 + 3 * 192 + 70000, -1);
    s = (seen){0};
    T_OK(lamina_prepack_list(dir, false, look_at, &s, NULL));
    T_EQ(s.n_bad, 0);
    T_OK(lamina_prepack_list(dir, true, look_at, &s, NULL));
    T_EQ(s.n_bad, 1);
    uint64_t files = 0, bytes = 0;
    T_OK(lamina_prepack_clear(dir, &files, &bytes, NULL));
    T_EQ(files, 1);
    T_CHECK(bytes >= a->stats.packed_bytes);
    T_EQ(lamina_prepack_list("relative", false, NULL, NULL, NULL), LAMINA_E_INVALID);
    T_EQ(chmod(dir, 0777), 0);
    T_EQ(lamina_prepack_clear(dir, NULL, NULL, NULL), LAMINA_E_PERM);
}

/* ---- threads and memory -----------------------------------------------------------------------
 */

typedef struct runner {
    t_env *env;
    lamina_session *s;
    lamina_tensor *x, *y;
} runner;

static void *run_one(void *arg)
{
    runner *r = arg;
    if (lamina_session_run(r->s, (const lamina_tensor *const *)&r->x, 1, &r->y, 1, NULL))
        r->y = NULL;
    return NULL;
}

/* Four threads use damaged and whole weights for the first time. */
static void test_first_use(t_env *env)
{
    char dir[512];
    if (!begin(env, dir, sizeof dir)) T_SKIP("no kernel here packs weights");
    const answer *plain = ask(env, NULL, 0), *a = ask(env, dir, 0);
    damage(a->file, 512 + 3 * 192 + 70000, -1);
    const lamina_session_opts o = opts_of(dir, 0);
    runner r[4];
    pthread_t t[4];
    lamina_session *s = open_session(env, &o);
    T_REQUIRE(s);
    for (int i = 0; i < 4; i++)
        r[i] = (runner){env, s, rt_floats(env, 2, (int64_t[]){rows_of[2], K}), NULL};
    for (int i = 0; i < 4; i++) T_EQ(pthread_create(&t[i], NULL, run_one, &r[i]), 0);
    for (int i = 0; i < 4; i++) (void)pthread_join(t[i], NULL);
    for (int i = 0; i < 4; i++) {
        T_REQUIRE(r[i].y);
        T_MEM_EQ(plain->y[2], lamina_tensor_data(r[i].y), (size_t)rows_of[2] * N * sizeof(float));
        lamina_tensor_unref(r[i].x), lamina_tensor_unref(r[i].y);
    }
    lamina_session_destroy(s);
}

/* Every allocation of a session that makes a file, and of one that finds it, fails once. */
static void test_no_memory(t_env *env)
{
    char dir[512], path[512];
    if (!begin(env, dir, sizeof dir)) T_SKIP("no kernel here packs weights");
    const lamina_session_opts o = opts_of(dir, LAMINA_PRECISION_EXACT);
    lamina_model *m = NULL;
    T_OK(lamina_model_load(env->engine, t_path(env, "m.onnx", path, sizeof path), NULL, &m, NULL));
    lamina_session_destroy(rt_session(m, &o)); /* what the engine keeps is there now */
    const long long held = atomic_load(&env->live_blocks);
    for (int found = 0; found < 2; found++) {
        for (int k = 1; k < 1000; k++) {
            lamina_session *s = NULL;
            if (!found) T_OK(lamina_prepack_clear(dir, NULL, NULL, NULL));
            t_fail_alloc(env, k);
            const lamina_status st = lamina_session_create(m, &o, &s, NULL);
            const bool pending = t_fail_pending(env);
            t_fail_alloc(env, 0);
            T_CHECK(st == LAMINA_OK || st == LAMINA_E_NOMEM);
            lamina_session_destroy(s);
            if (pending) break;
            if (!T_EQ(atomic_load(&env->live_blocks), held)) break;
        }
    }
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_same_bits), T_TEST(test_damage), T_TEST(test_stale), T_TEST(test_known_by_place),
       T_TEST(test_folders), T_TEST(test_limits), T_TEST(test_list), T_TEST(test_first_use),
       T_TEST(test_no_memory))
