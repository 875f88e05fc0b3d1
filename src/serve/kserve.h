/*
 * KServe v2 over HTTP (open-inference-protocol, with Triton's extensions for binary tensors and
 * classification): bodies into requests, results into bodies, metadata. What can be said there and
 * is not supported here (sequences, shared memory) is refused, never passed over. Everything that
 * is read is foreign; all errors are the client's (400) but E_NOMEM.
 */
#ifndef LMN_SERVE_KSERVE_H
#define LMN_SERVE_KSERVE_H

#include "base/json.h"
#include "serve/infer.h"
#include "serve/signature.h"

/* Name of an element type ("FP32", "BYTES"); NULL: the protocol has none. */
const char *lmn_kserve_type(lamina_dtype dt);
/* LAMINA_DTYPE_NONE: no such name. */
lamina_dtype lmn_kserve_type_of(const void *name, size_t n);

/*
 * Read a request. json_bytes: what Inference-Header-Content-Length says, how many bytes of body are
 * JSON, the others being tensors; 0: all of it is the one input of the model; -1: no such field.
 * Sets of r what a client may say: id, in, out, binary_out, priority, timeout_ns. Tensors and texts
 * lie in body where they can (aligned, not escaped), else in arena, and both outlive the request.
 * That they fit the model is for lmn_model_submit to say, but for their names and types.
 */
lamina_status lmn_kserve_read(const lmn_signature *s, lmn_span body, int64_t json_bytes,
                              lmn_arena *arena, lmn_infer *r, lamina_error *err);

/*
 * The answer to r. pieces[0] is JSON, the others are tensors in r->result or the arena; all are
 * valid as long as both. *json_bytes: -1: all is JSON; else the length of pieces[0], for
 * Inference-Header-Content-Length, and the body is application/octet-stream. In JSON NaN is null
 * and an infinity a number past the range of its type: 1e39 (FP64: 1e999). E_UNSUPPORTED: a result
 * that the protocol cannot say.
 */
lamina_status lmn_kserve_write(const lmn_signature *s, const lmn_infer *r, lmn_arena *arena,
                               lmn_span pieces[1 + LMN_INFER_MAX_PORTS], uint32_t *n_pieces,
                               int64_t *json_bytes, lamina_error *err);

/* GET v2/models/NAME: versions are those that are ready. */
void lmn_kserve_model_metadata(lmn_jsonw *w, const lmn_signature *s, const uint64_t *versions,
                               uint32_t n);
/* GET v2. */
void lmn_kserve_server_metadata(lmn_jsonw *w);

#endif
