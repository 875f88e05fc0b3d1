/*
 * RegexFullMatch (ai.onnx, since 20): does the whole element match `pattern` (RE2 syntax, see
 * ops/regex.h)? Linear in the text.
 */
#include "ops/regex.h"
#include "ops/strings.h"

static lamina_status eval_regexfullmatch(lmn_eval *ec)
{
    const lmn_attr *a = lmn_attr_find(ec->node, "pattern");
    const lamina_tensor *x;
    lamina_tensor *t;
    lmn_regex re;
    LMN_TRY(lmn_need_strings(ec, 0, &x));
    if (!a || a->type != LMN_ATTR_STRING)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "attribute pattern is missing");
    LMN_TRY(lmn_regex_compile(ec, a->u.s.p ? a->u.s.p : "", a->u.s.n, &re));
    LMN_TRY(lmn_out(ec, 0, LAMINA_BOOL, x->rank, x->dims, &t));
    const int64_t n = t ? lmn_count(x) : 0;
    for (int64_t i = 0; i < n; i++) {
        if (lmn_eval_cancelled(ec)) return lmn_eval_fail(ec, LAMINA_E_CANCELLED, "cancelled");
        ((uint8_t *)t->data)[i] = lmn_regex_full(&re, lmn_strs(x)[i].p, lmn_strs(x)[i].n);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_D_STRING}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_D_BOOL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"pattern", LMN_ATTR_STRING, 0}, {0}};

const lmn_op_def lmn_op_RegexFullMatch = {
    .name = "RegexFullMatch",
    .domain = "",
    .since = 20,
    .flags = LMN_OP_SAME,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .eval = eval_regexfullmatch,
};
