/*
 * Recipes: text files, one line a port, that say how bytes or a picture become an input and how an
 * output becomes an answer. No model's name enters the code.
 *
 *   input [NAME] bytes, strip, head N, tail N, pad V, i32|f32
 *   input [NAME] image rgb|bgr nchw|nhwc, short N | height N | size W H, crop N, sub V, div V
 *   output [NAME] [softmax,] top N [, labels FILE[:KEY] | labels meta:KEY]
 *   output [NAME] ctc blank N, labels FILE[:KEY] | meta:KEY [, append TEXT]
 */
#ifndef LAMINA_CLI_RECIPE_H
#define LAMINA_CLI_RECIPE_H

#include "cli.h"

#define RECIPE_MAX_STEPS 16

typedef struct recipe_step {
    char word[24], arg[160], arg2[32];
} recipe_step;

typedef struct recipe_line {
    bool output;
    char port[64]; /* "" = the first */
    recipe_step step[RECIPE_MAX_STEPS];
    int n;
} recipe_line;

typedef struct recipe {
    recipe_line line[8];
    int n;
    char dir[1024]; /* folder of relative label files: that of the model */
} recipe;

/* By path or by name (searched in LAMINA_RECIPES, ./recipes, the installed share folder). */
bool recipe_read(const char *name, recipe *r);
/* Parse one line of the grammar above. */
bool recipe_parse_line(const char *text, recipe_line *out);
const recipe_step *recipe_find(const recipe_line *l, const char *word);

/* bytes -> tensor */
lamina_tensor *recipe_bytes(lamina_engine *e, const recipe_line *l, const char *path);
/* picture -> tensor */
lamina_tensor *recipe_image(lamina_engine *e, const recipe_line *l, const char *path);
/* Print the answer of one output: lines of text, or one JSON value. `labels` overrides the recipe's
   file. */
int recipe_answer(const recipe *r, const recipe_line *l, const lamina_model *m,
                  const lamina_tensor *t, const char *labels, bool json);

/* Labels: a JSON array of strings, or the array under `key` of a JSON object, or lines of text. */
typedef struct label_list {
    char *text;
    char **v;
    size_t n;
} label_list;
bool labels_read(const char *spec, const char *dir, const lamina_model *m, label_list *out);
void labels_free(label_list *l);

/* 8-bit RGB picture from PNG or JPEG; NULL after reporting. free() it. */
unsigned char *image_read(const char *path, int *w, int *h);
/* Bilinear resize with area weighting when shrinking, 3 channels. free() the result. */
float *image_resize(const unsigned char *src, int w, int h, int dw, int dh);

#endif
