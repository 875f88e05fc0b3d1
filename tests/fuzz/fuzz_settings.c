/*
 * Fuzz target: bodies of requests that change settings. What is taken can be shown, and holds.
 */
#include "serve/server_int.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lamina_server *s = calloc(1, sizeof *s);
    lmn_settings_seen *seen = calloc(1, sizeof *seen);
    lmn_setting rows[LMN_SETTINGS_ROWS];
    lmn_settings_edit e;
    lamina_error err = {0};
    if (!s || !seen || !size) {
        free(s);
        free(seen);
        return 0;
    }
    lmn_settings_init(&s->settings, true, 5);
    const lmn_span model = {(const uint8_t *)"m", data[0] & 2u ? 1 : 0};
    if (data[0] & 1u)
        lmn_log_edit_begin(s, &e);
    else
        lmn_trace_edit_begin(s, model, &e);
    lamina_status st = lmn_settings_edit_json(&e, (lmn_span){data + 1, size - 1}, &err);
    if (st == LAMINA_OK) st = lmn_settings_edit_commit(s, &e, &err);
    if ((st == LAMINA_OK) != (err.msg[0] == 0)) abort();
    for (int log = 0; log < 2; log++) {
        const uint32_t n =
            log ? lmn_log_settings_get(s, rows) : lmn_trace_settings_get(s, model, rows);
        if (n > LMN_SETTINGS_ROWS) abort();
        for (uint32_t i = 0; i < n; i++)
            if (!rows[i].name || !memchr(rows[i].value, 0, sizeof rows[i].value)) abort();
    }
    (void)lmn_settings_pick(&s->settings, seen, "m", LMN_TRACE_UNASKED);
    if (lmn_settings_pick(&s->settings, seen, "m", LMN_TRACE_NO)) abort();
    free(s);
    free(seen);
    return 0;
}
