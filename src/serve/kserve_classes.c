/*
 * The classification extension: of each row the n largest elements, as texts "value:index" or
 * "value:index:label". A heap of the best holds what was seen, so a row costs n log n of it at
 * most. Equal values: the lower index first; NaN is below all.
 */
#include "serve/kserve_int.h"

#include "base/text.h"
#include "tensor/tensor.h"

#include <math.h>
#include <string.h>

typedef struct item {
    double v;
    int64_t i;
} item;

static bool better(item a, item b)
{
    return a.v > b.v || (a.v == b.v && a.i < b.i);
}

/* The worst is on top; let what stands at `at` sink. */
static void sink(item *heap, int64_t n, int64_t at)
{
    for (;;) {
        int64_t worst = at;
        for (int64_t c = 2 * at + 1; c <= 2 * at + 2 && c < n; c++)
            if (better(heap[worst], heap[c])) worst = c;
        if (worst == at) return;
        const item t = heap[at];
        heap[at] = heap[worst], heap[worst] = t;
        at = worst;
    }
}

/* The k best of elements from .. from + n, the best first. */
static void best_of(const lamina_tensor *t, int64_t from, int64_t n, item *heap, int64_t k)
{
    for (int64_t i = 0; i < n; i++) {
        double v = lmn_get_f64(t, from + i);
        if (isnan(v)) v = -INFINITY;
        const item it = {v, i};
        if (i < k) {
            heap[i] = it;
            if (i == k - 1)
                for (int64_t at = k / 2; at >= 0; at--) sink(heap, k, at);
        } else if (better(it, heap[0])) {
            heap[0] = it;
            sink(heap, k, 0);
        }
    }
    for (int64_t left = k - 1; left > 0; left--) {
        const item t0 = heap[0];
        heap[0] = heap[left], heap[left] = t0;
        sink(heap, left, 0);
    }
}

static size_t value_text(const lamina_tensor *t, int64_t i, char out[LMN_NUMBER_BYTES])
{
    switch (lmn_dtype_class(t->dtype)) {
    case LMN_CLASS_UINT: return lmn_u64_write(out, lmn_get_u64(t, i));
    case LMN_CLASS_SINT: return lmn_i64_write(out, lmn_get_i64(t, i));
    default: break;
    }
    const double v = lmn_get_f64(t, i);
    return t->dtype == LAMINA_F64 ? lmn_format_f64(out, v) : lmn_format_f32(out, (float)v);
}

static bool class_text(const lamina_tensor *t, int64_t from, int64_t i, const lmn_serve_port *port,
                       lmn_arena *arena, lmn_span *out)
{
    const char *label = port->labels && (uint64_t)i < port->n_labels ? port->labels[i] : NULL;
    const size_t label_n = label ? strlen(label) : 0;
    char number[LMN_NUMBER_BYTES];
    char *p = lmn_arena_bump(arena, 2 * LMN_NUMBER_BYTES + label_n + 2, 1);
    if (!p) return false;
    size_t n = value_text(t, from + i, number);
    memcpy(p, number, n);
    p[n++] = ':';
    n += lmn_i64_write(p + n, i);
    if (label) {
        p[n++] = ':';
        memcpy(p + n, label, label_n);
        n += label_n;
    }
    *out = (lmn_span){(const uint8_t *)p, n};
    return true;
}

lamina_status lmn_kserve_classes(const lamina_tensor *t, const lmn_serve_port *port, uint32_t n,
                                 bool batched, lmn_arena *arena, lmn_infer_tensor *out)
{
    const int64_t count = lmn_count(t), rows = batched && t->rank > 0 ? t->dims[0] : 1;
    const int64_t each = rows ? count / rows : 0, k = lmn_min_i64(n, each);
    item *heap = lmn_arena_raw(arena, (size_t)k + 1, sizeof *heap);
    lmn_span *texts = lmn_arena_raw(arena, (size_t)(rows * k) + 1, sizeof *texts);
    if (!heap || !texts) return LAMINA_E_NOMEM;
    *out = (lmn_infer_tensor){.dtype = LAMINA_STRING, .data = texts, .rank = batched ? 2 : 1};
    out->dims[0] = batched ? rows : k;
    out->dims[1] = k;
    for (int64_t r = 0; r < rows && k; r++) {
        best_of(t, r * each, each, heap, k);
        for (int64_t i = 0; i < k; i++) {
            lmn_span *text = &texts[r * k + i];
            if (!class_text(t, r * each, heap[i].i, port, arena, text)) return LAMINA_E_NOMEM;
            out->bytes += text->n;
        }
    }
    return LAMINA_OK;
}
