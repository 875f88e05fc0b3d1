/*
 * The registry of operators: one row each, X(Name) where lmn_op_<Name> is defined in def/op_<name>.c.
 * Sorted inside each section. Adding an operator is its file and its row here.
 */
#define LMN_OP_LIST(X)                                                                             \
    /* elementwise, logic, reductions, casts */                                                    \
    X(Abs)                                                                                         \
    X(Acos)                                                                                        \
    X(Acosh)                                                                                       \
    X(Add)                                                                                         \
    X(And)                                                                                         \
    X(Asin)                                                                                        \
    X(Asinh)                                                                                       \
    X(Atan)                                                                                        \
    X(Atanh)                                                                                       \
    X(BitShift)                                                                                    \
    X(BitwiseAnd)                                                                                  \
    X(BitwiseNot)                                                                                  \
    X(BitwiseOr)                                                                                   \
    X(BitwiseXor)                                                                                  \
    X(Ceil)                                                                                        \
    X(Celu)                                                                                        \
    X(Clip)                                                                                        \
    X(Cos)                                                                                         \
    X(Cosh)                                                                                        \
    X(Div)                                                                                         \
    X(Elu)                                                                                         \
    X(Equal)                                                                                       \
    X(Erf)                                                                                         \
    X(Exp)                                                                                         \
    X(Floor)                                                                                       \
    X(Gelu)                                                                                        \
    X(Greater)                                                                                     \
    X(GreaterOrEqual)                                                                              \
    X(HardSigmoid)                                                                                 \
    X(HardSwish)                                                                                   \
    X(Identity)                                                                                    \
    X(IsInf)                                                                                       \
    X(IsNaN)                                                                                       \
    X(LeakyRelu)                                                                                   \
    X(Less)                                                                                        \
    X(LessOrEqual)                                                                                 \
    X(Log)                                                                                         \
    X(Max)                                                                                         \
    X(Mean)                                                                                        \
    X(Min)                                                                                         \
    X(Mish)                                                                                        \
    X(Mod)                                                                                         \
    X(Mul)                                                                                         \
    X(Neg)                                                                                         \
    X(Not)                                                                                         \
    X(Or)                                                                                          \
    X(PRelu)                                                                                       \
    X(Pow)                                                                                         \
    X(Reciprocal)                                                                                  \
    X(Relu)                                                                                        \
    X(Round)                                                                                       \
    X(Selu)                                                                                        \
    X(Shrink)                                                                                      \
    X(Sigmoid)                                                                                     \
    X(Sign)                                                                                        \
    X(Sin)                                                                                         \
    X(Sinh)                                                                                        \
    X(Softplus)                                                                                    \
    X(Softsign)                                                                                    \
    X(Sqrt)                                                                                        \
    X(Sub)                                                                                         \
    X(Sum)                                                                                         \
    X(SwiGLU)                                                                                      \
    X(Swish)                                                                                       \
    X(Tan)                                                                                         \
    X(Tanh)                                                                                        \
    X(ThresholdedRelu)                                                                             \
    X(Where)                                                                                       \
    X(Xor)                                                                                         \
    /* shapes and data movement */                                                                 \
    X(CenterCropPad)                                                                               \
    X(Col2Im)                                                                                      \
    X(Compress)                                                                                    \
    X(Concat)                                                                                      \
    X(Constant)                                                                                    \
    X(ConstantOfShape)                                                                             \
    X(DepthToSpace)                                                                                \
    X(Expand)                                                                                      \
    X(EyeLike)                                                                                     \
    X(Flatten)                                                                                     \
    X(Gather)                                                                                      \
    X(GatherElements)                                                                              \
    X(GatherND)                                                                                    \
    X(NonZero)                                                                                     \
    X(OneHot)                                                                                      \
    X(Pad)                                                                                         \
    X(Range)                                                                                       \
    X(Reshape)                                                                                     \
    X(ReverseSequence)                                                                             \
    X(Scatter)                                                                                     \
    X(ScatterElements)                                                                             \
    X(ScatterND)                                                                                   \
    X(Shape)                                                                                       \
    X(Size)                                                                                        \
    X(Slice)                                                                                       \
    X(SpaceToDepth)                                                                                \
    X(Split)                                                                                       \
    X(Squeeze)                                                                                     \
    X(TensorScatter)                                                                               \
    X(Tile)                                                                                        \
    X(Transpose)                                                                                   \
    X(Trilu)                                                                                       \
    X(Unique)                                                                                      \
    X(Unsqueeze)                                                                                   \
    /* sequences, optionals, strings */                                                            \
    /* linear algebra, convolution, pooling, normalisation, recurrent */                           \
    X(AveragePool)                                                                                 \
    X(Conv)                                                                                        \
    X(ConvTranspose)                                                                               \
    X(GlobalAveragePool)                                                                           \
    X(GlobalLpPool)                                                                                \
    X(GlobalMaxPool)                                                                               \
    X(LpPool)                                                                                      \
    X(MaxPool)                                                                                     \
    X(MaxUnpool)                                                                                   \
    /* quantisation */                                                                             \
    X(ConvInteger)                                                                                 \
    X(DequantizeLinear)                                                                            \
    X(DynamicQuantizeLinear)                                                                       \
    X(MatMulInteger)                                                                               \
    X(QLinearConv)                                                                                 \
    X(QLinearMatMul)                                                                               \
    X(QuantizeLinear)                                                                              \
    /* control flow */                                                                             \
    /* signal, losses, training, random */                                                         \
    /* com.microsoft */                                                                            \
    /* ai.onnx.ml */
