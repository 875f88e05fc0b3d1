/*
 * The matcher of regular expressions: all states at once, one code point at a time.
 *
 * Invariant: jumps are relative and stay inside their fragment, so that fragments can be moved and
 * copied by the compiler (regex_parse.c); a state is entered at most once a position.
 */
#include "ops/regex_inst.h"
#include "ops/unicase.h"

#include <string.h>

static bool is_word(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}

static bool holds(int32_t kind, uint32_t before, uint32_t after)
{
    switch (kind) {
    case LMN_RE_BEGIN: return before == LMN_RE_EDGE;
    case LMN_RE_END: return after == LMN_RE_EDGE;
    case LMN_RE_LINE_BEGIN: return before == LMN_RE_EDGE || before == '\n';
    case LMN_RE_LINE_END: return after == LMN_RE_EDGE || after == '\n';
    case LMN_RE_WORD: return is_word(before) != is_word(after);
    default: return is_word(before) == is_word(after);
    }
}

static bool in_ranges(const lmn_regex *re, const lmn_regex_inst *i, uint32_t c)
{
    for (int32_t k = i->x; k < i->x + i->y; k++)
        if (c >= re->ranges[k].lo && c <= re->ranges[k].hi) return true;
    return false;
}

static bool takes(const lmn_regex *re, const lmn_regex_inst *i, uint32_t c)
{
    switch (i->op) {
    case LMN_RE_CHAR:
        return c == (uint32_t)i->x ||
               (i->fold && lmn_case_lower(c) == lmn_case_lower((uint32_t)i->x));
    case LMN_RE_ANY: return true;
    case LMN_RE_ANY_BUT_NL: return c != '\n';
    case LMN_RE_SET: {
        bool in = in_ranges(re, i, c);
        if (!in && i->fold)
            in = in_ranges(re, i, lmn_case_lower(c)) || in_ranges(re, i, lmn_case_upper(c));
        return in != i->negate;
    }
    default: return false;
    }
}

/* Enter state `pc` and all that follow without reading: appended to set[which]. */
static int32_t enter(lmn_regex *re, int which, int32_t n, int32_t pc, uint32_t before,
                     uint32_t after)
{
    int32_t top = 0;
    re->stack[top++] = pc;
    re->mark[pc] = re->turn;
    while (top > 0) {
        const int32_t at = re->stack[--top];
        const lmn_regex_inst *i = &re->code[at];
        int32_t next[2], m = 0;
        switch (i->op) {
        case LMN_RE_JMP: next[m++] = at + i->x; break;
        case LMN_RE_SPLIT:
            next[m++] = at + i->x;
            next[m++] = at + i->y;
            break;
        case LMN_RE_ASSERT:
            if (holds(i->x, before, after)) next[m++] = at + 1;
            break;
        default: re->set[which][n++] = at; break;
        }
        for (int32_t k = 0; k < m; k++) {
            if (re->mark[next[k]] == re->turn) continue;
            re->mark[next[k]] = re->turn;
            re->stack[top++] = next[k];
        }
    }
    return n;
}

static void next_turn(lmn_regex *re)
{
    if (re->turn == INT32_MAX) {
        memset(re->mark, 0, (size_t)re->n * sizeof *re->mark);
        re->turn = 0;
    }
    re->turn++;
}

bool lmn_regex_full(lmn_regex *re, const char *text, size_t n)
{
    const uint8_t *p = (const uint8_t *)text;
    size_t at = 0, len = 0, next_len = 0;
    uint32_t c = n ? lmn_utf8_get(p, n, &len) : LMN_RE_EDGE;
    next_turn(re);
    int which = 0;
    int32_t live = enter(re, which, 0, 0, LMN_RE_EDGE, c);
    while (at < n && live > 0) {
        const size_t then = at + len;
        const uint32_t after = then < n ? lmn_utf8_get(p + then, n - then, &next_len) : LMN_RE_EDGE;
        int32_t m = 0;
        next_turn(re);
        for (int32_t k = 0; k < live; k++) {
            const int32_t pc = re->set[which][k];
            if (takes(re, &re->code[pc], c) && re->mark[pc + 1] != re->turn)
                m = enter(re, !which, m, pc + 1, c, after);
        }
        which = !which;
        live = m;
        at = then;
        len = next_len;
        c = after;
    }
    for (int32_t k = 0; at == n && k < live; k++)
        if (re->code[re->set[which][k]].op == LMN_RE_MATCH) return true;
    return false;
}

/* Enter `pc` for a match that began at `begin`, unless an earlier one holds the state. */
static int32_t enter_since(lmn_regex *re, int which, int32_t n, int32_t pc, const uint32_t edge[2],
                           size_t begin)
{
    if (re->mark[pc] == re->turn) return n;
    const int32_t m = enter(re, which, n, pc, edge[0], edge[1]);
    for (int32_t k = n; k < m; k++) re->since[which][k] = begin;
    return m;
}

/* The character that ends before `at`. */
static uint32_t char_before(const uint8_t *p, size_t at)
{
    size_t len, first = at;
    if (at == 0) return LMN_RE_EDGE;
    do first--;
    while (first > 0 && at - first < 4 && (p[first] & 0xc0) == 0x80);
    return lmn_utf8_get(p + first, at - first, &len);
}

/* Notes a match at `at`, forgets the states that began after the match; returns those left. */
static int32_t settle(lmn_regex *re, int which, int32_t live, size_t at, size_t *begin, size_t *end)
{
    int32_t left = 0;
    for (int32_t k = 0; k < live; k++)
        if (re->code[re->set[which][k]].op == LMN_RE_MATCH && re->since[which][k] <= *begin)
            *begin = re->since[which][k], *end = at;
    for (int32_t k = 0; k < live; k++) {
        if (re->since[which][k] > *begin) continue;
        re->set[which][left] = re->set[which][k];
        re->since[which][left++] = re->since[which][k];
    }
    return left;
}

/* States stand in the order of where they began, so that of two the one that began first stays. */
bool lmn_regex_find(lmn_regex *re, const char *text, size_t n, size_t from, size_t *begin,
                    size_t *end)
{
    const uint8_t *p = (const uint8_t *)text;
    uint32_t edge[2] = {char_before(p, from), LMN_RE_EDGE};
    int which = 0;
    int32_t live = 0;
    *begin = SIZE_MAX;
    for (size_t at = from;;) {
        size_t len = 0;
        int32_t m = 0;
        edge[1] = at < n ? lmn_utf8_get(p + at, n - at, &len) : LMN_RE_EDGE;
        next_turn(re);
        for (int32_t k = 0; k < live; k++) {
            const int32_t pc = re->set[which][k];
            if (takes(re, &re->code[pc], edge[0]))
                m = enter_since(re, !which, m, pc + 1, edge, re->since[which][k]);
        }
        if (*begin == SIZE_MAX) m = enter_since(re, !which, m, 0, edge, at);
        which = !which;
        live = settle(re, which, m, at, begin, end);
        if (at == n || (live == 0 && *begin != SIZE_MAX)) return *begin != SIZE_MAX;
        edge[0] = edge[1];
        at += len;
    }
}
