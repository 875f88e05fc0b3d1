/*
 * Makes a draw: element types, shapes, attributes, values. All of it follows from the operator's
 * name and the seed. Odd things (extents of 0, absurd attributes, shapes that do not fit) are drawn
 * too: a refusal must then be the same one on every way of running.
 */
#include "props_pick.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"

#define MAX_ELEMS 60000

int64_t pr_int(pr_draw *d, int64_t lo, int64_t hi)
{
    if (d->n_bytes) {
        d->n_bytes--;
        return lo + *d->bytes++ % (hi - lo + 1);
    }
    return lo + (int64_t)lmn_rng_below(&d->rng, (uint64_t)(hi - lo) + 1);
}

bool pr_chance(pr_draw *d, int32_t percent)
{
    return pr_int(d, 0, 99) < percent;
}

/* ---- values --------------------------------------------------------------------------------- */

static double draw_f64(pr_draw *d, double lo, double hi)
{
    static const double special[] = {NAN,      INFINITY,  -INFINITY, -0.0,    0.0,
                                     0x1p-149, -0x1p-140, 0x1p-126,  0x1p-14, 0x1p-24};
    static const double extreme[] = {0x1.fffffep127, -0x1.fffffep127, 65504, -65504, 1e30,
                                     -1e-30,         0x1p-126,        448,   88.8,   -104};
    if (lo <= hi) return lo + (hi - lo) * lmn_rng_f64(&d->rng);
    if (d->style == PR_SPECIAL && pr_chance(d, 25))
        return special[pr_int(d, 0, (int64_t)LMN_COUNT(special) - 1)];
    if (d->style == PR_EXTREME && pr_chance(d, 40))
        return extreme[pr_int(d, 0, (int64_t)LMN_COUNT(extreme) - 1)];
    if (d->style == PR_SMALL) return (double)pr_int(d, -32, 32) / 16;
    return lmn_rng_normal(&d->rng) * (pr_chance(d, 10) ? 8 : 1);
}

int64_t pr_absurd(pr_draw *d)
{
    static const int64_t numbers[] = {INT64_MIN,       INT64_MAX,  INT64_MIN + 1, INT32_MIN,
                                      INT32_MAX,       UINT32_MAX, 1ll << 40,     -(1ll << 40),
                                      (1ll << 61) - 1, 1ll << 62,  65536,         -1};
    return numbers[pr_int(d, 0, (int64_t)LMN_COUNT(numbers) - 1)];
}

static int64_t draw_i64(pr_draw *d, lamina_dtype dt, double lo, double hi)
{
    const bool is_signed = lmn_dtype_class(dt) == LMN_CLASS_SINT;
    if (dt == LAMINA_BOOL) return pr_int(d, 0, 1);
    if (d->hostile && pr_chance(d, d->hostile)) return pr_absurd(d);
    if (lo <= hi) return pr_int(d, (int64_t)ceil(lo), (int64_t)fmax(ceil(lo), floor(hi)));
    if (d->style == PR_SMALL) return pr_int(d, is_signed ? -3 : 0, 5);
    if (d->style == PR_REAL) return pr_int(d, is_signed ? -120 : 0, 120);
    switch (pr_int(d, 0, 5)) {
    case 0: return INT64_MIN;
    case 1: return INT64_MAX;
    case 2: return -1;
    case 3: /* the sign bit of the type */
        return (int64_t)(UINT64_C(1) << ((lmn_dtype_bytes(dt) ? lmn_dtype_bytes(dt) * 8 : 4) - 1));
    case 4: return (int64_t)lmn_rng_u64(&d->rng);
    default: return pr_int(d, 0, 9);
    }
}

