/*
 * The kcheck harness: buffers with guard pages, random inputs, comparison, crash isolation, timing,
 * and main(). It knows rows only by their head; what a family computes stands in kc_<family>.c.
 *
 *   kcheck [--full] [--seed=N] [--only=TEXT] [--bench] [--all] [--json]
 */
#include "kcheck/kcheck.h"

#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_SLOTS = 40, MAX_HEAP = 64 };
static const uint32_t poison = 0x7fa5a5a5u; /* a signalling NaN with a pattern */

typedef struct slot {
    char *base; /* guard page, cap bytes, guard page */
    size_t cap;
} slot;

struct kc_ctx {
    lmn_cpu cpu;
    uint64_t rng, seed;
    bool full, bench, all, json;
    const char *only;
    double peak;
    const kc_driver *driver;
    const lmn_krow *row;
    slot slots[MAX_SLOTS];
    int n_slots, n_heap, n_bench;
    void *heap[MAX_HEAP];
    float *bench_mem[MAX_HEAP];
    bool case_failed;
    long n_cases, n_failed, n_row_failed, n_json;
    bool side; /* next buffer: false = ends at a guard page, true = begins at one */
};

sigjmp_buf kc_landing;
volatile int kc_armed;

bool kc_quick(const kc_ctx *kc)
{
    return !kc->full;
}
const lmn_cpu *kc_cpu(const kc_ctx *kc)
{
    return &kc->cpu;
}

static uint64_t next_random(kc_ctx *kc)
{
    uint64_t z = (kc->rng += 0x9e3779b97f4a7c15u); /* splitmix64 */
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t kc_int(kc_ctx *kc, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(next_random(kc) % (uint64_t)(hi - lo + 1));
}

int64_t kc_extent(kc_ctx *kc, int64_t unit, int64_t max)
{
    int64_t n = kc_int(kc, 0, 9) == 0 ? kc_int(kc, 0, 2) : kc_int(kc, 1, max);
    if (kc_int(kc, 0, 2) == 0)
        n = kc_int(kc, 1, lmn_max_i64(1, max / unit)) * unit + kc_int(kc, -1, 1);
    return lmn_min_i64(max, lmn_max_i64(0, n));
}

void kc_case(kc_ctx *kc)
{
    kc->n_slots = 0;
    while (kc->n_heap > 0) free(kc->heap[--kc->n_heap]);
    kc->case_failed = false;
    kc->n_cases++;
}

static void die(const char *why)
{
    fprintf(stderr, "kcheck: %s\n", why);
    exit(2);
}

void *kc_buffer(kc_ctx *kc, size_t bytes)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    if (kc->n_slots == MAX_SLOTS) die("too many buffers in one case");
    slot *s = &kc->slots[kc->n_slots++];
    if (s->cap < bytes || !s->base) {
        if (s->base) munmap(s->base, s->cap + 2 * page);
        s->cap = lmn_align_up(bytes + 1, 16 * page);
        s->base = mmap(NULL, s->cap + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                       -1, 0);
        if (s->base == MAP_FAILED) die("no memory");
        mprotect(s->base, page, PROT_NONE);
        mprotect(s->base + page + s->cap, page, PROT_NONE);
    }
    kc->side = !kc->side;
    return kc->side ? s->base + page + s->cap - bytes : s->base + page;
}

uint8_t *kc_bytes(kc_ctx *kc, int64_t n)
{
    uint8_t *p = kc_buffer(kc, (size_t)n);
    for (int64_t i = 0; i < n; i++) p[i] = (uint8_t)kc_int(kc, 0, 255);
    return p;
}

int32_t *kc_ints(kc_ctx *kc, int64_t n, int64_t lo, int64_t hi)
{
    int32_t *p = kc_buffer(kc, (size_t)n * sizeof *p);
    for (int64_t i = 0; i < n; i++) p[i] = (int32_t)kc_int(kc, lo, hi);
    return p;
}

static void *heap_alloc(kc_ctx *kc, size_t bytes)
{
    if (kc->n_heap == MAX_HEAP) die("too many copies in one case");
    void *p = malloc(bytes + 1);
    if (!p) die("no memory");
    return kc->heap[kc->n_heap++] = p;
}
double *kc_doubles(kc_ctx *kc, int64_t n)
{
    return heap_alloc(kc, (size_t)n * sizeof(double));
}

