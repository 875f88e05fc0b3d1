/*
 * What a choice belongs to: one product or convolution as numbers, in words. Two nodes with the
 * same words are one problem, and the shape that a plan needs can be made from them again. Words
 * that stand in a file are checked before they become a shape: extents that overflow no plan.
 */
#ifndef LMN_TUNE_KEY_H
#define LMN_TUNE_KEY_H

#include "kernels/conv/conv_plan.h"
#include "kernels/gemm/gemm_plan.h"
#include "kernels/qgemm/qgemm_plan.h"

enum { LMN_TUNE_GEMM_F32, LMN_TUNE_CONV_F32, LMN_TUNE_QGEMM_I8, LMN_TUNE_FAMILIES };
enum {
    LMN_TUNE_GEMM_WORDS = 8,
    LMN_TUNE_QGEMM_WORDS = 7,
    LMN_TUNE_CONV_WORDS = 25,
    LMN_TUNE_WORDS = 25
};

typedef struct lmn_tune_key {
    int32_t family, n; /* words in use; those behind are 0 */
    int64_t word[LMN_TUNE_WORDS];
} lmn_tune_key;

/* What surrounds a problem. */
typedef struct lmn_tune_around {
    const lmn_epi *epi; /* NULL = none */
    int64_t items;      /* products of this one shape */
    int32_t threads;
    bool strict; /* no Winograd */
} lmn_tune_around;

lmn_tune_key lmn_tune_key_gemm(const lmn_gemm_shape *s, const lmn_tune_around *a);
lmn_tune_key lmn_tune_key_conv(const lmn_conv_geom *g, const lmn_tune_around *a);
lmn_tune_key lmn_tune_key_qgemm(const lmn_qgemm_shape *s, const lmn_tune_around *a);
bool lmn_tune_key_same(const lmn_tune_key *a, const lmn_tune_key *b);
uint64_t lmn_tune_key_hash(const lmn_tune_key *k);
/* "gemm.f32" */
const char *lmn_tune_family_name(int32_t family);
/* "avx512": the row of the set that serves a family. */
const char *lmn_tune_variant(int32_t family, const lmn_kset *set);
/* The rows that serve it: without wino where the key is strict. */
lmn_kset lmn_tune_rows(const lmn_tune_key *k, const lmn_kset *set);
/* Words of a file: right in number and range, no product of them overflows in a plan, and the
   library has such plans (LMN_KSET_SHORTENS). */
bool lmn_tune_key_sane(const lmn_tune_key *k);
/* Does a plan for a sane key take the choice? */
bool lmn_tune_possible(const lmn_tune_key *k, const lmn_kset *set, const lmn_choice *c);
void lmn_tune_choices(const lmn_tune_key *k, const lmn_kset *set, lmn_choices *out);
/* "128 x 768 x 3072", "64 x 56 x 56 -> 128, 3 x 3 / 2": for people. */
void lmn_tune_key_text(const lmn_tune_key *k, char *buf, size_t cap);
/* "packed mc 512 nc 192"; "rule" when nothing is chosen. */
void lmn_choice_text(const lmn_choice *c, char *buf, size_t cap);
const char *lmn_choice_path_name(int32_t path);

#endif
