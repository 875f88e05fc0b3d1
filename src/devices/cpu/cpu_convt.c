/*
 * ConvTranspose in f32 on the convolution driver. Outputs whose distance modulo the stride is the
 * same see the same taps: they are one convolution of stride 1 with those taps turned round, so a
 * stride of 2 x 2 is four small convolutions. Their weights are sorted and their outputs dealt into
 * the result here. A stride above 1 with a dilation, and padding that would cut into the taps, are
 * left to the reference.
 */
#include "devices/cpu/cpu_tools.h"
#include "devices/cpu/cpu_window.h"
#include "kernels/conv/conv_plan.h"
#include "kernels/gemm/gemm.h"

enum { MAX_PHASES = 64 };

typedef struct convt {
    int64_t n, c_in, c_out;
    lmn_cpu_window v; /* `in` and `out` of the transposed convolution */
    int32_t threads;
} convt;

/* One residue of the outputs in every axis. */
typedef struct phase {
    int64_t r[3];               /* output + pad, modulo the stride */
    int64_t first[3], count[3]; /* its outputs: first + i * stride */
    int64_t taps[3];            /* 0: they see none, only the bias */
    lmn_conv_geom g;
} phase;

/* What the loops over channels and planes work on. */
typedef struct convt_job {
    const convt *t;
    phase ph;
    const float *w, *bias, *part;          /* part: outputs of the phase, dense */
    float *sorted, *y;                     /* sorted: phase by phase [c_out][c_in / groups][taps] */
    int64_t *order, start[MAX_PHASES + 1]; /* see list_taps */
    lmn_conv_plan plan;
    lmn_conv_args args;
    lmn_cpu_scratch scratch;
} convt_job;

/* False: the driver does not take this phase. */
static bool phase_at(const convt *t, int64_t index, phase *ph)
{
    ph->g = (lmn_conv_geom){.n = t->n, .c_in = t->c_in, .c_out = t->c_out, .groups = t->v.groups};
    ph->g.threads = t->threads;
    for (int a = 2; a >= 0; a--) {
        const int64_t s = t->v.stride[a], d = t->v.dilation[a], r = index % s;
        index /= s;
        const int64_t first = ((r - t->v.pad[a]) % s + s) % s;
        const int64_t taps = r < t->v.kernel[a] ? (t->v.kernel[a] - r + s - 1) / s : 0;
        ph->r[a] = r, ph->first[a] = first, ph->taps[a] = taps;
        ph->count[a] = first < t->v.out[a] ? (t->v.out[a] - 1 - first) / s + 1 : 0;
        ph->g.in[a] = t->v.in[a], ph->g.out[a] = ph->count[a], ph->g.kernel[a] = taps;
        ph->g.stride[a] = 1, ph->g.dilation[a] = d;
        ph->g.pad[a] = taps ? (taps - 1) * d - (first + t->v.pad[a] - r) / s : 0;
        if (ph->g.pad[a] < 0) return false;
    }
    return true;
}

static int64_t phase_count(const convt *t)
{
    return t->v.stride[0] * t->v.stride[1] * t->v.stride[2];
}

/* Taps of all phases, phase by phase in the order of their convolutions, as places in a filter. */
static void list_taps(const convt *t, convt_job *j)
{
    int64_t *to = j->order;
    for (int64_t n = 0; n < phase_count(t); n++) {
        phase p;
        (void)phase_at(t, n, &p);
        j->start[n] = to - j->order;
        for (int64_t i = 0; i < lmn_conv_volume(p.taps); i++) {
            int64_t left = i, at = 0, k[3];
            for (int a = 2; a >= 0; a--) {
                k[a] = p.r[a] + t->v.stride[a] * (p.taps[a] - 1 - left % p.taps[a]);
                left /= p.taps[a];
            }
            for (int a = 0; a < 3; a++) at = at * t->v.kernel[a] + k[a];
            *to++ = at;
        }
    }
    j->start[phase_count(t)] = to - j->order;
}

