/*
 * Runs a draw in several ways and compares: by reference, as imported, optimised, on one thread,
 * with the kernels of another ISA level, on inputs with strides, and by a caller that rounds upward
 * and flushes denormals. Kernels are near the reference
 * within the class of the operator; everything else is the same bits, and a refusal is the same
 * status and sentence. Only memory and time may run out in one way and not in another.
 */
#include "props.h"

#include "odd_modes.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BLOCK_MAX ((size_t)6 << 20)
#define RUN_NS UINT64_C(4000000000)

enum { WAY_REF, WAY_PLAIN, WAY_FAST, WAY_ONE, WAY_STRIDED, WAY_ISA, WAY_MODES, WAYS };
static const char *const WAY_NAMES[] = {"reference",
                                        "not optimised",
                                        "optimised",
                                        "1 thread",
                                        "strided inputs",
                                        "LAMINA_ISA=avx2",
                                        "rounded upward, denormals flushed"};

struct pr_bench {
    lamina_engine *maker, *wide, *narrow;
    lamina_allocator alloc;
    _Atomic size_t live;
};

typedef struct pr_outcome {
    lamina_status status;
    bool fast; /* a kernel of the device took part */
    lamina_error err;
    size_t n_out;
    lamina_tensor *out[PR_MAX_OUT];
} pr_outcome;

static void *bounded_alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    pr_bench *b = ctx;
    void *p = NULL;
    (void)tag;
    if (bytes > BLOCK_MAX || posix_memalign(&p, align < 16 ? 16 : align, bytes ? bytes : 1))
        return NULL;
    atomic_fetch_add(&b->live, bytes);
    return p;
}

static void bounded_free(void *ctx, void *p, size_t bytes, size_t align, const char *tag)
{
    (void)align, (void)tag;
    if (p) atomic_fetch_sub(&((pr_bench *)ctx)->live, bytes);
    free(p);
}

pr_bench *pr_bench_open(void)
{
    pr_bench *b = calloc(1, sizeof *b);
    if (!b) return NULL;
    b->alloc = (lamina_allocator){LAMINA_ALLOCATOR_ABI, b, bounded_alloc, bounded_free};
    lamina_engine_opts o = {.size = sizeof o, .allocator = &b->alloc, .n_threads = 4};
    lamina_status st = lamina_engine_create(NULL, &b->maker);
    if (!st) st = lamina_engine_create(&o, &b->wide);
    const char *was = getenv("LAMINA_ISA");
    if (!was) (void)setenv("LAMINA_ISA", "avx2", 1);
    o.n_threads = 1;
    if (!st) st = lamina_engine_create(&o, &b->narrow);
    if (!was) (void)unsetenv("LAMINA_ISA");
    if (!st) return b;
    (void)pr_bench_close(b);
    return NULL;
}

bool pr_bench_close(pr_bench *b)
{
    lamina_engine_destroy(b->narrow);
    lamina_engine_destroy(b->wide);
    lamina_engine_destroy(b->maker);
    const bool clean = atomic_load(&b->live) == 0;
    free(b);
    return clean;
}

lamina_engine *pr_bench_maker(pr_bench *b)
{
    return b->maker;
}

/* ---- inputs --------------------------------------------------------------------------------- */

/* Copy of a string or dense tensor for this engine. */
static lamina_tensor *copy_dense(lamina_engine *e, const lamina_tensor *t)
{
    lamina_tensor *r = NULL;
    if (lamina_tensor_create(e, t->dtype, t->rank, t->dims, &r)) return NULL;
    if (t->dtype != LAMINA_STRING) {
        const size_t n = lamina_tensor_bytes(t);
        if (n) memcpy(r->data, t->data, n);
        return r;
    }
    for (int64_t i = 0; i < lamina_tensor_count(t); i++) {
        size_t n = 0;
        const char *s = lamina_tensor_string(t, i, &n);
        if (lamina_tensor_set_string(r, i, s, n) == LAMINA_OK) continue;
        lamina_tensor_unref(r);
        return NULL;
    }
    return r;
}

static void free_block(void *ctx)
{
    free(ctx);
}

/* Dims in another order in memory, gaps between elements, some backwards, at an address that is
   aligned for the element only. */
