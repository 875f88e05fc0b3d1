/*
 * Fuzz target: files of tuned choices. Lines are read as they come and again with a checksum put
 * right, so that what stands before it is looked at too; every record that is taken must be one
 * that a plan obeys, and must read back from the line written for it.
 */
#include "tune/tune_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void judge(const lmn_tune_table *t, const lmn_tune_origin *from)
{
    for (uint32_t i = 0; i < t->n; i++) {
        const lmn_tune_record *r = &t->records[i];
        if (!lmn_tune_key_sane(&r->key) || !lmn_tune_possible(&r->key, from->set, &r->choice))
            abort();
        if (lmn_tune_table_find(t, &r->key) != r) abort();
        char line[LMN_TUNE_LINE_MAX];
        lmn_tune_table again;
        lmn_tune_table_init(&again, t->alloc);
        const size_t n = lmn_tune_line(r, from, line);
        if (lmn_tune_table_read(&again, (lmn_span){(const uint8_t *)line, n}, from) == LAMINA_OK &&
            !lmn_tune_table_find(&again, &r->key))
            abort();
        lmn_tune_table_finish(&again);
    }
}

static void read_all(lamina_engine *e, lmn_span text, const lmn_tune_origin *from)
{
    lmn_tune_table t;
    lmn_tune_table_init(&t, &e->alloc);
    if (lmn_tune_table_read(&t, text, from) == LAMINA_OK) judge(&t, from);
    lmn_tune_table_finish(&t);
}

static uint64_t sum_of(const uint8_t *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
    return h;
}

/* The bytes as the middle of a line whose head and checksum are right. */
static size_t complete(char *line, size_t cap, const uint8_t *data, size_t size,
                       const lmn_tune_origin *from)
{
    const int head = snprintf(line, cap, "lamina-tune-1 %016llx %s ",
                              (unsigned long long)from->machine, from->version);
    size_t n = (size_t)head;
    if (size > cap - n - 32) size = cap - n - 32;
    if (size) memcpy(line + n, data, size);
    n += size;
    line[n++] = ' ';
    n += (size_t)snprintf(line + n, cap - n, "%016llx\n",
                          (unsigned long long)sum_of((const uint8_t *)line, n));
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lamina_engine e; /* made once: it looks at the system, which is slow */
    static bool ready;
    if (!ready && lmn_engine_init(&e, NULL) != LAMINA_OK) return 0;
    ready = true;
    lmn_kset set;
    (void)lmn_kset_choose(&e.cpu, NULL, &set);
    const lmn_tune_origin from = {0x1234abcd5678ef09u, "0.1.0", &set};
    read_all(&e, (lmn_span){data, size}, &from);
    char line[1024];
    const size_t n = complete(line, sizeof line, data, size, &from);
    read_all(&e, (lmn_span){(const uint8_t *)line, n}, &from);
    return 0;
}
