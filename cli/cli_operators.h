/*
 * The operators of an engine as a table: text, JSON, or the page docs/operators.md.
 */
#ifndef LAMINA_CLI_OPERATORS_H
#define LAMINA_CLI_OPERATORS_H

#include "cli.h"

void cli_operators_text(const lamina_engine *e);
void cli_operators_json(const lamina_engine *e);
void cli_operators_markdown(const lamina_engine *e);

#endif