static lamina_tensor *copy_strided(lamina_engine *e, pr_draw *d, const lamina_tensor *t)
{
    const size_t w = lmn_dtype_bytes(t->dtype);
    const int64_t n = lamina_tensor_count(t);
    int64_t strides[LAMINA_MAX_RANK], span = pr_int(d, 1, 3), first = 0;
    bool done[LAMINA_MAX_RANK] = {false};
    if (!w || t->dtype == LAMINA_STRING || !n) return copy_dense(e, t);
    for (int32_t k = 0; k < t->rank; k++) {
        int32_t i = pr_chance(d, 50) ? t->rank - 1 : 0;
        while (done[i]) i = (i + 1) % t->rank;
        done[i] = true;
        strides[i] = span;
        span *= t->dims[i];
        if (pr_chance(d, 30)) {
            first += strides[i] * (t->dims[i] - 1);
            strides[i] = -strides[i];
        }
        if (pr_chance(d, 30)) span += pr_int(d, 1, 3);
    }
    uint8_t *block = malloc(((size_t)span + 1) * w);
    if (!block) return NULL;
    memset(block, 0xa5, ((size_t)span + 1) * w);
    uint8_t *p = block + w + (size_t)first * w;
    for (int64_t i = 0; i < n; i++) {
        int64_t rest = i, at = 0;
        for (int32_t k = t->rank - 1; k >= 0; rest /= t->dims[k--])
            at += rest % t->dims[k] * strides[k];
        memcpy(p + at * (int64_t)w, (const uint8_t *)t->data + i * (int64_t)w, w);
    }
    const lamina_owner owner = {free_block, block};
    lamina_tensor *r = NULL;
    if (lamina_tensor_wrap(e, t->dtype, t->rank, t->dims, strides, p, &owner, &r)) free(block);
    return r;
}

lamina_tensor *pr_input_for(lamina_engine *e, pr_draw *d, const pr_input *in, bool strided)
{
    lamina_tensor *t = strided ? copy_strided(e, d, in->t) : copy_dense(e, in->t), *seq = NULL;
    if (!in->sequence || !t) return t;
    lamina_tensor *const items[3] = {t, t, t};
    if (lamina_sequence_create(e, t->dtype, (int64_t)(d->seed % 4), items, &seq)) seq = NULL;
    lamina_tensor_unref(t);
    return seq;
}

/* ---- runs ----------------------------------------------------------------------------------- */

static uint64_t deadline(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec + RUN_NS;
}

static void run_once(lamina_engine *e, lamina_session *s, pr_draw *d, bool strided, pr_outcome *o)
{
    lamina_tensor *in[PR_MAX_IN] = {0};
    size_t n = 0;
    bool ok = true;
    for (int32_t i = 0; i < d->n_in; i++) {
        if (d->in[i].absent || d->in[i].constant) continue;
        in[n] = pr_input_for(e, d, &d->in[i], strided);
        ok = in[n++] && ok;
    }
    for (int32_t i = 0; i < d->n_out; i++) o->n_out += d->out_mask >> i & 1;
    const lamina_run_opts r = {.size = sizeof r, .deadline_ns = deadline(), .error = &o->err};
    lamina_session_stats st = {.size = sizeof st};
    o->status =
        !ok ? LAMINA_E_NOMEM
            : lamina_session_run(s, (const lamina_tensor *const *)in, n, o->out, o->n_out, &r);
    if (!lamina_session_get_stats(s, &st)) o->fast = st.n_nodes_fast > 0;
    for (size_t i = 0; i < n; i++) lamina_tensor_unref(in[i]);
}

static void run_way(lamina_engine *e, lamina_model *m, pr_draw *d, int way, pr_outcome *o)
{
    if (way == WAY_MODES) odd_modes_set();
    const lamina_session_opts so = {.size = sizeof so,
                                    .n_threads = way == WAY_REF || way == WAY_ONE ? 1 : 0,
                                    .no_optimize = way == WAY_REF || way == WAY_PLAIN,
                                    .reference = way == WAY_REF};
    lamina_session *s = NULL;
    o[way].status = lamina_session_create(m, &so, &s, &o[way].err);
    if (!o[way].status) run_once(e, s, d, false, &o[way]);
    if (way == WAY_FAST && s)
        run_once(e, s, d, true, &o[WAY_STRIDED]);
    else if (way == WAY_FAST)
        o[WAY_STRIDED].status = o[way].status, o[WAY_STRIDED].err = o[way].err;
    if (way == WAY_MODES) odd_modes_end();
    lamina_session_destroy(s);
}

/* ---- comparing ------------------------------------------------------------------------------ */

