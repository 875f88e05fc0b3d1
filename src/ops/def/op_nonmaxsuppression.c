/*
 * NonMaxSuppression (ai.onnx, since 10): per image and class the boxes by falling score (ties:
 * lower index first), each kept unless it overlaps a kept one by more than iou_threshold; at most
 * max_output_boxes_per_class (absent or <= 0: none). Only scores above score_threshold take part.
 * Boxes are [y1, x1, y2, x2] with corners in any order or [x, y, w, h] about the centre. The
 * overlap is computed in f32, as other engines do, so that boxes on the threshold agree. NaN scores
 * never take part.
 */
#include "ops/wide.h"

static lamina_status infer_nonmaxsuppression(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 3, 3));
    LMN_TRY(lmn_infer_rank_in(ic, 1, 3, 3));
    const lmn_fact *b = lmn_infer_shape_of(ic, 0), *s = lmn_infer_shape_of(ic, 1);
    if (b)
        LMN_TRY(lmn_infer_equal(ic, b->dims[2], lmn_dim_c(4), "the extent of a box and 4", NULL));
    if (b && s) {
        LMN_TRY(lmn_infer_equal(ic, b->dims[0], s->dims[0], "batches of boxes and scores", NULL));
        LMN_TRY(lmn_infer_equal(ic, b->dims[1], s->dims[2], "numbers of boxes and scores", NULL));
    }
    lmn_fact *y = lmn_infer_ranked(ic, 0, 2);
    if (y) y->dims[1] = lmn_dim_c(3);
    return LAMINA_OK;
}

typedef struct corners {
    float y1, x1, y2, x2, area;
} corners;

typedef struct job {
    int64_t classes, n, max;
    const float *scores;
    const corners *boxes; /* [batch, n] */
    float iou, score;
    bool has_score;
    int64_t *order; /* [batch * classes, n]: candidates, then those kept at the front */
    int64_t *kept;  /* [batch * classes] */
} job;

static corners read_box(const float *b, bool centre)
{
    corners c;
    if (centre) {
        const float w = b[2] / 2, h = b[3] / 2;
        c = (corners){b[1] - h, b[0] - w, b[1] + h, b[0] + w, 0};
    } else {
        c = (corners){b[0], b[1], b[2], b[3], 0};
        if (b[0] > b[2]) c.y1 = b[2], c.y2 = b[0];
        if (b[1] > b[3]) c.x1 = b[3], c.x2 = b[1];
    }
    c.area = (c.x2 - c.x1) * (c.y2 - c.y1);
    return c;
}

static bool overlaps(const corners *a, const corners *b, float threshold)
{
    const float x1 = a->x1 > b->x1 ? a->x1 : b->x1, x2 = a->x2 < b->x2 ? a->x2 : b->x2;
    const float y1 = a->y1 > b->y1 ? a->y1 : b->y1, y2 = a->y2 < b->y2 ? a->y2 : b->y2;
    if (x2 <= x1 || y2 <= y1) return false;
    const float both = (x2 - x1) * (y2 - y1), all = a->area + b->area - both;
    if (both <= 0 || a->area <= 0 || b->area <= 0 || all <= 0) return false;
    return both / all > threshold;
}

/* Is box a to come after box b? */
static bool after(const float *s, int64_t a, int64_t b)
{
    return s[a] < s[b] || (s[a] == s[b] && a > b);
}

static void sift(const float *s, int64_t *heap, int64_t root, int64_t n)
{
    for (int64_t child = 2 * root + 1; child < n; child = 2 * root + 1) {
        if (child + 1 < n && after(s, heap[child + 1], heap[child])) child++;
        if (!after(s, heap[child], heap[root])) return;
        const int64_t t = heap[root];
        heap[root] = heap[child];
        heap[child] = t;
        root = child;
    }
}

/* In place, best first, n log n whatever the data. */
static void sort_by_score(const float *s, int64_t *v, int64_t n)
{
    for (int64_t i = n / 2 - 1; i >= 0; i--) sift(s, v, i, n);
    for (int64_t end = n - 1; end > 0; end--) {
        const int64_t t = v[0];
        v[0] = v[end];
        v[end] = t;
        sift(s, v, 0, end);
    }
}

