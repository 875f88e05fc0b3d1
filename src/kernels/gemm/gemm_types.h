/*
 * The types of one gemm family, made for an element type: gemm.h includes this for f32, dgemm.h for
 * f64, each with GEMM_T(name) and GEMM_REAL defined. What they mean stands in gemm.h. No include
 * guard by intent.
 */

/* A list of products summed into one C: term q multiplies A_q and B_q, found by address (a_list),
   by offset from a and b (a_off), or by stride (a_step); A and B choose independently. */
typedef struct GEMM_T(terms) {
    int64_t n; /* >= 1 */
    const GEMM_REAL *a, *b;
    const GEMM_REAL *const *a_list, *const *b_list; /* not NULL: the operands themselves */
    const int64_t *a_off, *b_off;                   /* not NULL: elements from a and b */
    int64_t a_step, b_step;                         /* else: elements from term to term */
    const int64_t *b_rows; /* f32, a hint, NULL = none: A is one product's, row p of whose B lies at
                              b + b_rows[p] */
} GEMM_T(terms);

typedef struct GEMM_T(block) {
    const GEMM_REAL *a;
    int64_t lda; /* elements from row to row */
    const GEMM_REAL *b;
    int64_t ldb, b_panel;    /* see gemm.h; small_nn and small_nt do not use b_panel */
    const GEMM_REAL *b_next; /* block only: where the next block's B lies, a hint, NULL = none: with
                                b_from row-major, b_from_ld apart, else rows of its transpose,
                                b_next_ld apart, or, b_next_ld being 0, panels b_panel apart */
    int64_t b_next_ld, b_next_n; /* n: its columns */
    const GEMM_REAL *b_from; /* block only; not NULL: B lies here row-major, b_from_ld elements from
                                row to row, and b is scratch that the call fills with packed panels
                              */
    int64_t b_from_ld;
    const GEMM_T(terms) * terms; /* block only; not NULL: the sum over these, a and b are not used,
                                    lda, ldb, b_panel, m, n, k are those of every term; no b_from */
    GEMM_REAL *c;
    int64_t ldc;
    int64_t c_step;  /* small_nt only: elements from column to column of C, 0 stands for 1 */
    GEMM_REAL *room; /* small_nt of rows that lay A: not NULL: m * k elements, k rounded up to 64
                        bytes, that the call may fill */
    int64_t m, n, k;
    int32_t beta;
    bool b_far;         /* B comes from beyond L2, worth fetching ahead: a hint ... */
    bool b_run;         /* ... but, of the block kernel, for few rows: one run for the hardware */
    bool a_far;         /* block only: A comes from memory and meets one panel: a hint */
    bool wide;          /* small_nn and small_nt: the core is as the row's `wide` says: a hint */
    bool c_past;        /* block only: C is not wanted in the caches: a hint */
    const lmn_epi *epi; /* NULL = none. small_nn and small_nt do not apply it; f64: always NULL */
    int64_t row, col, item; /* of c[0] in the whole result, for the epilogue's operands */
} GEMM_T(block);

typedef void GEMM_T(block_fn)(const GEMM_T(block) * blk);

/* A product small enough for nothing but its numbers: B row-major, no epilogue, k >= 0. */
typedef struct GEMM_T(tiny) {
    const GEMM_REAL *a, *b;
    GEMM_REAL *c;
    int64_t lda, ldb, ldc; /* elements from row to row */
    int64_t m, n, k;
    int32_t beta;
    bool by_rows; /* C is much more than B: all columns of a few rows before the next */
    bool past;    /* by_rows, beta 0: C is not wanted in the caches: a hint */
    bool far;     /* A and B come from beyond L2, and the row `copies`: a hint */
} GEMM_T(tiny);

typedef void GEMM_T(tiny_fn)(const GEMM_T(tiny) * t);

/* B, k x n, into ceil(n / NR) panels of k * NR elements; the columns past n become +0. From
   row-major [k][n] (nn) or from row-major [n][k] (nt). */
typedef void GEMM_T(pack_fn)(GEMM_REAL *restrict packed, const GEMM_REAL *restrict b, int64_t ldb,
                             int64_t k, int64_t n);

typedef struct GEMM_T(row) {
    lmn_krow head;
    int32_t mr, nr;           /* register tile */
    bool follows;             /* of memory the hardware alone reads a run as fast as fetches do, and
                                 any C is stored past the caches as fast as into them */
    bool lays;                /* small_nt wants room for a copy of A */
    bool wide;                /* of a core that multiplies whole vectors of 512 bits: memory gives
                                 most to few runs, small_nt fetches to L1, 1 x 1 convolutions pack
                                 no images, and Winograd's way has V of larger ones first */
    bool copies;              /* tiny has a way of its own for sums from beyond L2 (`far`) */
    int32_t far_k;            /* rows at once of a far B that few rows of A read in place */
    int32_t stream_m;         /* most rows of A that stream a row-major B of a cache */
    int32_t direct_m;         /* most rows of A that read any B in place ... */
    int32_t direct_b;         /* ... and most bytes of one that up to 1024 read so */
    int32_t lines_m;          /* most rows of A for which conv_lines.h pays */
    GEMM_T(block_fn) * block; /* B in panels */
    GEMM_T(block_fn) * small_nn; /* b is row-major [k][n]; B is streamed once, rows of A in L1 */
    GEMM_T(block_fn) * small_nt; /* b is row-major [n][k]; B is streamed once, rows of A in L1 */
    GEMM_T(pack_fn) * pack_nn, *pack_nt;
    lmn_epi_fn *epi;        /* NULL for f64 */
    GEMM_T(tiny_fn) * tiny; /* the block kernel's chain for little work; NULL = use that */
} GEMM_T(row);
