/*
 * Test helper: the batcher of a scenario as a model repository on disk, config.pbtxt and all, for a
 * server that plays it in real time.
 */
#ifndef LMN_TESTS_SERVE_SCENARIO_REPO_H
#define LMN_TESTS_SERVE_SCENARIO_REPO_H

#include "base/os/os_dir.h"
#include "runtime/rt_build.h"
#include "serve/batcher.h"
#include "t.h"

#include <stdio.h>

/* Of a scenario, for its delays and time limits: where two things meet at one instant, who waits
   can wait. */
#define GRACE_NS 5000

static inline void policy(FILE *f, uint64_t scale, const lmn_batch_level *l)
{
    (void)fprintf(f, "{ timeout_action: %s allow_timeout_override: %s max_queue_size: %u",
                  l->action == LMN_BATCH_DEFER ? "DELAY" : "REJECT",
                  l->allow_override ? "true" : "false", l->max_queue_size);
    if (l->default_timeout_ns)
        (void)fprintf(f, " default_timeout_microseconds: %llu",
                      (unsigned long long)(l->default_timeout_ns / 1000 * scale));
    (void)fprintf(f, " }\n");
}

static inline bool write_config(const char *dir, const lmn_batch_config *c, uint64_t scale)
{
    char path[700];
    (void)snprintf(path, sizeof path, "%s/m/config.pbtxt", dir);
    FILE *f = fopen(path, "w");
    if (!f) return false;
    (void)fprintf(f, "max_batch_size: %lld\ninstance_group { count: %u }\n",
                  (long long)c->max_batch_size, c->n_instances);
    if (c->max_queue_bytes)
        (void)fprintf(f,
                      "parameters { key: \"max_queue_bytes\" value { string_value: \"%zu\" } }\n",
                      c->max_queue_bytes);
    (void)fprintf(f, "parameters { key: \"rejoin_microseconds\" value { string_value: \"%d\" } }\n",
                  c->rejoin ? 1000000 : 1);
    if (!c->dynamic) return fclose(f) == 0;
    (void)fprintf(f, "dynamic_batching {\n");
    for (uint32_t i = 0; i < c->n_preferred; i++)
        (void)fprintf(f, "preferred_batch_size: %lld\n", (long long)c->preferred[i]);
    if (c->delay_ns)
        (void)fprintf(f, "max_queue_delay_microseconds: %llu\n",
                      (unsigned long long)((c->delay_ns + GRACE_NS) / 1000 * scale));
    if (c->preserve_ordering) (void)fprintf(f, "preserve_ordering: true\n");
    if (!c->n_levels) {
        (void)fprintf(f, "default_queue_policy ");
        policy(f, scale, &c->level[0]);
    } else {
        (void)fprintf(f, "priority_levels: %u\ndefault_priority_level: %u\n", c->n_levels,
                      c->default_level ? c->default_level : 1);
    }
    for (uint32_t i = 0; i < c->n_levels; i++) {
        (void)fprintf(f, "priority_queue_policy { key: %u value ", i + 1);
        policy(f, scale, &c->level[i]);
        (void)fprintf(f, "}\n");
    }
    (void)fprintf(f, "}\n");
    return fclose(f) == 0;
}

static inline bool write_model(const char *dir, const char *name, const pb *model)
{
    char path[700];
    (void)snprintf(path, sizeof path, "%s/%s", dir, name);
    if (lmn_os_dir_make(path, NULL)) return false;
    (void)snprintf(path, sizeof path, "%s/%s/1", dir, name);
    if (lmn_os_dir_make(path, NULL)) return false;
    (void)snprintf(path, sizeof path, "%s/%s/1/model.onnx", dir, name);
    FILE *f = fopen(path, "wb");
    const bool whole = f && fwrite(model->p, 1, model->n, f) == model->n;
    return (!f || fclose(f) == 0) && whole;
}

/* The repository at `dir`: the model "m", with such a batcher whose times are `scale` times as
   long, and the gate, run in the loop itself. */
static inline bool write_models(const char *dir, const lmn_batch_config *c, uint64_t scale,
                                const pb *model)
{
    char path[700];
    if (lmn_os_dir_make(dir, NULL) || !write_model(dir, "m", model) || !write_config(dir, c, scale))
        return false;
    if (!write_model(dir, "gate", model)) return false;
    (void)snprintf(path, sizeof path, "%s/gate/config.json", dir);
    FILE *f = fopen(path, "w");
    if (f) (void)fputs("{\"parameters\": {\"run\": {\"string_value\": \"inline\"}}}", f);
    return f && fclose(f) == 0;
}

#endif
