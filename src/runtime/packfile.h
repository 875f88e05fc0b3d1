/*
 * The file of packed weights: a head, a table of entries and the packed bytes, each aligned to 64.
 *
 *   0       head, 512 bytes
 *   512     n_entries of 192 bytes
 *   ...     data
 *
 * Words are of the machine's order: a file is of one machine and says so by its magic. The head's
 * sum covers head and table, an entry's sum its data. Readers believe nothing: a span that was
 * accepted has every offset, length and name inside it.
 */
#ifndef LMN_RUNTIME_PACKFILE_H
#define LMN_RUNTIME_PACKFILE_H

#include "base/error.h"
#include "base/os/os_file.h"
#include "ops/prepack.h"

#define LMN_PACKFILE_VERSION 1u
#define LMN_PACKFILE_MOST 65536u /* entries */

typedef struct lmn_packhead {
    char magic[8];
    uint32_t version, n_entries;
    uint64_t bytes;   /* of the file */
    uint64_t made_ns; /* os_cache.h's clock */
    uint64_t sum;     /* of head and table, this word zero */
    uint64_t reserved[3];
    char model[448]; /* path of the model's file, or its name; for people */
} lmn_packhead;

/* What the packed bytes were made from. */
typedef struct lmn_packsource {
    lmn_os_file_id file; /* state of the file that has them; zero: unknown, or not to be trusted */
    uint64_t offset;     /* in it */
    uint64_t bytes, sum; /* lmn_checksum of the weights; 0 bytes: not made yet (never in files) */
} lmn_packsource;

typedef struct lmn_packentry {
    uint64_t offset, bytes, sum; /* of the packed bytes */
    lmn_packsource source;
    char layout[LMN_PACK_LAYOUT];
    uint64_t reserved[5];
} lmn_packentry;

typedef struct lmn_packfile {
    lmn_span map;
    const lmn_packhead *head;
    const lmn_packentry *entries; /* head->n_entries */
} lmn_packfile;

/* bytes: of the whole file; E_CORRUPT, E_VERSION with a sentence. Data are not read. The span is
   aligned to 8 bytes at least and borrowed by *out. */
lamina_status lmn_packfile_read(lmn_span bytes, lmn_packfile *out, lamina_error *err);
/* Are the data of an entry as they were written? Reads them. */
bool lmn_packentry_intact(const lmn_packfile *f, const lmn_packentry *e);

/* Bytes of a file with entries of these lengths, whose offsets are set; false: too large. */
bool lmn_packfile_lay_out(lmn_packentry *entries, size_t n, uint64_t *bytes);
/* Head and table into a file of that size, after all data and sums are there. */
void lmn_packfile_seal(uint8_t *file, uint64_t bytes, const lmn_packentry *entries, size_t n,
                       const char *model, uint64_t made_ns);

#endif
