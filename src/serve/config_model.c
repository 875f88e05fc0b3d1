/*
 * A configuration beside the model that it is for: do they fit, and how it is shown.
 */
#include "serve/config.h"

#include <string.h>

static lamina_status port_fits(const lmn_config_port *p, const char *kind,
                               const lmn_serve_port *ports, uint32_t n, bool batched,
                               lamina_error *err)
{
    char shown[80];
    uint32_t i = 0;
    (void)lmn_format_name(shown, sizeof shown, p->name, strlen(p->name));
    while (i < n && strcmp(ports[i].name, p->name) != 0) i++;
    if (i == n) return lmn_fail(err, LAMINA_E_INVALID, "the model has no %s \"%s\"", kind, shown);
    const lmn_serve_port *have = &ports[i];
    if (p->dtype != LAMINA_DTYPE_NONE && p->dtype != have->dtype)
        return lmn_fail(err, LAMINA_E_INVALID, "%s \"%s\" is %s, the configuration says %s", kind,
                        shown, lmn_config_type_name(have->dtype), lmn_config_type_name(p->dtype));
    if (p->rank < 0 || have->rank < 0) return LAMINA_OK;
    const int32_t lead = batched ? 1 : 0;
    if (p->rank + lead != have->rank)
        return lmn_fail(err, LAMINA_E_INVALID, "%s \"%s\" has %d dimensions%s, not %d", kind, shown,
                        (int)(have->rank - lead), batched ? " beside the batch" : "", (int)p->rank);
    for (int32_t d = 0; d < p->rank; d++) {
        const int64_t dim = have->dims[d + lead];
        if (dim >= 0 && p->dims[d] >= 0 && dim != p->dims[d])
            return lmn_fail(err, LAMINA_E_INVALID,
                            "dimension %d of %s \"%s\" is %lld, the configuration says %lld",
                            (int)d, kind, shown, (long long)dim, (long long)p->dims[d]);
    }
    return LAMINA_OK;
}

lamina_status lmn_serve_config_fits(const lmn_serve_config *c, const lmn_signature *s,
                                    lamina_error *err)
{
    const bool batched = s->max_batch_size > 0;
    for (uint32_t i = 0; i < c->n_in; i++)
        LMN_TRY(port_fits(&c->in[i], "input", s->in, s->n_in, batched, err));
    for (uint32_t i = 0; i < c->n_out; i++)
        LMN_TRY(port_fits(&c->out[i], "output", s->out, s->n_out, batched, err));
    return LAMINA_OK;
}

static void write_ports(lmn_jsonw *w, const char *key, const lmn_serve_port *ports, uint32_t n,
                        const lmn_signature *s, const lmn_serve_config *c)
{
    const int32_t lead = s->max_batch_size > 0 ? 1 : 0;
    lmn_jsonw_array(w, key);
    for (uint32_t i = 0; i < n; i++) {
        lmn_jsonw_object(w, NULL);
        lmn_jsonw_str(w, "name", ports[i].name);
        lmn_jsonw_str(w, "data_type", lmn_config_type_name(ports[i].dtype));
        lmn_jsonw_array(w, "dims");
        for (int32_t d = lead; d < ports[i].rank; d++) lmn_jsonw_i64(w, NULL, ports[i].dims[d]);
        lmn_jsonw_end(w);
        if (ports == s->in) {
            lmn_jsonw_str(w, "format", "FORMAT_NONE");
            lmn_jsonw_bool(w, "optional", ports[i].optional);
        }
        for (uint32_t k = 0; ports == s->out && k < c->n_out; k++)
            if (c->out[k].labels && strcmp(c->out[k].name, ports[i].name) == 0)
                lmn_jsonw_str(w, "label_filename", c->out[k].labels);
        lmn_jsonw_end(w);
    }
    lmn_jsonw_end(w);
}

static void write_policy(lmn_jsonw *w, const lmn_serve_config *c)
{
    lmn_jsonw_object(w, "version_policy");
    if (c->policy == LMN_VERSIONS_LATEST) {
        lmn_jsonw_object(w, "latest");
        lmn_jsonw_u64(w, "num_versions", c->n_latest);
        lmn_jsonw_end(w);
    } else if (c->policy == LMN_VERSIONS_ALL) {
        lmn_jsonw_object(w, "all");
        lmn_jsonw_end(w);
    } else {
        lmn_jsonw_object(w, "specific");
        lmn_jsonw_array(w, "versions");
        for (uint32_t i = 0; i < c->n_versions; i++) lmn_jsonw_u64(w, NULL, c->versions[i]);
        lmn_jsonw_end(w);
        lmn_jsonw_end(w);
    }
    lmn_jsonw_end(w);
}

