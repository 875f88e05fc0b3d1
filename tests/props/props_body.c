/*
 * Draws of the operators with subgraphs: If, Loop, Scan and SequenceMap. Bodies are short chains of
 * exact arithmetic over what they are given and what they capture, at times with an If inside; so
 * every way of running owes the same bits. Inputs past the node's own are those that bodies
 * capture.
 */
#include "props.h"

#include <stdio.h>

#define MAX_NAMES 32

/* Values that a body may read, all of one element type. */
typedef struct scope {
    int32_t n;
    char name[MAX_NAMES][12];
} scope;

typedef struct body {
    pr_draw *d;
    lamina_engine *maker;
    lamina_dtype type;
    int32_t rank, next; /* next: number of the next name */
    int64_t dims[3];
    scope outer; /* what bodies capture */
    bool ok;
} body;

bool pr_has_body(const lmn_op_def *op)
{
    for (const lmn_attr_schema *a = op->attrs; a && a->name; a++)
        if (a->type == LMN_ATTR_GRAPH && a->flags & LMN_ATTR_REQUIRED) return true;
    return false;
}

/* ---- inputs --------------------------------------------------------------------------------- */

static pr_input *add(body *b, lamina_dtype type, int32_t rank, const int64_t *dims, double lo,
                     double hi)
{
    pr_draw *d = b->d;
    pr_input *in = &d->in[d->n_in++];
    if (lamina_tensor_create(b->maker, type, rank, dims, &in->t) != LAMINA_OK) {
        in->absent = true;
        b->ok = false;
        return in;
    }
    pr_fill(d, in->t, lo, hi);
    in->constant = pr_chance(d, 20);
    in->shown = pr_chance(d, 50) ? PR_STATIC : pr_chance(d, 70) ? PR_SYMBOLIC : PR_UNRANKED;
    in->dim_mask = lmn_rng_u32(&d->rng);
    pr_say(&d->text, " %s[", lamina_dtype_name(type));
    for (int32_t i = 0; i < rank; i++) pr_say(&d->text, i ? ",%lld" : "%lld", (long long)dims[i]);
    pr_say(&d->text, "]%s", in->constant ? "c" : in->shown == PR_STATIC ? "" : "?");
    return in;
}

static void add_absent(body *b)
{
    b->d->in[b->d->n_in++].absent = true;
    pr_say(&b->d->text, " -");
}

/* Of the body's type, with `front` as an extent before the others unless it is negative. */
static pr_input *add_value(body *b, int64_t front)
{
    int64_t dims[4];
    int32_t rank = 0;
    const bool plain = pr_chance(b->d, 75), odd = pr_chance(b->d, 2);
    if (front >= 0) dims[rank++] = front;
    for (int32_t i = plain ? 0 : (int32_t)pr_int(b->d, 0, b->rank); i < b->rank; i++)
        dims[rank++] = b->dims[i] + odd;
    return add(b, b->type, rank, dims, 1, 0);
}

static void capture(body *b)
{
    for (int64_t n = pr_int(b->d, 1, 2); n; n--) {
        (void)snprintf(b->outer.name[b->outer.n++], sizeof b->outer.name[0], "x%d", b->d->n_in);
        add_value(b, -1)->captured = true;
    }
}

/* A number or a truth for the node to go by: a scalar, or one element in a row. */
static pr_input *add_scalar(body *b, lamina_dtype type, double lo, double hi)
{
    static const int64_t one[2] = {1, 1};
    const int64_t wrong[1] = {pr_int(b->d, 0, 2)};
    if (pr_chance(b->d, 3)) return add(b, type, 1, wrong, lo, hi);
    return add(b, type, (int32_t)pr_chance(b->d, 30), one, lo, hi);
}

/* ---- bodies --------------------------------------------------------------------------------- */

static const char *grow(body *b, scope *s)
{
    char *name = s->name[s->n < MAX_NAMES ? s->n++ : MAX_NAMES - 1];
    (void)snprintf(name, sizeof s->name[0], "b%d", b->next++);
    return name;
}

