/*
 * Parts of the conformance runner: comparing values (conform_equal.c), running one case
 * (conform_case.c), walking folders and counting (conformance.c). Each case runs in a process of
 * its own, so nothing here has to survive a bad one.
 */
#ifndef CONFORM_H
#define CONFORM_H

#include "lamina/lamina.h"

enum { R_PASS, R_MISMATCH, R_LOAD, R_RUN, R_CRASH, R_TIMEOUT, R_N };

typedef struct conform_case {
    const char *name;
    const char *model; /* path of the model */
    /* Folder of the data: test_data_set_N below it. NULL: the light layout, inputs counted up from
       zero, expected outputs in MODEL_output_N.pb beside MODEL.onnx. */
    const char *data;
    uint32_t threads;
} conform_case;

/* Run every data set of the case; R_PASS ... R_RUN, and a sentence in `why` unless it passes. */
int conform_run(const conform_case *c, char *why, size_t cap);

/* Is `got` what was expected? With `values` false only kind, type and shape count. */
bool conform_equal(const lamina_tensor *got, const lamina_tensor *want, bool values, char *why,
                   size_t cap);

#endif