/* Weights of one output channel to their places in all phases. */
static void sort_weights(void *arg, int64_t co, int32_t worker)
{
    (void)worker;
    const convt_job *j = arg;
    const convt *t = j->t;
    const int64_t c_group = t->c_in / t->v.groups, m_group = t->c_out / t->v.groups;
    const int64_t kvol = lmn_conv_volume(t->v.kernel), n_phases = phase_count(t);
    for (int64_t c = 0; c < c_group; c++) {
        const int64_t ci = co / m_group * c_group + c;
        const float *from = j->w + (ci * m_group + co % m_group) * kvol;
        for (int64_t n = 0; n < n_phases; n++) {
            const int64_t taps = j->start[n + 1] - j->start[n], *order = j->order + j->start[n];
            float *to = j->sorted + t->c_out * c_group * j->start[n] + (co * c_group + c) * taps;
            for (int64_t i = 0; i < taps; i++) to[i] = from[order[i]];
        }
    }
}

/* Deal one plane of the phase into the result; without taps it is the bias. */
static void deal_plane(void *arg, int64_t plane, int32_t worker)
{
    (void)worker;
    const convt_job *j = arg;
    const convt *t = j->t;
    const phase *p = &j->ph;
    const int64_t s = t->v.stride[2], n = p->count[2];
    const float bias = j->bias ? j->bias[plane % t->c_out] : 0.0f;
    const float *from = j->part ? j->part + plane * lmn_conv_volume(p->count) : NULL;
    float *y = j->y + plane * lmn_conv_volume(t->v.out);
    for (int64_t row = 0; row < p->count[0] * p->count[1]; row++) {
        const int64_t z = p->first[0] + row / p->count[1] * t->v.stride[0];
        const int64_t h = p->first[1] + row % p->count[1] * t->v.stride[1];
        float *to = y + (z * t->v.out[1] + h) * t->v.out[2] + p->first[2];
        if (!from)
            for (int64_t i = 0; i < n; i++) to[i * s] = bias;
        else if (s == 2)
            for (int64_t i = 0; i < n; i++) to[i * 2] = from[row * n + i];
        else
            for (int64_t i = 0; i < n; i++) to[i * s] = from[row * n + i];
    }
}

static void convt_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const convt_job *j = arg;
    lmn_conv_f32_chunk(&j->plan, &j->args, chunk, lmn_cpu_scratch_of(&j->scratch, worker));
}

static void convt_prepare(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const convt_job *j = arg;
    lmn_conv_f32_prepare(&j->plan, &j->args, chunk);
}

/* Scratch for all phases, one after the other. */
typedef struct convt_room {
    size_t scratch, shared, part;
    lmn_cpu_scratch workers;
    float *shared_at, *part_at;
} convt_room;

static lamina_status make_room(lmn_eval *ec, const lmn_kset *set, const convt *t, convt_room *room,
                               bool *taken)
{
    *room = (convt_room){0}, *taken = false;
    for (int64_t i = 0; i < phase_count(t); i++) {
        phase p;
        lmn_conv_plan plan;
        if (!phase_at(t, i, &p)) return LAMINA_OK;
        const int64_t outputs = lmn_conv_volume(p.count), taps = lmn_conv_volume(p.taps);
        if (outputs == 0 || taps == 0) continue;
        lmn_conv_f32_plan(set, &p.g, &plan);
        const size_t y = (size_t)(t->n * t->c_out * outputs) * sizeof(float);
        if (y > room->part) room->part = y;
        if (plan.scratch_bytes > room->scratch) room->scratch = plan.scratch_bytes;
        if (plan.shared_bytes > room->shared) room->shared = plan.shared_bytes;
    }
    *taken = true;
    if (phase_count(t) == 1) room->part = 0;
    LMN_TRY(lmn_cpu_worker_scratch(ec, room->scratch, &room->workers));
    if ((room->shared && !(room->shared_at = lmn_scratch(ec, room->shared))) ||
        (room->part && !(room->part_at = lmn_scratch(ec, room->part))))
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    return LAMINA_OK;
}

