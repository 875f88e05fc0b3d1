/*
 * The passes in the order they run: X(name).
 */
#define LMN_PASS_LIST(X) \
    X(fold)              \
    X(cse)               \
    X(dce)
