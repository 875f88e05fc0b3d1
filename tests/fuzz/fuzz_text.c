/*
 * Fuzz target: the text form of graphs. What parses must print, and what was printed must parse and
 * print the same again.
 */
#include "graph/graph_text.h"

#include <stdlib.h>
#include <string.h>

/* Text of g in *out; false if it has none. */
static bool print(const lmn_graph *g, lamina_engine *e, lmn_strbuf *out)
{
    lmn_strbuf_init(out, &e->alloc, 1u << 26);
    return lmn_graph_print(g, 0, out) == LAMINA_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lamina_engine e;
    lmn_graph *g = NULL, *again = NULL;
    lmn_strbuf a, b;
    lamina_error err = {0};
    if (lmn_engine_init(&e, NULL) != LAMINA_OK) return 0;
    if (lmn_graph_parse(&e, (const char *)data, size, &g, &err) == LAMINA_OK) {
        if (print(g, &e, &a)) {
            if (lmn_graph_parse(&e, a.p, a.n, &again, &err) != LAMINA_OK) abort();
            if (!print(again, &e, &b) || a.n != b.n || memcmp(a.p, b.p, a.n) != 0) abort();
            lmn_strbuf_finish(&b);
        }
        lmn_strbuf_finish(&a);
        lmn_graph_destroy(again);
        lmn_graph_destroy(g);
    } else if (!err.msg[0]) {
        abort();
    }
    lmn_engine_finish(&e);
    return 0;
}
