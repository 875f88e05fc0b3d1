/*
 * Messages of KServe v2 over gRPC (open_inference_grpc.proto, package inference) without their
 * transport: bytes of a message into a request, results into the pieces of a message. Raw contents
 * are read where they lie. The same limits and sentences as for HTTP (kserve.h).
 */
#ifndef LMN_SERVE_GRPC_CODEC_H
#define LMN_SERVE_GRPC_CODEC_H

#include "base/alloc.h"
#include "serve/infer.h"
#include "serve/signature.h"

/* Fields 1 and 2 of requests about a model: its name and version ("" = any). ModelInferRequest,
 * ModelReadyRequest, ModelMetadataRequest, ModelConfigRequest, ModelStatisticsRequest;
 * RepositoryModelLoadRequest and ...Unload...: the model stands in `version`. */
typedef struct lmn_grpc_target {
    lmn_span name, version; /* in the message */
} lmn_grpc_target;
lamina_status lmn_grpc_read_target(lmn_span message, lmn_grpc_target *out, lamina_error *err);

/* ModelInferRequest. As lmn_kserve_read: tensors and texts lie in the message or in arena. */
lamina_status lmn_grpc_read_infer(const lmn_signature *s, lmn_span message, lmn_arena *arena,
                                  lmn_infer *r, lamina_error *err);

/* Pieces of an answer at most: what is said, then for each output its length and its bytes. */
#define LMN_GRPC_MAX_PIECES (1 + 2 * LMN_INFER_MAX_PORTS)
/* ModelInferResponse, outputs as raw_output_contents; the bytes lie in arena and in r->result. */
lamina_status lmn_grpc_write_infer(const lmn_signature *s, const lmn_infer *r, lmn_arena *arena,
                                   lmn_span pieces[LMN_GRPC_MAX_PIECES], uint32_t *n_pieces,
                                   lamina_error *err);

/* ServerLiveResponse, ServerReadyResponse, ModelReadyResponse: returns how many bytes. */
size_t lmn_grpc_write_bool(uint8_t out[2], bool value);
/* ServerMetadataResponse, ModelMetadataResponse into arena; E_NOMEM. */
lamina_status lmn_grpc_server_metadata(lmn_arena *arena, lmn_span *out);
lamina_status lmn_grpc_model_metadata(const lmn_signature *s, const uint64_t *versions, uint32_t n,
                                      lmn_arena *arena, lmn_span *out);

#endif