static const char *some(body *b, const scope *s)
{
    return s->name[pr_int(b->d, 0, s->n - 1)];
}

static void put_plain(pr_bytes *graph, const char *op, const char *x, const char *y,
                      const char *out)
{
    pr_bytes node = {0};
    pr_field_str(&node, 1, x);
    if (y) pr_field_str(&node, 1, y);
    pr_field_str(&node, 2, out);
    pr_field_str(&node, 4, op);
    pr_field_msg(graph, 1, &node);
}

static void put_cast(body *b, pr_bytes *graph, const char *x, const char *out)
{
    pr_bytes node = {0}, a = {0};
    pr_field_str(&node, 1, x);
    pr_field_str(&node, 2, out);
    pr_field_str(&node, 4, "Cast");
    pr_field_str(&a, 1, "to");
    pr_field_int(&a, 3, (uint64_t)b->type);
    pr_field_int(&a, 20, LMN_ATTR_INT);
    pr_field_msg(&node, 5, &a);
    pr_field_msg(graph, 1, &node);
}

/* An initialiser with one number of this type; its name. */
static const char *put_constant(body *b, pr_bytes *graph, scope *s, lamina_dtype type, int64_t v)
{
    pr_bytes t = {0};
    lamina_tensor *k = NULL;
    const char *name = grow(b, s);
    if (lamina_tensor_create(b->maker, type, 0, NULL, &k) != LAMINA_OK) {
        b->ok = false;
        return name;
    }
    lmn_set_f64(k, 0, (double)v);
    if (lmn_dtype_class(type) != LMN_CLASS_FLOAT) lmn_set_i64(k, 0, v);
    pr_tensor(&t, name, k);
    pr_field_msg(graph, 5, &t);
    lamina_tensor_unref(k);
    return name;
}

/* Port `field` of a graph (11 in, 12 out): named, mostly with its type. */
static void put_port(body *b, pr_bytes *graph, uint32_t field, const char *name, lamina_dtype type)
{
    pr_bytes info = {0}, t = {0}, tensor = {0};
    pr_field_str(&info, 1, name);
    if (pr_chance(b->d, 90)) {
        pr_field_int(&tensor, 1, (uint64_t)type);
        pr_field_msg(&t, 1, &tensor);
        pr_field_msg(&info, 2, &t);
    }
    pr_field_msg(graph, field, &info);
}

static void chain(body *b, pr_bytes *graph, scope *s, int64_t n)
{
    static const char *const two[] = {"Add", "Sub", "Mul", "Max"};
    static const char *const one[] = {"Neg", "Abs", "Relu", "Identity"};
    for (; n; n--) {
        const bool pair = pr_chance(b->d, 70);
        const char *op = (pair ? two : one)[pr_int(b->d, 0, 3)];
        const char *x = some(b, s);
        const char *y = !pair ? NULL
                        : pr_chance(b->d, 20)
                            ? put_constant(b, graph, s, b->type, pr_int(b->d, -3, 3))
                            : some(b, s);
        const char *out = grow(b, s);
        put_plain(graph, op, x, y, out);
        pr_say(&b->d->text, " %s=%s(%s%s%s)", out, op, x, y ? "," : "", y ? y : "");
    }
}

static void put_graph(pr_bytes *node, const char *name, pr_bytes *graph)
{
    pr_bytes a = {0};
    pr_field_str(graph, 2, name);
    pr_field_str(&a, 1, name);
    pr_field_msg(&a, 6, graph);
    pr_field_int(&a, 20, LMN_ATTR_GRAPH);
    pr_field_msg(node, 5, &a);
}

/* The two branches as attributes of a node with n_out outputs; they read what `s` has. */
static void put_branches(body *b, pr_bytes *node, const scope *s, int32_t n_out)
{
    for (int i = 0; i < 2; i++) {
        pr_bytes g = {0};
        scope own = *s;
        pr_say(&b->d->text, i ? " else{" : " then{");
        chain(b, &g, &own, pr_int(b->d, n_out, 3));
        pr_say(&b->d->text, " }");
        for (int32_t k = 0; k < n_out; k++) {
            const int32_t at = own.n - 1 - k;
            put_port(b, &g, 12, own.name[at], b->type);
        }
        put_graph(node, i ? "else_branch" : "then_branch", &g);
    }
}

