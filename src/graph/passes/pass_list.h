/*
 * The passes in the order they run: X(name).
 */
#define LMN_PASS_LIST(X) \
    X(infer)             \
    X(fold)              \
    X(cse)               \
    X(dce)               \
    X(infer)             \
    X(elide)             \
    X(casts)             \
    X(transposes)        \
    X(elide)             \
    X(qdq)               \
    X(fold)              \
    X(dce)               \
    X(infer)             \
    X(elide)             \
    X(layer_norm)        \
    X(activations)       \
    X(unmerge)           \
    X(attention)         \
    X(rotary)            \
    X(conv_bn)           \
    X(dce)               \
    X(infer)             \
    X(epilogue)          \
    X(channels_last)     \
    X(short_products)    \
    X(dce)               \
    X(infer)             \
    X(image_blocks)