static void fill_strings(pr_draw *d, lamina_tensor *t)
{
    static const char *const words[] = {
        "",    "a",    "abc", "A b", "3.5", "-7", "nan", "1e9", "\xc3\xa9t\xc3\xa9",
        "a,b", "\xff", "the"};
    for (int64_t i = 0; i < lamina_tensor_count(t); i++) {
        const char *s = words[pr_int(d, 0, (int64_t)LMN_COUNT(words) - 1)];
        if (lamina_tensor_set_string(t, i, s, strlen(s)) != LAMINA_OK) return;
    }
}

static void fill(pr_draw *d, lamina_tensor *t, double lo, double hi)
{
    const int64_t n = lamina_tensor_count(t);
    switch (lmn_dtype_class(t->dtype)) {
    case LMN_CLASS_STRING: fill_strings(d, t); return;
    case LMN_CLASS_FLOAT:
        for (int64_t i = 0; i < n; i++) lmn_set_f64(t, i, draw_f64(d, lo, hi));
        return;
    case LMN_CLASS_COMPLEX:
        for (int64_t i = 0; i < 2 * n; i++) {
            const double v = draw_f64(d, lo, hi);
            if (t->dtype == LAMINA_C64)
                ((float *)t->data)[i] = (float)v;
            else
                ((double *)t->data)[i] = v;
        }
        return;
    default:
        for (int64_t i = 0; i < n; i++) lmn_set_i64(t, i, draw_i64(d, t->dtype, lo, hi));
    }
}

/* Values follow from the seed: bytes are for what a model is made of. */
void pr_fill(pr_draw *d, lamina_tensor *t, double lo, double hi)
{
    const size_t n_bytes = d->n_bytes;
    d->n_bytes = 0;
    fill(d, t, lo, hi);
    d->n_bytes = n_bytes;
}

/* ---- shapes --------------------------------------------------------------------------------- */

static int64_t draw_extent(pr_draw *d, char letter)
{
    const bool tiny = strchr("ghkl", letter) != NULL, small = strchr("bdfn", letter) != NULL;
    if (tiny) return pr_int(d, 1, 3);
    if (pr_chance(d, 1)) return 0;
    if (small) return pr_int(d, 1, 3);
    const int64_t p = pr_int(d, 0, 99);
    return p < 60   ? pr_int(d, 1, 8)
           : p < 87 ? pr_int(d, 9, 20)
           : p < 96 ? pr_int(d, 21, 40)
                    : pr_int(d, 41, 130);
}

static int64_t count_of(const pr_shape *s)
{
    int64_t n = 1;
    for (int32_t i = 0; i < s->rank; i++) n *= s->dims[i];
    return n;
}

/* The same with leading dims gone and others 1: broadcasts against s. */
static pr_shape weaken(pr_draw *d, const pr_shape *s)
{
    const int32_t cut = (int32_t)pr_int(d, 0, s->rank);
    pr_shape r = {.rank = s->rank - (pr_chance(d, 50) ? cut : 0)};
    for (int32_t i = 0; i < r.rank; i++)
        r.dims[i] = pr_chance(d, 30) ? 1 : s->dims[s->rank - r.rank + i];
    return r;
}

/* A product of letters and digits: "3*h*d". */
int64_t pr_product(const pr_pick *p, const char *s, size_t n)
{
    int64_t v = 1;
    for (size_t i = 0; i < n;) {
        if (s[i] >= 'a' && s[i] <= 'z') {
            v *= p->letter[s[i++] - 'a'];
            continue;
        }
        int64_t k = 0;
        const size_t from = i;
        while (i < n && s[i] >= '0' && s[i] <= '9') k = k * 10 + (s[i++] - '0');
        if (i == from)
            i++; /* the '*' between factors */
        else
            v *= k;
    }
    return v;
}

