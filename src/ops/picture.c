/*
 * Which format a picture file has, and the uncompressed ones: BMP with 24 or 32 bits, binary PNM
 * (P5, P6, one byte a sample), TIFF in strips with 8-bit grey or RGB samples side by side.
 */
#include "ops/picture.h"

#include <string.h>

lamina_status lmn_picture_make(lmn_eval *ec, int64_t width, int64_t height, lmn_picture *out)
{
    int64_t bytes;
    if (width < 1 || height < 1)
        return lmn_eval_fail(ec, LAMINA_E_CORRUPT, "the picture is %lld x %lld", (long long)width,
                             (long long)height);
    if (!lmn_mul_i64(width, height, &bytes) || bytes > LMN_PICTURE_MAX_BYTES / 3)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "the picture of %lld x %lld is too large",
                             (long long)width, (long long)height);
    out->width = width;
    out->height = height;
    out->rgb = lmn_scratch(ec, (size_t)bytes * 3);
    return out->rgb ? LAMINA_OK : lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the picture");
}

lamina_status lmn_picture_broken(lmn_eval *ec, const char *name, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_CORRUPT, "the %s file is broken: %s", name, what);
}

lamina_status lmn_picture_unread(lmn_eval *ec, const char *name, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_UNSUPPORTED, "%s files with %s are not read", name, what);
}

static lamina_status read_bmp(lmn_eval *ec, lmn_span f, lmn_picture *out)
{
    if (f.n < 54 || lmn_le(f.p + 14, 4) < 40) return lmn_picture_broken(ec, "BMP", "short header");
    const uint32_t at = lmn_le(f.p + 10, 4), bits = lmn_le(f.p + 28, 2);
    const int32_t w = (int32_t)lmn_le(f.p + 18, 4), h = (int32_t)lmn_le(f.p + 22, 4);
    if ((bits != 24 && bits != 32) || lmn_le(f.p + 30, 4) != 0)
        return lmn_picture_unread(ec, "BMP", "a palette or compression");
    LMN_TRY(lmn_picture_make(ec, w, h < 0 ? -(int64_t)h : h, out));
    const size_t step = bits / 8, row = ((size_t)out->width * step + 3) / 4 * 4;
    if (at > f.n || (f.n - at) / row < (size_t)out->height)
        return lmn_picture_broken(ec, "BMP", "pixels are missing");
    for (int64_t y = 0; y < out->height; y++) {
        const uint8_t *src = f.p + at + (size_t)(h < 0 ? y : out->height - 1 - y) * row;
        uint8_t *dst = out->rgb + y * out->width * 3;
        for (int64_t x = 0; x < out->width; x++, src += step, dst += 3) {
            dst[0] = src[2];
            dst[1] = src[1];
            dst[2] = src[0];
        }
    }
    return LAMINA_OK;
}

/* A number after blanks and comments; -1 if there is none. */
static int64_t pnm_number(lmn_span f, size_t *at)
{
    int64_t v = -1;
    for (bool comment = false; *at < f.n; (*at)++) {
        const uint8_t c = f.p[*at];
        if (comment || c == '#')
            comment = c != '\n';
        else if (c != ' ' && (c < '\t' || c > '\r'))
            break;
    }
    for (; *at < f.n && f.p[*at] >= '0' && f.p[*at] <= '9' && v < 1 << 30; (*at)++)
        v = (v < 0 ? 0 : v) * 10 + (f.p[*at] - '0');
    return v;
}

/* n samples side by side, grey or RGB, from one byte each. */
static void put_samples(uint8_t *dst, const uint8_t *src, int64_t n, bool grey, uint8_t invert)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < 3; c++) dst[3 * i + c] = src[grey ? i : 3 * i + c] ^ invert;
}

static lamina_status read_pnm(lmn_eval *ec, lmn_span f, lmn_picture *out)
{
    size_t at = 2;
    const bool grey = f.p[1] == '5';
    const int64_t w = pnm_number(f, &at), h = pnm_number(f, &at), max = pnm_number(f, &at);
    if (w < 1 || h < 1 || max < 1) return lmn_picture_broken(ec, "PNM", "short header");
    if (max != 255) return lmn_picture_unread(ec, "PNM", "samples other than 0 to 255");
    LMN_TRY(lmn_picture_make(ec, w, h, out));
    at++;
    if (at > f.n || f.n - at < (size_t)(w * h) * (grey ? 1 : 3))
        return lmn_picture_broken(ec, "PNM", "pixels are missing");
    put_samples(out->rgb, f.p + at, w * h, grey, 0);
    return LAMINA_OK;
}

typedef struct tiff {
    lmn_span f;
    bool big;
    uint32_t width, height, samples, bits, compression, photometric, planar, rows;
    size_t strips, lengths; /* where the entries of StripOffsets and StripByteCounts are */
} tiff;