static void run_phase(lmn_eval *ec, const lmn_kset *set, convt_job *j, const convt_room *room,
                      const float *weights)
{
    const convt *t = j->t;
    const int64_t planes = t->n * t->c_out;
    if (lmn_conv_volume(j->ph.count) == 0) return;
    j->part = NULL;
    if (lmn_conv_volume(j->ph.taps) > 0) {
        lmn_epi epi = {.n_ops = 1};
        epi.op[0] = (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_ROW, .x = j->bias};
        lmn_conv_f32_plan(set, &j->ph.g, &j->plan);
        j->args.w = weights, j->args.y = room->part_at ? room->part_at : j->y;
        j->args.epi = j->bias ? &epi : NULL;
        j->args.shared = room->shared_at;
        j->scratch = room->workers;
        if (j->plan.n_prepare) lmn_par_for(ec->par, j->plan.n_prepare, convt_prepare, j);
        lmn_par_for(ec->par, j->plan.n_chunks, convt_chunk, j);
        if (!room->part_at) return;
        j->part = room->part_at;
    }
    lmn_par_for(ec->par, planes, deal_plane, j);
}

/* False: something the driver does not know, or an error. */
static bool read_node(const lmn_eval *ec, convt *t, int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 1), *b = lmn_in(ec, 2);
    if (!lmn_cpu_is_f32(x) || !lmn_cpu_is_f32(w) || x->rank != w->rank || x->rank < 3) return false;
    lmn_cpu_window *v = &t->v;
    if (!lmn_cpu_deconv_window_of(ec->node, x, w->dims + 2, v, dims + 2)) return false;
    t->n = x->dims[0], t->c_in = x->dims[1];
    if (v->groups < 1 || w->dims[0] != t->c_in || t->c_in % v->groups) return false;
    if (w->dims[1] > LMN_CPU_EXTENT_MAX / v->groups) return false;
    t->c_out = w->dims[1] * v->groups, t->threads = lmn_par_width(ec->par);
    dims[0] = t->n, dims[1] = t->c_out;
    if (t->n < 1 || t->c_in < 1 || t->c_out < 1) return false;
    for (int a = 0; a < 3; a++) {
        if (v->stride[a] > MAX_PHASES || (v->stride[a] > 1 && v->dilation[a] > 1)) return false;
        if (v->out[a] < 1 || v->kernel[a] < 1) return false;
    }
    if (phase_count(t) > MAX_PHASES) return false;
    return !b || (lmn_cpu_is_f32(b) && b->rank == 1 && b->dims[0] == t->c_out);
}

static lamina_status run_convt(const lamina_kernel *k, lmn_eval *ec)
{
    convt t;
    convt_room room;
    int64_t dims[LMN_MAX_RANK];
    bool taken;
    if (!read_node(ec, &t, dims)) return lmn_cpu_reference(ec);
    const bool strict = k->precision == LAMINA_PRECISION_STRICT;
    const lmn_kset *set = strict ? &k->dev->strict : &k->dev->kset;
    LMN_TRY(make_room(ec, set, &t, &room, &taken));
    if (!taken) return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, lmn_in(ec, 0)->rank, dims, &y));
    if (!y) return LAMINA_OK;
    const lamina_tensor *bias = lmn_in(ec, 2);
    convt_job j = {.t = &t, .w = lmn_in(ec, 1)->data, .y = y->data};
    j.bias = bias ? bias->data : NULL;
    j.args.x = lmn_in(ec, 0)->data;
    const int64_t pairs = t.c_out * (t.c_in / t.v.groups), kvol = lmn_conv_volume(t.v.kernel);
    j.order = lmn_scratch(ec, (size_t)kvol * sizeof *j.order);
    j.sorted = lmn_scratch(ec, (size_t)(pairs * kvol) * sizeof *j.sorted);
    if (!j.order || !j.sorted) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "out of scratch memory");
    list_taps(&t, &j);
    lmn_par_for(ec->par, t.c_out, sort_weights, &j);
    for (int64_t i = 0; i < phase_count(&t); i++)
        if (phase_at(&t, i, &j.ph)) run_phase(ec, set, &j, &room, j.sorted + pairs * j.start[i]);
    return LAMINA_OK;
}

static bool supports_convt(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    if (lmn_cpu_rank(node, 0) > 5) {
        (void)lmn_format(text, cap, "more than three spatial axes");
        return false;
    }
    return lmn_cpu_takes_f32(node, 0, &dev->kset.gemm_f32->head, text, cap);
}

const lmn_cpu_binding lmn_cpu_conv_transpose = {
    .domain = "",
    .op = "ConvTranspose",
    .families = "gemm.f32 im2col.f32 dwconv.f32 wino.f32",
    .supports = supports_convt,
    .run = run_convt,
};
