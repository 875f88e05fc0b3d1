/*
 * QBlockMatMul on the qgemm family: for some columns and rows the product of every block of k is
 * added up in f32 in a worker's scratch, and the last one ends in bytes. Weights of 4 bits become
 * int8, zero points taken off, block by block. Chunks depend on the shape only.
 */
#include "devices/cpu/cpu_quant.h"
#include "ops/qmatmul.h"
#include "ops/wide.h"

#include <string.h>

enum { COLS = 384, ROWS = 128 }; /* of a chunk */

typedef struct block_job {
    lmn_qmatmul q; /* shapes only */
    int64_t block, n_blocks, row_chunks;
    const uint8_t *a, *b, *b_zp;
    const float *b_scale;
    float a_scale;
    lamina_dtype b_type;
    lmn_qgemm_args args; /* what all blocks share */
    const lmn_qgemm_row *row;
    uint8_t *y;
    lmn_cpu_scratch scratch;
    size_t slab_bytes, mul_bytes, sum_bytes;
} block_job;

typedef uint8_t bytes16 __attribute__((vector_size(16)));

static inline int8_t one_of(uint8_t two, int64_t at, int flip)
{
    return (int8_t)(((two >> (at % 2 * 4) & 15) ^ flip) - flip);
}

/* Elements [at, at + n) of packed 4-bit integers. */
static void widen(const uint8_t *packed, int64_t at, int64_t n, bool is_signed, int8_t *dst)
{
    const uint8_t flip = is_signed ? 8 : 0;
    int64_t i = 0;
    for (; i < n && (at + i) % 2; i++) dst[i] = one_of(packed[(at + i) / 2], at + i, flip);
    for (; i + 32 <= n; i += 32) {
        bytes16 x;
        memcpy(&x, packed + (at + i) / 2, sizeof x);
        const bytes16 low = ((x & 15) ^ flip) - flip, high = ((x >> 4) ^ flip) - flip;
        const bytes16 first = __builtin_shufflevector(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20,
                                                      5, 21, 6, 22, 7, 23);
        const bytes16 second = __builtin_shufflevector(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12,
                                                       28, 13, 29, 14, 30, 15, 31);
        memcpy(dst + i, &first, sizeof first);
        memcpy(dst + i + 16, &second, sizeof second);
    }
    for (; i < n; i++) dst[i] = one_of(packed[(at + i) / 2], at + i, flip);
}

/* k rows from k0 on of n columns from col on, all of block b, less their zero points. */
static void bring(const block_job *j, int64_t b, int64_t k, int64_t col, int64_t n, int8_t *slab)
{
    const bool is_signed = j->b_type == LAMINA_I4 || j->b_type == LAMINA_I8;
    int8_t zp[COLS];
    if (j->b_zp) widen(j->b_zp, b * j->q.n + col, n, is_signed, zp);
    for (int64_t r = 0; r < k; r++, slab += n) {
        const int64_t at = (b * j->block + r) * j->q.n + col;
        if (j->b_type == LAMINA_I8)
            memcpy(slab, j->b + at, (size_t)n);
        else
            widen(j->b, at, n, is_signed, slab);
        for (int64_t i = 0; j->b_zp && i < n; i++) slab[i] = (int8_t)(slab[i] - zp[i]);
    }
}

static void block_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const block_job *j = arg;
    const int64_t row = chunk % j->row_chunks * ROWS, col = chunk / j->row_chunks * COLS;
    const int64_t m = lmn_min_i64(ROWS, j->q.m - row), n = lmn_min_i64(COLS, j->q.n - col);
    uint8_t *own = lmn_cpu_scratch_of(&j->scratch, worker);
    int8_t *slab = (int8_t *)own;
    float *mul = (float *)(void *)(own + j->slab_bytes);
    float *sum = (float *)(void *)(own + j->slab_bytes + j->mul_bytes);
    uint8_t *rest = own + j->slab_bytes + j->mul_bytes + j->sum_bytes;
    for (int64_t b = 0; b < j->n_blocks; b++) {
        const int64_t k0 = b * j->block, k = lmn_min_i64(j->block, j->q.k - k0);
        const float *scale = j->b_scale + b * j->q.n + col;
        lmn_qgemm_args args = j->args;
        lmn_qgemm_plan plan;
        bring(j, b, k, col, n, slab);
        for (int64_t i = 0; i < n; i++) mul[i] = j->a_scale * scale[i];
        args.a = j->a + row * j->q.k + k0, args.b = (const uint8_t *)slab, args.ldb = n;
        args.col_mul = mul;
        args.plus = b ? sum : NULL, args.ld_plus = n;
        args.c = sum, args.ldc = n;
        if (b + 1 == j->n_blocks) {
            args.out = LMN_QGEMM_BYTES;
            args.c = j->y + row * j->q.n + col, args.ldc = j->q.n;
        }
        lmn_qgemm_plan_make(j->row, &(lmn_qgemm_shape){.m = m, .n = n, .k = k, .n_batch = 1},
                            &plan);
        for (int64_t c = 0; c < plan.n_chunks; c++) lmn_qgemm_chunk(&plan, &args, c, rest);
    }
}

