/*
 * The scans of a JPEG file: Huffman codes to coefficients, in one pass or refined over many.
 *
 * Data that end early read as zeros, as in other decoders; a code that is in no table, or a run
 * past the block, makes the file broken.
 */
#include "ops/jpeg.h"

#include <string.h>

const uint8_t lmn_jpeg_zigzag[64] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48,
    41, 34, 27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23,
    30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};

typedef struct scan {
    lmn_jpeg *j;
    uint32_t bits;
    int n_bits;
    bool marker; /* met: only zeros follow */
    uint32_t n, part[LMN_JPEG_MAX_PARTS];
    const lmn_jpeg_code *dc[LMN_JPEG_MAX_PARTS], *ac[LMN_JPEG_MAX_PARTS];
    int32_t before[LMN_JPEG_MAX_PARTS]; /* DC of the block before */
    uint32_t first, last, high, low;    /* spectral selection, successive approximation */
    uint32_t end_run;                   /* blocks that have no more AC */
} scan;

static uint32_t bit(scan *s)
{
    if (!s->n_bits) {
        lmn_jpeg *j = s->j;
        uint32_t byte = 0;
        if (!s->marker && j->at < j->f.n) {
            byte = j->f.p[j->at];
            if (byte != 0xff) {
                j->at++;
            } else if (j->at + 1 < j->f.n && j->f.p[j->at + 1] == 0) {
                j->at += 2;
            } else {
                s->marker = true;
                byte = 0;
            }
        }
        s->bits = byte;
        s->n_bits = 8;
    }
    return s->bits >> --s->n_bits & 1;
}

static int32_t bits(scan *s, uint32_t n)
{
    int32_t v = 0;
    while (n-- > 0) v = v << 1 | (int32_t)bit(s);
    return v;
}

/* A value of n bits whose top bit is its sign (T.81 F.12). */
static int32_t extended(scan *s, uint32_t n)
{
    const int32_t v = bits(s, n);
    return n && v < 1 << (n - 1) ? v - (1 << n) + 1 : v;
}

static uint32_t symbol(scan *s, const lmn_jpeg_code *c)
{
    int32_t value = 0, first = 0, index = 0;
    for (int b = 1; b <= 16; b++) {
        value |= (int32_t)bit(s);
        const int32_t n = c->count[b];
        if (value - n < first) return c->symbol[(index + value - first) & 255];
        index += n;
        first = (first + n) << 1;
        value <<= 1;
    }
    s->j->broken = "a Huffman code is in no table";
    return 0;
}

static int32_t shifted(int32_t v, uint32_t by)
{
    return (int32_t)((uint32_t)v << by);
}

static void block_dc(scan *s, uint32_t k, int16_t *b)
{
    if (s->high) {
        if (bit(s)) b[0] = (int16_t)(b[0] | 1 << s->low);
        return;
    }
    const uint32_t n = symbol(s, s->dc[k]);
    if (n > 11) {
        s->j->broken = "a DC difference is too large";
        return;
    }
    s->before[k] = (int16_t)(s->before[k] + extended(s, n));
    b[0] = (int16_t)shifted(s->before[k], s->low);
}

/* AC coefficients from `from` to last, all bits of a sequential file or the top ones. */
static void block_ac(scan *s, uint32_t k, int16_t *b, uint32_t from)
{
    if (s->end_run) {
        s->end_run--;
        return;
    }
    for (uint32_t i = from; i <= s->last && !s->j->broken; i++) {
        const uint32_t rs = symbol(s, s->ac[k]), run = rs >> 4, size = rs & 15;
        if (size == 0 && run < 15) {
            s->end_run = (1u << run) - 1 + (run ? (uint32_t)bits(s, run) : 0);
            return;
        }
        i += run;
        if (i > s->last || (size == 0 && run != 15)) {
            s->j->broken = "a run passes the end of its block";
            return;
        }
        if (size) b[lmn_jpeg_zigzag[i]] = (int16_t)shifted(extended(s, size), s->low);
    }
}

/* One more bit of a coefficient that is not zero. */
static void refine(scan *s, int16_t *c)
{
    if (bit(s) && !(*c & 1 << s->low)) *c = (int16_t)(*c + (*c > 0 ? 1 : -1) * (1 << s->low));
}

/* Refine what is there; a zero after `run` further zeros becomes `value`. */
static uint32_t refine_run(scan *s, int16_t *b, uint32_t i, uint32_t run, int32_t value)
{
    for (; i <= s->last; i++) {
        int16_t *c = &b[lmn_jpeg_zigzag[i]];
        if (*c) {
            refine(s, c);
        } else if (run-- == 0) {
            *c = (int16_t)value;
            return i + 1;
        }
    }
    return i;
}

