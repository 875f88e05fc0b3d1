/*
 * JSON (RFC 8259): a strict, bounded pull parser that copies nothing, and a writer.
 *
 * The parser yields one token a call. A string token points at the raw bytes between the quotes,
 * already checked (UTF-8, escapes, paired surrogates); lmn_json_string decodes it. A number keeps
 * its text, so that 64-bit integers stay exact. Refused: comments, trailing commas, NaN, a byte
 * order mark, anything after the value, depth past LMN_JSON_MAX_DEPTH.
 */
#ifndef LMN_BASE_JSON_H
#define LMN_BASE_JSON_H

#include "base/error.h"
#include "base/strbuf.h"

#define LMN_JSON_MAX_DEPTH 64u

typedef enum lmn_json_kind {
    LMN_JSON_ERROR = 0, /* the sentence, line and column are in *err; stays so */
    LMN_JSON_END,       /* the value is complete and nothing follows it; stays so */
    LMN_JSON_OBJECT,    /* '{' ... */
    LMN_JSON_OBJECT_END,
    LMN_JSON_ARRAY,
    LMN_JSON_ARRAY_END,
    LMN_JSON_KEY, /* of the value that follows */
    LMN_JSON_STRING,
    LMN_JSON_NUMBER,
    LMN_JSON_TRUE,
    LMN_JSON_FALSE,
    LMN_JSON_NULL
} lmn_json_kind;

typedef struct lmn_json_token {
    lmn_json_kind kind;
    lmn_span text; /* KEY, STRING: between the quotes, still escaped; NUMBER: all of it */
    bool escaped;  /* KEY, STRING: there is a backslash in it */
} lmn_json_token;

typedef struct lmn_json {
    const uint8_t *start, *p, *end;
    lamina_error *err; /* may be NULL */
    uint32_t depth;
    uint8_t state;
    bool in_object[LMN_JSON_MAX_DEPTH];
} lmn_json;

/* `text` is borrowed as long as the parser and its tokens are used. `err` may be NULL. */
void lmn_json_init(lmn_json *j, lmn_span text, lamina_error *err);
/* Next token; returns its kind. */
lmn_json_kind lmn_json_next(lmn_json *j, lmn_json_token *t);
/* Pass over what stands below token t, the one just read: to the matching end for OBJECT and ARRAY,
   the value of a KEY, nothing for a scalar. False on error. */
bool lmn_json_skip(lmn_json *j, const lmn_json_token *t);
/*
 * A value that the caller reads himself, as an array of numbers without a token each. After a KEY:
 * where the value begins (blanks are passed; it may be the end of the text). lmn_json_resume says
 * where it stopped, which is right behind a whole value.
 */
const uint8_t *lmn_json_at(lmn_json *j);
void lmn_json_resume(lmn_json *j, const uint8_t *behind);
/* Is the decoded text of a KEY or STRING equal to s? */
bool lmn_json_is(const lmn_json_token *t, const char *s);
/* Decode a KEY or STRING: at most text.n bytes, which dst must hold. Returns the length. */
size_t lmn_json_string(const lmn_json_token *t, void *dst);
/* Value of a NUMBER: i64 false unless it is written as an integer that fits. */
bool lmn_json_i64(const lmn_json_token *t, int64_t *out);
bool lmn_json_f64(const lmn_json_token *t, double *out);

/* Write n bytes as a string with its quotes; out has room for 6 n + 2. Bytes that are no UTF-8
 * become U+FFFD. Returns the length. */
size_t lmn_json_quote(char *out, const void *s, size_t n);

/*
 * Writer. Every value function takes the key inside an object and NULL in an array or at the top.
 * Failures stick in the strbuf. A number that JSON cannot say (NaN, infinity) becomes null; bytes
 * that are no UTF-8 become U+FFFD.
 */
typedef struct lmn_jsonw {
    lmn_strbuf *out;
    uint32_t depth;
    int32_t indent; /* spaces a level, 0 = all on one line */
    bool need_comma;
    bool in_object[LMN_JSON_MAX_DEPTH];
} lmn_jsonw;

void lmn_jsonw_init(lmn_jsonw *w, lmn_strbuf *out, int32_t indent);
void lmn_jsonw_object(lmn_jsonw *w, const char *key);
void lmn_jsonw_array(lmn_jsonw *w, const char *key);
void lmn_jsonw_end(lmn_jsonw *w); /* closes the innermost object or array */
void lmn_jsonw_str(lmn_jsonw *w, const char *key, const char *s);
void lmn_jsonw_strn(lmn_jsonw *w, const char *key, const void *s, size_t n);
void lmn_jsonw_i64(lmn_jsonw *w, const char *key, int64_t v);
void lmn_jsonw_u64(lmn_jsonw *w, const char *key, uint64_t v);
void lmn_jsonw_f64(lmn_jsonw *w, const char *key, double v);
void lmn_jsonw_f32(lmn_jsonw *w, const char *key, float v);
void lmn_jsonw_bool(lmn_jsonw *w, const char *key, bool v);
void lmn_jsonw_null(lmn_jsonw *w, const char *key);

#endif
