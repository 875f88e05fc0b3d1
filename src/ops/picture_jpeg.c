/*
 * JPEG to RGB: segments, inverse DCT, upsampling, colour. The integer DCT, the triangle filter of
 * 2:1 chroma and the colour tables are those of the IJG library, so that pixels equal those of the
 * decoders that models were trained with. Read: grey, YCbCr and RGB, sequential and progressive;
 * not read: CMYK, arithmetic coding, 12 bits, lossless.
 */
#include "ops/jpeg.h"

#include <string.h>

enum { SOF0 = 0xc0, SOF1 = 0xc1, SOF2 = 0xc2, DHT = 0xc4, SOI = 0xd8, EOI = 0xd9, SOS = 0xda };
enum { DQT = 0xdb, DRI = 0xdd, APP14 = 0xee, MAX_SCANS = 512 };

static uint8_t clamp(int64_t v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* ---- inverse DCT -------------------------------------------------------------------------------
 */

/* One dimension over 8 values of stride `step`: Loeffler, Ligtenberg and Moschytz with 13-bit
   constants; the results are rounded and shifted by `shift`. 64 bits, since nothing keeps the
   coefficients of a hostile file small. */
static void idct8(int64_t *v, int step, int shift)
{
    const int64_t x2 = v[2 * step], x6 = v[6 * step], x7 = v[7 * step], x5 = v[5 * step];
    const int64_t x3 = v[3 * step], x1 = v[step], round = (int64_t)1 << (shift - 1);
    const int64_t z1 = (x2 + x6) * 4433, t2 = z1 - x6 * 15137, t3 = z1 + x2 * 6270;
    const int64_t t0 = (v[0] + v[4 * step]) * 8192, t1 = (v[0] - v[4 * step]) * 8192;
    const int64_t even[4] = {t0 + t3, t1 + t2, t1 - t2, t0 - t3};
    const int64_t z5 = (x7 + x3 + x5 + x1) * 9633;
    const int64_t a = (x7 + x1) * -7373, b = (x5 + x3) * -20995;
    const int64_t c = (x7 + x3) * -16069 + z5, d = (x5 + x1) * -3196 + z5;
    const int64_t odd[4] = {x1 * 12299 + a + d, x3 * 25172 + b + c, x5 * 16819 + b + d,
                            x7 * 2446 + a + c};
    for (int i = 0; i < 4; i++) {
        v[i * step] = (even[i] + odd[i] + round) >> shift;
        v[(7 - i) * step] = (even[i] - odd[i] + round) >> shift;
    }
}

static void make_pixels(lmn_jpeg_part *p)
{
    for (int64_t k = 0; k < p->across * p->down; k++) {
        int64_t v[64];
        const int16_t *b = p->coef + k * 64;
        uint8_t *dst = p->px + (k / p->across) * 64 * p->across + (k % p->across) * 8;
        for (int i = 0; i < 64; i++) v[i] = (int64_t)b[i] * p->scale[i];
        for (int i = 0; i < 8; i++) idct8(v + i, 8, 11);
        for (int i = 0; i < 8; i++) idct8(v + i * 8, 1, 18);
        for (int i = 0; i < 64; i++) dst[(i / 8) * 8 * p->across + i % 8] = clamp(v[i] + 128);
    }
}

/* ---- upsampling and colour ---------------------------------------------------------------------
 */

static int64_t clip(int64_t i, int64_t n)
{
    return i < 0 ? 0 : i >= n ? n - 1 : i;
}

/* Sample of row y of the picture, column x, times 16 where the filter is 2-dimensional. */
static void upsample_row(const lmn_jpeg *j, const lmn_jpeg_part *p, int64_t y, uint8_t *dst)
{
    const int64_t stride = 8 * p->across, n = p->width;
    const uint32_t fx = j->h_max / p->h, fy = j->v_max / p->v;
    const uint8_t *near = p->px + clip(y / fy, p->height) * stride;
    if (fx != 2 || fy > 2 || n < 3) {
        for (int64_t x = 0; x < j->width; x++) dst[x] = near[clip(x / fx, n)];
        return;
    }
    const bool both = fy == 2;
    const uint8_t *far = p->px + clip(y / fy + (y % fy ? 1 : -1), p->height) * stride;
    for (int64_t x = 0; x < j->width; x++) {
        const int64_t i = clip(x / 2, n), o = x % 2 ? i + 1 : i - 1;
        const bool edge = o < 0 || o >= n;
        if (both) {
            const int32_t here = 3 * near[i] + far[i];
            const int32_t other = edge ? here : 3 * near[o] + far[o];
            dst[x] = (uint8_t)((3 * here + other + (x % 2 ? 7 : 8)) >> 4);
        } else {
            dst[x] = edge ? near[i] : (uint8_t)((3 * near[i] + near[o] + (x % 2 ? 2 : 1)) >> 2);
        }
    }
}

static void to_rgb(uint8_t *px, int64_t n)
{
    for (int64_t i = 0; i < n; i++, px += 3) {
        const int32_t y = px[0], cb = px[1] - 128, cr = px[2] - 128;
        px[0] = clamp(y + ((91881 * cr + 32768) >> 16));
        px[1] = clamp(y + ((-22554 * cb - 46802 * cr + 32768) >> 16));
        px[2] = clamp(y + ((116130 * cb + 32768) >> 16));
    }
}

static lamina_status paint(lmn_eval *ec, lmn_jpeg *j, lmn_picture *out)
{
    LMN_TRY(lmn_picture_make(ec, j->width, j->height, out));
    uint8_t *row = lmn_scratch(ec, (size_t)j->width);
    if (!row) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the picture");
    for (uint32_t k = 0; k < j->n_parts; k++) make_pixels(&j->part[k]);
    for (int64_t y = 0; y < j->height; y++) {
        uint8_t *dst = out->rgb + y * j->width * 3;
        for (uint32_t c = 0; c < 3; c++) {
            if (c < j->n_parts) upsample_row(j, &j->part[c], y, row);
            for (int64_t x = 0; x < j->width; x++) dst[3 * x + c] = row[x];
        }
        if (j->n_parts == 3 && !j->rgb) to_rgb(dst, j->width);
    }
    return LAMINA_OK;
}

/* ---- segments ----------------------------------------------------------------------------------
 */

static void read_quant(lmn_jpeg *j, lmn_span s)
{
    for (size_t at = 0; at < s.n;) {
        const uint32_t wide = s.p[at] >> 4, id = s.p[at] & 15;
        const size_t bytes = wide ? 2 : 1;
        at++;
        if (id > 3 || wide > 1 || s.n - at < 64 * bytes) {
            j->broken = "a quantisation table is short";
            return;
        }
        for (int i = 0; i < 64; i++, at += bytes)
            j->quant[id][lmn_jpeg_zigzag[i]] = (uint16_t)lmn_be(s.p + at, (int)bytes);
    }
}

static void read_codes(lmn_jpeg *j, lmn_span s)
{
    for (size_t at = 0; at < s.n;) {
        const uint32_t id = s.p[at] & 15;
        lmn_jpeg_code c = {.set = true};
        size_t n = 0;
        if (s.n - at < 17 || id > 3 || s.p[at] >> 4 > 1) {
            j->broken = "a Huffman table is short";
            return;
        }
        for (int b = 1; b <= 16; b++) n += c.count[b] = s.p[at + (size_t)b];
        if (n > 256 || s.n - at - 17 < n) {
            j->broken = "a Huffman table is short";
            return;
        }
        memcpy(c.symbol, s.p + at + 17, n);
        *(s.p[at] >> 4 ? &j->ac[id] : &j->dc[id]) = c;
        at += 17 + n;
    }
}

static lamina_status take_parts(lmn_eval *ec, lmn_jpeg *j)
{
    j->mcus_across = (j->width + 8 * j->h_max - 1) / (8 * j->h_max);
    j->mcus_down = (j->height + 8 * j->v_max - 1) / (8 * j->v_max);
    for (uint32_t k = 0; k < j->n_parts; k++) {
        lmn_jpeg_part *p = &j->part[k];
        if (j->h_max % p->h || j->v_max % p->v)
            return lmn_picture_unread(ec, "JPEG", "fractional sampling");
        p->width = (j->width * p->h + j->h_max - 1) / j->h_max;
        p->height = (j->height * p->v + j->v_max - 1) / j->v_max;
        p->across = j->mcus_across * p->h;
        p->down = j->mcus_down * p->v;
        const size_t n = (size_t)(p->across * p->down) * 64;
        p->coef = lmn_scratch(ec, n * sizeof *p->coef);
        p->px = lmn_scratch(ec, n);
        if (!p->coef || !p->px)
            return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the picture");
        memset(p->coef, 0, n * sizeof *p->coef);
    }
    return LAMINA_OK;
}

static lamina_status read_frame(lmn_eval *ec, lmn_jpeg *j, uint32_t marker, lmn_span s)
{
    if (j->n_parts || s.n < 6 || s.n != 6 + 3 * (size_t)s.p[5])
        return lmn_picture_broken(ec, "JPEG", "its frame header");
    if (s.p[0] != 8 || (s.p[5] != 1 && s.p[5] != 3))
        return lmn_picture_unread(ec, "JPEG", "12 bits or four colours");
    j->progressive = marker == SOF2;
    j->height = lmn_be(s.p + 1, 2);
    j->width = lmn_be(s.p + 3, 2);
    j->n_parts = s.p[5];
    for (uint32_t k = 0; k < j->n_parts; k++) {
        const uint8_t *e = s.p + 6 + 3 * (size_t)k;
        lmn_jpeg_part *p = &j->part[k];
        *p = (lmn_jpeg_part){.id = e[0], .h = e[1] >> 4, .v = e[1] & 15, .quant = e[2] & 3};
        if (p->h < 1 || p->h > 4 || p->v < 1 || p->v > 4 || e[2] > 3)
            return lmn_picture_broken(ec, "JPEG", "its frame header");
        if (j->n_parts == 1) p->h = p->v = 1; /* a single component is never interleaved */
        j->h_max = p->h > j->h_max ? p->h : j->h_max;
        j->v_max = p->v > j->v_max ? p->v : j->v_max;
    }
    if (!j->width || !j->height)
        return lmn_picture_unread(ec, "JPEG", "a size that comes after the picture");
    if (j->width * j->height > LMN_PICTURE_MAX_BYTES / 3)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "the picture of %lld x %lld is too large",
                             (long long)j->width, (long long)j->height);
    /* A block takes a bit at least: a small file cannot ask for much. */
    if (j->f.n < (size_t)(j->width * j->height) / 64 / 8 / 16)
        return lmn_picture_broken(ec, "JPEG", "pixels are missing");
    return take_parts(ec, j);
}

