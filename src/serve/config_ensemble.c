/*
 * What "ensemble_scheduling" says: steps, and which tensor each port of a step's model is.
 */
#include "serve/config_fields.h"

#include <string.h>

static lamina_status link_port(lmn_cfg_reader *r, const lmn_cfg_node *at, const char *port,
                               const lmn_cfg_node *value, bool output, lmn_config_step *s)
{
    lmn_config_link **list = output ? &s->out : &s->in;
    uint32_t *count = output ? &s->n_out : &s->n_in;
    const char *tensor = "";
    LMN_TRY(lmn_cfg_string(r, value, &tensor));
    if (!*port || !*tensor) return lmn_cfg_bad(r, at, "has an empty name");
    if (*count == LMN_CONFIG_MAX_PORTS)
        return lmn_cfg_bad(r, at, "has more than %u entries", LMN_CONFIG_MAX_PORTS);
    if (!*list) *list = LMN_ARENA_ARRAY(r->arena, lmn_config_link, LMN_CONFIG_MAX_PORTS);
    if (!*list) return lmn_cfg_no_memory(r);
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp((*list)[i].port, port) == 0) return lmn_cfg_bad(r, at, "says one key twice");
    (*list)[(*count)++] = (lmn_config_link){port, tensor};
    return LAMINA_OK;
}

static lamina_status link_input(lmn_cfg_reader *r, const lmn_cfg_node *at, const char *port,
                                const lmn_cfg_node *value, void *into)
{
    return link_port(r, at, port, value, false, into);
}

static lamina_status link_output(lmn_cfg_reader *r, const lmn_cfg_node *at, const char *port,
                                 const lmn_cfg_node *value, void *into)
{
    return link_port(r, at, port, value, true, into);
}

static lamina_status step_inputs(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_pairs(r, n, link_input, into);
}

static lamina_status step_outputs(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_pairs(r, n, link_output, into);
}

static lamina_status step_model(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_string(r, n, &((lmn_config_step *)into)->model);
}

static lamina_status step_version(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t v;
    LMN_TRY(lmn_cfg_number(r, n, -1, INT64_MAX, &v));
    if (v == 0) return lmn_cfg_bad(r, n, "must be -1 or more than 0");
    ((lmn_config_step *)into)->version = v < 0 ? 0 : (uint64_t)v;
    return LAMINA_OK;
}

static lamina_status step(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const lmn_cfg_field ROWS[] = {{"model_name", step_model, false},
                                         {"model_version", step_version, false},
                                         {"input_map", step_inputs, true},
                                         {"output_map", step_outputs, true},
                                         {"model_namespace", NULL, false}};
    lmn_serve_config *c = into;
    if (c->n_steps == LMN_CONFIG_MAX_STEPS)
        return lmn_cfg_bad(r, n, "stands there more than %u times", LMN_CONFIG_MAX_STEPS);
    if (!c->steps) c->steps = LMN_ARENA_ARRAY(r->arena, lmn_config_step, LMN_CONFIG_MAX_STEPS);
    if (!c->steps) return lmn_cfg_no_memory(r);
    lmn_config_step *s = &c->steps[c->n_steps];
    LMN_TRY(lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), s));
    if (!s->model || !*s->model) return lmn_cfg_bad(r, n, "has no model_name");
    if (!s->n_out) return lmn_cfg_bad(r, n, "has no output_map: nothing would come of it");
    c->n_steps++;
    return LAMINA_OK;
}

lamina_status lmn_cfg_ensemble(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const lmn_cfg_field ROWS[] = {{"step", step, true}};
    LMN_TRY(lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), into));
    return r->c->n_steps ? LAMINA_OK : lmn_cfg_bad(r, n, "has no step");
}

/* An ensemble has ports of its own, and no model of its own. */
lamina_status lmn_cfg_settle_ensemble(lmn_cfg_reader *r)
{
    lmn_serve_config *c = r->c;
    const bool named = c->platform && strcmp(c->platform, "ensemble") == 0;
    const lmn_batch_config *b = &c->model.batch;
    if (!c->n_steps)
        return named ? lmn_fail(r->err, LAMINA_E_INVALID, "an ensemble needs ensemble_scheduling")
                     : LAMINA_OK;
    if (!named && c->platform && *c->platform)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"ensemble_scheduling\" needs the platform \"ensemble\"");
    if (b->dynamic || b->n_instances || (c->backend && *c->backend))
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "an ensemble has no dynamic_batching, instance_group or backend: they "
                        "belong to the models of its steps");
    if (!c->n_in || !c->n_out)
        return lmn_fail(r->err, LAMINA_E_INVALID, "an ensemble must say its input and output");
    for (uint32_t i = 0; i < c->n_in + c->n_out; i++) {
        const lmn_config_port *p = i < c->n_in ? &c->in[i] : &c->out[i - c->n_in];
        if (p->dtype == LAMINA_DTYPE_NONE || p->rank < 0 || p->rank == LAMINA_MAX_RANK)
            return lmn_fail(r->err, LAMINA_E_INVALID,
                            "an ensemble must say data_type and dims of its ports");
    }
    if (!c->has_max_batch) c->model.batch.max_batch_size = 0;
    return LAMINA_OK;
}
