/*
 * Parser of Einsum equations (see einsum.h). Spaces are ignored; terms and labels are bounded.
 */
#include "ops/einsum.h"

#include <string.h>

static int32_t label_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return 26 + c - 'a';
    return -1;
}

/* One term up to a comma, "->" or the end; advances *p. */
static const char *parse_term(const char **p, lmn_ein_term *t)
{
    *t = (lmn_ein_term){.dots = -1};
    for (const char *s = *p;; s++) {
        *p = s;
        if (*s == ' ') continue;
        if (*s == 0 || *s == ',' || *s == '-') return NULL;
        if (*s == '.') {
            if (s[1] != '.' || s[2] != '.') return "a lone dot";
            if (t->dots >= 0) return "two ellipses in one term";
            t->dots = t->n;
            s += 2;
            continue;
        }
        if (label_of(*s) < 0)
            return "a character that is neither a letter, space, comma, ... nor ->";
        if (t->n == LMN_EIN_TERM) return "a term of more than 64 labels";
        t->lab[t->n++] = (uint8_t)label_of(*s);
    }
}

static void implicit_output(lmn_ein *e, const int32_t *count)
{
    e->out = (lmn_ein_term){.dots = -1};
    for (int32_t i = 0; i < e->n_terms; i++)
        if (e->term[i].dots >= 0) e->out.dots = 0;
    for (int32_t l = 0; l < LMN_EIN_ELLIPSIS; l++)
        if (count[l] == 1) e->out.lab[e->out.n++] = (uint8_t)l;
}

const char *lmn_ein_parse(lmn_ein *e, const char *equation, int32_t n_inputs)
{
    int32_t count[LMN_EIN_ELLIPSIS] = {0};
    bool seen[LMN_EIN_ELLIPSIS] = {0}, any_dots = false;
    const char *p = equation;
    e->n_terms = 0;
    for (;;) {
        if (e->n_terms == LMN_EIN_MAX_TERMS) return "more than 64 terms";
        lmn_ein_term *t = &e->term[e->n_terms++];
        const char *bad = parse_term(&p, t);
        if (bad) return bad;
        for (int32_t i = 0; i < t->n; i++) count[t->lab[i]]++;
        any_dots = any_dots || t->dots >= 0;
        if (*p != ',') break;
        p++;
    }
    if (e->n_terms != n_inputs) return "a number of terms that is not the number of inputs";
    if (*p == 0) {
        implicit_output(e, count);
        return NULL;
    }
    if (p[1] != '>') return "a dash without >";
    p += 2;
    const char *bad = parse_term(&p, &e->out);
    if (bad) return bad;
    if (*p != 0) return "more than one output term";
    if (e->out.dots >= 0 && !any_dots) return "an ellipsis in the output only";
    for (int32_t i = 0; i < e->out.n; i++) {
        if (count[e->out.lab[i]] == 0) return "an output label that no input has";
        if (seen[e->out.lab[i]]) return "a repeated output label";
        seen[e->out.lab[i]] = true;
    }
    return NULL;
}

int32_t lmn_ein_expand(const lmn_ein_term *t, int32_t n_dots, uint8_t *out, int32_t cap)
{
    int32_t n = 0;
    for (int32_t i = 0; i <= t->n; i++) {
        for (int32_t d = n_dots - 1; i == t->dots && d >= 0; d--) {
            if (n == cap || d >= LMN_MAX_RANK) return -1;
            out[n++] = (uint8_t)(LMN_EIN_ELLIPSIS + d);
        }
        if (i == t->n) break;
        if (n == cap) return -1;
        out[n++] = t->lab[i];
    }
    return n;
}
