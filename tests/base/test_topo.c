/*
 * test_topo.c - container limits out of fake /proc and /sys trees, CPU levels and their caps.
 */
#include "t.h"

#include "base/cpu.h"
#include "base/topo.h"

#include <errno.h>
#include <sys/stat.h>

/* Write root/<name> with `text`, making the folders on the way. */
static void put(t_env *env, const char *name, const char *text)
{
    char path[600];
    t_path(env, name, path, sizeof path);
    for (char *p = path + strlen(env->dir) + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
        *p = 0;
        if (mkdir(path, 0777) != 0 && errno != EEXIST) T_EQ(errno, 0);
    }
    t_write(env, name, text, strlen(text), path, sizeof path);
}

static void machine(t_env *env, const char *allowed)
{
    char status[200];
    snprintf(status, sizeof status, "Name:\tx\nCpus_allowed_list:\t%s\nMems_allowed_list:\t0\n",
             allowed);
    put(env, "proc/self/status", status);
    put(env, "sys/devices/system/cpu/online", "0-15\n");
    put(env, "sys/devices/system/node/online", "0-1\n");
}

static lmn_topo look(t_env *env)
{
    lmn_topo t;
    lmn_topo_read(&t, env->dir);
    return t;
}

static void test_no_limits(t_env *env)
{
    machine(env, "0-3,8,10-11");
    lmn_topo t = look(env);
    T_EQ(t.n_online, 16);
    T_EQ(t.n_affinity, 7);
    T_EQ(t.n_numa, 2);
    T_NEAR(t.quota_cpus, 0, 0);
    T_EQ(t.memory_limit_bytes, 0);
    T_EQ(t.width, 7);
}

static void test_empty_tree(t_env *env)
{
    put(env, "nothing", "");
    lmn_topo t = look(env);
    T_EQ(t.width, 1);
    T_EQ(t.n_numa, 1);
    T_EQ(t.n_online, 1);
}