/* rel and abs are 0 where the same bits are due. Any NaN is as good as another. */
typedef struct pr_bound {
    double rel, abs;
    bool nan; /* one may be NaN where the other is not */
} pr_bound;

static bool starts_with_any(const char *op, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strncmp(op, names[i], strlen(names[i])) == 0) return true;
    return false;
}

/* Kernels whose class is exact: + - * / and what only chooses. */
static bool exact(const char *op)
{
    static const char *const names[] = {
        "Add",     "Sub",           "Mul",  "Div",   "Max",  "Min",        "Abs",  "Neg",
        "Sqrt",    "Floor",         "Ceil", "Round", "Relu", "LeakyRelu",  "Clip", "Reciprocal",
        "MaxPool", "GlobalMaxPool", "If",   "Loop",  "Scan", "SequenceMap"};
    for (size_t i = 0; i < LMN_COUNT(names); i++)
        if (strcmp(op, names[i]) == 0) return true;
    return false;
}

/* Sums with one partial sum a lane of whatever width: these promise no equal bits between ISA
 * levels. */
static bool sums_by_lane(const char *op)
{
    static const char *const names[] = {"MatMulNB"};
    return starts_with_any(op, names, LMN_COUNT(names));
}

/* Products of 16 bits: rows on pairs add two products at once and count denormals as 0 (hgemm.h).
 */
static bool by_pairs(const pr_draw *d)
{
    static const char *const names[] = {"MatMul", "Gemm", "Conv"};
    const lamina_tensor *x = d->n_in > 0 && !d->in[0].absent ? d->in[0].t : NULL;
    if (!x || (x->dtype != LAMINA_BF16 && x->dtype != LAMINA_F16)) return false;
    for (size_t i = 0; i < LMN_COUNT(names); i++)
        if (strstr(d->op->name, names[i])) return true;
    return false;
}

static bool sums(const char *op)
{
    static const char *const names[] = {
        "MatMul",      "Gemm",        "Conv",       "FusedMatMul",   "FusedGemm",    "FusedConv",
        "ReduceMean",  "ReduceSum",   "Softmax",    "AveragePool",   "MatMulNBits",  "LayerNorm",
        "GlobalAvera", "Attention",   "RMSNorm",    "SkipLayer",     "SkipSimpl",    "GroupQuery",
        "MultiHead",   "SimplifiedL", "BatchNorm",  "Instance",      "GroupNorm",    "NhwcConv",
        "Transpose",   "NhwcFused",   "LogSoftmax", "BiasSplitGelu", "GatedRMSNorm", "ImageMean",
        "ShortMatMul", "ShortLayer"};
    return starts_with_any(op, names, LMN_COUNT(names)) || sums_by_lane(op);
}

static double magnitude(const lamina_tensor *t)
{
    double m = 1;
    for (int64_t i = 0; i < lamina_tensor_count(t); i++) {
        const double v = fabs(lmn_get_f64(t, i));
        if (isfinite(v) && v > m) m = v;
    }
    return m;
}

/* Winograd's transforms err with the sum of magnitudes: hundreds of products a result. */
static double terms(const pr_draw *d)
{
    const lamina_tensor *w = d->n_in > 1 && !d->in[1].absent ? d->in[1].t : NULL;
    if (!w || !strstr(d->op->name, "Conv") || w->rank < 3 || w->dims[0] < 1) return 1;
    return fmax(1, (double)(lamina_tensor_count(w) / w->dims[0]) / 64);
}

/* A gross bound for sums (kcheck holds kernels to the fine one): what the magnitudes of the inputs
   allow. What kcheck allows otherwise, three times that with a tail. */
static pr_bound bound_of(const pr_draw *d)
{
    pr_bound b = {.rel = 1e-6, .abs = 1e-7};
    if (exact(d->op->name)) b = (pr_bound){0};
    if (d->n_tail) b = (pr_bound){.rel = 4e-6, .abs = 4e-6};
    b.nan = d->style >= PR_SPECIAL && strstr(d->op->name, "QLinear") != NULL;
    if (!sums(d->op->name)) return b;
    double m = terms(d);
    for (int32_t i = 0; i < d->n_in; i++)
        if (!d->in[i].absent && lmn_dtype_class(d->in[i].t->dtype) == LMN_CLASS_FLOAT)
            m *= magnitude(d->in[i].t);
    /* Kernels multiply padding by the weights, the reference masked values by 0: where these are
       not finite, so is the result. A gate or a normed value that is 0 in f32, but not in f64,
       makes NaN of an infinite factor, too. */
    static const char *const times[] = {"Conv", "Attention", "SplitGelu", "Norm"};
    bool rest = false;
    for (size_t i = 0; i < LMN_COUNT(times); i++) rest = rest || strstr(d->op->name, times[i]);
    rest = rest || by_pairs(d); /* a denormal times infinity */
    return (pr_bound){.rel = 2e-5, .abs = 3e-5 * m, .nan = rest && d->style == PR_SPECIAL};
}

