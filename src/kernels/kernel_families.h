/*
 * Every kernel family and dtype: X(family, dtype, whose). For each one lmn_<family>_row is a struct
 * that begins with an lmn_krow, and lmn_<family>_<dtype>_rows and _n_rows stand in <family>_rows.c,
 * made from <family>_variants.h. whose: BLAS if liblamina-blas calls it, else REST, and it is not
 * there. No include guard by intent: an X list.
 */
X(gemm, f32, BLAS)
X(dgemm, f64, BLAS)
X(im2col, f32, REST)
X(dwconv, f32, REST)
X(dwlast, bf16, REST)
X(pool, f32, REST)
X(wino, f32, REST)
X(elementwise, f32, REST)
X(norm, f32, REST)
X(cell, f32, REST)
X(attention, f32, REST)
X(nbits, f32, REST)
X(nbdot, i8, REST)
X(hgemm, bf16, BLAS)
X(hgemm, f16, REST)
X(qgemm, i8, REST)
X(qmap, i8, REST)