static void class_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const job *j = arg;
    const float *s = j->scores + chunk * j->n;
    const corners *boxes = j->boxes + chunk / j->classes * j->n;
    int64_t *v = j->order + chunk * j->n, n = 0, kept = 0;
    for (int64_t i = 0; i < j->n; i++)
        if (j->has_score ? s[i] > j->score : s[i] == s[i]) v[n++] = i;
    sort_by_score(s, v, n);
    for (int64_t i = 0; i < n && kept < j->max; i++) {
        bool keep = true;
        for (int64_t k = 0; keep && k < kept; k++)
            keep = !overlaps(&boxes[v[i]], &boxes[v[k]], j->iou);
        if (keep) v[kept++] = v[i];
    }
    j->kept[chunk] = kept;
}

static lamina_status setup(lmn_eval *ec, job *j, int64_t *batch)
{
    const lamina_tensor *b = lmn_in(ec, 0), *s = lmn_in(ec, 1), *max = lmn_in(ec, 2);
    const lamina_tensor *iou = lmn_in(ec, 3), *score = lmn_in(ec, 4);
    if (b->rank != 3 || s->rank != 3 || b->dims[2] != 4 || b->dims[0] != s->dims[0] ||
        b->dims[1] != s->dims[2])
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "boxes must be [batch, n, 4] and scores [batch, classes, n]");
    *batch = b->dims[0];
    j->n = b->dims[1];
    j->classes = s->dims[1];
    j->max = max && lmn_count(max) > 0 ? lmn_get_i64(max, 0) : 0;
    j->iou = iou && lmn_count(iou) > 0 ? (float)lmn_get_f64(iou, 0) : 0.0f;
    j->has_score = score && lmn_count(score) > 0;
    j->score = j->has_score ? (float)lmn_get_f64(score, 0) : 0.0f;
    j->scores = s->data;
    corners *boxes = lmn_wide_scratch(ec, *batch * j->n, sizeof *boxes);
    j->order = lmn_wide_scratch(ec, lmn_count(s), sizeof *j->order);
    j->kept = lmn_wide_scratch(ec, *batch * j->classes, sizeof *j->kept);
    if (!boxes || !j->order || !j->kept) return LAMINA_E_NOMEM;
    const bool centre = lmn_attr_i(ec->node, "center_point_box", 0) != 0;
    const float *raw = b->data;
    for (int64_t i = 0; i < *batch * j->n; i++) boxes[i] = read_box(raw + 4 * i, centre);
    j->boxes = boxes;
    return LAMINA_OK;
}

static lamina_status eval_nonmaxsuppression(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    job j = {0};
    int64_t batch = 0, total = 0;
    LMN_TRY(setup(ec, &j, &batch));
    const int64_t chunks = batch * j.classes;
    for (int64_t c = 0; c < chunks; c++) j.kept[c] = 0;
    lmn_par_for(ec->par, chunks, class_chunk, &j);
    for (int64_t c = 0; c < chunks; c++) total += j.kept[c];
    const int64_t dims[2] = {total, 3};
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, LAMINA_I64, 2, dims, &y));
    int64_t *out = y ? y->data : NULL;
    for (int64_t c = 0; out && c < chunks; c++)
        for (int64_t k = 0; k < j.kept[c]; k++, out += 3) {
            out[0] = c / j.classes;
            out[1] = c % j.classes;
            out[2] = j.order[c * j.n + k];
        }
    return LAMINA_OK;
}

#define F LMN_DBIT(LAMINA_F32)
static const lmn_port IN[] = {
    {"boxes", 0, 0, F},
    {"scores", 0, 0, F},
    {"max_output_boxes_per_class", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
    {"iou_threshold", 0, LMN_PORT_OPTIONAL, F},
    {"score_threshold", 0, LMN_PORT_OPTIONAL, F},
    {0}};
static const lmn_port OUT[] = {{"selected_indices", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"center_point_box", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_NonMaxSuppression = {
    .name = "NonMaxSuppression",
    .domain = "",
    .since = 10,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_nonmaxsuppression,
    .eval = eval_nonmaxsuppression,
};