static float random_value(kc_ctx *kc, kc_style style)
{
    if (style == KC_EXACT) return (float)kc_int(kc, -32, 32) / 16.0f;
    if (style == KC_SPECIAL && kc_int(kc, 0, 29) == 0) {
        const float odd[] = {NAN, INFINITY, -INFINITY, -0.0f, 0.0f, 1e-41f, -1e-44f, 1e-38f, 1e15f};
        return odd[kc_int(kc, 0, (int64_t)LMN_COUNT(odd) - 1)];
    }
    return (float)kc_int(kc, -1000000, 1000000) * 1e-6f * (kc_int(kc, 0, 7) ? 1.0f : 8.0f);
}

static size_t mat_elems(int64_t rows, int64_t cols, int64_t ld)
{
    return rows > 0 && cols > 0 ? (size_t)((rows - 1) * ld + cols) : 0;
}

kc_mat kc_output(kc_ctx *kc, int64_t rows, int64_t cols, int64_t ld)
{
    size_t n = mat_elems(rows, cols, ld);
    kc_mat m = {kc_buffer(kc, n * sizeof(float)), rows, cols, ld};
    for (size_t i = 0; i < n; i++) memcpy(m.p + i, &poison, sizeof poison);
    return m;
}

kc_mat kc_input(kc_ctx *kc, kc_style style, int64_t rows, int64_t cols, int64_t ld)
{
    kc_mat m = kc_output(kc, rows, cols, ld);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < cols; j++) m.p[i * ld + j] = random_value(kc, style);
    return m;
}

kc_mat kc_copy(kc_ctx *kc, const kc_mat *m)
{
    size_t bytes = mat_elems(m->rows, m->cols, m->ld) * sizeof(float);
    kc_mat c = *m;
    c.p = heap_alloc(kc, bytes);
    memcpy(c.p, m->p, bytes);
    return c;
}

void kc_fail(kc_ctx *kc, const char *fmt, ...)
{
    if (kc->case_failed) return;
    kc->case_failed = true;
    kc->n_failed++;
    if (kc->n_row_failed++ >= 5) return; /* enough to see what is wrong */
    va_list ap;
    va_start(ap, fmt);
    printf("FAIL %s.%s:%s %s: ", kc->row->family, kc->row->dtype, kc->row->variant,
           kc->driver->name);
    vprintf(fmt, ap);
    printf(" (seed %llu)\n", (unsigned long long)kc->seed);
    va_end(ap);
}

void kc_signalled(kc_ctx *kc, int sig)
{
    kc_fail(kc, "signal %d (%s)", sig, strsignal(sig));
}

bool kc_near(float got, double want, double bound)
{
    if (isnan(want)) return isnan(got);
    if (isnan(got)) return false;
    if (fabs(want) > 3.4028234e38) return isinf(got) && (got > 0) == (want > 0);
    return fabs((double)got - want) <= bound;
}

double kc_dot_bound(int64_t n, double mag)
{
    const double nu = (double)n * 0x1p-24;
    return nu / (1 - nu) * mag + 1e-44 * (double)n; /* each rounding of a denormal adds a unit */
}

static bool is_poison(const float *p)
{
    return memcmp(p, &poison, sizeof poison) == 0;
}

void kc_expect_padding(kc_ctx *kc, const kc_mat *got, const char *what)
{
    for (int64_t i = 0; i + 1 < got->rows && got->cols > 0; i++) {
        for (int64_t j = got->cols; j < got->ld; j++) {
            if (!is_poison(got->p + i * got->ld + j))
                kc_fail(kc, "%s: wrote the padding at (%lld, %lld)", what, (long long)i,
                        (long long)j);
        }
    }
}

void kc_expect(kc_ctx *kc, const kc_mat *got, const double *want, const double *bound,
               const char *what)
{
    for (int64_t i = 0; i < got->rows; i++) {
        for (int64_t j = 0; j < got->cols; j++) {
            double w = want[i * got->cols + j], e = bound[i * got->cols + j];
            float g = got->p[i * got->ld + j];
            if (kc_near(g, w, e)) continue;
            kc_fail(kc, "%s: (%lld, %lld) of %lldx%lld is %.9g, want %.9g +- %.3g", what,
                    (long long)i, (long long)j, (long long)got->rows, (long long)got->cols,
                    (double)g, w, e);
            return;
        }
    }
    kc_expect_padding(kc, got, what);
}

