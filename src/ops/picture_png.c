/*
 * PNG (W3C recommendation, 2nd edition) without interlace, every colour type and depth; 16-bit
 * samples keep their high byte, alpha is dropped. And inflate (RFC 1950, 1951). Checksums are not
 * compared: what matters is that no byte is read or written outside.
 */
#include "ops/picture.h"

#include <string.h>

#define MAX_BITS 15

typedef struct inflater {
    const uint8_t *p, *end;
    uint8_t *start, *out, *out_end;
    uint64_t bits;
    int n_bits;
    bool bad;
} inflater;

typedef struct code {
    uint16_t count[MAX_BITS + 1], symbol[288];
} code;

static uint32_t take(inflater *s, int n)
{
    while (s->n_bits < n) {
        if (s->p == s->end) {
            s->bad = true;
            return 0;
        }
        s->bits |= (uint64_t)*s->p++ << s->n_bits;
        s->n_bits += 8;
    }
    const uint32_t v = (uint32_t)(s->bits & (((uint64_t)1 << n) - 1));
    s->bits >>= n;
    s->n_bits -= n;
    return v;
}

static void make_code(code *c, const uint8_t *lengths, int n)
{
    uint16_t at[MAX_BITS + 2] = {0};
    memset(c, 0, sizeof *c);
    for (int i = 0; i < n; i++) c->count[lengths[i]]++;
    c->count[0] = 0;
    for (int b = 1; b <= MAX_BITS; b++) at[b + 1] = (uint16_t)(at[b] + c->count[b]);
    for (int i = 0; i < n; i++)
        if (lengths[i]) c->symbol[at[lengths[i]]++] = (uint16_t)i;
}

/* Next symbol; sets bad for a code that is not in the table. */
static int symbol(inflater *s, const code *c)
{
    int value = 0, first = 0, index = 0;
    for (int b = 1; b <= MAX_BITS && !s->bad; b++) {
        value |= (int)take(s, 1);
        const int n = c->count[b];
        if (value - n < first) return c->symbol[index + value - first];
        index += n;
        first = (first + n) << 1;
        value <<= 1;
    }
    s->bad = true;
    return 0;
}

static void copy_back(inflater *s, size_t distance, size_t n)
{
    if (distance > (size_t)(s->out - s->start) || n > (size_t)(s->out_end - s->out)) {
        s->bad = true;
        return;
    }
    for (; n; n--, s->out++) *s->out = s->out[-(ptrdiff_t)distance];
}

