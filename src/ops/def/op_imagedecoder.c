/*
 * ImageDecoder (ai.onnx, since 20): the bytes of a picture file to u8 [height, width, channels] in
 * RGB, BGR or Grayscale (ITU-R 601 weights). Formats: ops/picture.h.
 */
#include "ops/picture.h"

static int32_t channels(const lmn_opnode *n)
{
    return lmn_attr_is(n, "pixel_format", "Grayscale", "RGB") ? 1 : 3;
}

static lamina_status infer_imagedecoder(lmn_infer *ic)
{
    const char *format = lmn_attr_s(ic->node, "pixel_format", "RGB");
    if (!lmn_attr_is(ic->node, "pixel_format", "RGB", "RGB") &&
        !lmn_attr_is(ic->node, "pixel_format", "BGR", "RGB") && channels(ic->node) != 1)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "use RGB, BGR or Grayscale",
                              "pixel_format is \"%s\"", format);
    ic->out[0] = lmn_fact_tensor(LAMINA_U8, 3);
    ic->out[0].dims[2] = lmn_dim_c(channels(ic->node));
    return LAMINA_OK;
}

static lamina_status eval_imagedecoder(lmn_eval *ec)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    lmn_picture p = {0};
    lamina_tensor *y;
    if (x->rank != 1) return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the bytes of a file are rank 1");
    LMN_TRY(lmn_picture_decode(ec, (lmn_span){x->data, x->data_bytes}, &p));
    const int32_t n = channels(ec->node);
    const int64_t dims[3] = {p.height, p.width, n};
    LMN_TRY(lmn_out(ec, 0, LAMINA_U8, 3, dims, &y));
    if (!y) return LAMINA_OK;
    const bool bgr = lmn_attr_is(ec->node, "pixel_format", "BGR", "RGB");
    uint8_t *dst = y->data;
    const uint8_t *src = p.rgb;
    for (int64_t i = 0; i < p.width * p.height; i++, src += 3, dst += n) {
        if (n == 1) {
            dst[0] = (uint8_t)((src[0] * 19595u + src[1] * 38470u + src[2] * 7471u + 32768u) >> 16);
            continue;
        }
        dst[0] = src[bgr ? 2 : 0];
        dst[1] = src[1];
        dst[2] = src[bgr ? 0 : 2];
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"encoded_stream", 0, 0, LMN_DBIT(LAMINA_U8)}, {0}};
static const lmn_port OUT[] = {{"image", 0, 0, LMN_DBIT(LAMINA_U8)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"pixel_format", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_ImageDecoder = {
    .name = "ImageDecoder",
    .domain = "",
    .since = 20,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_imagedecoder,
    .eval = eval_imagedecoder,
};