/* Half a step of a narrow type, relative: results are rounded to it on either side of a tie. */
static double step_of(lamina_dtype dt)
{
    return dt == LAMINA_F16             ? 0x1p-10
           : dt == LAMINA_BF16          ? 0x1p-7
           : lamina_dtype_bits(dt) == 8 ? 0.25
                                        : 0;
}

static bool floats_near(const lamina_tensor *a, const lamina_tensor *b, const pr_bound *bound,
                        char *why, size_t cap)
{
    for (int64_t i = 0; i < lamina_tensor_count(a); i++) {
        const double x = lmn_get_f64(a, i), y = lmn_get_f64(b, i);
        if ((isnan(x) && isnan(y)) || (x == y && signbit(x) == signbit(y))) continue;
        if (bound->nan && (isnan(y) || isnan(x))) continue;
        const double rel = bound->rel + step_of(a->dtype);
        if (bound->rel > 0 && (x == y || fabs(x - y) <= bound->abs + rel * fabs(x))) continue;
        (void)snprintf(why, cap, "element %lld is %.9g and %.9g", (long long)i, x, y);
        return false;
    }
    return true;
}

static bool strings_same(const lamina_tensor *a, const lamina_tensor *b)
{
    for (int64_t i = 0; i < lamina_tensor_count(a); i++) {
        size_t n = 0, k = 0;
        const char *x = lamina_tensor_string(a, i, &n), *y = lamina_tensor_string(b, i, &k);
        if (n != k || memcmp(x, y, n) != 0) return false;
    }
    return true;
}

/* Quantised from what is near: at most one step apart, but by a scale that is no normal number. */
static bool ints_near(const lamina_tensor *a, const lamina_tensor *b, const pr_bound *bound)
{
    bool ok = bound->rel > 0 && lamina_dtype_bits(a->dtype) == 8;
    for (int64_t i = 0; ok && !bound->nan && i < lamina_tensor_count(a); i++) {
        const int64_t d = lmn_get_i64(a, i) - lmn_get_i64(b, i);
        ok = d >= -1 && d <= 1;
    }
    return ok;
}

static bool same(const lamina_tensor *a, const lamina_tensor *b, const pr_bound *bound, char *why,
                 size_t cap)
{
    (void)snprintf(why, cap, "kind, type or shape differs");
    if (!a || !b) return a == b;
    if (a->kind != b->kind || a->dtype != b->dtype) return false;
    if (a->kind == LAMINA_KIND_NONE) return true;
    if (a->kind != LAMINA_KIND_TENSOR) {
        if (a->n_items != b->n_items) return false;
        for (int64_t i = 0; i < a->n_items; i++)
            if (!same(a->items[i], b->items[i], bound, why, cap)) return false;
        return true;
    }
    if (!lmn_dims_equal(a->rank, a->dims, b->rank, b->dims)) return false;
    (void)snprintf(why, cap, "values differ");
    const lmn_dclass c = lmn_dtype_class(a->dtype);
    if (c == LMN_CLASS_STRING) return strings_same(a, b);
    const size_t n = lamina_tensor_bytes(a);
    if (n == 0 || memcmp(a->data, b->data, n) == 0) return true;
    if (c == LMN_CLASS_FLOAT) return floats_near(a, b, bound, why, cap);
    if (c == LMN_CLASS_SINT || c == LMN_CLASS_UINT) return ints_near(a, b, bound);
    if (c != LMN_CLASS_COMPLEX) return false;
    lamina_tensor x = *a, y = *b; /* as pairs of reals */
    x.dtype = y.dtype = a->dtype == LAMINA_C64 ? LAMINA_F32 : LAMINA_F64;
    x.rank = y.rank = 1;
    x.dims[0] = y.dims[0] = 2 * lamina_tensor_count(a);
    return floats_near(&x, &y, bound, why, cap);
}