static void test_v2_nested_minimum(t_env *env)
{
    machine(env, "0-15");
    put(env, "proc/self/cgroup", "0::/a/b/c\n");
    put(env, "proc/self/mountinfo",
        "24 1 0:22 / /proc rw - proc proc rw\n"
        "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
    put(env, "sys/fs/cgroup/a/cpu.max", "250000 100000\n"); /* the parent binds */
    put(env, "sys/fs/cgroup/a/memory.max", "max\n");
    put(env, "sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    put(env, "sys/fs/cgroup/a/b/memory.max", "1073741824\n");
    put(env, "sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
    put(env, "sys/fs/cgroup/a/b/c/memory.max", "2147483648\n");
    lmn_topo t = look(env);
    T_NEAR(t.quota_cpus, 2.5, 1e-12);
    T_EQ(t.width, 3);
    T_EQ(t.memory_limit_bytes, 1073741824);
}

static void test_v2_inside_a_container(t_env *env)
{
    /* The mount starts at the container's own group: its root is cut off the path. */
    machine(env, "0-15");
    put(env, "proc/self/cgroup", "0::/docker/abc/sub\n");
    put(env, "proc/self/mountinfo",
        "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
    put(env, "sys/fs/cgroup/cpu.max", "50000 100000\n");
    put(env, "sys/fs/cgroup/sub/memory.max", "1000000\n");
    lmn_topo t = look(env);
    T_NEAR(t.quota_cpus, 0.5, 1e-12);
    T_EQ(t.width, 1);
    T_EQ(t.memory_limit_bytes, 1000000);
}

static void test_v2_group_outside_the_mount(t_env *env)
{
    machine(env, "0-15");
    put(env, "proc/self/cgroup", "0::/../other\n");
    put(env, "proc/self/mountinfo",
        "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
    put(env, "sys/fs/cgroup/cpu.max", "400000 100000\n");
    lmn_topo t = look(env);
    T_EQ(t.width, 4);
}

static void test_v1(t_env *env)
{
    machine(env, "0-15");
    put(env, "proc/self/cgroup",
        "9:name=systemd:/x\n4:memory:/m/n\n3:cpuset:/\n2:cpu,cpuacct:/c\n");
    put(env, "proc/self/mountinfo",
        "33 25 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
        "34 25 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "35 25 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n");
    put(env, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"); /* the root: none */
    put(env, "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put(env, "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "150000\n");
    put(env, "sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "50000\n");
    put(env, "sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); /* "none" */
    put(env, "sys/fs/cgroup/memory/m/memory.limit_in_bytes", "536870912\n");
    put(env, "sys/fs/cgroup/memory/m/n/memory.limit_in_bytes", "9223372036854771712\n");
    lmn_topo t = look(env);
    T_NEAR(t.quota_cpus, 3, 1e-12);
    T_EQ(t.width, 3);
    T_EQ(t.memory_limit_bytes, 536870912);
}

static void test_garbage(t_env *env)
{
    machine(env, "7-3,x");
    put(env, "proc/self/cgroup", "0::\n::\n:\n\nno colon\n0::/a");
    put(env, "proc/self/mountinfo",
        "1 2\n30 24 0:26 / /sys/fs/cgroup rw\n- - - - - -\n"
        "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    put(env, "sys/fs/cgroup/cpu.max", "abc def\n");
    put(env, "sys/fs/cgroup/memory.max", "-5\n");
    lmn_topo t = look(env);
    T_EQ(t.width, 16); /* online, since the allowed list is nonsense */
    T_NEAR(t.quota_cpus, 0, 0);
    T_EQ(t.memory_limit_bytes, 0);
}

static void test_this_machine(t_env *env)
{
    lmn_topo t;
    (void)env;
    lmn_topo_read(&t, "");
    T_CHECK(t.width >= 1 && t.width <= t.n_affinity && t.n_numa >= 1);
    T_CHECK(t.n_online >= t.n_affinity);
}

static void test_cpu(t_env *env)
{
    lmn_cpu cpu, capped;
    (void)env;
    T_OK(lmn_cpu_detect(&cpu, NULL));
    T_EQ(cpu.isa, cpu.isa_hw);
    T_OK(lmn_cpu_detect(&capped, ""));
    T_EQ(capped.isa, cpu.isa);
    T_EQ(lmn_cpu_detect(&capped, "pentium"), LAMINA_E_INVALID);
    T_EQ(capped.isa, cpu.isa);
    T_OK(lmn_cpu_detect(&capped, "ref"));
    T_EQ(capped.isa, LMN_ISA_REF);
    T_EQ(capped.isa_hw, cpu.isa_hw);
    T_STR_EQ(capped.isa_cap, "ref");
    T_OK(lmn_cpu_detect(&capped, "avx2"));
    T_EQ(capped.isa, cpu.isa_hw & LMN_ISA_AVX2);
    T_OK(lmn_cpu_detect(&capped, "avx512"));
    T_EQ(capped.isa, cpu.isa_hw & (LMN_ISA_AVX2 | LMN_ISA_AVX512));
    T_OK(lmn_cpu_detect(&capped, "amx"));
    T_EQ(capped.isa, cpu.isa_hw);
    for (lmn_isa bit = 1; bit; bit <<= 1) { /* a level is among those below its own name */
        if (!(cpu.isa_hw & bit)) continue;
        T_OK(lmn_cpu_detect(&capped, lmn_isa_name(bit)));
        T_CHECK((capped.isa & bit) && !(capped.isa & ~cpu.isa_hw));
    }
    T_OK(lmn_cpu_detect(&capped, "avx512bf16")); /* Zen 4 on Zen 5 */
    T_EQ(capped.isa & (LMN_ISA_AVXVNNI | LMN_ISA_AMX), 0);
    if (cpu.isa & LMN_ISA_AVX512) T_CHECK(cpu.isa & LMN_ISA_AVX2); /* levels stack */
    T_STR_EQ(lmn_isa_name(LMN_ISA_AVX512VNNI), "avx512vnni");
    T_STR_EQ(lmn_isa_name(LMN_ISA_REF), "ref");
    T_STR_EQ(lmn_isa_name(1u << 31), "unknown");
#if defined(__x86_64__)
    T_EQ(!!(cpu.isa_hw & LMN_ISA_AVX2),
         __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"));
    T_EQ(!!(cpu.isa_hw & LMN_ISA_AVX512),
         __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl"));
#endif
}

T_MAIN(T_TEST(test_no_limits), T_TEST(test_empty_tree), T_TEST(test_v2_nested_minimum),
       T_TEST(test_v2_inside_a_container), T_TEST(test_v2_group_outside_the_mount), T_TEST(test_v1),
       T_TEST(test_garbage), T_TEST(test_this_machine), T_TEST(test_cpu))
