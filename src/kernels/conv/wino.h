/*
 * wino family, f32: the transforms of Winograd's F(4x4, 3x3), which computes a 4 x 4 tile of a 3 x
 * 3 convolution of stride 1 with 36 multiplications a channel instead of 144. Between the
 * transforms the 36 positions of a tile are 36 products on the gemm kernel; wino_plan.h is the
 * driver.
 *
 *   input    V[pos][c][tile]  = (B' d B)[pos],  d the 6 x 6 patch of channel c under the tile
 *   weights  U[pos][filter]   = (G g G')[pos],  g the 3 x 3 filter
 *   output   y tile           = A' M A,         M[pos][c][tile] = sum over c_in of U V
 *
 * A convolution of dilation d is d x d of them on every d-th pixel; one of kz planes sums kz
 * products a position, and c_in below is then c_in * kz.
 *
 * Points 0, 1, -1, 2, -2. A tile row is a row of tiles of one image, `tiles` of them; tiles of one
 * block are numbered through its rows. Planes of one position lie `step` elements apart. Tiles past
 * the width of a plane are of zeros, and no pixels of theirs are written.
 *
 * Order   every element has one chain fixed here; avx2 == avx512 bit for bit.
 * Error   with |.| taken of every factor: |got - exact| <= (c_in + 30) u |A'| (sum |U| |V|) |A|,
 * where |U| = |G| |g| |G'| and |V| = |B'| |d| |B|: some ten times the bound of the plain chain. A
 *         NaN or infinity reaches every pixel of its tiles.
 * Alias   none.
 */
#ifndef LMN_KERNELS_WINO_H
#define LMN_KERNELS_WINO_H

#include "base/types.h"
#include "kernels/krow.h"

enum {
    LMN_WINO_POS = 36,  /* positions of a tile */
    LMN_WINO_SLACK = 16 /* elements past a row of V or M that may be written and read */
};
/* Elements of a row of V or M of n tiles, `tiles` in a tile row, at least. */
static inline int64_t lmn_wino_ld(int64_t n, int64_t tiles)
{
    return tiles < 4 || 16 % tiles ? n + LMN_WINO_SLACK : (n + 15) / 16 * 16;
}

typedef struct lmn_wino_input {
    const float *x; /* n_c planes of in_h x in_w, dense, x_step apart; none are read if in_h is 0 */
    int64_t in_h, in_w, x_step, pad_y, pad_x, n_c;
    int64_t row, n_rows, tiles; /* first tile row, how many, tiles in each */
    float *v;                   /* v[pos * step + c * ld + tile] */
    int64_t ld, step;           /* ld >= lmn_wino_ld() of all tiles */
} lmn_wino_input;

typedef struct lmn_wino_output {
    const float *m; /* m[pos * step + tile], one channel */
    int64_t step;
    float *y;     /* first pixel of the block's first row */
    int64_t h, w; /* rows of y from there on (all that the block may write), width */
    int64_t n_rows, tiles;
} lmn_wino_output;

typedef void lmn_wino_input_fn(const lmn_wino_input *b);
/* One channel of one block. */
typedef void lmn_wino_output_fn(const lmn_wino_output *b);
/* n filters of nine, dense, to u[pos * step + filter]. */
typedef void lmn_wino_weights_fn(float *u, int64_t step, const float *w, int64_t n);

typedef struct lmn_wino_row {
    lmn_krow head;
    lmn_wino_input_fn *input;
    lmn_wino_output_fn *output;
    lmn_wino_weights_fn *weights;
} lmn_wino_row;

extern const lmn_wino_row lmn_wino_f32_rows[];
extern const int32_t lmn_wino_f32_n_rows;

#endif
