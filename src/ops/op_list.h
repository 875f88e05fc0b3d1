/*
 * The registry of operators: one row each, X(Name) where lmn_op_<Name> is defined in def/op_<name>.c.
 * Sorted inside each section. Adding an operator is its file and its row here.
 */
#define LMN_OP_LIST(X)                                                                             \
    /* elementwise, logic, reductions, casts */                                                    \
    X(Identity)                                                                                    \
    /* shapes and data movement */                                                                 \
    X(Concat)                                                                                      \
    X(Flatten)                                                                                     \
    X(Gather)                                                                                      \
    X(GatherElements)                                                                              \
    X(GatherND)                                                                                    \
    X(Reshape)                                                                                     \
    X(Slice)                                                                                       \
    X(Split)                                                                                       \
    X(Squeeze)                                                                                     \
    X(Transpose)                                                                                   \
    X(Unsqueeze)                                                                                   \
    /* sequences, optionals, strings */                                                            \
    /* linear algebra, convolution, pooling, normalisation, recurrent */                           \
    /* quantisation */                                                                             \
    /* control flow */                                                                             \
    /* signal, losses, training, random */                                                         \
    /* com.microsoft */                                                                            \
    /* ai.onnx.ml */
