/*
 * Col2Im (ai.onnx, since 18): sums the columns [N, C * prod(block), L] back into an image
 * [N, C, image...]; overlapping blocks add. Sums run in f64 or int64 and are rounded once.
 */
#include "ops/shapes.h"

#include <string.h>

#define MAX_SPATIAL (LMN_MAX_RANK - 2)

static lamina_status infer_col2im(lmn_infer *ic)
{
    const lmn_dim *image, *block;
    const int32_t n = lmn_infer_elems(ic, 1, &image), nb = lmn_infer_elems(ic, 2, &block);
    const int64_t len = n >= 0 ? n : lmn_infer_length(ic, 1);
    const int32_t r = lmn_infer_rank(ic, 0);
    lmn_fact *f;
    if (r >= 0 && r != 3)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "shape it [N, C * prod(block_shape), L]",
                              "the input has rank %d, must have 3", r);
    LMN_TRY(lmn_infer_shape(ic, 0,
                            len < 0             ? -1
                            : len > MAX_SPATIAL ? LMN_MAX_RANK + 1
                                                : (int32_t)len + 2,
                            &f));
    if (f->rank < 0) return LAMINA_OK;
    for (int32_t k = 0; k < n; k++) f->dims[2 + k] = image[k];
    if (r != 3) return LAMINA_OK;
    f->dims[0] = ic->in[0]->dims[0];
    if (nb >= 0 && nb <= MAX_SPATIAL)
        f->dims[1] = lmn_dim_quotient(ic->dims, &ic->in[0]->dims[1], 1, block, nb);
    return LAMINA_OK;
}

typedef struct fold {
    int32_t n; /* spatial axes */
    int64_t image[MAX_SPATIAL], block[MAX_SPATIAL], cols[MAX_SPATIAL];
    int64_t stride[MAX_SPATIAL], dilation[MAX_SPATIAL], pad[MAX_SPATIAL];
    int64_t n_image, n_block, n_cols;
} fold;

/* Attribute `name` as n values with a default; false if it has another length or leaves [lo, 2^31).
 */
static bool read_list(const lmn_opnode *node, const char *name, int32_t n, int64_t lo, int64_t *out)
{
    const int64_t *v;
    const int32_t len = lmn_attr_ints(node, name, &v);
    for (int32_t k = 0; k < n; k++) out[k] = lo;
    if (len == 0) return true;
    if (len != n) return false;
    for (int32_t k = 0; k < n; k++) {
        if (v[k] < lo || v[k] > INT32_MAX) return false;
        out[k] = v[k];
    }
    return true;
}

static lamina_status read_fold(lmn_eval *ec, fold *f)
{
    int64_t pads[2 * MAX_SPATIAL];
    int32_t nb;
    LMN_TRY(lmn_ints(ec, 1, f->image, MAX_SPATIAL, &f->n));
    LMN_TRY(lmn_ints(ec, 2, f->block, MAX_SPATIAL, &nb));
    f->n_image = f->n_block = f->n_cols = 1;
    if (nb != f->n || f->n == 0 || !read_list(ec->node, "strides", f->n, 1, f->stride) ||
        !read_list(ec->node, "dilations", f->n, 1, f->dilation) ||
        !read_list(ec->node, "pads", 2 * f->n, 0, pads))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "image_shape, block_shape, strides, dilations and pads do not agree");
    for (int32_t k = 0; k < f->n; k++) {
        f->pad[k] = pads[k];
        if (f->image[k] < 1 || f->block[k] < 1 || f->image[k] > INT32_MAX ||
            f->block[k] > INT32_MAX)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "image and block extents must be 1 to 2^31-1");
        const int64_t room =
            f->image[k] + pads[k] + pads[f->n + k] - f->dilation[k] * (f->block[k] - 1) - 1;
        if (room < 0)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                 "the block is larger than the image on axis %d", k);
        f->cols[k] = room / f->stride[k] + 1;
        if (!lmn_mul_i64(f->n_image, f->image[k], &f->n_image) ||
            !lmn_mul_i64(f->n_block, f->block[k], &f->n_block) ||
            !lmn_mul_i64(f->n_cols, f->cols[k], &f->n_cols))
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "the image is too large");
    }
    return LAMINA_OK;
}

