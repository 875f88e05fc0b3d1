/*
 * What a model's folder says about how it is to be served: config.json or Triton's config.pbtxt
 * (ModelConfig of model_config.proto). Fields that Triton has and this server does not do are
 * refused with a sentence that says so; fields nobody has, with one that names them.
 *
 * A configuration lives in the arena that it was read into.
 */
#ifndef LMN_SERVE_CONFIG_H
#define LMN_SERVE_CONFIG_H

#include "base/json.h"
#include "serve/served.h"

#define LMN_CONFIG_MAX_PORTS 64u
#define LMN_CONFIG_MAX_VERSIONS 256u
#define LMN_CONFIG_MAX_PARAMETERS 64u
#define LMN_CONFIG_MAX_STEPS 64u

typedef struct lmn_config_port {
    const char *name;
    lamina_dtype dtype;            /* NONE: not said */
    int32_t rank;                  /* -1: dims not said */
    int64_t dims[LAMINA_MAX_RANK]; /* without the batch dimension; -1 = any */
    const char *labels;            /* of an output: file with a name of a class a line; or NULL */
    bool optional;
} lmn_config_port;

typedef enum lmn_version_policy {
    LMN_VERSIONS_LATEST,
    LMN_VERSIONS_ALL,
    LMN_VERSIONS_SPECIFIC
} lmn_version_policy;

typedef struct lmn_config_parameter {
    const char *key, *value;
} lmn_config_parameter;

/* A port of a step's model, and the tensor of the ensemble that it is. */
typedef struct lmn_config_link {
    const char *port, *tensor;
} lmn_config_link;

/* A step of an ensemble. */
typedef struct lmn_config_step {
    const char *model;
    uint64_t version; /* 0: the newest */
    lmn_config_link *in, *out;
    uint32_t n_in, n_out;
} lmn_config_step;

typedef struct lmn_serve_config {
    const char *name; /* NULL: that of the folder */
    const char *platform, *backend;
    const char *file;   /* in a version's folder; "model.onnx" */
    bool has_max_batch; /* else model.batch.max_batch_size is -1: find out */
    lmn_model_config model;
    lmn_config_port *in, *out;
    uint32_t n_in, n_out;
    lmn_version_policy policy;
    uint32_t n_latest; /* of LATEST; 1 */
    uint64_t *versions;
    uint32_t n_versions; /* of SPECIFIC */
    lmn_config_parameter *parameters;
    uint32_t n_parameters;
    lmn_config_step *steps; /* of an ensemble; n_steps 0: it is none */
    uint32_t n_steps;
} lmn_serve_config;

/* What holds when there is no file. */
void lmn_serve_config_init(lmn_serve_config *c);
/* `json`: config.json, else config.pbtxt. On failure *c is not to be used. E_PARSE, E_INVALID (a
 * value makes no sense), E_UNSUPPORTED, E_LIMIT, E_NOMEM. */
lamina_status lmn_serve_config_read(lmn_arena *arena, lmn_span text, bool json, lmn_serve_config *c,
                                    lamina_error *err);
/* Do the ports that it names fit the model's? E_INVALID with a sentence. */
lamina_status lmn_serve_config_fits(const lmn_serve_config *c, const lmn_signature *s,
                                    lamina_error *err);
/* As Triton's JSON of a ModelConfig: what was decided about a model that is loaded. */
void lmn_serve_config_write(lmn_jsonw *w, const lmn_serve_config *c, const lmn_signature *s,
                            const lmn_model_config *decided);
/* "TYPE_FP32" of LAMINA_F32, "TYPE_INVALID" of what protocols have no name for. */
const char *lmn_config_type_name(lamina_dtype t);

#endif
