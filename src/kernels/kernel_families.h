/*
 * Every kernel family and dtype: X(family, dtype). For each one lmn_<family>_row is a struct that
 * begins with an lmn_krow, and lmn_<family>_<dtype>_rows / lmn_<family>_<dtype>_n_rows stand in
 * <family>_rows.c, made from <family>_variants.h. No include guard by intent: an X list.
 */
X(gemm, f32)
X(dgemm, f64)
X(im2col, f32)
X(dwconv, f32)
X(dwlast, bf16)
X(pool, f32)
X(wino, f32)
X(elementwise, f32)
X(norm, f32)
X(cell, f32)
X(attention, f32)
X(nbits, f32)
X(nbdot, i8)
X(hgemm, bf16)
X(hgemm, f16)
X(qgemm, i8)
X(qmap, i8)