static pr_shape shape_of_token(pr_pick *p, const char *s, size_t n)
{
    pr_shape r = {0};
    for (size_t i = 0; i < n;) {
        const size_t len = strcspn(s + i, ",: ");
        if (s[i] == '~') {
            const pr_shape b = weaken(p->d, &p->batch);
            for (int32_t k = 0; k < b.rank; k++) r.dims[r.rank++] = b.dims[k];
        } else if (s[i] != '_')
            r.dims[r.rank++] = pr_product(p, s + i, len);
        i += len + 1;
    }
    if (count_of(&r) > MAX_ELEMS)
        for (int32_t i = 0; i < r.rank; i++) r.dims[i] = r.dims[i] > 8 ? 8 : r.dims[i];
    return r;
}

static pr_shape draw_shape(pr_draw *d, int32_t max_rank)
{
    pr_shape r = {.rank = (int32_t)pr_int(d, 0, max_rank)};
    for (int32_t i = 0; i < r.rank; i++) r.dims[i] = pr_chance(d, 4) ? 0 : pr_int(d, 1, 5);
    if (r.rank && pr_chance(d, 15)) r.dims[r.rank - 1] = pr_int(d, 6, 70);
    return r;
}

/* ---- types ---------------------------------------------------------------------------------- */

lamina_dtype pr_draw_type(pr_draw *d, lmn_dset set)
{
    if (set & LMN_DBIT(LAMINA_F32) && pr_chance(d, 60)) return LAMINA_F32;
    for (int32_t tries = 0; tries < 400; tries++) {
        const lamina_dtype dt = (lamina_dtype)pr_int(d, 1, LAMINA_DTYPE_COUNT - 1);
        if (set & LMN_DBIT(dt)) return dt;
    }
    return LAMINA_F32;
}

static lamina_dtype type_of_port(pr_pick *p, const lmn_port *port)
{
    const uint8_t v = (uint8_t)port->var & 127;
    if (!v) return pr_draw_type(p->d, port->types);
    if (!p->var[v]) {
        lmn_dset set = port->types;
        for (const lmn_port *q = p->d->op->in; q->name; q++)
            if (q->var == port->var) set &= q->types;
        p->var[v] = pr_draw_type(p->d, set ? set : port->types);
    }
    return p->var[v];
}

static bool index_port(const lmn_port *port)
{
    return !(port->types & ~(LMN_DBIT(LAMINA_I64) | LMN_DBIT(LAMINA_I32)));
}

/* ---- inputs --------------------------------------------------------------------------------- */

bool pr_split_range(const char *s, size_t n, double *lo, double *hi)
{
    char text[64];
    if (n >= sizeof text) return false;
    memcpy(text, s, n);
    text[n] = 0;
    char *dots = strstr(text, "..");
    if (!dots) return false;
    *dots = 0;
    *lo = strtod(text, NULL);
    *hi = strtod(dots + 2, NULL);
    return true;
}

static void say_input(pr_draw *d, const pr_input *in)
{
    if (in->absent) {
        pr_say(&d->text, " -");
        return;
    }
    pr_say(&d->text, " %s%s[", in->sequence ? "seq:" : "", lamina_dtype_name(in->t->dtype));
    for (int32_t i = 0; i < in->t->rank; i++)
        pr_say(&d->text, i ? ",%lld" : "%lld", (long long)in->t->dims[i]);
    pr_say(&d->text, "]%s", in->constant ? "c" : in->shown == PR_STATIC ? "" : "?");
    if (lmn_dtype_class(in->t->dtype) == LMN_CLASS_SINT && lamina_tensor_count(in->t) <= 8) {
        pr_say(&d->text, "=");
        for (int64_t i = 0; i < lamina_tensor_count(in->t); i++)
            pr_say(&d->text, "%s%lld", i ? "," : "", (long long)lmn_get_i64(in->t, i));
    }
}