/* Place of column `col` under block place `b` in the image; -1 in the padding. */
static int64_t place(const fold *f, int64_t b, int64_t col)
{
    int64_t at[MAX_SPATIAL], off = 0;
    for (int32_t k = f->n - 1; k >= 0; k--) {
        at[k] = col % f->cols[k] * f->stride[k] - f->pad[k] + b % f->block[k] * f->dilation[k];
        if (at[k] < 0 || at[k] >= f->image[k]) return -1;
        col /= f->cols[k];
        b /= f->block[k];
    }
    for (int32_t k = 0; k < f->n; k++) off = off * f->image[k] + at[k];
    return off;
}

/* Add all columns of `planes` images; src and dst hold `parts` wide numbers an element. */
static void add_columns(const fold *f, int64_t planes, int32_t parts, const double *src,
                        double *dst)
{
    for (int64_t b = 0; b < f->n_block; b++)
        for (int64_t c = 0; c < f->n_cols; c++) {
            const int64_t to = place(f, b, c);
            for (int64_t p = 0; to >= 0 && p < planes; p++)
                for (int32_t k = 0; k < parts; k++)
                    dst[(p * f->n_image + to) * parts + k] +=
                        src[((p * f->n_block + b) * f->n_cols + c) * parts + k];
        }
}

static void add_int_columns(const fold *f, int64_t planes, const uint64_t *src, uint64_t *dst)
{
    for (int64_t b = 0; b < f->n_block; b++)
        for (int64_t c = 0; c < f->n_cols; c++) {
            const int64_t to = place(f, b, c);
            for (int64_t p = 0; to >= 0 && p < planes; p++)
                dst[p * f->n_image + to] += src[(p * f->n_block + b) * f->n_cols + c];
        }
}

static lamina_status eval_col2im(lmn_eval *ec)
{
    const lamina_tensor *x;
    int64_t dims[LMN_MAX_RANK];
    lamina_tensor *t;
    fold f;
    size_t in_bytes, out_bytes;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(read_fold(ec, &f));
    const lmn_dclass c = lmn_dtype_class(x->dtype);
    if (c == LMN_CLASS_STRING || x->rank != 3 || x->dims[1] % f.n_block != 0 ||
        x->dims[2] != f.n_cols)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the input must be [N, C * %lld, %lld] of numbers",
                             (long long)f.n_block, (long long)f.n_cols);
    dims[0] = x->dims[0];
    dims[1] = x->dims[1] / f.n_block;
    for (int32_t k = 0; k < f.n; k++) dims[2 + k] = f.image[k];
    LMN_TRY(lmn_check_grown(ec, x->dtype, f.n + 2, dims));
    LMN_TRY(lmn_out(ec, 0, x->dtype, f.n + 2, dims, &t));
    if (!t) return LAMINA_OK;
    const bool ints = c != LMN_CLASS_FLOAT && c != LMN_CLASS_COMPLEX;
    const int32_t parts = c == LMN_CLASS_COMPLEX ? 2 : 1;
    const lamina_dtype wide = ints ? LAMINA_I64 : parts == 2 ? LAMINA_C128 : LAMINA_F64;
    void *src = NULL, *dst = NULL;
    if (lmn_mul_size((size_t)lmn_count(x), 8 * (size_t)parts, &in_bytes) &&
        lmn_mul_size((size_t)lmn_count(t), 8 * (size_t)parts, &out_bytes)) {
        src = lmn_scratch(ec, in_bytes + 1);
        dst = lmn_scratch(ec, out_bytes + 1);
    }
    if (!src || !dst) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory to sum the columns");
    lmn_convert(wide, src, x->dtype, x->data, lmn_count(x), false);
    memset(dst, 0, out_bytes);
    if (ints)
        add_int_columns(&f, dims[0] * dims[1], src, dst);
    else
        add_columns(&f, dims[0] * dims[1], parts, src, dst);
    lmn_convert(x->dtype, t->data, wide, dst, lmn_count(t), false);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_ALL},
                              {"image_shape", 0, 0, LMN_DBIT(LAMINA_I64)},
                              {"block_shape", 0, 0, LMN_DBIT(LAMINA_I64)},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"dilations", LMN_ATTR_INTS, 0},
                                        {"pads", LMN_ATTR_INTS, 0},
                                        {"strides", LMN_ATTR_INTS, 0},
                                        {0}};

const lmn_op_def lmn_op_Col2Im = {
    .name = "Col2Im",
    .domain = "",
    .since = 18,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_col2im,
    .eval = eval_col2im,
};
