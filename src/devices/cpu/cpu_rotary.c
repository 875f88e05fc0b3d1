/*
 * RotaryEmbedding in f32 without position ids: a chunk is a run of places of one head. The products
 * are exact in f64, so the bits are those of the reference, with which it shares the arithmetic.
 */
#include "devices/cpu/cpu_tools.h"

#include <string.h>

enum { PLACES = 64 };

typedef struct rope_job {
    const float *x, *cos, *sin;
    float *y;
    int64_t heads, len, size, rot, batch_step; /* batch_step: of the angles, 0 where they repeat */
    int64_t head_step, place_step, chunks;     /* of x and y */
    bool interleaved;
} rope_job;

static void turn_row(const rope_job *j, const float *x, const float *c, const float *s, float *y)
{
    const int64_t half = j->rot / 2;
    if (j->interleaved) {
        for (int64_t i = 0; i < half; i++) {
            const double a = (double)x[2 * i], b = (double)x[2 * i + 1];
            y[2 * i] = (float)((double)c[i] * a - (double)s[i] * b);
            y[2 * i + 1] = (float)((double)s[i] * a + (double)c[i] * b);
        }
    } else {
        for (int64_t i = 0; i < half; i++) {
            const double a = (double)x[i], b = (double)x[half + i];
            y[i] = (float)((double)c[i] * a - (double)s[i] * b);
            y[half + i] = (float)((double)s[i] * a + (double)c[i] * b);
        }
    }
    if (y != x) memcpy(y + j->rot, x + j->rot, (size_t)(j->size - j->rot) * sizeof *y);
}

static void rope_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const rope_job *j = arg;
    const int64_t first = chunk % j->chunks * PLACES, head = chunk / j->chunks, b = head / j->heads,
                  h = head % j->heads, half = j->rot / 2;
    for (int64_t i = first; i < lmn_min_i64(first + PLACES, j->len); i++) {
        const int64_t at = b * j->heads * j->len * j->size + h * j->head_step + i * j->place_step,
                      angle = b * j->batch_step + i * half;
        turn_row(j, j->x + at, j->cos + angle, j->sin + angle, j->y + at);
    }
}

static bool read_angles(const lamina_tensor *t, int64_t batch, int64_t len, int64_t half)
{
    return lmn_cpu_is_f32(t) && t->rank == 3 && (t->dims[0] == batch || t->dims[0] == 1) &&
           t->dims[1] == len && t->dims[2] == half;
}

static lamina_status run_rotary(const lamina_kernel *k, lmn_eval *ec)
{
    (void)k;
    const lamina_tensor *x = lmn_in(ec, 0), *cos = lmn_in(ec, 1), *sin = lmn_in(ec, 2);
    if (!lmn_cpu_is_f32(x) || lmn_in(ec, 3) || (x->rank != 3 && x->rank != 4) || lmn_count(x) == 0)
        return lmn_cpu_reference(ec);
    const bool packed = x->rank == 3;
    rope_job j = {.interleaved = lmn_attr_i(ec->node, "interleaved", 0) != 0};
    j.heads = packed ? lmn_attr_i(ec->node, "num_heads", 0) : x->dims[1];
    if (j.heads <= 0 || (packed && x->dims[2] % j.heads)) return lmn_cpu_reference(ec);
    j.len = x->dims[packed ? 1 : 2];
    j.size = packed ? x->dims[2] / j.heads : x->dims[3];
    j.rot = lmn_attr_i(ec->node, "rotary_embedding_dim", 0);
    if (j.rot == 0) j.rot = j.size;
    if (j.rot < 0 || j.rot > j.size || j.rot % 2 ||
        !read_angles(cos, x->dims[0], j.len, j.rot / 2) ||
        !read_angles(sin, x->dims[0], j.len, j.rot / 2) || cos->dims[0] != sin->dims[0])
        return lmn_cpu_reference(ec);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    j.x = x->data, j.y = y->data, j.cos = cos->data, j.sin = sin->data;
    j.batch_step = cos->dims[0] == 1 ? 0 : j.len * (j.rot / 2);
    j.head_step = packed ? j.size : j.len * j.size;
    j.place_step = packed ? j.heads * j.size : j.size;
    j.chunks = (j.len + PLACES - 1) / PLACES;
    lmn_par_for(ec->par, x->dims[0] * j.heads * j.chunks, rope_chunk, &j);
    return LAMINA_OK;
}

static bool supports_rotary(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    (void)dev;
    const lmn_fact *x = node->op->n_in > 0 ? node->in[0] : NULL;
    const bool ids = node->op->n_in > 3 && node->in[3],
               f32 = x && x->kind == LMN_FACT_TENSOR && x->dtype == LAMINA_F32;
    (void)lmn_format(text, cap, "%s",
                     ids    ? "no fast kernel that looks up position ids"
                     : !f32 ? "the input is not float32"
                            : "rotary");
    return f32 && !ids;
}

const lmn_cpu_binding lmn_cpu_rotary = {
    .domain = "",
    .op = "RotaryEmbedding",
    .supports = supports_rotary,
    .run = run_rotary,
};
