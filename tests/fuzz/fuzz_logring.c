/*
 * Fuzz target: a ring of log records as another process may have left or scribbled it. The reader
 * stays inside the ring, ends, and whatever it finds becomes whole lines; JSON ones parse.
 */
#include "base/json.h"
#include "log/logsource.h"

#include <stdlib.h>
#include <string.h>

#define CELLS 8u
#define RECORDS 64

/* One line that ends; as JSON, one object. */
static void check_line(const char *p, size_t n, bool logfmt)
{
    if (n == 0 || n > LMN_LOGLINE_MAX || memchr(p, '\n', n) != p + n - 1) abort();
    if (logfmt) return;
    lmn_json j;
    lmn_json_token t;
    lamina_error err;
    lmn_json_init(&j, (lmn_span){(const uint8_t *)p, n}, &err);
    lmn_json_kind kind = lmn_json_next(&j, &t);
    if (kind != LMN_JSON_OBJECT) abort();
    while (kind != LMN_JSON_END) {
        if (kind == LMN_JSON_ERROR) abort();
        kind = lmn_json_next(&j, &t);
    }
}

static void drain(lmn_logsource *s, bool logfmt)
{
    static const lmn_logorigin FROM = {"a \"name\"\x01\xff", 7};
    /* Its exact size: one byte too many is seen. A line more than the longest, so that short ones
       stand behind the line that they are like. */
    lmn_lines o = {.cap = 2 * LMN_LOGLINE_MAX, .logfmt = logfmt};
    o.p = malloc(o.cap);
    if (!o.p) return;
    for (int i = 0; i < RECORDS; i++) {
        if (lmn_logsource_load(s, 1u << 30) != LAMINA_OK || s->n == 0) break;
        if (o.cap - o.n < LMN_LOGLINE_MAX) o.n = 0;
        const size_t line = o.n;
        (void)lmn_lines_record(&o, &FROM,
                               lmn_logrec_read(s->bytes, (size_t)s->n * LMN_LOGRING_CELL_BYTES));
        check_line(o.p + line, o.n - line, logfmt);
        lmn_logsource_pass(s);
        lmn_logring_release(&s->ring, s->ring.at);
    }
    free(o.p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t HEADER = offsetof(lmn_logring_mem, tail);
    if (size < 1) return 0;
    const uint8_t how = data[0];
    const bool raw = how & 4; /* the header is hostile, too */
    const size_t n = raw ? size - 1 : lmn_logring_bytes(CELLS);
    if (raw && n == 0) return 0;
    void *mem = NULL;
    if (posix_memalign(&mem, LMN_APART, n)) return 0;
    lmn_logsource *s = calloc(1, sizeof *s);
    if (raw) {
        memcpy(mem, data + 1, n);
    } else {
        memset(mem, 0, n);
        (void)lmn_logring_init(mem, n, CELLS);
        lmn_logring_ready(mem);
        const size_t k = size - 1 < n - HEADER ? size - 1 : n - HEADER;
        memcpy((uint8_t *)mem + HEADER, data + 1, k);
    }
    if (s && lmn_logring_attach(mem, n, &s->ring) == LAMINA_OK) {
        s->dead = how & 1;
        s->limit = UINT64_MAX;
        drain(s, how & 2);
    }
    free(s);
    free(mem);
    return 0;
}