void kc_expect_bits(kc_ctx *kc, const kc_mat *got, const kc_mat *want, const char *what)
{
    for (int64_t i = 0; i < got->rows; i++) {
        for (int64_t j = 0; j < got->cols; j++) {
            const float *g = got->p + i * got->ld + j, *w = want->p + i * want->ld + j;
            if (memcmp(g, w, sizeof *g) == 0 || (isnan(*g) && isnan(*w))) continue;
            kc_fail(kc, "%s: (%lld, %lld) has the bits of %a, want %a", what, (long long)i,
                    (long long)j, (double)*g, (double)*w);
            return;
        }
    }
}

float *kc_bench_floats(kc_ctx *kc, int64_t n)
{
    if (kc->n_bench == MAX_HEAP) die("too many benchmark buffers");
    float *p = aligned_alloc(64, lmn_align_up((size_t)n * sizeof(float), 64));
    if (!p) die("no memory");
    for (int64_t i = 0; i < n; i++) p[i] = (float)((i * 7919) % 1024 - 512) / 512.0f;
    return kc->bench_mem[kc->n_bench++] = p;
}

void kc_bench_reset(kc_ctx *kc)
{
    while (kc->n_bench > 0) free(kc->bench_mem[--kc->n_bench]);
}

void kc_time(kc_ctx *kc, const lmn_krow *row, const char *what, double flops, double bytes,
             void (*fn)(void *arg), void *arg)
{
    if (kc->only && !strstr(what, kc->only) && !strstr(row->family, kc->only)) return;
    double best = 1e30, total = 0;
    int64_t reps = 1;
    fn(arg);
    while (total < 0.25) {
        double t0 = kc_cpu_seconds();
        for (int64_t i = 0; i < reps; i++) fn(arg);
        double t = kc_cpu_seconds() - t0;
        total += t;
        if (t / (double)reps < best) best = t / (double)reps;
        if (t < 2e-4) reps *= 2; /* the clock has a grain */
    }
    double gflops = flops / best * 1e-9, gbytes = bytes / best * 1e-9;
    if (kc->json) {
        printf("%s{\"row\":\"%s.%s:%s\",\"case\":\"%s\",\"us\":%.2f,\"gflops\":%.2f,\"gbps\":%.2f,"
               "\"peak\":%.1f}",
               kc->n_json++ ? ",\n " : "[", row->family, row->dtype, row->variant, what, best * 1e6,
               gflops, gbytes, kc->peak);
        return;
    }
    printf("%-6s %-8s %-34s %10.1f us", row->family, row->variant, what, best * 1e6);
    if (flops > 0) printf(" %7.1f GFLOP/s %5.1f %%", gflops, 100 * gflops / kc->peak);
    if (bytes > 0) printf(" %7.1f GB/s", gbytes);
    printf("\n");
}

