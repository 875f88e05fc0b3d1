/*
 * no_new_privs, Landlock and seccomp. Landlock leaves reading of what is named, and making sockets
 * in the folders that are named; the filter refuses (EPERM) what turns a hole into more: other
 * programs, other processes, the kernel's own doors. It names what is refused, not what is allowed,
 * because the C library's needs differ from version to version.
 */
#include "cli_sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_include) && __has_include(<linux/landlock.h>)
#include <linux/landlock.h>
#define HAVE_LANDLOCK 1
#endif
#if defined(__has_include) && __has_include(<linux/seccomp.h>) && \
    (defined(__x86_64__) || defined(__aarch64__))
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#define HAVE_SECCOMP 1
#endif

#ifdef HAVE_LANDLOCK

#define READING (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)
/* All rights of the first version: later ones would need newer headers. */
#define HANDLED                                                                                   \
    (READING | SOCKETS | LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE |             \
     LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
     LANDLOCK_ACCESS_FS_MAKE_SYM)

/* What is not there needs no leave. */
static void allow(int rules, const char *path, uint64_t rights)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights};
    struct stat st;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0) return;
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE;
    (void)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    (void)close(rule.parent_fd);
}

static bool enter_landlock(const cli_sandbox *s)
{
    /* What the engine looks at: limits of the container, features of the processor. */
    static const char *const ALWAYS[] = {"/proc", "/sys", "/dev/null", "/etc/localtime"};
    const struct landlock_ruleset_attr attr = {.handled_access_fs = HANDLED};
    const int rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0) return false;
    for (size_t i = 0; i < sizeof ALWAYS / sizeof *ALWAYS; i++) allow(rules, ALWAYS[i], READING);
    for (size_t i = 0; i < s->n_read; i++) allow(rules, s->read[i], READING);
    for (size_t i = 0; i < s->n_sockets; i++) allow(rules, s->sockets[i], SOCKETS);
    const bool ok = syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    (void)close(rules);
    return ok;
}

#else

static bool enter_landlock(const cli_sandbox *s)
{
    (void)s;
    return false;
}

#endif

#ifdef HAVE_SECCOMP

#ifdef __x86_64__
#define THIS_MACHINE AUDIT_ARCH_X86_64
#else
#define THIS_MACHINE AUDIT_ARCH_AARCH64
#endif

static bool enter_seccomp(void)
{
    static const int REFUSED[] = {SYS_execve,          SYS_execveat,
                                  SYS_ptrace,          SYS_process_vm_readv,
                                  SYS_mount,           SYS_process_vm_writev,
                                  SYS_umount2,         SYS_pivot_root,
                                  SYS_chroot,          SYS_init_module,
                                  SYS_finit_module,    SYS_delete_module,
                                  SYS_kexec_load,      SYS_bpf,
                                  SYS_perf_event_open, SYS_unshare,
                                  SYS_setns,           SYS_keyctl,
                                  SYS_add_key,         SYS_request_key,
                                  SYS_userfaultfd,     SYS_reboot,
                                  SYS_swapon,          SYS_swapoff,
                                  SYS_sethostname,     SYS_settimeofday,
                                  SYS_clock_settime,   SYS_acct,
                                  SYS_quotactl,        SYS_setuid,
                                  SYS_setgid,          SYS_io_uring_setup,
                                  SYS_personality,     SYS_open_by_handle_at};
    enum { N = sizeof REFUSED / sizeof *REFUSED };
    struct sock_filter code[N + 7];
    uint32_t n = 0;
    /* another machine's numbers (x32, 32 bits) mean other calls: refused whole */
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, THIS_MACHINE, 0, N + 3);
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, N + 1, 0);
    for (uint32_t i = 0; i < N; i++)
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)REFUSED[i],
                                                 (uint8_t)(N - i), 0);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
    const struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                   &program) == 0;
}

