/*
 * A process that may not use AMX tiles, because a seccomp filter refuses the request for them as
 * sandboxes do: no row of tiles is chosen, and products are right. In a child, since a filter stays
 * for life. Where there is no AMX the filter and the rows are tested all the same.
 */
#include "t.h"

#include "base/cpu.h"
#include "kernels/hgemm/hgemm_plan.h"
#include "kernels/kset.h"
#include "kernels/qgemm/qgemm_plan.h"

#if defined(__x86_64__)

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { REQ_XCOMP_PERM = 0x1023, TILEDATA = 18, M = 40, N = 50, K = 70 };

/* What a child says by the status it ends with. */
enum { DENIED_WELL, NO_FILTER, NOT_REFUSED, CHOSE_TILES, WRONG_BYTES, WRONG_BF16 };

static const char *const SAID[] = {
    "well",       "no filter can be set",   "the request was not refused", "rows of tiles chosen",
    "8-bit sums", "sums of bf16 are wrong",
};

/* From here on requests for tiles are refused. */
static bool deny(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, REQ_XCOMP_PERM, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = T_COUNT(code), .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

/* Sums of small integers, which bf16 and f32 hold exactly: A as its bytes, B as its signed ones. */
static int32_t a_at(int64_t i, int64_t k)
{
    return (int32_t)((i * 7 + k * 3) % 16);
}
static int32_t b_at(int64_t k, int64_t j)
{
    return (int32_t)((k * 5 + j * 11) % 15) - 7;
}
static int32_t sum_at(int64_t i, int64_t j)
{
    int32_t sum = 0;
    for (int64_t k = 0; k < K; k++) sum += a_at(i, k) * b_at(k, j);
    return sum;
}
static uint16_t bf16_of(int32_t v)
{
    const float f = (float)v;
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return (uint16_t)(u >> 16);
}

static bool bytes_right(const lmn_qgemm_row *row)
{
    static uint8_t a[M * K], b[K * N];
    static int32_t c[M * N];
    for (int64_t e = 0; e < M * K; e++) a[e] = (uint8_t)a_at(e / K, e % K);
    for (int64_t e = 0; e < K * N; e++) b[e] = (uint8_t)b_at(e / N, e % N);
    const lmn_qgemm_shape s = {.m = M, .n = N, .k = K, .n_batch = 1};
    const lmn_qgemm_args args = {.a = a,
                                 .b = b,
                                 .b_signed = true,
                                 .lda = K,
                                 .ldb = N,
                                 .out = LMN_QGEMM_I32,
                                 .c = c,
                                 .ldc = N};
    lmn_qgemm_plan plan;
    lmn_qgemm_plan_make(row, &s, &plan);
    void *scratch = aligned_alloc(64, lmn_align_up(plan.scratch_bytes + 64, 64));
    for (int64_t i = 0; scratch && i < plan.n_chunks; i++)
        lmn_qgemm_chunk(&plan, &args, i, scratch);
    free(scratch);
    for (int64_t e = 0; e < M * N; e++)
        if (c[e] != sum_at(e / N, e % N)) return false;
    return true;
}

static bool bf16_right(const lmn_hgemm_row *row)
{
    static uint16_t a[M * K], b[K * N];
    static float c[M * N];
    for (int64_t e = 0; e < M * K; e++) a[e] = bf16_of(a_at(e / K, e % K));
    for (int64_t e = 0; e < K * N; e++) b[e] = bf16_of(b_at(e / N, e % N));
    const lmn_hgemm_shape s = {M, N, K, 1, LMN_HGEMM_C_F32, 0, 1};
    const lmn_hgemm_args args = {.a = a, .b = b, .c = c, .lda = K, .ldb = N, .ldc = N};
    lmn_hgemm_plan plan;
    lmn_hgemm_plan_make(row, &s, &plan);
    void *scratch = aligned_alloc(64, lmn_align_up(plan.scratch_bytes + 64, 64));
    for (int64_t i = 0; scratch && i < plan.n_chunks; i++)
        lmn_hgemm_chunk(&plan, &args, i, scratch);
    free(scratch);
    for (int64_t e = 0; e < M * N; e++)
        if (c[e] != (float)sum_at(e / N, e % N)) return false;
    return true;
}

static int in_child(void)
{
    lmn_cpu cpu;
    lmn_kset set;
    if (!deny()) return NO_FILTER;
    if (syscall(SYS_arch_prctl, REQ_XCOMP_PERM, TILEDATA) != -1 || errno != EPERM)
        return NOT_REFUSED;
    (void)lmn_cpu_detect(&cpu, NULL);
    if (cpu.isa & LMN_ISA_AMX || cpu.isa_hw & LMN_ISA_AMX) return CHOSE_TILES;
    (void)lmn_kset_choose(&cpu, NULL, &set);
    if (set.qgemm_i8->head.isa & LMN_ISA_AMX || set.hgemm_bf16->head.isa & LMN_ISA_AMX)
        return CHOSE_TILES;
    if (!bytes_right(set.qgemm_i8)) return WRONG_BYTES;
    return bf16_right(set.hgemm_bf16) ? DENIED_WELL : WRONG_BF16;
}

static void denied(t_env *env)
{
    int status = 0;
    (void)env;
    (void)fflush(NULL);
    const pid_t child = fork();
    if (child == 0) _exit(in_child());
    T_REQUIRE(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
    const int said = WEXITSTATUS(status);
    if (said == NO_FILTER) T_SKIP("no filter can be set here");
    T_EQ(said, DENIED_WELL);
    if (said > 0 && said < (int)T_COUNT(SAID)) t_fail(__FILE__, __LINE__, "%s", SAID[said]);
}

#else

static void denied(t_env *env)
{
    (void)env;
    T_SKIP("AMX is of x86-64");
}

#endif

T_MAIN(T_TEST(denied))