static uint32_t tiff_get(const tiff *t, size_t at, int n)
{
    return t->big ? lmn_be(t->f.p + at, n) : lmn_le(t->f.p + at, n);
}

/* Value k of the 12-byte entry at `at`; 0 when it is not there. */
static uint32_t tiff_value(const tiff *t, size_t at, uint32_t k)
{
    const uint32_t type = tiff_get(t, at + 2, 2), n = tiff_get(t, at + 4, 4);
    const uint32_t size = type == 3 ? 2 : type == 4 ? 4 : 0;
    if (k >= n || !size) return 0;
    const uint64_t base = (uint64_t)n * size <= 4 ? at + 8 : tiff_get(t, at + 8, 4);
    const uint64_t p = base + (uint64_t)k * size;
    return p + size <= t->f.n ? tiff_get(t, (size_t)p, (int)size) : 0;
}

static bool tiff_tags(tiff *t)
{
    const size_t dir = tiff_get(t, 4, 4);
    if (dir > t->f.n || t->f.n - dir < 2) return false;
    const size_t n = tiff_get(t, dir, 2);
    if ((t->f.n - dir - 2) / 12 < n) return false;
    for (size_t i = 0; i < n; i++) {
        const size_t at = dir + 2 + i * 12;
        switch (tiff_get(t, at, 2)) {
        case 256: t->width = tiff_value(t, at, 0); break;
        case 257: t->height = tiff_value(t, at, 0); break;
        case 258: t->bits = tiff_value(t, at, 0); break;
        case 259: t->compression = tiff_value(t, at, 0); break;
        case 262: t->photometric = tiff_value(t, at, 0); break;
        case 273: t->strips = at; break;
        case 277: t->samples = tiff_value(t, at, 0); break;
        case 278: t->rows = tiff_value(t, at, 0); break;
        case 279: t->lengths = at; break;
        case 284: t->planar = tiff_value(t, at, 0); break;
        default: break;
        }
    }
    return t->strips && t->lengths && t->rows;
}

static lamina_status read_tiff(lmn_eval *ec, lmn_span f, lmn_picture *out)
{
    tiff t = {.f = f, .big = f.p[0] == 'M', .samples = 1, .bits = 1, .compression = 1, .planar = 1};
    t.rows = UINT32_MAX;
    if (f.n < 8 || !tiff_tags(&t)) return lmn_picture_broken(ec, "TIFF", "no picture in strips");
    const bool grey = t.photometric <= 1;
    if (t.compression != 1 || t.bits != 8 || t.planar != 1 || t.photometric > 2 ||
        t.samples != (grey ? 1 : 3))
        return lmn_picture_unread(ec, "TIFF",
                                  "compression, or samples other than 8-bit grey or RGB");
    LMN_TRY(lmn_picture_make(ec, t.width, t.height, out));
    for (uint32_t y = 0, k = 0; y < t.height; k++) {
        const uint32_t rows = t.rows < t.height - y ? t.rows : t.height - y;
        const size_t bytes = (size_t)rows * t.width * t.samples;
        const size_t at = tiff_value(&t, t.strips, k);
        if (tiff_value(&t, t.lengths, k) < bytes || at > f.n || f.n - at < bytes)
            return lmn_picture_broken(ec, "TIFF", "pixels are missing");
        put_samples(out->rgb + (size_t)y * t.width * 3, f.p + at, (int64_t)rows * t.width, grey,
                    t.photometric == 0 ? 255 : 0);
        y += rows;
    }
    return LAMINA_OK;
}

lamina_status lmn_picture_decode(lmn_eval *ec, lmn_span f, lmn_picture *out)
{
    if (f.n >= 8 && !memcmp(f.p, "\x89PNG\r\n\x1a\n", 8)) return lmn_picture_png(ec, f, out);
    if (f.n >= 3 && !memcmp(f.p, "\xff\xd8\xff", 3)) return lmn_picture_jpeg(ec, f, out);
    if (f.n >= 2 && !memcmp(f.p, "BM", 2)) return read_bmp(ec, f, out);
    if (f.n >= 3 && f.p[0] == 'P' && (f.p[1] == '5' || f.p[1] == '6')) return read_pnm(ec, f, out);
    if (f.n >= 4 && (!memcmp(f.p, "II*\0", 4) || !memcmp(f.p, "MM\0*", 4)))
        return read_tiff(ec, f, out);
    return lmn_eval_fail(ec, LAMINA_E_UNSUPPORTED,
                         "the bytes are no PNG, JPEG, BMP, TIFF or binary PNM file (WebP and JPEG "
                         "2000 are not read)");
}