static bool spent(lamina_status st)
{
    return st == LAMINA_E_NOMEM || st == LAMINA_E_LIMIT || st == LAMINA_E_TIMEOUT;
}

/* What went wrong, without the node: where nodes were fused, that names all of them. */
static const char *sentence(const pr_outcome *o)
{
    const char *s = strstr(o->err.msg, "): ");
    return strncmp(o->err.msg, "node \"", 6) == 0 && s ? s : o->err.msg;
}

static bool agree(const pr_draw *d, const pr_outcome *o, int a, int b, char *why, size_t cap)
{
    const pr_outcome *x = &o[a], *y = &o[b];
    if (x->status != y->status || (x->status && strcmp(sentence(x), sentence(y)) != 0)) {
        (void)snprintf(why, cap, "%s: %s %s; %s: %s %s", WAY_NAMES[a],
                       lamina_status_name(x->status), x->status ? x->err.msg : "", WAY_NAMES[b],
                       lamina_status_name(y->status), y->status ? y->err.msg : "");
        return false;
    }
    if (x->status) return true;
    /* Passes fold a tail's scale and offset into weights, also where the reference runs them. */
    const bool fused = a == WAY_REF && d->n_tail && sums(d->op->name);
    const bool near =
        fused ||
        (y->fast && (a == WAY_REF || (b == WAY_ISA && (sums_by_lane(d->op->name) || by_pairs(d)))));
    if (near && d->style == PR_EXTREME && sums(d->op->name)) return true;
    const pr_bound bound = near ? bound_of(d) : (pr_bound){0};
    char text[200];
    for (size_t i = 0; i < x->n_out; i++) {
        if (same(x->out[i], y->out[i], &bound, text, sizeof text)) continue;
        (void)snprintf(why, cap, "output %zu, %s and %s: %s", i, WAY_NAMES[a], WAY_NAMES[b], text);
        return false;
    }
    return true;
}

static bool all_agree(const pr_draw *d, const pr_outcome *o, pr_counts *c, char *why, size_t cap)
{
    for (int i = 0; i < WAYS; i++)
        if (spent(o[i].status)) {
            c->skipped++;
            return true;
        }
    c->ran += !o[WAY_FAST].status;
    c->refused += o[WAY_FAST].status != 0;
    c->fast += !o[WAY_FAST].status && o[WAY_FAST].fast;
    return agree(d, o, WAY_REF, WAY_PLAIN, why, cap) && agree(d, o, WAY_REF, WAY_FAST, why, cap) &&
           agree(d, o, WAY_FAST, WAY_ONE, why, cap) &&
           agree(d, o, WAY_FAST, WAY_STRIDED, why, cap) &&
           agree(d, o, WAY_FAST, WAY_MODES, why, cap) && agree(d, o, WAY_FAST, WAY_ISA, why, cap);
}

bool pr_check(pr_bench *b, pr_draw *d, pr_counts *counts, char *why, size_t cap)
{
    pr_bytes bytes = {0};
    pr_outcome *o = calloc(WAYS, sizeof *o);
    lamina_model *m = NULL, *narrow = NULL;
    bool ok = true;
    pr_model(d, &bytes);
    counts->draws++;
    if (!o) abort();
    pr_outcome *x = &o[WAY_FAST], *y = &o[WAY_ISA];
    x->status = lamina_model_load_memory(b->wide, bytes.p, bytes.n, NULL, &m, &x->err);
    y->status = lamina_model_load_memory(b->narrow, bytes.p, bytes.n, NULL, &narrow, &y->err);
    if (m && narrow) {
        run_way(b->wide, m, d, WAY_REF, o);
        run_way(b->wide, m, d, WAY_PLAIN, o);
        run_way(b->wide, m, d, WAY_FAST, o);
        run_way(b->wide, m, d, WAY_ONE, o);
        run_way(b->wide, m, d, WAY_MODES, o);
        run_way(b->narrow, narrow, d, WAY_ISA, o);
        ok = all_agree(d, o, counts, why, cap);
    } else {
        counts->refused++;
        ok = spent(x->status) || agree(d, o, WAY_FAST, WAY_ISA, why, cap);
    }
    for (int i = 0; i < WAYS; i++)
        for (size_t k = 0; k < o[i].n_out; k++) lamina_tensor_unref(o[i].out[k]);
    lamina_model_unref(m);
    lamina_model_unref(narrow);
    pr_free(&bytes);
    free(o);
    return ok;
}
