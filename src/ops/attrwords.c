/*
 * String attributes whose words the standard lists. Held against a node before its own rule runs,
 * so that a misspelt mode is found when the model is loaded, whatever the operator's rule looks at.
 */
#include "ops/op.h"

#include <string.h>

/* op NULL: of every operator of the standard that has the attribute. */
static const struct {
    const char *op, *attr, *words;
} ROWS[] = {
    {NULL, "auto_pad", "NOTSET SAME_UPPER SAME_LOWER VALID"},
    {NULL, "post_transform", "NONE SOFTMAX LOGISTIC SOFTMAX_ZERO PROBIT"},
    {NULL, "aggregate_function", "AVERAGE SUM MIN MAX"},
    {NULL, "kernel_type", "LINEAR POLY RBF SIGMOID"},
    {"BitShift", "direction", "LEFT RIGHT"},
    {"Cast", "round_mode", "up down nearest"},
    {"DepthToSpace", "mode", "DCR CRD"},
    {"GRU", "direction", "forward reverse bidirectional"},
    {"Gelu", "approximate", "none tanh"},
    {"GridSample", "mode", "linear nearest cubic"},
    {"GridSample", "padding_mode", "zeros border reflection"},
    {"ImageDecoder", "pixel_format", "RGB BGR Grayscale"},
    {"LSTM", "direction", "forward reverse bidirectional"},
    {"NegativeLogLikelihoodLoss", "reduction", "none sum mean"},
    {"Normalizer", "norm", "MAX L1 L2"},
    {"Pad", "mode", "constant reflect edge wrap"},
    {"RNN", "direction", "forward reverse bidirectional"},
    {"Resize", "coordinate_transformation_mode",
     "half_pixel half_pixel_symmetric pytorch_half_pixel align_corners asymmetric "
     "tf_half_pixel_for_nn tf_crop_and_resize"},
    {"Resize", "keep_aspect_ratio_policy", "stretch not_larger not_smaller"},
    {"Resize", "mode", "nearest linear cubic"},
    {"Resize", "nearest_mode", "round_prefer_floor round_prefer_ceil floor ceil"},
    {"RoiAlign", "coordinate_transformation_mode", "half_pixel output_half_pixel"},
    {"RoiAlign", "mode", "avg max"},
    {"ScatterElements", "reduction", "none add mul max min"},
    {"ScatterND", "reduction", "none add mul max min"},
    {"SoftmaxCrossEntropyLoss", "reduction", "none sum mean"},
    {"StringNormalizer", "case_change_action", "LOWER UPPER NONE"},
    {"TfIdfVectorizer", "mode", "TF IDF TFIDF"},
};

bool lmn_attr_word_fits(const lmn_op_def *def, const lmn_attr *a, const char **words)
{
    *words = NULL;
    if (a->type != LMN_ATTR_STRING || (def->domain[0] && strcmp(def->domain, "ai.onnx.ml")))
        return true;
    for (size_t i = 0; !*words && i < LMN_COUNT(ROWS); i++)
        if (!strcmp(ROWS[i].attr, a->name) && (!ROWS[i].op || !strcmp(ROWS[i].op, def->name)))
            *words = ROWS[i].words;
    if (!*words) return true;
    for (const char *p = *words; *p;) {
        const size_t n = strcspn(p, " ");
        if (n == a->u.s.n && !memcmp(p, a->u.s.p, n)) return true;
        p += n + (p[n] == ' ');
    }
    return false;
}
