/*
 * Keys from shapes and shapes from keys (tune_key.h).
 */
#include "tune/tune_key.h"

#include "base/error.h"

#include <string.h>

/* What a product is; other flags are hints of the caller. */
enum { KEPT_FLAGS = LMN_GEMM_TRANS_A | LMN_GEMM_TRANS_B | LMN_GEMM_CHAIN };

enum { M, N, K, BATCH, FLAGS, ITEMS, G_EPI, G_THREADS };
enum { Q_BRING = BATCH + 1, Q_ITEMS, Q_THREADS };
enum {
    STRICT,
    IMAGES,
    C_IN,
    C_OUT,
    GROUPS,
    IN,
    OUT = IN + 3,
    KERNEL = OUT + 3,
    STRIDE = KERNEL + 3,
    DILATION = STRIDE + 3,
    PAD = DILATION + 3,
    C_EPI = PAD + 3,
    C_THREADS
};
_Static_assert(C_THREADS + 1 == LMN_TUNE_CONV_WORDS && G_THREADS + 1 == LMN_TUNE_GEMM_WORDS &&
                   Q_THREADS + 1 == LMN_TUNE_QGEMM_WORDS,
               "words are counted");

static const int32_t WORDS[LMN_TUNE_FAMILIES] = {LMN_TUNE_GEMM_WORDS, LMN_TUNE_CONV_WORDS,
                                                 LMN_TUNE_QGEMM_WORDS};

/* What an epilogue costs: how many operations, and whether one reads a whole other matrix. */
static int64_t epi_class(const lmn_epi *e)
{
    bool full = false;
    for (int32_t i = 0; e && i < e->n_ops; i++)
        full = full || (e->op[i].kind <= LMN_EPI_MUL && e->op[i].bcast == LMN_EPI_FULL);
    return e ? e->n_ops * 2 + full : 0;
}

lmn_tune_key lmn_tune_key_gemm(const lmn_gemm_shape *s, const lmn_tune_around *a)
{
    return (lmn_tune_key){.family = LMN_TUNE_GEMM_F32,
                          .n = LMN_TUNE_GEMM_WORDS,
                          .word = {s->m, s->n, s->k, s->n_batch, s->flags & KEPT_FLAGS, a->items,
                                   epi_class(a->epi), a->threads}};
}

lmn_tune_key lmn_tune_key_conv(const lmn_conv_geom *g, const lmn_tune_around *a)
{
    lmn_tune_key k = {.family = LMN_TUNE_CONV_F32, .n = LMN_TUNE_CONV_WORDS};
    int64_t *w = k.word;
    w[STRICT] = a->strict, w[IMAGES] = g->n, w[C_IN] = g->c_in, w[C_OUT] = g->c_out;
    w[GROUPS] = g->groups, w[C_EPI] = epi_class(a->epi), w[C_THREADS] = a->threads;
    for (int i = 0; i < 3; i++) {
        w[IN + i] = g->in[i], w[OUT + i] = g->out[i], w[KERNEL + i] = g->kernel[i];
        w[STRIDE + i] = g->stride[i], w[DILATION + i] = g->dilation[i], w[PAD + i] = g->pad[i];
    }
    return k;
}

lmn_tune_key lmn_tune_key_qgemm(const lmn_qgemm_shape *s, const lmn_tune_around *a)
{
    return (lmn_tune_key){.family = LMN_TUNE_QGEMM_I8,
                          .n = LMN_TUNE_QGEMM_WORDS,
                          .word = {s->m, s->n, s->k, s->n_batch, s->bring, a->items, a->threads}};
}

bool lmn_tune_key_same(const lmn_tune_key *a, const lmn_tune_key *b)
{
    return a->family == b->family && a->n == b->n &&
           memcmp(a->word, b->word, (size_t)a->n * sizeof *a->word) == 0;
}

