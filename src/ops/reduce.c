/*
 * The reduction engine (reduce.h). Neighbouring axes of one kind (kept or reduced) are merged, so
 * that the innermost group decides how to walk: reduced: each output folds contiguous runs; kept:
 * a tile of neighbouring outputs is folded lane by lane, row after row. Either way memory is read
 * forward and in blocks converted to the class type.
 */
#include "ops/reduce.h"

#include <string.h>

#define BLOCK 256         /* elements converted at once; also the outputs of a tile */
#define CHUNK_ELEMS 16384 /* input elements of one parallel chunk, about */

typedef struct axis_list {
    int32_t n;
    int64_t dims[LMN_MAX_RANK], strides[LMN_MAX_RANK];
    int64_t count;
} axis_list;

typedef struct reduction {
    const lmn_reducer *r;
    const lamina_tensor *x;
    lamina_tensor *y;
    lamina_dtype as;
    int64_t elem_bytes;
    axis_list kept, red; /* without the innermost group */
    int64_t inner;       /* extent of the innermost group, stride 1 */
    bool inner_kept;
    int64_t n_tiles, tiles_per_row, tiles_per_chunk;
} reduction;

/* ---- axes --------------------------------------------------------------------------------------
 */

static lamina_status read_axes(lmn_eval *ec, int32_t rank, bool *reduced)
{
    const lamina_tensor *axes = lmn_in(ec, 1);
    const int64_t n = axes ? lmn_count(axes) : 0;
    const bool all = n == 0 && lmn_attr_i(ec->node, "noop_with_empty_axes", 0) == 0;
    for (int32_t d = 0; d < rank; d++) reduced[d] = all;
    for (int64_t i = 0; i < n; i++) {
        const int64_t a = lmn_get_i64(axes, i);
        if (rank == 0 && (a == 0 || a == -1)) continue;
        if (a < -rank || a >= rank)
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "axis %lld is outside [%d, %d]", (long long)a,
                                 -rank, rank - 1);
        reduced[a < 0 ? a + rank : a] = true;
    }
    return LAMINA_OK;
}

static void push_group(reduction *w, int64_t extent, int64_t stride, bool red)
{
    axis_list *l = red ? &w->red : &w->kept;
    l->dims[l->n] = extent;
    l->strides[l->n++] = stride;
    l->count *= extent;
}

/* Merge axes of one kind from the inside out; extents of 1 belong to any group. */
static void lay_out(reduction *w, const bool *reduced)
{
    const lamina_tensor *x = w->x;
    axis_list *lists[2] = {&w->kept, &w->red};
    int64_t extent = 1, group_stride = 1, stride = 1;
    bool kind = true, first = true, open = false;
    w->kept.count = w->red.count = 1;
    w->inner = 1;
    w->inner_kept = false;
    for (int32_t d = x->rank; d >= 0; d--) {
        const bool end = d == 0;
        if (!end && x->dims[d - 1] == 1) continue;
        if (!end && open && reduced[d - 1] == kind) {
            extent *= x->dims[d - 1];
            stride *= x->dims[d - 1];
            continue;
        }
        if (open && first) {
            w->inner = extent;
            w->inner_kept = !kind;
            first = false;
        } else if (open) {
            push_group(w, extent, group_stride, kind);
        }
        if (end) break;
        open = true;
        kind = reduced[d - 1];
        extent = x->dims[d - 1];
        group_stride = stride;
        stride *= extent;
    }
    /* Pushed inside out; walked outside in. */
    for (int32_t k = 0; k < 2; k++) {
        axis_list *l = lists[k];
        for (int32_t i = 0, j = l->n - 1; i < j; i++, j--) {
            const int64_t dim = l->dims[i], st = l->strides[i];
            l->dims[i] = l->dims[j], l->strides[i] = l->strides[j];
            l->dims[j] = dim, l->strides[j] = st;
        }
    }
}

static int64_t offset_of(const axis_list *l, int64_t index)
{
    int64_t at = 0;
    for (int32_t d = l->n - 1; d >= 0; d--) {
        at += index % l->dims[d] * l->strides[d];
        index /= l->dims[d];
    }
    return at;
}

/* ---- folding -----------------------------------------------------------------------------------
 */

static const void *load(const reduction *w, int64_t at, int64_t n, void *buf)
{
    const uint8_t *p = (const uint8_t *)w->x->data + at * w->elem_bytes;
    if (w->as == w->x->dtype) return p;
    lmn_convert(w->as, buf, w->x->dtype, p, n, true);
    return buf;
}

