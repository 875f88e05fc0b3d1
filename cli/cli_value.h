/*
 * Elements of every type as numbers and text, and values compared with what they should be.
 */
#ifndef LAMINA_CLI_VALUE_H
#define LAMINA_CLI_VALUE_H

#include "cli.h"

/* Kind that a .pb file of this port holds. */
lamina_kind cli_port_kind(const lamina_port *p);
/* Element i of a dense numeric tensor; the imaginary part in *im unless NULL. */
double cli_element(const lamina_tensor *t, int64_t i, double *im);
/* "float32[1,3]", "sequence of 2 int64", "none". */
void cli_value_type(const lamina_tensor *t, char *buf, size_t cap);
/* Element i as text: exact for integers, enough digits for floats, strings quoted and cut. */
void cli_element_text(const lamina_tensor *t, int64_t i, char *buf, size_t cap);
/* All elements as JSON: flat array; items of a sequence as objects; null for an empty optional.
   Floats that JSON has no number for are the strings "NaN", "Infinity", "-Infinity". */
void cli_value_json(FILE *f, const lamina_tensor *t);

typedef struct cli_tolerance {
    double rtol; /* < 0: 1e-3, or the step of a shorter float type */
    double atol; /* < 0: 1e-5 of the largest expected magnitude, at least 1e-5 */
} cli_tolerance;

typedef struct cli_difference {
    bool equal;
    double max_abs, max_rel; /* over all elements */
    int64_t n, n_differ;     /* elements compared, out of tolerance */
    char where[128];         /* first difference: "[0,3]", "item 2 [1]"; "" if none */
    char got[96], want[96];  /* there */
    char why[256];           /* type or shape that does not fit; "" if elements decide */
} cli_difference;

/* Compare; equal when |got - want| <= atol + rtol |want| everywhere. Integers and strings exact. */
void cli_compare(const lamina_tensor *got, const lamina_tensor *want, const cli_tolerance *tol,
                 cli_difference *out);

#endif
