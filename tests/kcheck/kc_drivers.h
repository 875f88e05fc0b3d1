/* Drivers of kcheck: X(family, name). kc_<family>_<name> is a kc_driver in kc_<family>.c. An X
 * list. */
X(gemm, block)
X(gemm, small)
X(gemm, pack)
X(gemm, epi)
X(gemm, plan)