static void inflate_codes(inflater *s, const code *literals, const code *distances)
{
    static const uint16_t LENGTH[29] = {3,  4,  5,  6,   7,   8,   9,   10,  11, 13,
                                        15, 17, 19, 23,  27,  31,  35,  43,  51, 59,
                                        67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint16_t DISTANCE[30] = {
        1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
        193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    for (;;) {
        const int k = symbol(s, literals);
        if (s->bad || k == 256) return;
        if (k < 256) {
            if (s->out == s->out_end) s->bad = true;
            if (s->bad) return;
            *s->out++ = (uint8_t)k;
            continue;
        }
        const int l = k - 257;
        if (l >= 29) {
            s->bad = true;
            return;
        }
        const size_t n = LENGTH[l] + (l < 8 || l == 28 ? 0 : take(s, (l - 4) / 4));
        const int d = symbol(s, distances);
        if (d >= 30 || s->bad) {
            s->bad = true;
            return;
        }
        const size_t distance = DISTANCE[d] + (d < 4 ? 0 : take(s, (d - 2) / 2));
        if (!s->bad) copy_back(s, distance, n);
        if (s->bad) return;
    }
}

static void inflate_stored(inflater *s)
{
    (void)take(s, s->n_bits & 7);
    const uint32_t n = take(s, 16), inverse = take(s, 16);
    if (n != (inverse ^ 0xffff)) s->bad = true;
    for (uint32_t i = 0; i < n && !s->bad; i++) {
        const uint32_t byte = take(s, 8);
        if (s->out == s->out_end) s->bad = true;
        if (!s->bad) *s->out++ = (uint8_t)byte;
    }
}

static void inflate_dynamic(inflater *s)
{
    static const uint8_t ORDER[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                      11, 4,  12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[288 + 32] = {0};
    code meta, literals, distances;
    const int n_lit = (int)take(s, 5) + 257, n_dist = (int)take(s, 5) + 1, n = (int)take(s, 4) + 4;
    for (int i = 0; i < n; i++) lengths[ORDER[i]] = (uint8_t)take(s, 3);
    make_code(&meta, lengths, 19);
    memset(lengths, 0, sizeof lengths);
    if (n_lit > 286 || n_dist > 30) s->bad = true;
    for (int i = 0; i < n_lit + n_dist && !s->bad;) {
        const int k = symbol(s, &meta);
        int repeat = 1;
        uint8_t value = (uint8_t)k;
        if (k == 16) {
            repeat = 3 + (int)take(s, 2);
            if (i == 0) s->bad = true;
            value = i ? lengths[i - 1] : 0;
        } else if (k > 16) {
            repeat = k == 17 ? 3 + (int)take(s, 3) : 11 + (int)take(s, 7);
            value = 0;
        }
        if (repeat > n_lit + n_dist - i) s->bad = true;
        for (; repeat && !s->bad; repeat--) lengths[i++] = value;
    }
    if (s->bad) return;
    make_code(&literals, lengths, n_lit);
    make_code(&distances, lengths + n_lit, n_dist);
    inflate_codes(s, &literals, &distances);
}

static void inflate_fixed(inflater *s)
{
    uint8_t lengths[288];
    code literals, distances;
    for (int i = 0; i < 288; i++)
        lengths[i] = (uint8_t)(i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8);
    make_code(&literals, lengths, 288);
    memset(lengths, 5, 30);
    make_code(&distances, lengths, 30);
    inflate_codes(s, &literals, &distances);
}

bool lmn_zlib_inflate(lmn_span in, uint8_t *out, size_t n)
{
    if (in.n < 2 || (in.p[0] & 15) != 8 || (in.p[1] & 32) || lmn_be(in.p, 2) % 31) return false;
    inflater s = {.p = in.p + 2, .end = in.p + in.n, .start = out, .out = out, .out_end = out + n};
    for (bool last = false; !last && !s.bad;) {
        last = take(&s, 1);
        switch (take(&s, 2)) {
        case 0: inflate_stored(&s); break;
        case 1: inflate_fixed(&s); break;
        case 2: inflate_dynamic(&s); break;
        default: s.bad = true;
        }
    }
    return !s.bad && s.out == s.out_end;
}

/* ---- PNG ---------------------------------------------------------------------------------------
 */

typedef struct png {
    uint32_t width, height, depth, colour, interlace;
    size_t channels, row; /* bytes of a row without its filter */
    lmn_span palette;
    uint8_t *packed; /* IDAT chunks joined */
    size_t n_packed;
} png;

/* Walk the chunks: fills the header and the palette, joins IDAT into packed when that is set. */
static bool png_chunks(png *g, lmn_span f)
{
    size_t total = 0;
    bool header = false;
    for (size_t at = 8; f.n - at >= 12;) {
        const size_t n = lmn_be(f.p + at, 4);
        const uint8_t *kind = f.p + at + 4, *body = f.p + at + 8;
        if (n > f.n - at - 12) return false;
        if (!memcmp(kind, "IHDR", 4) && n == 13) {
            g->width = lmn_be(body, 4);
            g->height = lmn_be(body + 4, 4);
            g->depth = body[8];
            g->colour = body[9];
            g->interlace = body[12];
            header = true;
        } else if (!memcmp(kind, "PLTE", 4)) {
            g->palette = (lmn_span){body, n};
        } else if (!memcmp(kind, "IDAT", 4)) {
            if (g->packed) memcpy(g->packed + total, body, n);
            total += n;
        } else if (!memcmp(kind, "IEND", 4)) {
            break;
        }
        at += n + 12;
    }
    g->n_packed = total;
    return header && total;
}

static bool png_depth_fits(const png *g)
{
    const uint32_t d = g->depth;
    const bool power = d == 1 || d == 2 || d == 4 || d == 8 || d == 16;
    if (g->colour == 0) return power;
    if (g->colour == 3) return power && d <= 8;
    return (g->colour == 2 || g->colour == 4 || g->colour == 6) && (d == 8 || d == 16);
}

static bool unfilter(uint8_t *raw, size_t row, size_t step, int64_t height)
{
    for (int64_t y = 0; y < height; y++) {
        uint8_t *line = raw + (size_t)y * (row + 1) + 1;
        const uint8_t *up = y ? line - row - 1 : NULL, filter = line[-1];
        if (filter > 4) return false;
        for (size_t x = 0; x < row && filter; x++) {
            const int a = x >= step ? line[x - step] : 0, b = up ? up[x] : 0;
            const int c = up && x >= step ? up[x - step] : 0;
            const int pa = b - c < 0 ? c - b : b - c, pb = a - c < 0 ? c - a : a - c;
            const int s = a + b - 2 * c, pc = s < 0 ? -s : s;
            const int paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
            const int guess[5] = {0, a, b, (a + b) / 2, paeth};
            line[x] = (uint8_t)(line[x] + guess[filter]);
        }
    }
    return true;
}

/* Sample i of a row as 8 bits (an index stays an index). */
static uint32_t sample(const png *g, const uint8_t *line, size_t i)
{
    if (g->depth == 8) return line[i];
    if (g->depth == 16) return line[2 * i];
    const size_t bit = i * g->depth;
    const uint32_t top = (1u << g->depth) - 1;
    const uint32_t v = line[bit / 8] >> (8 - g->depth - bit % 8) & top;
    return g->colour == 3 ? v : v * 255 / top;
}

static bool png_pixels(const png *g, const uint8_t *raw, lmn_picture *out)
{
    for (int64_t y = 0; y < out->height; y++) {
        const uint8_t *line = raw + (size_t)y * (g->row + 1) + 1;
        uint8_t *dst = out->rgb + y * out->width * 3;
        for (size_t x = 0; x < (size_t)out->width; x++, dst += 3) {
            const uint32_t v = sample(g, line, x * g->channels);
            if (g->colour == 3) {
                if (3 * v + 3 > g->palette.n) return false;
                memcpy(dst, g->palette.p + (size_t)3 * v, 3);
            } else {
                for (size_t c = 0; c < 3; c++)
                    dst[c] = (uint8_t)(g->channels < 3 ? v : sample(g, line, x * g->channels + c));
            }
        }
    }
    return true;
}

lamina_status lmn_picture_png(lmn_eval *ec, lmn_span f, lmn_picture *out)
{
    static const uint8_t CHANNELS[7] = {1, 0, 3, 1, 2, 0, 4};
    png g = {0};
    if (!png_chunks(&g, f) || !png_depth_fits(&g))
        return lmn_picture_broken(ec, "PNG", "no header or no picture");
    if (g.interlace) return lmn_picture_unread(ec, "PNG", "interlace");
    LMN_TRY(lmn_picture_make(ec, g.width, g.height, out));
    g.channels = CHANNELS[g.colour];
    g.row = (g.width * g.channels * g.depth + 7) / 8;
    /* Deflate makes at most 1032 bytes of one: a small file cannot ask for much. */
    const size_t bytes = (g.row + 1) * g.height;
    if (bytes / 1032 > g.n_packed) return lmn_picture_broken(ec, "PNG", "pixels are missing");
    g.packed = lmn_scratch(ec, g.n_packed);
    uint8_t *raw = lmn_scratch(ec, bytes);
    if (!g.packed || !raw) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the picture");
    (void)png_chunks(&g, f);
    const size_t step = g.channels * g.depth < 8 ? 1 : g.channels * g.depth / 8;
    if (!lmn_zlib_inflate((lmn_span){g.packed, g.n_packed}, raw, bytes) ||
        !unfilter(raw, g.row, step, out->height) || !png_pixels(&g, raw, out))
        return lmn_picture_broken(ec, "PNG", "its data do not unpack");
    return LAMINA_OK;
}