/* The marker at or after j->at; 0 at the end of the file. */
static uint32_t next_marker(lmn_jpeg *j)
{
    for (; j->at + 1 < j->f.n; j->at++) {
        const uint8_t m = j->f.p[j->at + 1];
        if (j->f.p[j->at] != 0xff || m == 0 || m == 0xff || (m & 0xf8) == 0xd0) continue;
        j->at += 2;
        return m;
    }
    return 0;
}

static lamina_status segment(lmn_eval *ec, lmn_jpeg *j, uint32_t m, lmn_span s)
{
    if (m == DQT) read_quant(j, s);
    if (m == DHT) read_codes(j, s);
    if (m == DRI && s.n >= 2) j->restart = lmn_be(s.p, 2);
    if (m == APP14 && s.n >= 12 && !memcmp(s.p, "Adobe", 5)) j->rgb = s.p[11] == 0;
    if (m == SOF0 || m == SOF1 || m == SOF2) return read_frame(ec, j, m, s);
    if (m > SOF2 && m < 0xd0 && m != DHT && m != 0xc8 && m != 0xcc)
        return lmn_picture_unread(ec, "JPEG", "lossless or arithmetic coding");
    if (m == SOS) lmn_jpeg_scan(j, s);
    return LAMINA_OK;
}

lamina_status lmn_picture_jpeg(lmn_eval *ec, lmn_span f, lmn_picture *out)
{
    lmn_jpeg j = {.f = f, .at = 2};
    uint32_t scans = 0, m;
    while (!j.broken && (m = next_marker(&j)) != 0 && m != EOI) {
        if (f.n - j.at < 2) break;
        const size_t n = lmn_be(f.p + j.at, 2);
        if (n < 2 || n > f.n - j.at) return lmn_picture_broken(ec, "JPEG", "a segment is cut off");
        const lmn_span s = {f.p + j.at + 2, n - 2};
        j.at += n;
        if (m == SOS && (!j.n_parts || ++scans > MAX_SCANS))
            return lmn_picture_broken(ec, "JPEG", "no frame before its scans, or too many scans");
        LMN_TRY(segment(ec, &j, m, s));
    }
    if (j.broken) return lmn_picture_broken(ec, "JPEG", j.broken);
    if (!scans) return lmn_picture_broken(ec, "JPEG", "there is no scan");
    return paint(ec, &j, out);
}
