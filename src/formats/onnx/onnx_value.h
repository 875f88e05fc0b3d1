/*
 * Values as files: TensorProto, SequenceProto and OptionalProto, the form of ONNX test data.
 */
#ifndef LMN_FORMATS_ONNX_VALUE_H
#define LMN_FORMATS_ONNX_VALUE_H

#include "base/error.h"
#include "base/strbuf.h"
#include "ops/fact.h"

/*
 * One value out of its bytes, copied. The messages do not say which of the three they are: `hint`
 * does (kind; dtype of an empty sequence or optional); NULL = a tensor.
 */
lamina_status lmn_onnx_value_read(lamina_engine *e, lmn_span bytes, const lmn_fact *hint,
                                  lamina_tensor **out, lamina_error *err);
/* A dense tensor as a TensorProto with raw_data or string_data; name may be "". */
lamina_status lmn_onnx_tensor_write(const lamina_tensor *t, const char *name, lmn_strbuf *out);
/* Any value: tensors as above, sequences as SequenceProto, none as an OptionalProto. */
lamina_status lmn_onnx_value_write(const lamina_tensor *v, const char *name, lmn_strbuf *out);

#endif