typedef struct rule {
    int call;
    uint32_t arg;  /* its low word decides; NO_ARG: refused whatever it is */
    uint32_t bits; /* allowed: one of these bits is set; 0: it is `equal` or 0 */
    uint32_t equal, error;
} rule;
enum { NO_ARG = 99 };

/* Instructions of one rule, with the number of the call loaded; behind it the same is loaded. */
static uint32_t write_rule(const rule *r, struct sock_filter *code)
{
    const uint32_t arg = (uint32_t)(offsetof(struct seccomp_data, args) + 8u * r->arg);
    const struct sock_filter refuse = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | r->error);
    const struct sock_filter allow_it = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_filter load = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg);
    uint32_t n = 0;
    if (r->arg == NO_ARG) {
        code[n++] =
            (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->call, 0, 1);
        code[n++] = refuse;
        return n;
    }
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)r->call, 0, 5);
    code[n++] = load;
    if (r->bits) {
        code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, r->bits, 1, 0);
        code[n++] = refuse;
        code[n++] = allow_it;
        code[n++] = refuse; /* never reached: all rules have one length */
        return n;
    }
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->equal, 2, 0);
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0);
    code[n++] = refuse;
    code[n++] = allow_it;
    return n;
}

bool cli_sandbox_enter_alone(void)
{
    const uint32_t self = (uint32_t)getpid();
    const rule rules[] = {{SYS_clone, 0, CLONE_THREAD, 0, EPERM},
                          {SYS_tgkill, 0, 0, self, EPERM},
                          {SYS_prlimit64, 0, 0, self, EPERM},
                          {SYS_clone3, NO_ARG, 0, 0, ENOSYS}, /* the C library then takes clone */
#ifdef SYS_fork
                          {SYS_fork, NO_ARG, 0, 0, EPERM},
                          {SYS_vfork, NO_ARG, 0, 0, EPERM},
#endif
                          {SYS_socket, NO_ARG, 0, 0, EPERM},
                          {SYS_socketpair, NO_ARG, 0, 0, EPERM},
                          {SYS_connect, NO_ARG, 0, 0, EPERM},
                          {SYS_bind, NO_ARG, 0, 0, EPERM},
                          {SYS_listen, NO_ARG, 0, 0, EPERM},
                          {SYS_accept, NO_ARG, 0, 0, EPERM},
                          {SYS_accept4, NO_ARG, 0, 0, EPERM},
                          {SYS_kill, NO_ARG, 0, 0, EPERM},
                          {SYS_tkill, NO_ARG, 0, 0, EPERM},
                          {SYS_rt_sigqueueinfo, NO_ARG, 0, 0, EPERM},
                          {SYS_rt_tgsigqueueinfo, NO_ARG, 0, 0, EPERM},
                          {SYS_pidfd_open, NO_ARG, 0, 0, EPERM},
                          {SYS_pidfd_send_signal, NO_ARG, 0, 0, EPERM},
                          {SYS_shmget, NO_ARG, 0, 0, EPERM},
                          {SYS_shmat, NO_ARG, 0, 0, EPERM},
                          {SYS_msgget, NO_ARG, 0, 0, EPERM},
                          {SYS_semget, NO_ARG, 0, 0, EPERM},
                          {SYS_mq_open, NO_ARG, 0, 0, EPERM},
                          {SYS_setpriority, NO_ARG, 0, 0, EPERM}};
    enum { N = sizeof rules / sizeof *rules };
    struct sock_filter code[6 * N + 8];
    uint32_t n = 0;
    code[n++] =
        (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
    for (size_t i = 0; i < N; i++) n += write_rule(&rules[i], code + n);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const struct sock_fprog program = {.len = (unsigned short)n, .filter = code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW,
                   &program) == 0;
}

#else

static bool enter_seccomp(void)
{
    return false;
}

bool cli_sandbox_enter_alone(void)
{
    return false;
}

#endif

void cli_sandbox_enter(cli_sandbox *s)
{
    s->no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
    s->landlock = s->no_new_privs && enter_landlock(s);
    s->seccomp = s->no_new_privs && enter_seccomp();
}
