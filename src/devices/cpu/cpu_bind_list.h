/*
 * The rows of the CPU device: X(symbol), each a `const lmn_cpu_binding lmn_cpu_<symbol>`.
 */
#define LMN_CPU_BIND_LIST(X) \
    X(matmul)                \
    X(gemm)                  \
    X(conv)                  \
    X(max_pool)              \
    X(average_pool)          \
    X(global_average_pool)   \
    X(global_max_pool)
