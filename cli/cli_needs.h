/*
 * What a model needs: `lamina check --ops`.
 */
#ifndef LAMINA_CLI_NEEDS_H
#define LAMINA_CLI_NEEDS_H

#include "cli.h"

/*
 * Its operators with their types, and what serves each on this machine; s NULL: not known, because
 * the model has errors. As text, or as the JSON member `"operators": [...]`. Returns CLI_FAULT
 * after reporting.
 */
int cli_needs(lamina_model *m, const lamina_session *s, bool json);

#endif