static void write_queue_policy(lmn_jsonw *w, const char *key, const lmn_batch_level *l)
{
    lmn_jsonw_object(w, key);
    lmn_jsonw_str(w, "timeout_action", l->action == LMN_BATCH_DEFER ? "DELAY" : "REJECT");
    lmn_jsonw_u64(w, "default_timeout_microseconds", l->default_timeout_ns / 1000u);
    lmn_jsonw_bool(w, "allow_timeout_override", l->allow_override);
    lmn_jsonw_u64(w, "max_queue_size", l->max_queue_size);
    lmn_jsonw_end(w);
}

/* `asked` has the levels that were asked for, not the one that there always is. */
static void write_batching(lmn_jsonw *w, const lmn_batch_config *b, const lmn_batch_config *asked)
{
    lmn_jsonw_object(w, "dynamic_batching");
    lmn_jsonw_array(w, "preferred_batch_size");
    for (uint32_t i = 0; i < b->n_preferred; i++) lmn_jsonw_i64(w, NULL, b->preferred[i]);
    lmn_jsonw_end(w);
    lmn_jsonw_u64(w, "max_queue_delay_microseconds", b->delay_ns / 1000u);
    lmn_jsonw_bool(w, "preserve_ordering", b->preserve_ordering);
    lmn_jsonw_u64(w, "priority_levels", asked->n_levels);
    lmn_jsonw_u64(w, "default_priority_level", asked->default_level);
    if (!asked->n_levels) {
        write_queue_policy(w, "default_queue_policy", &b->level[0]);
    } else {
        lmn_jsonw_object(w, "priority_queue_policy");
        for (uint32_t i = 0; i < asked->n_levels; i++) {
            char key[12];
            (void)lmn_format(key, sizeof key, "%u", i + 1);
            write_queue_policy(w, key, &b->level[i]);
        }
        lmn_jsonw_end(w);
    }
    lmn_jsonw_end(w);
}

static void write_links(lmn_jsonw *w, const char *key, const lmn_config_link *links, uint32_t n)
{
    lmn_jsonw_object(w, key);
    for (uint32_t i = 0; i < n; i++) lmn_jsonw_str(w, links[i].port, links[i].tensor);
    lmn_jsonw_end(w);
}

static void write_steps(lmn_jsonw *w, const lmn_serve_config *c)
{
    lmn_jsonw_object(w, "ensemble_scheduling");
    lmn_jsonw_array(w, "step");
    for (uint32_t i = 0; i < c->n_steps; i++) {
        const lmn_config_step *s = &c->steps[i];
        lmn_jsonw_object(w, NULL);
        lmn_jsonw_str(w, "model_name", s->model);
        lmn_jsonw_i64(w, "model_version", s->version ? (int64_t)s->version : -1);
        write_links(w, "input_map", s->in, s->n_in);
        write_links(w, "output_map", s->out, s->n_out);
        lmn_jsonw_end(w);
    }
    lmn_jsonw_end(w);
    lmn_jsonw_end(w);
}

static void write_instances(lmn_jsonw *w, const lmn_serve_config *c, const lmn_signature *s,
                            uint32_t n)
{
    lmn_jsonw_array(w, "instance_group");
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "name", s->model);
    lmn_jsonw_str(w, "kind", "KIND_CPU");
    lmn_jsonw_u64(w, "count", n);
    lmn_jsonw_end(w);
    lmn_jsonw_end(w);
    lmn_jsonw_str(w, "default_model_filename", c->file);
}

void lmn_serve_config_write(lmn_jsonw *w, const lmn_serve_config *c, const lmn_signature *s,
                            const lmn_model_config *decided)
{
    const lmn_batch_config *b = &decided->batch;
    lmn_jsonw_object(w, NULL);
    lmn_jsonw_str(w, "name", s->model);
    lmn_jsonw_str(w, "platform", s->platform);
    lmn_jsonw_str(w, "backend", c->n_steps ? "" : "lamina");
    write_policy(w, c);
    lmn_jsonw_i64(w, "max_batch_size", s->max_batch_size);
    write_ports(w, "input", s->in, s->n_in, s, c);
    write_ports(w, "output", s->out, s->n_out, s, c);
    if (c->n_steps)
        write_steps(w, c);
    else
        write_instances(w, c, s, b->n_instances);
    lmn_jsonw_object(w, "parameters");
    for (uint32_t i = 0; i < c->n_parameters; i++) {
        lmn_jsonw_object(w, c->parameters[i].key);
        lmn_jsonw_str(w, "string_value", c->parameters[i].value);
        lmn_jsonw_end(w);
    }
    lmn_jsonw_end(w);
    if (b->dynamic) write_batching(w, b, &c->model.batch);
    if (decided->cache_bytes) {
        lmn_jsonw_object(w, "response_cache");
        lmn_jsonw_bool(w, "enable", true);
        lmn_jsonw_end(w);
    }
    lmn_jsonw_end(w);
}