static void put_inner_if(body *b, pr_bytes *graph, scope *s, const char *cond)
{
    pr_bytes node = {0};
    pr_field_str(&node, 1, cond);
    pr_field_str(&node, 4, "If");
    put_branches(b, &node, s, 1);
    pr_field_str(&node, 2, grow(b, s));
    pr_field_msg(graph, 1, &node);
}

/* The end of a body: n outputs, each the last, or any, of what it has. */
static void put_results(body *b, pr_bytes *graph, const scope *s, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        char name[12];
        (void)snprintf(name, sizeof name, "b%d", b->next++);
        put_plain(graph, "Identity", i ? some(b, s) : s->name[s->n - 1], NULL, name);
        put_port(b, graph, 12, name, b->type);
    }
}

static void set_outputs(body *b, int32_t n)
{
    pr_draw *d = b->d;
    d->n_out = n;
    for (int32_t i = 0; i < n; i++)
        if (i == 0 || pr_chance(d, 90)) d->out_mask |= 1u << i;
    while (d->n_out > 1 && !(d->out_mask >> (d->n_out - 1) & 1)) d->n_out--;
    pr_say(&d->text, " -> %d outputs (mask %x)", d->n_out, d->out_mask);
}

/* ---- the four ------------------------------------------------------------------------------- */

static void draw_if(body *b)
{
    (void)add_scalar(b, LAMINA_BOOL, 1, 0);
    capture(b);
    const int32_t n_out = (int32_t)pr_int(b->d, 1, 2);
    put_branches(b, &b->d->attrs, &b->outer, n_out);
    set_outputs(b, n_out);
}

/* What the next iteration hangs on; always an end where there is no M. */
static const char *put_condition(body *b, pr_bytes *graph, scope *other, bool endless)
{
    const char *out = grow(b, other);
    const int64_t how = endless ? 0 : pr_int(b->d, 0, 2);
    if (how == 0)
        put_plain(graph, "Less", "it",
                  put_constant(b, graph, other, LAMINA_I64, pr_int(b->d, -1, 4)), out);
    else
        put_plain(graph, how == 1 ? "Identity" : "Not", "cd", NULL, out);
    pr_say(&b->d->text, " while %s", how == 0 ? "it < k" : how == 1 ? "cd" : "not cd");
    return out;
}

static void draw_loop(body *b)
{
    pr_draw *d = b->d;
    pr_bytes g = {0};
    const bool counted = pr_chance(d, 75), endless = counted && pr_chance(d, 5);
    if (counted)
        (void)add_scalar(b, LAMINA_I64, 0, 4);
    else
        add_absent(b);
    if (endless && d->in[0].t && lamina_tensor_count(d->in[0].t) > 0)
        lmn_set_i64(d->in[0].t, 0, INT64_MAX);
    if (pr_chance(d, 30))
        add_absent(b);
    else
        (void)add_scalar(b, LAMINA_BOOL, pr_chance(d, 80), 1);
    const int32_t states = (int32_t)pr_int(d, 0, 2), scans = (int32_t)pr_int(d, !states, 2);
    scope s = {0}, other = {0};
    for (int32_t i = 0; i < states; i++) (void)add_value(b, -1);
    capture(b);
    s = b->outer;
    put_port(b, &g, 11, "it", LAMINA_I64);
    put_port(b, &g, 11, "cd", LAMINA_BOOL);
    for (int32_t i = 0; i < states; i++) put_port(b, &g, 11, grow(b, &s), b->type);
    if (pr_chance(d, 30)) put_cast(b, &g, "it", grow(b, &s));
    const char *cond = put_condition(b, &g, &other, !counted || endless);
    chain(b, &g, &s, pr_int(d, 1, 4));
    if (pr_chance(d, 25)) put_inner_if(b, &g, &s, "cd");
    put_port(b, &g, 12, cond, LAMINA_BOOL);
    put_results(b, &g, &s, states + scans);
    put_graph(&d->attrs, "body", &g);
    set_outputs(b, states + scans);
}

