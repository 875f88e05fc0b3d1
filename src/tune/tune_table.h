/*
 * Choices that were won, by problem: a table in memory, and the lines of the file it comes from.
 * A line is one record, with a checksum of its own:
 *
 *   lamina-tune-1 MACHINE VERSION ROW WORD,WORD.. PATH,MC,NC,KC GAIN SUM
 *
 * Later lines replace earlier ones. A line that is torn, damaged, of another format, machine,
 * library or row, or that no plan can obey, is passed over and counted by reason; the others count.
 */
#ifndef LMN_TUNE_TABLE_H
#define LMN_TUNE_TABLE_H

#include "base/engine.h"
#include "tune/tune_key.h"

/* X(id, text): why a line is passed over. */
#define LMN_TUNE_REASONS(X)                 \
    X(DAMAGED, "damaged")                   \
    X(FORMAT, "of another format")          \
    X(MACHINE, "of another machine")        \
    X(LIBRARY, "of another library")        \
    X(ROW, "of a row that is not used now") \
    X(IMPOSSIBLE, "impossible")             \
    X(MANY, "beyond the limit")

enum {
#define X(id, text) LMN_TUNE_##id,
    LMN_TUNE_REASONS(X)
#undef X
        LMN_TUNE_N_REASONS
};

enum {
    LMN_TUNE_LINE_MAX = 512, /* bytes, the newline included */
    LMN_TUNE_FILE_MAX = 1 << 20,
    LMN_TUNE_RECORDS_MAX = 4096
};

typedef struct lmn_tune_record {
    lmn_tune_key key;
    lmn_choice choice;
    double gain; /* time of the rule over time of the choice */
} lmn_tune_record;

/* What lines are compared with, and what stands in new ones. */
typedef struct lmn_tune_origin {
    uint64_t machine;
    const char *version; /* of the library */
    const lmn_kset *set;
} lmn_tune_origin;

typedef struct lmn_tune_table {
    const lamina_allocator *alloc;
    lmn_tune_record *records;
    int32_t *slots; /* numbers of records + 1, by hash; 0 = free */
    uint32_t n, cap, n_slots;
    uint32_t ignored[LMN_TUNE_N_REASONS];
} lmn_tune_table;

/* An empty table finds nothing; a zeroed one is fine to finish. */
void lmn_tune_table_init(lmn_tune_table *t, const lamina_allocator *alloc);
void lmn_tune_table_finish(lmn_tune_table *t);
/* Put all lines of `text` into the table. E_NOMEM alone. */
lamina_status lmn_tune_table_read(lmn_tune_table *t, lmn_span text, const lmn_tune_origin *from);
/* Put one record, instead of one with its key. */
lamina_status lmn_tune_table_put(lmn_tune_table *t, const lmn_tune_record *r);
/* The record of a problem, NULL = none. */
const lmn_tune_record *lmn_tune_table_find(const lmn_tune_table *t, const lmn_tune_key *k);
uint32_t lmn_tune_table_ignored(const lmn_tune_table *t);
const char *lmn_tune_reason_text(int32_t reason);
/* One line with its newline; its length. */
size_t lmn_tune_line(const lmn_tune_record *r, const lmn_tune_origin *from,
                     char buf[LMN_TUNE_LINE_MAX]);

#endif
