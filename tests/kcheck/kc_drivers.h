/*
 * Drivers of kcheck: X(family, name) stands for the kc_driver kc_<family>_<name> in some kc_*.c. It
 * runs for every usable row of the family. No include guard by intent: an X list.
 */
X(gemm, block)
X(gemm, small)
X(gemm, pack)
X(gemm, epi)
X(gemm, plan)
X(im2col, pack)
X(dwconv, run)
X(pool, run)
X(im2col, conv)
X(wino, transforms)
X(wino, conv)
X(elementwise, unary)
X(elementwise, binary)
X(norm, rows)
X(nbits, expand)
X(nbdot, run)
X(qgemm, plan)
X(qgemm, conv)
X(qmap, all)
