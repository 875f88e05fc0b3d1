/*
 * test_os.c - files under hostile names, mappings, atomic replacement, listing, threads, clocks.
 */
#include "t.h"

#include "base/os/os_dir.h"
#include "base/os/os_env.h"
#include "base/os/os_file.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"

#include <sys/stat.h>

static void test_open_and_map(t_env *env)
{
    char path[600], buf[8];
    int fd = -1;
    uint64_t bytes = 0;
    lamina_error err;
    lmn_span map;
    t_write(env, "f", "0123456789", 10, path, sizeof path);
    T_REQUIRE(T_OK_ERR(lmn_os_open(path, &fd, &bytes, &err), &err));
    T_EQ(bytes, 10);
    T_OK(lmn_os_read_at(fd, 7, buf, 3, &err));
    T_MEM_EQ(buf, "789", 3);
    T_EQ(lmn_os_read_at(fd, 8, buf, 3, &err), LAMINA_E_IO); /* ends too early */
    T_OK(lmn_os_map(fd, bytes, &map, &err));
    lmn_os_close(fd); /* the mapping outlives it */
    T_MEM_EQ(map.p, "0123456789", 10);
    lmn_os_unmap(map);
    lmn_os_unmap((lmn_span){0});
    lmn_os_close(-1);
    T_EQ(lmn_os_map(0, 0, &map, &err), LAMINA_E_RANGE);
    T_EQ(lmn_os_open(env->dir, &fd, &bytes, &err), LAMINA_E_IO); /* a folder is no file */
    T_EQ(lmn_os_open(t_path(env, "none", path, sizeof path), &fd, &bytes, &err), LAMINA_E_IO);
    T_CHECK(err.os_errno != 0 && strstr(err.msg, "none"));
    T_REQUIRE(mkfifo(t_path(env, "fifo", path, sizeof path), 0600) == 0);
    T_EQ(lmn_os_open(path, &fd, &bytes, &err), LAMINA_E_IO); /* and does not hang */
    T_NOTHING_HELD(env);
}

static void test_beneath(t_env *env)
{
    static const struct {
        const char *rel;
        lamina_status want;
    } CASES[] = {{"w.bin", LAMINA_OK},
                 {"sub/w.bin", LAMINA_OK},
                 {"./w.bin", LAMINA_OK},
                 {"", LAMINA_E_PERM},
                 {"..", LAMINA_E_PERM},
                 {"../secret", LAMINA_E_PERM},
                 {"sub/../w.bin", LAMINA_E_PERM},
                 {"sub/../../secret", LAMINA_E_PERM},
                 {"/etc/passwd", LAMINA_E_PERM},
                 {"sub//w.bin", LAMINA_E_PERM},
                 {"link", LAMINA_E_PERM},
                 {"linkdir/w.bin", LAMINA_E_PERM},
                 {"sub", LAMINA_E_IO},
                 {"none", LAMINA_E_IO},
                 {"fifo", LAMINA_E_IO}};
    char path[600], dir[600];
    t_write(env, "secret", "s", 1, path, sizeof path);
    T_REQUIRE(mkdir(t_path(env, "d", dir, sizeof dir), 0777) == 0);
    t_write(env, "d/w.bin", "w", 1, path, sizeof path);
    T_REQUIRE(mkdir(t_path(env, "d/sub", path, sizeof path), 0777) == 0);
    t_write(env, "d/sub/w.bin", "w", 1, path, sizeof path);
    T_REQUIRE(symlink("../secret", t_path(env, "d/link", path, sizeof path)) == 0);
    T_REQUIRE(symlink("sub", t_path(env, "d/linkdir", path, sizeof path)) == 0);
    T_REQUIRE(mkfifo(t_path(env, "d/fifo", path, sizeof path), 0600) == 0);
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        int fd = -1;
        uint64_t bytes;
        lamina_error err = {0};
        T_CASE(CASES[i].rel);
        lamina_status st = lmn_os_open_beneath(dir, CASES[i].rel, &fd, &bytes, &err);
        if (CASES[i].want == LAMINA_E_PERM && st == LAMINA_E_IO) st = LAMINA_E_PERM; /* ENOTDIR */
        T_EQ(st, CASES[i].want);
        T_EQ(fd >= 0, CASES[i].want == LAMINA_OK);
        T_EQ(err.status != 0, CASES[i].want != LAMINA_OK);
        lmn_os_close(fd);
        T_NOTHING_HELD(env);
    }
}