static bool add_input(pr_pick *p, const lmn_port *port, const pr_shape *s, double lo, double hi,
                      int32_t constant)
{
    pr_draw *d = p->d;
    pr_input *in = &d->in[d->n_in++];
    const pr_style style = d->style;
    const bool seq_op = strstr(d->op->name, "Sequence") || strstr(d->op->name, "Optional");
    if (lamina_tensor_create(p->maker, type_of_port(p, port), s->rank, s->dims, &in->t)) {
        in->absent = true;
        return false;
    }
    if (index_port(port) && pr_chance(d, 85)) d->style = PR_SMALL;
    pr_fill(d, in->t, lo, hi);
    d->style = style;
    in->sequence = port->flags & LMN_PORT_ANYKIND && seq_op && d->n_in == 1 && pr_chance(d, 80);
    in->constant = !in->sequence && pr_chance(d, constant);
    in->shown = pr_chance(d, 50) ? PR_STATIC : pr_chance(d, 70) ? PR_SYMBOLIC : PR_UNRANKED;
    in->dim_mask = lmn_rng_u32(&d->rng);
    say_input(d, in);
    return true;
}

static void add_absent(pr_draw *d)
{
    d->in[d->n_in++].absent = true;
    pr_say(&d->text, " -");
}

static bool inputs_of_recipe(pr_pick *p, const char *s)
{
    const lmn_port *port = p->d->op->in;
    while (*s && port->name && p->d->n_in < PR_MAX_IN) {
        const size_t len = strcspn(s, " "), q = *s == '?';
        const char *t = s + q;
        if ((q && pr_chance(p->d, 50)) || *t == '-') {
            add_absent(p->d);
        } else {
            double lo = 1, hi = 0;
            int32_t constant = index_port(port) ? 50 : 10;
            const size_t dims = strcspn(t, ": ");
            const pr_shape shape = shape_of_token(p, t, dims);
            for (const char *o = t + dims; *o == ':';) {
                const size_t n = strcspn(++o, ": ");
                if (n == 1 && *o == 'c') constant = 75;
                (void)pr_split_range(o, n, &lo, &hi);
                o += n;
            }
            if (!add_input(p, port, &shape, lo, hi, constant)) return false;
        }
        s += len + (s[len] == ' ');
        if (!(port->flags & LMN_PORT_VARIADIC)) port++;
    }
    return true;
}