/* Types, shapes and numbers that the kernels know; false leaves the node to the reference. */
static bool block_read(lmn_eval *ec, block_job *j)
{
    const lamina_tensor *a = lmn_in(ec, 0), *b = lmn_in(ec, 3), *s = lmn_in(ec, 4),
                        *z = lmn_in(ec, 5), *y_zp = lmn_in(ec, 7);
    const int32_t *many;
    j->b_type = b->dtype;
    j->block = lmn_min_i64(lmn_attr_i(ec->node, "block_size", 0), j->q.k);
    if (!lmn_cpu_is_8bit(a) || a->rank < 2 || b->rank != 2 || s->rank != 2 || j->block < 1)
        return false;
    if (b->dtype != LAMINA_I4 && b->dtype != LAMINA_U4 && (b->dtype != LAMINA_I8 || z))
        return false;
    j->n_blocks = (j->q.k + j->block - 1) / j->block;
    if (s->dims[0] != j->n_blocks || s->dims[1] != j->q.n) return false;
    if (z && !lmn_dims_equal(z->rank, z->dims, s->rank, s->dims)) return false;
    j->args.a_signed = lmn_cpu_is_signed(a), j->args.b_signed = true, j->args.lda = j->q.k;
    if (!lmn_cpu_zero_point(ec, lmn_in(ec, 2), j->args.a_signed, -1, &j->args.a_zp, &many) ||
        !lmn_cpu_scale(lmn_in(ec, 1), &j->a_scale) || !lmn_cpu_scale(lmn_in(ec, 6), &j->args.div) ||
        lmn_count(y_zp) != 1)
        return false;
    lmn_cpu_out_range(y_zp, &j->args.zp, &j->args.lo, &j->args.hi);
    j->args.out = LMN_QGEMM_F32;
    j->a = a->data, j->b = b->data, j->b_scale = s->data, j->b_zp = z ? z->data : NULL;
    return true;
}

/* Scratch of the kernels for whole chunks and blocks and for what is left at the ends. */
static size_t kernel_scratch(const block_job *j)
{
    const int64_t m[2] = {ROWS, j->q.m % ROWS}, n[2] = {COLS, j->q.n % COLS},
                  k[2] = {j->block, j->q.k % j->block};
    size_t most = 0;
    for (int i = 0; i < 8; i++) {
        lmn_qgemm_plan plan;
        const lmn_qgemm_shape s = {.m = m[i & 1], .n = n[i >> 1 & 1], .k = k[i >> 2], .n_batch = 1};
        lmn_qgemm_plan_make(j->row, &s, &plan);
        most = plan.scratch_bytes > most ? plan.scratch_bytes : most;
    }
    return most;
}

static lamina_status run_block(const lamina_kernel *k, lmn_eval *ec)
{
    block_job j = {.row = k->dev->kset.qgemm_i8};
    LMN_TRY(lmn_eval_ready(ec)); /* types, before their bytes are read */
    LMN_TRY(lmn_qmatmul_setup(ec, lmn_in(ec, 0), lmn_in(ec, 3), &j.q));
    if (!block_read(ec, &j)) return lmn_cpu_reference(ec);
    j.q.m *= j.q.n_batch;
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, lmn_in(ec, 7)->dtype, j.q.rank, j.q.dims, &y));
    if (!y || j.q.m == 0 || j.q.n == 0) return LAMINA_OK;
    if (j.q.m >= LMN_CPU_EXTENT_MAX || j.q.n >= LMN_CPU_EXTENT_MAX || j.q.k >= LMN_CPU_EXTENT_MAX ||
        j.n_blocks == 0)
        return lmn_cpu_reference(ec);
    j.y = y->data;
    j.slab_bytes = lmn_align_up((size_t)(j.block * COLS), 64);
    j.mul_bytes = lmn_align_up(COLS * sizeof(float), 64);
    j.sum_bytes = lmn_align_up((size_t)ROWS * COLS * sizeof(float), 64);
    LMN_TRY(lmn_cpu_worker_scratch(
        ec, j.slab_bytes + j.mul_bytes + j.sum_bytes + kernel_scratch(&j), &j.scratch));
    j.row_chunks = (j.q.m + ROWS - 1) / ROWS;
    lmn_par_for(ec->par, j.row_chunks * ((j.q.n + COLS - 1) / COLS), block_chunk, &j);
    return LAMINA_OK;
}

static bool supports_block(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_8bit(dev, node, 0, text, cap);
}

const lmn_cpu_binding lmn_cpu_qblock = {.domain = "lamina",
                                        .op = "QBlockMatMul",
                                        .families = "qgemm.i8",
                                        .supports = supports_block,
                                        .run = run_block};
