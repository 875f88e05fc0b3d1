/*
 * Our own JSON of configurations, statistics and the repository's index as messages of gRPC, so
 * that both protocols say the same: one table a message names its fields. What a message has no
 * field for is left out.
 */
#ifndef LMN_SERVE_GRPC_JSON_H
#define LMN_SERVE_GRPC_JSON_H

#include "base/alloc.h"
#include "base/error.h"

typedef struct lmn_grpc_message lmn_grpc_message;

extern const lmn_grpc_message lmn_grpc_model_config;     /* ModelConfig */
extern const lmn_grpc_message lmn_grpc_model_statistics; /* ModelStatisticsResponse */
extern const lmn_grpc_message lmn_grpc_model_index;      /* RepositoryIndexResponse.ModelIndex */

extern const lmn_grpc_message lmn_grpc_regions; /* SystemSharedMemoryStatusResponse */

/* The value of `json`, an object: as field `number` of the message that is out. A list of objects:
 * each as that field. number 0: the object's fields alone. E_PARSE, E_NOMEM. */
lamina_status lmn_grpc_of_json(const lmn_grpc_message *m, uint32_t number, lmn_span json,
                               lmn_arena *arena, lmn_span *out, lamina_error *err);

#endif