static void test_replace(t_env *env)
{
    char path[600];
    lamina_error err;
    struct stat st;
    lmn_os_out o;
    t_path(env, "out", path, sizeof path);
    T_OK_ERR(lmn_os_file_replace(path, "one", 3, &err), &err);
    T_OK_ERR(lmn_os_file_replace(path, "longer", 6, &err), &err);
    T_EQ(stat(path, &st), 0);
    T_EQ(st.st_size, 6);
    T_OK(lmn_os_out_begin(&o, path, &err));
    T_OK(lmn_os_out_write(&o, "half", 4, &err));
    lmn_os_out_finish(&o); /* no commit: the old one stays */
    lmn_os_out_finish(&o);
    T_EQ(stat(path, &st), 0);
    T_EQ(st.st_size, 6);
    T_EQ(stat(o.tmp, &st), -1);
    T_EQ(lmn_os_file_replace("/nonexistent/folder/x", "x", 1, &err), LAMINA_E_IO);
    T_OK(lmn_os_file_remove(path, &err));
    T_OK(lmn_os_file_remove(path, &err)); /* already gone */
    char longer[5000];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    T_EQ(lmn_os_out_begin(&o, longer, &err), LAMINA_E_LIMIT);
    T_NOTHING_HELD(env);
}

static void test_list(t_env *env)
{
    char path[600];
    char **names = NULL;
    size_t n = 0;
    lamina_error err;
    lmn_arena arena;
    T_OK(lmn_os_dir_make(t_path(env, "l", path, sizeof path), &err));
    T_OK(lmn_os_dir_make(path, &err));
    lmn_arena_init(&arena, &env->engine->alloc, 0);
    T_OK(lmn_os_dir_list(&arena, path, 10, &names, &n, &err));
    T_EQ(n, 0);
    char file[700];
    t_write(env, "l/b", "", 0, file, sizeof file);
    t_write(env, "l/a", "", 0, file, sizeof file);
    T_OK(lmn_os_dir_make(t_path(env, "l/c", file, sizeof file), &err));
    for (int nth = 1;; nth++) {
        t_fail_alloc(env, nth);
        lamina_status st = lmn_os_dir_list(&arena, path, 10, &names, &n, &err);
        if (t_fail_pending(env)) break;
        T_EQ(st, LAMINA_E_NOMEM);
    }
    t_fail_alloc(env, 0);
    T_EQ(n, 3);
    T_STR_EQ(names[0], "a");
    T_STR_EQ(names[2], "c");
    T_EQ(lmn_os_dir_list(&arena, path, 2, &names, &n, &err), LAMINA_E_LIMIT);
    T_EQ(lmn_os_dir_list(&arena, file, 2, &names, &n, &err), LAMINA_OK);
    T_EQ(lmn_os_dir_list(&arena, "/nonexistent", 2, &names, &n, &err), LAMINA_E_IO);
    T_EQ(lmn_os_dir_make("/nonexistent/x", &err), LAMINA_E_IO);
    T_EQ(lmn_os_path_kind(path), LMN_PATH_DIR);
    T_EQ(lmn_os_path_kind("/dev/null"), LMN_PATH_OTHER);
    T_EQ(lmn_os_path_kind("/nonexistent"), LMN_PATH_NONE);
    lmn_arena_finish(&arena);
    T_NOTHING_HELD(env);
}

typedef struct shared {
    _Atomic uint32_t go, n_started;
} shared;

static void *work(void *arg)
{
    shared *s = arg;
    while (atomic_load_explicit(&s->go, memory_order_acquire) == 0) lmn_futex_wait(&s->go, 0, 0);
    atomic_fetch_add_explicit(&s->n_started, 1, memory_order_relaxed);
    lmn_cpu_pause();
    return NULL;
}

static void test_threads(t_env *env)
{
    shared s = {.go = 0};
    lmn_thread t[4];
    (void)env;
    for (int i = 0; i < 4; i++) T_REQUIRE(lmn_thread_start(&t[i], work, &s) == LAMINA_OK);
    atomic_store_explicit(&s.go, 1, memory_order_release);
    lmn_futex_wake(&s.go, 4);
    for (int i = 0; i < 4; i++) lmn_thread_join(&t[i]);
    T_EQ(atomic_load(&s.n_started), 4);
}

static void test_clocks_and_memory(t_env *env)
{
    _Atomic uint32_t word = 0;
    uint64_t rss, pss, from = lmn_now_ns(), cpu = lmn_process_cpu_ns();
    char text[64];
    (void)env;
    lmn_futex_wait(&word, 0, 2000000); /* 2 ms */
    T_CHECK(lmn_now_ns() - from >= 1000000);
    T_CHECK(lmn_process_cpu_ns() >= cpu && lmn_thread_cpu_ns() > 0);
    lmn_os_memory(&rss, &pss);
    T_CHECK(rss > 65536 && pss <= rss);
    T_CHECK(lmn_os_resident() > 65536);
    T_CHECK(lmn_os_affinity_count() >= 1);
    T_CHECK(lmn_os_text_read("/proc/self/stat", text, sizeof text) == sizeof text - 1);
    T_EQ(lmn_os_text_read("/nonexistent", text, sizeof text), -1);
    T_STR_EQ(text, "");
    T_CHECK(lmn_os_getenv("LAMINA_SURELY_NOT_SET") == NULL);
}

T_MAIN(T_TEST(test_open_and_map), T_TEST(test_beneath), T_TEST(test_replace), T_TEST(test_list),
       T_TEST(test_threads), T_TEST(test_clocks_and_memory))