static void block_ac_refine(scan *s, uint32_t k, int16_t *b)
{
    uint32_t i = s->first;
    while (!s->end_run && i <= s->last && !s->j->broken) {
        const uint32_t rs = symbol(s, s->ac[k]), run = rs >> 4, size = rs & 15;
        int32_t value = 0;
        if (size > 1) s->j->broken = "a refinement of more than one bit";
        if (size == 1) value = bit(s) ? 1 << s->low : -(1 << s->low);
        if (size == 0 && run < 15)
            s->end_run = (1u << run) + (run ? (uint32_t)bits(s, run) : 0);
        else
            i = refine_run(s, b, i, run, value);
    }
    if (s->end_run) {
        for (; i <= s->last; i++)
            if (b[lmn_jpeg_zigzag[i]]) refine(s, &b[lmn_jpeg_zigzag[i]]);
        s->end_run--;
    }
}

static void block(scan *s, uint32_t k, int64_t x, int64_t y)
{
    lmn_jpeg_part *p = &s->j->part[s->part[k]];
    int16_t *b = p->coef + (y * p->across + x) * 64;
    if (s->first == 0) block_dc(s, k, b);
    if (s->last == 0 || s->j->broken) return;
    if (s->high)
        block_ac_refine(s, k, b);
    else
        block_ac(s, k, b, s->first ? s->first : 1);
}

/* After `restart` MCUs: to the next byte, past the RSTn marker, everything forgotten. */
static void restart(scan *s)
{
    lmn_jpeg *j = s->j;
    s->n_bits = 0;
    s->marker = false;
    s->end_run = 0;
    memset(s->before, 0, sizeof s->before);
    if (j->at + 1 < j->f.n && j->f.p[j->at] == 0xff && (j->f.p[j->at + 1] & 0xf8) == 0xd0)
        j->at += 2;
    else
        j->broken = "a restart marker is missing";
}

static void mcu(scan *s, int64_t x, int64_t y)
{
    if (s->n == 1) {
        block(s, 0, x, y);
        return;
    }
    for (uint32_t k = 0; k < s->n; k++) {
        const lmn_jpeg_part *p = &s->j->part[s->part[k]];
        for (uint32_t i = 0; i < p->h * p->v && !s->j->broken; i++)
            block(s, k, x * p->h + i % p->h, y * p->v + i / p->h);
    }
}

static bool parts_of(scan *s, lmn_span head)
{
    lmn_jpeg *j = s->j;
    s->n = head.n ? head.p[0] : 0;
    if (s->n < 1 || s->n > j->n_parts || head.n != 4 + 2 * (size_t)s->n) return false;
    for (uint32_t k = 0; k < s->n; k++) {
        const uint8_t *e = head.p + 1 + 2 * (size_t)k;
        uint32_t i = 0;
        while (i < j->n_parts && j->part[i].id != e[0]) i++;
        if (i == j->n_parts || e[1] >> 4 > 3 || (e[1] & 15) > 3) return false;
        s->part[k] = i;
        s->dc[k] = &j->dc[e[1] >> 4];
        s->ac[k] = &j->ac[e[1] & 15];
        if (!j->part[i].scaled)
            memcpy(j->part[i].scale, j->quant[j->part[i].quant], sizeof j->part[i].scale);
        j->part[i].scaled = true;
    }
    const uint8_t *e = head.p + 1 + 2 * (size_t)s->n;
    s->first = j->progressive ? e[0] : 0;
    s->last = j->progressive ? e[1] : 63;
    s->high = j->progressive ? e[2] >> 4 : 0;
    s->low = j->progressive ? e[2] & 15 : 0;
    const bool one_kind = !j->progressive || (s->first == 0) == (s->last == 0);
    if (s->last > 63 || s->first > s->last || s->low > 13 || !one_kind) return false;
    for (uint32_t k = 0; k < s->n; k++)
        if ((s->first == 0 && !s->high && !s->dc[k]->set) || (s->last > 0 && !s->ac[k]->set))
            return false;
    return s->n == 1 || s->first == 0;
}

void lmn_jpeg_scan(lmn_jpeg *j, lmn_span head)
{
    scan s = {.j = j};
    if (!parts_of(&s, head)) {
        j->broken = "a scan header contradicts the frame";
        return;
    }
    const lmn_jpeg_part *p = &j->part[s.part[0]];
    const int64_t across = s.n == 1 ? (p->width + 7) / 8 : j->mcus_across,
                  down = s.n == 1 ? (p->height + 7) / 8 : j->mcus_down;
    for (int64_t i = 0; i < across * down && !j->broken; i++) {
        if (j->restart && i && i % j->restart == 0) restart(&s);
        if (!j->broken) mcu(&s, i % across, i / across);
    }
}