static void put_ints(body *b, const char *name, int32_t n, int64_t lo, int64_t hi)
{
    pr_bytes a = {0};
    if (!pr_chance(b->d, 30)) return;
    pr_say(&b->d->text, " %s=", name);
    pr_field_str(&a, 1, name);
    for (int32_t i = 0; i < n; i++) {
        const int64_t v = pr_int(b->d, lo, hi);
        pr_field_int(&a, 8, (uint64_t)v);
        pr_say(&b->d->text, " %lld", (long long)v);
    }
    pr_field_int(&a, 20, LMN_ATTR_INTS);
    pr_field_msg(&b->d->attrs, 5, &a);
}

static void draw_scan(body *b)
{
    pr_draw *d = b->d;
    pr_bytes g = {0}, a = {0};
    const int32_t states = (int32_t)pr_int(d, 0, 2), slices = (int32_t)pr_int(d, 1, 2);
    const int32_t scans = (int32_t)pr_int(d, !states, 2);
    const int64_t length = pr_int(d, 0, 4);
    for (int32_t i = 0; i < states; i++) (void)add_value(b, -1);
    for (int32_t i = 0; i < slices; i++) (void)add_value(b, length);
    capture(b);
    scope s = b->outer;
    for (int32_t i = 0; i < states + slices; i++) put_port(b, &g, 11, grow(b, &s), b->type);
    chain(b, &g, &s, pr_int(d, 1, 4));
    put_results(b, &g, &s, states + scans);
    put_graph(&d->attrs, "body", &g);
    pr_field_str(&a, 1, "num_scan_inputs");
    pr_field_int(&a, 3, (uint64_t)slices);
    pr_field_int(&a, 20, LMN_ATTR_INT);
    pr_field_msg(&d->attrs, 5, &a);
    put_ints(b, "scan_input_axes", slices, 0, pr_chance(d, 10));
    put_ints(b, "scan_input_directions", slices, 0, 1);
    put_ints(b, "scan_output_axes", scans, -1, 0);
    put_ints(b, "scan_output_directions", scans, 0, 1);
    set_outputs(b, states + scans);
}

static void draw_sequence_map(body *b)
{
    pr_draw *d = b->d;
    pr_bytes g = {0};
    const int32_t inputs = (int32_t)pr_int(d, 1, 3), outputs = (int32_t)pr_int(d, 1, 2);
    for (int32_t i = 0; i < inputs; i++) {
        pr_input *in = add_value(b, -1);
        in->sequence = i == 0 || pr_chance(d, 50);
        if (in->sequence) in->constant = false;
    }
    capture(b);
    scope s = b->outer;
    for (int32_t i = 0; i < inputs; i++) put_port(b, &g, 11, grow(b, &s), b->type);
    chain(b, &g, &s, pr_int(d, 1, 4));
    put_results(b, &g, &s, outputs);
    put_graph(&d->attrs, "body", &g);
    set_outputs(b, outputs);
}

bool pr_body_make(pr_draw *d, lamina_engine *maker)
{
    static const lamina_dtype types[] = {LAMINA_F32, LAMINA_F32,  LAMINA_F32, LAMINA_F64,
                                         LAMINA_F16, LAMINA_BF16, LAMINA_I32, LAMINA_I64};
    body b = {.d = d, .maker = maker, .ok = true};
    b.type = types[pr_int(d, 0, (int64_t)LMN_COUNT(types) - 1)];
    b.rank = (int32_t)pr_int(d, 0, 3);
    for (int32_t i = 0; i < b.rank; i++) b.dims[i] = pr_chance(d, 4) ? 0 : pr_int(d, 1, 5);
    if (strcmp(d->op->name, "If") == 0)
        draw_if(&b);
    else if (strcmp(d->op->name, "Loop") == 0)
        draw_loop(&b);
    else if (strcmp(d->op->name, "Scan") == 0)
        draw_scan(&b);
    else
        draw_sequence_map(&b);
    return b.ok;
}