uint64_t lmn_tune_key_hash(const lmn_tune_key *k)
{
    uint64_t h = (uint64_t)k->family + 0x9e3779b97f4a7c15u;
    for (int32_t i = 0; i < k->n; i++) {
        h = (h ^ (uint64_t)k->word[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

const char *lmn_tune_family_name(int32_t family)
{
    static const char *const NAMES[LMN_TUNE_FAMILIES] = {"gemm.f32", "conv.f32", "qgemm.i8"};
    return NAMES[family];
}

const char *lmn_tune_variant(int32_t family, const lmn_kset *set)
{
    return family == LMN_TUNE_QGEMM_I8 ? set->qgemm_i8->head.variant : set->gemm_f32->head.variant;
}

static lmn_qgemm_shape qshape_of(const lmn_tune_key *k)
{
    const int64_t *w = k->word;
    return (lmn_qgemm_shape){
        .m = w[M], .n = w[N], .k = w[K], .n_batch = w[BATCH], .bring = w[Q_BRING] != 0};
}

static lmn_gemm_shape shape_of(const lmn_tune_key *k)
{
    const int64_t *w = k->word;
    return (lmn_gemm_shape){w[M], w[N], w[K], w[BATCH], (int32_t)w[FLAGS], (int32_t)w[G_THREADS]};
}

static lmn_conv_geom geom_of(const lmn_tune_key *k)
{
    const int64_t *w = k->word;
    lmn_conv_geom g = {.n = w[IMAGES],
                       .c_in = w[C_IN],
                       .c_out = w[C_OUT],
                       .groups = w[GROUPS],
                       .threads = (int32_t)w[C_THREADS]};
    for (int i = 0; i < 3; i++) {
        g.in[i] = w[IN + i], g.out[i] = w[OUT + i], g.kernel[i] = w[KERNEL + i];
        g.stride[i] = w[STRIDE + i], g.dilation[i] = w[DILATION + i], g.pad[i] = w[PAD + i];
    }
    return g;
}

lmn_kset lmn_tune_rows(const lmn_tune_key *k, const lmn_kset *set)
{
    lmn_kset s = *set;
    if (k->family == LMN_TUNE_CONV_F32 && k->word[STRICT]) s.wino_f32 = NULL;
    return s;
}

static bool between(const int64_t *w, int32_t n, int64_t lo, int64_t hi)
{
    for (int32_t i = 0; i < n; i++)
        if (w[i] < lo || w[i] > hi) return false;
    return true;
}

static bool sane_extents(const int64_t *w)
{
    const double m = (double)w[M], n = (double)w[N], k = (double)w[K], most = 0x1p40;
    return between(w, 4, 1, INT32_MAX) && m * n <= most && m * k <= most && n * k <= most &&
           m * n * (double)w[BATCH] <= most;
}

static bool sane_qgemm(const int64_t *w)
{
    return sane_extents(w) && between(w + Q_BRING, 1, 0, 1) &&
           between(w + Q_ITEMS, 1, 1, INT32_MAX) && between(w + Q_THREADS, 1, 1, 65536);
}

static bool sane_gemm(const int64_t *w)
{
    return sane_extents(w) && !(w[FLAGS] & ~(int64_t)KEPT_FLAGS) &&
           between(w + ITEMS, 1, 1, INT32_MAX) && between(w + G_EPI, 1, 0, 64) &&
           between(w + G_THREADS, 1, 1, 65536);
}

static double volume(const int64_t *w)
{
    return (double)w[0] * (double)w[1] * (double)w[2];
}

static bool sane_conv(const int64_t *w)
{
    if (!between(w + STRICT, 1, 0, 1) || !between(w + IMAGES, PAD - IMAGES, 1, INT32_MAX) ||
        !between(w + PAD, 3, 0, INT32_MAX) || !between(w + C_EPI, 1, 0, 64) ||
        !between(w + C_THREADS, 1, 1, 65536))
        return false;
    if (w[C_IN] % w[GROUPS] || w[C_OUT] % w[GROUPS]) return false;
    const double terms = (double)(w[C_IN] / w[GROUPS]) * volume(w + KERNEL);
    const double images = (double)w[IMAGES], most = 0x1p34;
    return terms <= 0x1p24 && terms * (double)w[C_OUT] <= most &&
           images * (double)w[GROUPS] * volume(w + OUT) <= 0x1p30 &&
           images * (double)w[C_OUT] * volume(w + OUT) <= most &&
           images * (double)w[C_IN] * volume(w + IN) <= most;
}

bool lmn_tune_key_sane(const lmn_tune_key *k)
{
    if (k->family < 0 || k->family >= LMN_TUNE_FAMILIES || k->n != WORDS[k->family]) return false;
    if (k->family == LMN_TUNE_QGEMM_I8) return LMN_KSET_SHORTENS && sane_qgemm(k->word);
    return k->family == LMN_TUNE_GEMM_F32 ? sane_gemm(k->word) : sane_conv(k->word);
}

bool lmn_tune_possible(const lmn_tune_key *k, const lmn_kset *set, const lmn_choice *c)
{
    const lmn_kset rows = lmn_tune_rows(k, set);
    if (k->family == LMN_TUNE_GEMM_F32) {
        const lmn_gemm_shape s = shape_of(k);
        lmn_gemm_plan p;
        return lmn_gemm_f32_plan_as(rows.gemm_f32, &s, c, &p);
    }
    if (LMN_KSET_SHORTENS && k->family == LMN_TUNE_QGEMM_I8) {
        const lmn_qgemm_shape s = qshape_of(k);
        lmn_qgemm_plan p;
        return lmn_qgemm_plan_as(rows.qgemm_i8, &s, c, &p);
    }
    const lmn_conv_geom g = geom_of(k);
    lmn_conv_plan p;
    return lmn_conv_f32_plan_as(&rows, &g, c, &p);
}

void lmn_tune_choices(const lmn_tune_key *k, const lmn_kset *set, lmn_choices *out)
{
    const lmn_kset rows = lmn_tune_rows(k, set);
    if (k->family == LMN_TUNE_GEMM_F32) {
        const lmn_gemm_shape s = shape_of(k);
        lmn_gemm_f32_choices(rows.gemm_f32, &s, out);
        return;
    }
    if (LMN_KSET_SHORTENS && k->family == LMN_TUNE_QGEMM_I8) {
        const lmn_qgemm_shape s = qshape_of(k);
        lmn_qgemm_choices(rows.qgemm_i8, &s, out);
        return;
    }
    const lmn_conv_geom g = geom_of(k);
    lmn_conv_f32_choices(&rows, &g, out);
}

/* ---- text -------------------------------------------------------------------------------------
 */

void lmn_tune_key_text(const lmn_tune_key *k, char *buf, size_t cap)
{
    const int64_t *w = k->word;
    size_t o;
    if (k->family != LMN_TUNE_CONV_F32) {
        const bool f32 = k->family == LMN_TUNE_GEMM_F32;
        const int64_t flags = f32 ? w[FLAGS] : 0;
        o = lmn_format(buf, cap, "%lld x %lld x %lld", (long long)w[M], (long long)w[N],
                       (long long)w[K]);
        const long long batch = (long long)(w[BATCH] * w[f32 ? ITEMS : Q_ITEMS]);
        if (batch > 1) o += lmn_format(buf + o, cap - o, ", %lld times", batch);
        if (!f32 && w[Q_BRING]) o += lmn_format(buf + o, cap - o, ", by windows");
        if (flags & LMN_GEMM_TRANS_A) o += lmn_format(buf + o, cap - o, ", A'");
        if (flags & LMN_GEMM_TRANS_B) (void)lmn_format(buf + o, cap - o, ", B'");
        return;
    }
    o = lmn_format(buf, cap, "%lldx%lldx%lld -> %lld, %lldx%lld", (long long)w[C_IN],
                   (long long)(w[IN] * w[IN + 1]), (long long)w[IN + 2], (long long)w[C_OUT],
                   (long long)(w[KERNEL] * w[KERNEL + 1]), (long long)w[KERNEL + 2]);
    if (w[STRIDE + 2] > 1 || w[STRIDE + 1] > 1)
        o += lmn_format(buf + o, cap - o, "/%lld", (long long)w[STRIDE + 2]);
    if (w[GROUPS] > 1) o += lmn_format(buf + o, cap - o, ", %lld groups", (long long)w[GROUPS]);
    if (w[IMAGES] > 1) (void)lmn_format(buf + o, cap - o, ", %lld images", (long long)w[IMAGES]);
}

const char *lmn_choice_path_name(int32_t path)
{
    static const char *const NAMES[] = {
#define X(id, name) name,
        LMN_CHOICE_LIST(X)
#undef X
    };
    return NAMES[path];
}

void lmn_choice_text(const lmn_choice *c, char *buf, size_t cap)
{
    const bool blocks = c->mc || c->nc || c->kc;
    size_t o =
        lmn_format(buf, cap, "%s", c->path || !blocks ? lmn_choice_path_name(c->path) : "blocks");
    if (c->mc) o += lmn_format(buf + o, cap - o, " mc %d", c->mc);
    if (c->nc) o += lmn_format(buf + o, cap - o, " nc %d", c->nc);
    if (c->kc) (void)lmn_format(buf + o, cap - o, " kc %d", c->kc);
}
