/*
 * Fuzz target: configurations of models. The first byte says in which of the two languages the rest
 * is. What is taken must hold what its readers lean on, and what is shown of it must be taken
 * again.
 */
#include "serve/config.h"

#include <stdlib.h>
#include <string.h>

static void judge(const lmn_serve_config *c)
{
    const lmn_batch_config *b = &c->model.batch;
    if (b->n_instances < 1 || b->n_instances > 256 || b->max_batch_size < -1) abort();
    if (b->n_preferred > LMN_BATCH_MAX_PREFERRED || b->n_levels > LMN_BATCH_MAX_LEVELS) abort();
    if (b->default_level > b->n_levels) abort();
    for (uint32_t i = 1; i < b->n_preferred; i++)
        if (b->preferred[i] <= b->preferred[i - 1]) abort();
    for (uint32_t i = 0; i < c->n_in; i++)
        if (!c->in[i].name || c->in[i].rank > LAMINA_MAX_RANK) abort();
    for (uint32_t i = 0; i < c->n_out; i++)
        if (!c->out[i].name || c->out[i].rank > LAMINA_MAX_RANK) abort();
    if (strchr(c->file, '/')) abort();
    if (c->n_steps > LMN_CONFIG_MAX_STEPS || (c->n_steps && b->dynamic)) abort();
    for (uint32_t i = 0; i < c->n_steps; i++)
        if (!c->steps[i].model || !c->steps[i].n_out || c->steps[i].n_in > LMN_CONFIG_MAX_PORTS)
            abort();
}

/* Show it, and read what was shown; ports are the model's business and are left out. */
static void around(lmn_arena *a, const lmn_serve_config *c)
{
    const lmn_signature s = {
        "m", "1", "onnx_lamina", NULL, NULL, 0, 0, c->model.batch.max_batch_size};
    lmn_serve_config again;
    lmn_strbuf out;
    lmn_jsonw w;
    if (s.max_batch_size < 1) return;
    lmn_strbuf_init(&out, a->alloc, (size_t)8 << 20);
    lmn_jsonw_init(&w, &out, 0);
    lmn_serve_config_write(&w, c, &s, &c->model);
    if (out.status == LAMINA_OK) {
        const lmn_span text = {(const uint8_t *)lmn_strbuf_text(&out), out.n};
        if (lmn_serve_config_read(a, text, true, &again, NULL) == LAMINA_OK) {
            if (again.model.batch.delay_ns / 1000 != c->model.batch.delay_ns / 1000) abort();
            if (again.n_versions != c->n_versions || again.n_steps != c->n_steps) abort();
        }
    }
    lmn_strbuf_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lmn_arena a;
    lmn_serve_config c;
    lamina_error err = {0};
    if (size < 1) return 0;
    lmn_arena_init(&a, &lmn_libc_allocator, (size_t)64 << 20);
    const bool json = data[0] == 'j';
    const lamina_status st =
        lmn_serve_config_read(&a, (lmn_span){data + 1, size - 1}, json, &c, &err);
    if (st != LAMINA_OK && !err.msg[0]) abort();
    if (st == LAMINA_OK) {
        judge(&c);
        around(&a, &c);
    }
    lmn_arena_finish(&a);
    return 0;
}