/* One tile: `lanes` neighbouring outputs from output `first` on, whose data begin at `at`. */
static void run_tile(const reduction *w, int64_t first, int64_t at, int64_t lanes)
{
    _Alignas(64) uint8_t acc[BLOCK * LMN_REDUCE_ACC_MAX], buf[BLOCK * 8];
    const lmn_reducer *r = w->r;
    r->init(acc, lanes, w->x->dtype);
    int64_t idx[LMN_MAX_RANK] = {0};
    const int64_t run = w->inner_kept ? lanes : w->inner;
    for (int64_t k = 0; k < w->red.count; k++) {
        for (int64_t i = 0; i < run; i += BLOCK) {
            const int64_t n = lmn_min_i64(BLOCK, run - i);
            const void *x = load(w, at + i, n, buf);
            if (w->inner_kept)
                r->lanes(acc, x, n);
            else
                r->fold(acc, x, n);
        }
        for (int32_t d = w->red.n - 1; d >= 0; d--) {
            at += w->red.strides[d];
            if (++idx[d] < w->red.dims[d]) break;
            at -= w->red.dims[d] * w->red.strides[d];
            idx[d] = 0;
        }
    }
    const int64_t count = w->red.count * (w->inner_kept ? 1 : w->inner);
    uint8_t *y = (uint8_t *)w->y->data + first * (int64_t)lmn_dtype_bytes(w->y->dtype);
    r->finish(acc, buf, lanes, count);
    lmn_convert(w->y->dtype, y, w->as, buf, lanes, true);
}

static void run_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const reduction *w = arg;
    const int64_t end = lmn_min_i64(w->n_tiles, (chunk + 1) * w->tiles_per_chunk);
    for (int64_t tile = chunk * w->tiles_per_chunk; tile < end; tile++) {
        const int64_t row = tile / w->tiles_per_row, col = tile % w->tiles_per_row * BLOCK;
        const int64_t at = offset_of(&w->kept, row);
        if (w->inner_kept)
            run_tile(w, row * w->inner + col, at + col, lmn_min_i64(BLOCK, w->inner - col));
        else
            run_tile(w, row, at, 1);
    }
}

static const lmn_reducer *pick(const lmn_reduce_impl *impl, lamina_dtype dt, lamina_dtype *as)
{
    const lmn_dclass c = lmn_dtype_class(dt);
    *as = LAMINA_F64;
    if (c == LMN_CLASS_FLOAT) return impl->f64;
    if (c != LMN_CLASS_SINT && c != LMN_CLASS_UINT && c != LMN_CLASS_BOOL) return NULL;
    const lmn_reducer *r = c == LMN_CLASS_SINT ? impl->i64 : impl->u64;
    if (!r) return impl->f64;
    *as = c == LMN_CLASS_SINT ? LAMINA_I64 : LAMINA_U64;
    return r;
}

lamina_status lmn_reduce_eval(lmn_eval *ec, const lmn_reduce_impl *impl)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    if (!x) return lmn_eval_fail(ec, LAMINA_E_INVALID, "input 0 is missing");
    reduction w = {.x = x, .elem_bytes = (int64_t)lmn_dtype_bytes(x->dtype)};
    w.r = pick(impl, x->dtype, &w.as);
    if (!w.r || !w.elem_bytes)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "element type %s is not supported",
                             lamina_dtype_name(x->dtype));
    bool reduced[LMN_MAX_RANK];
    LMN_TRY(read_axes(ec, x->rank, reduced));
    const bool keep = lmn_attr_i(ec->node, "keepdims", 1) != 0;
    int64_t dims[LMN_MAX_RANK];
    int32_t rank = 0;
    for (int32_t d = 0; d < x->rank; d++)
        if (!reduced[d] || keep) dims[rank++] = reduced[d] ? 1 : x->dims[d];
    LMN_TRY(lmn_out(ec, 0, x->dtype, rank, dims, &w.y));
    if (!w.y || lmn_count(w.y) == 0) return LAMINA_OK;
    lay_out(&w, reduced);
    w.tiles_per_row = w.inner_kept ? (w.inner + BLOCK - 1) / BLOCK : 1;
    w.n_tiles = w.kept.count * w.tiles_per_row;
    const int64_t work = w.red.count * (w.inner_kept ? BLOCK : w.inner);
    w.tiles_per_chunk = lmn_max_i64(1, CHUNK_ELEMS / lmn_max_i64(1, work));
    lmn_par_for(ec->par, (w.n_tiles + w.tiles_per_chunk - 1) / w.tiles_per_chunk, run_chunk, &w);
    return LAMINA_OK;
}

int64_t lmn_reduce_lowest(lamina_dtype dt)
{
    const uint32_t bits = lamina_dtype_bits(dt);
    return bits >= 64 ? INT64_MIN : -((int64_t)1 << (bits - 1));
}

uint64_t lmn_reduce_highest(lamina_dtype dt)
{
    const uint32_t bits = dt == LAMINA_BOOL ? 1 : lamina_dtype_bits(dt);
    const uint64_t all = bits >= 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
    return lmn_dtype_class(dt) == LMN_CLASS_SINT ? all >> 1 : all;
}