static void on_signal(int sig)
{
    if (kc_armed) {
        kc_armed = 0;
        siglongjmp(kc_landing, sig);
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

/* --- choice of rows ------------------------------------------------------------------------- */

/* At every cap the set must be complete and legal, and pins must be obeyed or refused. */
static void check_choice(kc_ctx *kc)
{
    static const kc_driver driver = {"kset", "choose", NULL, NULL};
    const lmn_isa caps[] = {0, LMN_ISA_AVX2, LMN_ISA_AVX2 | LMN_ISA_AVX512, ~0u};
    kc->driver = &driver;
    for (size_t c = 0; c < LMN_COUNT(caps); c++) {
        lmn_cpu cpu = kc->cpu;
        cpu.isa &= caps[c];
        for (int32_t i = 0; i < lmn_kernel_row_count(); i++) {
            const lmn_krow *row = kc->row = lmn_kernel_row_at(i);
            char pin[128];
            lmn_kset set;
            kc_case(kc);
            snprintf(pin, sizeof pin, "%s.%s:%s", row->family, row->dtype, row->variant);
            bool legal = (row->isa & ~cpu.isa) == 0, obeyed = lmn_kset_choose(&cpu, pin, &set);
            if (obeyed != legal) kc_fail(kc, "pin obeyed %d, legal %d", obeyed, legal);
            if (legal && !lmn_kset_uses(&set, row)) kc_fail(kc, "pinned row is not used");
            if (!lmn_kset_choose(&cpu, NULL, &set)) kc_fail(kc, "no pins, yet one refused");
            if (lmn_kset_uses(&set, row) && !legal) kc_fail(kc, "chosen row needs more ISA");
            if (lmn_kset_choose(&cpu, "gemm.f32:no_such_row", &set))
                kc_fail(kc, "unknown pin obeyed");
        }
    }
}

/* --- main ----------------------------------------------------------------------------------- */

#define X(family, name) extern const kc_driver kc_##family##_##name;
#include "kcheck/kc_drivers.h"
#undef X
static const kc_driver *const drivers[] = {
#define X(family, name) &kc_##family##_##name,
#include "kcheck/kc_drivers.h"
#undef X
};

static bool wanted(const kc_ctx *kc, const kc_driver *d, const lmn_krow *row)
{
    char name[160];
    if (strcmp(d->family, row->family) != 0) return false;
    snprintf(name, sizeof name, "%s.%s:%s %s", row->family, row->dtype, row->variant, d->name);
    return kc->bench || !kc->only || strstr(name, kc->only);
}

static void run_row(kc_ctx *kc, const lmn_kset *set, const kc_driver *d, const lmn_krow *row)
{
    kc->driver = d, kc->row = row;
    kc->rng = kc->seed; /* one failure replays alone */
    if (kc->bench) {
        if (d->bench && (kc->all || lmn_kset_uses(set, row))) d->bench(kc, row);
        kc_bench_reset(kc);
        return;
    }
    long cases = kc->n_cases;
    double t0 = kc_cpu_seconds();
    kc->n_row_failed = 0;
    d->check(kc, row);
    printf("%-4s %s.%s:%s %s, %ld cases, %.2f s\n", kc->n_row_failed ? "FAIL" : "ok", row->family,
           row->dtype, row->variant, d->name, kc->n_cases - cases, kc_cpu_seconds() - t0);
}

static bool read_args(kc_ctx *kc, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        if (!strcmp(a, "--full"))
            kc->full = true;
        else if (!strcmp(a, "--bench"))
            kc->bench = true;
        else if (!strcmp(a, "--all"))
            kc->all = true;
        else if (!strcmp(a, "--json"))
            kc->json = true;
        else if (!strncmp(a, "--seed=", 7))
            kc->seed = strtoull(a + 7, NULL, 0);
        else if (!strncmp(a, "--only=", 7))
            kc->only = a + 7;
        else
            return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    static kc_ctx kc;
    const char *cap = getenv("LAMINA_ISA");
    kc.seed = 1; /* the same run for everybody; `make check-full` takes many seeds */
    if (!read_args(&kc, argc, argv)) {
        fprintf(stderr,
                "usage: kcheck [--full] [--seed=N] [--only=TEXT] [--bench] [--all] [--json]\n");
        return 2;
    }
    if (lmn_cpu_detect(&kc.cpu, cap) != LAMINA_OK) die("LAMINA_ISA is not a level");
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_NODEFER};
    const int sigs[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
    for (size_t i = 0; i < LMN_COUNT(sigs); i++) sigaction(sigs[i], &sa, NULL);

    lmn_kset set;
    if (!lmn_kset_choose(&kc.cpu, getenv("LAMINA_KERNEL"), &set)) die("LAMINA_KERNEL not obeyed");
    if (kc.bench)
        kc.peak = kc_peak_gflops(&kc.cpu);
    else
        check_choice(&kc);
    if (!kc.json)
        printf("seed %llu, FMA peak %.1f GFLOP/s\n", (unsigned long long)kc.seed, kc.peak);
    for (size_t d = 0; d < LMN_COUNT(drivers); d++) {
        for (int32_t i = 0; i < lmn_kernel_row_count(); i++) {
            const lmn_krow *row = lmn_kernel_row_at(i);
            if ((row->isa & ~kc.cpu.isa) == 0 && wanted(&kc, drivers[d], row))
                run_row(&kc, &set, drivers[d], row);
        }
    }
    if (kc.bench) {
        if (kc.json) printf("]\n");
        return 0;
    }
    printf("%ld cases, %ld failed\n", kc.n_cases, kc.n_failed);
    kc_case(&kc);
    return kc.n_failed ? 1 : 0;
}
