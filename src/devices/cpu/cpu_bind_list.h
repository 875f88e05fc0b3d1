/*
 * The rows of the CPU device: X(symbol), each a `const lmn_cpu_binding lmn_cpu_<symbol>`.
 */
#define LMN_CPU_BIND_LIST(X) \
    X(matmul)                \
    X(gemm)                  \
    X(conv)                  \
    X(fused_matmul)          \
    X(fused_gemm)            \
    X(fused_conv)            \
    X(matmul_nbits)          \
    X(matmul_integer)        \
    X(qlinear_matmul)        \
    X(conv_integer)          \
    X(qlinear_conv)          \
    X(group_query_attention) \
    X(multi_head_attention)  \
    X(attention)             \
    X(fused_attention)       \
    X(max_pool)              \
    X(average_pool)          \
    X(global_average_pool)   \
    X(global_max_pool)       \
    X(relu)                  \
    X(clip)                  \
    X(leaky_relu)            \
    X(hard_sigmoid)          \
    X(hard_swish)            \
    X(sigmoid)               \
    X(swish)                 \
    X(tanh)                  \
    X(erf)                   \
    X(gelu)                  \
    X(exp)                   \
    X(sqrt)                  \
    X(neg)                   \
    X(abs)                   \
    X(reciprocal)            \
    X(floor)                 \
    X(ceil)                  \
    X(round)                 \
    X(pow)                   \
    X(add)                   \
    X(sub)                   \
    X(mul)                   \
    X(div)                   \
    X(max)                   \
    X(min)                   \
    X(rotary)                \
    X(softmax)               \
    X(layer_norm)            \
    X(rms_norm)              \
    X(reduce_mean)           \
    X(reduce_sum)            \
    X(tree_ensemble)         \
    X(tree_regressor)        \
    X(tree_classifier)
