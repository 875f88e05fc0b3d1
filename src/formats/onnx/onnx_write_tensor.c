/*
 * Tensors, types and value infos as messages (field numbers: onnx.proto).
 *
 * A symbolic extent is written by its name when it is a bare symbol; expressions have no form that
 * readers agree on and are left open.
 */
#include "formats/onnx/onnx_write.h"

#include <string.h>

/* Would any finite element become infinite? */
static bool overflows_f16(const lamina_tensor *t)
{
    const uint8_t *p = t->data;
    for (int64_t i = 0, n = lmn_count(t); i < n; i++) {
        uint32_t bits;
        memcpy(&bits, p + (size_t)i * sizeof bits, sizeof bits);
        bits &= 0x7fffffffu;
        if (bits >= 0x477ff000u && bits < 0x7f800000u) return true; /* 65520 rounds to infinity */
    }
    return false;
}

lamina_dtype lmn_onnx_narrow(const lmn_onnx_out *w, const lamina_tensor *t)
{
    const lamina_dtype to = w->opts->weights;
    if (to == LAMINA_DTYPE_NONE || t->dtype != LAMINA_F32 || lmn_count(t) < LMN_ONNX_NARROW_COUNT)
        return t->dtype;
    return to == LAMINA_F16 && overflows_f16(t) ? t->dtype : to;
}

void lmn_onnx_put_tensor(lmn_onnx_out *w, uint32_t num, const char *name, const lamina_tensor *t,
                         lamina_dtype as)
{
    if (t->kind != LAMINA_KIND_TENSOR || t->strided) {
        lmn_onnx_out_fail(w, LAMINA_E_UNSUPPORTED,
                          "constant \"%s\" is a sequence, which an ONNX file cannot hold", name);
        return;
    }
    lmn_onnx_mark m = lmn_onnx_begin(w, num);
    for (int32_t i = 0; i < t->rank; i++) lmn_onnx_put_int(w, 1, t->dims[i]);
    lmn_onnx_put_int(w, 2, as);
    if (*name) lmn_onnx_put_str(w, 8, name);
    if (t->dtype != LAMINA_STRING) lmn_onnx_put_raw(w, t, as, *name != 0);
    for (int64_t i = 0, n = t->dtype == LAMINA_STRING ? lmn_count(t) : 0; i < n; i++) {
        size_t bytes;
        const char *s = lamina_tensor_string(t, i, &bytes);
        lmn_onnx_put_bytes(w, 6, s, bytes);
    }
    lmn_onnx_end(w, m);
}

static void put_tensor_type(lmn_onnx_out *w, uint32_t num, const lmn_dim_pool *dims,
                            const lmn_fact *f)
{
    lmn_onnx_mark type = lmn_onnx_begin(w, num);
    lmn_onnx_put_int(w, 1, f->dtype);
    if (f->rank >= 0) {
        lmn_onnx_mark shape = lmn_onnx_begin(w, 2);
        for (int32_t i = 0; i < f->rank; i++) {
            lmn_onnx_mark dim = lmn_onnx_begin(w, 1);
            const lmn_dim d = f->dims[i];
            const int64_t sym = lmn_dim_is_const(d) ? -1 : lmn_dim_as_sym(dims, d);
            const char *name = sym >= 0 ? lmn_dim_sym_name(dims, (size_t)sym) : "";
            if (lmn_dim_is_const(d))
                lmn_onnx_put_int(w, 1, lmn_dim_value(d));
            else if (*name)
                lmn_onnx_put_str(w, 2, name);
            lmn_onnx_end(w, dim);
        }
        lmn_onnx_end(w, shape);
    }
    lmn_onnx_end(w, type);
}

static void put_map_type(lmn_onnx_out *w, uint32_t num, const lmn_dim_pool *dims, const lmn_fact *f)
{
    lmn_onnx_mark type = lmn_onnx_begin(w, num);
    lmn_onnx_put_int(w, 1, f->key);
    lmn_onnx_mark value = lmn_onnx_begin(w, 2);
    put_tensor_type(w, 1, dims, f);
    lmn_onnx_end(w, value);
    lmn_onnx_end(w, type);
}

void lmn_onnx_put_type(lmn_onnx_out *w, uint32_t num, const lmn_dim_pool *dims, const lmn_fact *f)
{
    lmn_onnx_mark m = lmn_onnx_begin(w, num), of[2], item[2];
    const bool optional = f->maybe || f->kind == LMN_FACT_OPTIONAL;
    int depth = 0;
    if (f->kind != LMN_FACT_UNKNOWN && optional) {
        of[depth] = lmn_onnx_begin(w, 9);
        item[depth++] = lmn_onnx_begin(w, 1);
    }
    if (f->kind == LMN_FACT_SEQUENCE) {
        of[depth] = lmn_onnx_begin(w, 4);
        item[depth++] = lmn_onnx_begin(w, 1);
    }
    if (f->key)
        put_map_type(w, 5, dims, f);
    else if (f->kind != LMN_FACT_UNKNOWN)
        put_tensor_type(w, 1, dims, f);
    while (depth-- > 0) {
        lmn_onnx_end(w, item[depth]);
        lmn_onnx_end(w, of[depth]);
    }
    lmn_onnx_end(w, m);
}

void lmn_onnx_put_info(lmn_onnx_out *w, uint32_t num, const lmn_dim_pool *dims, const char *name,
                       const lmn_fact *f)
{
    lmn_onnx_mark m = lmn_onnx_begin(w, num);
    lmn_onnx_put_str(w, 1, name);
    if (f->kind != LMN_FACT_UNKNOWN && f->dtype) lmn_onnx_put_type(w, 2, dims, f);
    lmn_onnx_end(w, m);
}
