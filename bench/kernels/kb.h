/*
 * bench_kernels: our kernels and those of others in one process. A domain file (kb_f32.c ...) makes
 * cases; a case is a few contenders that compute the same thing from the same operands. The frame
 * checks every result, then samples all contenders round by round in a rotating order with a burst
 * of FMAs beside each sample, and prints one line of JSON a case; bench/kernels.py reads it.
 *
 * At one thread a sample is thread CPU time, else wall time. Peers are opened at run time; one that
 * is not there is said to be absent.
 */
#ifndef LAMINA_BENCH_KB_H
#define LAMINA_BENCH_KB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KB_CONTENDERS = 16 };

/* What a contender is; a ratio is taken between ours and theirs of the same kind. */
struct lmn_kset;

typedef enum kb_kind {
    KB_PLAIN = 0, /* weights as the user has them */
    KB_PACKED,    /* weights packed beforehand, outside the timing */
    KB_HOT,       /* kernels made or chosen for the shape beforehand, called without a check */
    KB_ALONE,     /* ours as the plain one, on one thread: what more threads bring */
    KB_ROOF       /* no contender: what the memory gives, such as kb_read_bytes() of the weights */
} kb_kind;

typedef struct kb_contender {
    const char *name;
    kb_kind kind;
    bool ours;
    void (*run)(void *arg); /* one call */
    void *arg;
    double (*error)(void *arg); /* of the last call's result, in units of its bound: right if <= 1;
                                   NULL = nothing to check */
    void (*release)(void *arg); /* NULL = nothing to release */
} kb_contender;

typedef struct kb_case {
    const char *domain, *set, *name;
    double ops;   /* operations of one call, two a multiply-add */
    double peak;  /* rate of the unit in question, in multiples of the f32 FMA peak */
    double bytes; /* that one call has to read from memory at least; 0 = does not matter */
    int32_t n;
    kb_contender c[KB_CONTENDERS];
} kb_case;

typedef struct kb_run {
    const char *set, *only; /* NULL = all; a text that the set, the name must contain */
    const char *domain;
    int32_t threads, samples;
    double budget; /* seconds a case */
    bool quick;    /* no case above 2^31 operations */
    int32_t wrong; /* results that were not right */
} kb_run;

/* True if the options want this case. */
bool kb_wants(const kb_run *run, const char *set, const char *name, double ops);
/* The next contender, to be filled in; never NULL. */
kb_contender *kb_add(kb_case *c, const char *name, kb_kind kind, bool ours);
/* Check, measure, print, release the contenders. */
void kb_measure(kb_run *run, kb_case *c);

/* kb_burst.c: FMA rate of this core in GFLOP/s, about 0.2 ms; 0 if unknown. A read of memory. */
double kb_burst(void);
void kb_read_bytes(const void *p, size_t bytes);
double kb_seconds(bool cpu);

/* Memory at 64 bytes, never NULL (the program ends); random values of fixed seeds. */
void *kb_alloc(size_t bytes);
/* The rows that an engine would take, by the same variables of the environment. */
void kb_choose(struct lmn_kset *set);
void kb_random_f32(float *x, int64_t n, uint64_t seed);

/* kb_peers.c. Each is opened once; the names of the absent ones are in the first line of output. */
typedef struct kb_blas {
    const char *name;
    bool wide;                                        /* 64-bit integers */
    void *sgemm, *dgemm, *pack_size, *pack, *compute; /* the last three: MKL's */
    void *bf16, *s8u8;                                /* MKL's cblas_gemm_* */
} kb_blas;
void kb_peers_open(int32_t threads);
void kb_peers_print(void); /* as JSON values */
int32_t kb_blas_count(void);
const kb_blas *kb_blas_at(int32_t i);
/* Our pool for more than one thread, else NULL, and chunks on it. */
struct lmn_workpool *kb_pool(int32_t threads);
void kb_pool_release(struct lmn_workpool *pool);
void kb_chunks(struct lmn_workpool *pool, int64_t n_chunks,
               void (*fn)(void *arg, int64_t chunk, int32_t who), void *arg);
/* From the scratch of one worker to that of the next. */
size_t kb_apart(size_t scratch_bytes);
/* A function of a library into *fn, the address of a function pointer; false = not there. */
bool kb_symbol(void *lib, const char *name, void *fn);

/* kb_xsmm.c: LIBXSMM's kernel for a row-major product without gaps, made at run time; NULL = absent
   or none for this shape. */
typedef struct kb_xsmm kb_xsmm;
bool kb_xsmm_open(void);
kb_xsmm *kb_xsmm_make(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c);
void kb_xsmm_run(kb_xsmm *x);

/* kb_onednn.c: one matrix product as a oneDNN primitive. Strides as in row-major; B is [k][n], or
   [n][k] with trans_b. Packed: B is reordered beforehand. Types are numbers of dnnl_data_type_t. */
enum { KB_DNN_F16 = 1, KB_DNN_BF16 = 2, KB_DNN_F32 = 3, KB_DNN_S32 = 4, KB_DNN_S8, KB_DNN_U8 };
typedef struct kb_dnn_product {
    int64_t m, n, k;
    bool trans_b, packed;
    int32_t a_type, b_type, c_type;
    void *a, *b, *c;
    float factor; /* 0 = none: what the sums are multiplied by before they are rounded */
} kb_dnn_product;
typedef struct kb_dnn kb_dnn;
bool kb_dnn_open(void); /* false = absent */
const char *kb_dnn_version(void);
/* NULL = this version has no such product. Run, release. What was made before is made again after
   kb_dnn_forget(). */
void kb_dnn_forget(void);
kb_dnn *kb_dnn_make(const kb_dnn_product *p);
/* A convolution with a bias; axes are depth, height, width, the last `rank` of them count. Its
   weights are reordered beforehand; x and y too unless plain, and then kb_dnn_fetch() brings y. */
typedef struct kb_dnn_conv {
    int32_t rank;
    int64_t n, c_in, c_out, groups;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
    bool plain;
    float *x, *w, *bias, *y;
} kb_dnn_conv;
kb_dnn *kb_dnn_make_conv(const kb_dnn_conv *p);
void kb_dnn_fetch(kb_dnn *d);
void kb_dnn_run(kb_dnn *d);
void kb_dnn_release(kb_dnn *d);
/* dnnl_sgemm on row-major operands; false = absent. */
bool kb_dnn_sgemm(const kb_dnn_product *p);

/* Domains. */
void kb_f32(kb_run *run);
void kb_math(kb_run *run);
void kb_conv(kb_run *run);
void kb_bf16(kb_run *run);
void kb_int8(kb_run *run);
void kb_weights(kb_run *run);

#endif
