/*
 * Attributes of a draw, as fields of AttributeProto: from a recipe (props_recipe.c) or, where the
 * operator has none, from its schema.
 */
#include "props_pick.h"

#include <math.h>
#include <stdlib.h>

static void put_number(pr_draw *d, pr_bytes *a, lmn_attr_type type, double v)
{
    const float f = (float)v;
    uint8_t tag;
    if (type == LMN_ATTR_INT || type == LMN_ATTR_INTS) {
        const int64_t i = d->hostile && pr_chance(d, d->hostile) ? pr_absurd(d) : (int64_t)v;
        pr_field_int(a, type == LMN_ATTR_INT ? 3 : 8, (uint64_t)i);
        pr_say(&d->text, " %lld", (long long)i);
        return;
    }
    tag = (uint8_t)((type == LMN_ATTR_FLOAT ? 2 : 7) << 3 | 5);
    pr_put(a, &tag, 1);
    pr_put(a, &f, sizeof f);
    pr_say(&d->text, " %g", (double)f);
}

static void begin_attr(pr_draw *d, pr_bytes *a, const char *name, size_t len, lmn_attr_type type)
{
    pr_field_bytes(a, 1, name, len);
    pr_field_int(a, 20, (uint64_t)type);
    pr_say(&d->text, " %.*s=", (int)len, name);
}

static void end_attr(pr_draw *d, pr_bytes *a)
{
    pr_field_bytes(&d->attrs, 5, a->p, a->n);
    pr_free(a);
}

static lmn_attr_type type_of_attr(const lmn_op_def *op, const char *name, size_t len,
                                  const char *value)
{
    for (const lmn_attr_schema *a = op->attrs; a && a->name; a++)
        if (strlen(a->name) == len && memcmp(a->name, name, len) == 0) return a->type;
    return *value == '[' ? LMN_ATTR_INTS : LMN_ATTR_INT;
}

/* One of a|b|c: a word, a number, or numbers between commas. */
static void put_choice(pr_draw *d, pr_bytes *a, lmn_attr_type type, const char *s, size_t n)
{
    int64_t choices = 1, pick;
    for (size_t i = 0; i < n; i++) choices += s[i] == '|';
    for (pick = pr_int(d, 0, choices - 1); pick; pick--) {
        const size_t skip = strcspn(s, "|") + 1;
        s += skip;
        n -= skip;
    }
    const size_t len = strcspn(s, "| ");
    n = len < n ? len : n;
    if (type == LMN_ATTR_STRING) {
        pr_field_bytes(a, 4, s, n);
        pr_say(&d->text, "%.*s", (int)n, s);
        return;
    }
    for (const char *t = s; t < s + n; t += strcspn(t, ",| ") + 1)
        put_number(d, a, type, strtod(t, NULL));
}

static void attr_of_recipe(pr_pick *p, const char *s, size_t n)
{
    pr_draw *d = p->d;
    const size_t name = strcspn(s, "=");
    const char *v = s + name + 1;
    size_t len = n - name - 1;
    const lmn_attr_type type = type_of_attr(d->op, s, name, v);
    pr_bytes a = {0};
    double lo, hi;
    int64_t count = 1;
    begin_attr(d, &a, s, name, type);
    if (*v == '$') {
        put_number(d, &a, type, (double)pr_product(p, v + 1, len - 1));
        end_attr(d, &a);
        return;
    }
    if (*v == '[') {
        count = strtol(v + 1, NULL, 10);
        const size_t skip = strcspn(v, "]") + 1;
        v += skip;
        len -= skip;
    }
    const bool range = type != LMN_ATTR_STRING && pr_split_range(v, len, &lo, &hi);
    const bool whole = type == LMN_ATTR_INT || type == LMN_ATTR_INTS;
    for (; count && range; count--)
        put_number(d, &a, type,
                   whole ? (double)pr_int(d, (int64_t)lo, (int64_t)hi)
                         : lo + (hi - lo) * lmn_rng_f64(&d->rng));
    if (!range) put_choice(d, &a, type, v, len);
    end_attr(d, &a);
}

void pr_attrs_of_recipe(pr_pick *p, const char *s)
{
    while (*s) {
        const size_t len = strcspn(s, " "), q = *s == '?';
        if (!q || pr_chance(p->d, 50)) attr_of_recipe(p, s + q, len - q);
        s += len + (s[len] == ' ');
    }
}

static void put_attr_tensor(pr_pick *p, pr_bytes *a)
{
    pr_draw *d = p->d;
    pr_bytes t = {0};
    lamina_tensor *v = NULL;
    const pr_shape s = {.rank = pr_chance(d, 80), .dims = {1}};
    if (lamina_tensor_create(p->maker, pr_draw_type(d, LMN_D_ALL), s.rank, s.dims, &v)) return;
    pr_fill(d, v, 1, 0);
    pr_tensor(&t, NULL, v);
    pr_field_bytes(a, 5, t.p, t.n);
    pr_say(&d->text, " %s[%d]", lamina_dtype_name(v->dtype), s.rank);
    pr_free(&t);
    lamina_tensor_unref(v);
}

static void draw_attr(pr_pick *p, const lmn_attr_schema *s)
{
    static const char *const words[] = {"NOTSET", "VALID",    "SAME_UPPER", "linear",  "nearest",
                                        "none",   "sum",      "constant",   "reflect", "LEFT",
                                        "Relu",   "bilinear", "forward",    "tanh",    "MAX",
                                        "L2",     "DCR",      "ij->ji",     "a"};
    static const double reals[] = {0, 1, 0.5, 1e-5, -1, 2, -0.25, 100, NAN, INFINITY};
    pr_draw *d = p->d;
    pr_bytes a = {0};
    const bool list = s->type >= LMN_ATTR_FLOATS;
    begin_attr(d, &a, s->name, strlen(s->name), s->type);
    for (int64_t n = list ? pr_int(d, 0, 4) : 1; n; n--) {
        if (s->type == LMN_ATTR_TENSOR)
            put_attr_tensor(p, &a);
        else if (s->type == LMN_ATTR_STRING || s->type == LMN_ATTR_STRINGS) {
            const char *w = words[pr_int(d, 0, (int64_t)LMN_COUNT(words) - 1)];
            pr_field_str(&a, s->type == LMN_ATTR_STRING ? 4 : 9, w);
            pr_say(&d->text, " %s", w);
        } else if (s->type == LMN_ATTR_INT || s->type == LMN_ATTR_INTS)
            put_number(d, &a, s->type,
                       pr_chance(d, 3) ? -0x1p63 : (double)pr_int(d, -(pr_chance(d, 20)), 3));
        else
            put_number(d, &a, s->type,
                       reals[pr_int(d, 0, (int64_t)LMN_COUNT(reals) - (pr_chance(d, 10) ? 1 : 3))]);
    }
    end_attr(d, &a);
}

void pr_attrs_of_schema(pr_pick *p)
{
    for (const lmn_attr_schema *a = p->d->op->attrs; a && a->name; a++) {
        if (a->type == LMN_ATTR_GRAPH || a->type > LMN_ATTR_STRINGS) continue;
        if (a->flags & LMN_ATTR_REQUIRED || pr_chance(p->d, 30)) draw_attr(p, a);
    }
}
