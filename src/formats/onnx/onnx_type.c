/*
 * TypeProto and TensorShapeProto to facts.
 */
#include "formats/onnx/onnx_import.h"

#include <string.h>

#define MAX_SYMBOL 200u

static bool read_dim(lmn_dim_pool *pool, lmn_span body, lmn_dim *out)
{
    *out = LMN_DIM_UNKNOWN;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num == 1 && (int64_t)f.u >= 0) *out = lmn_dim_c((int64_t)f.u);
        if (f.num == 2 && f.s.n && f.s.n <= MAX_SYMBOL) {
            char name[4 * MAX_SYMBOL + 1];
            (void)lmn_format_name(name, sizeof name, f.s.p, f.s.n);
            *out = lmn_dim_sym(pool, name);
        }
    }
    /* Unnamed or negative: unknown, but one and the same number wherever it flows. */
    if (*out == LMN_DIM_UNKNOWN && pool) *out = lmn_dim_sym(pool, NULL);
    return !c.bad;
}

static bool read_tensor_type(lmn_dim_pool *pool, lmn_span body, lmn_fact *out, const char **why)
{
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num == 1) {
            out->dtype = (lamina_dtype)f.u;
            if (out->dtype && !lmn_dtype_valid(out->dtype))
                return *why = "an unknown element type", false;
        }
        if (f.num != 2) continue;
        out->rank = 0;
        lmn_pb d = lmn_pb_of(f.s);
        for (lmn_pb_field g; lmn_pb_next(&d, &g);) {
            if (g.num != 1) continue;
            if (out->rank == LMN_MAX_RANK) return *why = "more than 8 dimensions", false;
            if (!read_dim(pool, g.s, &out->dims[out->rank++]))
                return *why = "a damaged type", false;
        }
        if (d.bad) return *why = "a damaged type", false;
    }
    if (c.bad) return *why = "a damaged type", false;
    return true;
}

static bool read_type(lmn_dim_pool *pool, lmn_span type, lmn_fact *out, const char **why,
                      int depth);

/* TypeProto.Map: the values may be scalars only, declared as tensors without a shape, or of rank 0
   or 1. */
static bool read_map(lmn_dim_pool *pool, lmn_span body, lmn_fact *out, const char **why, int depth)
{
    lmn_span value = {0};
    uint64_t key = 0;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num == 1) key = f.u;
        if (f.num == 2) value = f.s;
    }
    if (c.bad) return *why = "a damaged type", false;
    if (key != (uint64_t)LAMINA_I64 && key != (uint64_t)LAMINA_STRING)
        return *why = "a map whose keys are neither int64 nor string", false;
    if (!read_type(pool, value, out, why, depth + 1)) return false;
    if (out->kind != LMN_FACT_TENSOR || out->rank > 1)
        return *why = "a map whose values are no scalars, which is not supported", false;
    *out = (lmn_fact){
        .kind = LMN_FACT_MAP, .key = (uint8_t)key, .dtype = out->dtype, .rank = -1, .n_elems = -1};
    return true;
}

static bool read_type(lmn_dim_pool *pool, lmn_span type, lmn_fact *out, const char **why, int depth)
{
    if (depth > 3) return *why = "a type of types nested too deep", false;
    lmn_pb c = lmn_pb_of(type);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        switch (f.num) {
        case 1:
            out->kind = LMN_FACT_TENSOR;
            if (!read_tensor_type(pool, f.s, out, why)) return false;
            break;
        case 4:
        case 9: {
            lmn_span item = {0};
            lmn_pb d = lmn_pb_of(f.s);
            for (lmn_pb_field g; lmn_pb_next(&d, &g);)
                if (g.num == 1) item = g.s;
            if (d.bad) return *why = "a damaged type", false;
            if (!read_type(pool, item, out, why, depth + 1)) return false;
            if (f.num == 4 && (out->kind == LMN_FACT_SEQUENCE || out->maybe))
                return *why = "a sequence of sequences or optionals, which is not supported", false;
            if (f.num == 4)
                out->kind = LMN_FACT_SEQUENCE;
            else if (out->kind == LMN_FACT_TENSOR)
                out->kind = LMN_FACT_OPTIONAL;
            else
                out->maybe = out->kind != LMN_FACT_UNKNOWN && out->kind != LMN_FACT_OPTIONAL;
            break;
        }
        case 5:
            if (!read_map(pool, f.s, out, why, depth)) return false;
            break;
        case 7: return *why = "an opaque type, which is not supported", false;
        case 8: return *why = "a sparse tensor type, which is not supported", false;
        default: break;
        }
    }
    if (c.bad) return *why = "a damaged type", false;
    return true;
}

bool lmn_onnx_fact(lmn_dim_pool *dims, lmn_span type, lmn_fact *out, const char **why)
{
    *out = lmn_fact_unknown();
    if (read_type(dims, type, out, why, 0)) return true;
    *out = lmn_fact_unknown();
    return false;
}