static bool inputs_of_schema(pr_pick *p)
{
    pr_draw *d = p->d;
    const pr_shape base = draw_shape(d, 4);
    const lmn_port *port = d->op->in;
    int64_t more = pr_int(d, 0, 2);
    while (port->name && d->n_in < PR_MAX_IN) {
        if (port->flags & LMN_PORT_OPTIONAL && pr_chance(d, 50)) {
            add_absent(d);
        } else {
            const pr_shape s = pr_chance(d, 60)   ? (index_port(port) ? draw_shape(d, 1) : base)
                               : pr_chance(d, 70) ? weaken(d, &base)
                                                  : draw_shape(d, 5);
            if (!add_input(p, port, &s, 1, 0, index_port(port) ? 50 : 10)) return false;
        }
        if (!(port->flags & LMN_PORT_VARIADIC) || more-- == 0) port++;
    }
    return true;
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void draw_outputs(pr_pick *p)
{
    pr_draw *d = p->d;
    for (const lmn_port *port = d->op->out; port->name && d->n_out < PR_MAX_OUT; port++) {
        int64_t n = port->flags & LMN_PORT_VARIADIC ? pr_int(d, 1, 3) : 1;
        for (; n && d->n_out < PR_MAX_OUT; n--, d->n_out++)
            if (!(port->flags & LMN_PORT_OPTIONAL) || pr_chance(d, 40))
                d->out_mask |= 1u << d->n_out;
    }
    while (d->n_out > 1 && !(d->out_mask >> (d->n_out - 1) & 1)) d->n_out--;
    pr_say(&d->text, " -> %d outputs (mask %x)", d->n_out, d->out_mask);
    const lmn_port *y = d->op->out;
    if (!(d->out_mask & 1) || !y->name || p->var[(uint8_t)y->var & 127] != LAMINA_F32) return;
    if (!pr_chance(d, 30)) return;
    static const char *const tails[] = {"Relu", "Add", "Mul", "Sigmoid", "Tanh", "HardSwish"};
    d->n_tail = (int32_t)pr_int(d, 1, 3);
    for (int32_t i = 0; i < d->n_tail; i++) {
        d->tail[i] = tails[pr_int(d, 0, (int64_t)LMN_COUNT(tails) - 1)];
        d->tail_arg[i] = (float)pr_int(d, -16, 16) / 8;
        pr_say(&d->text, " %s(%g)", d->tail[i], (double)d->tail_arg[i]);
    }
}

static int32_t draw_opset(pr_draw *d)
{
    const lmn_op_def *op = d->op;
    int32_t newest = 1;
    if (!*op->domain) newest = 28;
    if (strcmp(op->domain, "ai.onnx.ml") == 0) newest = 5;
    if (op->until) newest = op->until;
    if (pr_has_body(op)) return (int32_t)pr_int(d, 17, newest); /* bodies are in today's words */
    if (pr_chance(d, 80) || op->since >= newest) return newest;
    return (int32_t)pr_int(d, op->since, newest);
}

static uint64_t hash_name(const char *s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *s; s++) h = (h ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
    return h;
}

/* Everything but op, seed, rng and bytes. */
static bool make(pr_draw *d, lamina_engine *maker)
{
    static const char *const styles[] = {"small", "real", "special", "extreme"};
    const lmn_op_def *op = d->op;
    pr_pick p = {.d = d, .maker = maker};
    d->style = (pr_style)(pr_chance(d, 60) ? pr_int(d, PR_SMALL, PR_REAL)
                                           : pr_int(d, PR_SPECIAL, PR_EXTREME));
    d->opset = draw_opset(d);
    for (int32_t i = 0; i < 26; i++) p.letter[i] = draw_extent(d, (char)('a' + i));
    p.batch = draw_shape(d, 2);
    pr_say(&d->text, "%s%s%s-%d, %s:", op->domain, *op->domain ? "." : "", op->name, d->opset,
           styles[d->style]);
    int32_t n = 0;
    while (pr_recipe_find(op->name, n)) n++;
    bool ok;
    if (pr_has_body(op)) {
        ok = pr_body_make(d, maker);
    } else if (n == 0 || pr_chance(d, 12)) {
        ok = inputs_of_schema(&p);
        pr_attrs_of_schema(&p);
    } else {
        const pr_recipe *r = pr_recipe_find(op->name, (int32_t)pr_int(d, 0, n - 1));
        ok = inputs_of_recipe(&p, r->ins);
        pr_attrs_of_recipe(&p, r->attrs);
    }
    if (!pr_has_body(op)) draw_outputs(&p);
    if (d->hostile) pr_links_draw(d, maker);
    pr_put(&d->text, "", 1);
    return ok;
}

bool pr_draw_make(pr_draw *d, lamina_engine *maker, const lmn_op_def *op, uint64_t seed)
{
    *d = (pr_draw){.op = op, .seed = seed};
    lmn_rng_init(&d->rng, seed, hash_name(op->name) ^ hash_name(op->domain));
    return make(d, maker);
}

bool pr_draw_from_bytes(pr_draw *d, lamina_engine *maker, const lmn_op_def *op,
                        const uint8_t *bytes, size_t n)
{
    *d = (pr_draw){.op = op, .bytes = bytes, .n_bytes = n, .hostile = 3};
    d->seed = n ? bytes[n - 1] : 0; /* the last byte picks the values */
    lmn_rng_init(&d->rng, d->seed, hash_name(op->name) ^ hash_name(op->domain));
    return make(d, maker);
}

void pr_draw_free(pr_draw *d)
{
    for (int32_t i = 0; i < d->n_in; i++) lamina_tensor_unref(d->in[i].t);
    pr_links_free(d);
    pr_free(&d->attrs);
    pr_free(&d->text);
}
