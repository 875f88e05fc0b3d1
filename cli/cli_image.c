/*
 * Pictures: PNG by libpng, JPEG by libjpeg, both with bounds on size; resizing with a triangle
 * filter.
 */
#include "cli_recipe.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIDE 16384

#ifdef LAMINA_PNG
#include <png.h>
static unsigned char *read_png(const char *path, int *w, int *h)
{
    png_image img = {.version = PNG_IMAGE_VERSION};
    if (!png_image_begin_read_from_file(&img, path))
        return (void)cli_fail("%s: %s", path, img.message), NULL;
    unsigned char *data = NULL;
    img.format = PNG_FORMAT_RGB;
    if (img.width <= MAX_SIDE && img.height <= MAX_SIDE) data = malloc(PNG_IMAGE_SIZE(img));
    if (!data || !png_image_finish_read(&img, &(png_color){255, 255, 255}, data, 0, NULL)) {
        (void)cli_fail("%s: %s", path, data ? img.message : "the picture is too large");
        free(data);
        png_image_free(&img);
        return NULL;
    }
    *w = (int)img.width;
    *h = (int)img.height;
    return data;
}
#else
static unsigned char *read_png(const char *path, int *w, int *h)
{
    (void)w, (void)h;
    return (void)cli_fail("%s: this build reads no PNG; install libpng-dev and build again", path),
           NULL;
}
#endif

#ifdef LAMINA_JPEG
#include <jpeglib.h>
typedef struct jpeg_trap {
    struct jpeg_error_mgr mgr;
    jmp_buf jump;
} jpeg_trap;

static void jpeg_fail(j_common_ptr c)
{
    longjmp(((jpeg_trap *)c->err)->jump, 1);
}

static unsigned char *decode_jpeg(FILE *f, int *w, int *h)
{
    struct jpeg_decompress_struct d;
    jpeg_trap trap;
    unsigned char *volatile data = NULL;
    d.err = jpeg_std_error(&trap.mgr);
    trap.mgr.error_exit = jpeg_fail;
    jpeg_create_decompress(&d);
    if (setjmp(trap.jump)) {
        jpeg_destroy_decompress(&d);
        free(data);
        return NULL;
    }
    jpeg_stdio_src(&d, f);
    (void)jpeg_read_header(&d, TRUE);
    d.out_color_space = JCS_RGB;
    (void)jpeg_start_decompress(&d);
    if (d.output_width <= MAX_SIDE && d.output_height <= MAX_SIDE)
        data = malloc((size_t)d.output_width * d.output_height * 3);
    while (data && d.output_scanline < d.output_height) {
        JSAMPROW row = data + (size_t)d.output_scanline * d.output_width * 3;
        (void)jpeg_read_scanlines(&d, &row, 1);
    }
    *w = (int)d.output_width;
    *h = (int)d.output_height;
    jpeg_destroy_decompress(&d);
    return data;
}

static unsigned char *read_jpeg(const char *path, int *w, int *h)
{
    FILE *f = fopen(path, "rb");
    unsigned char *data = f ? decode_jpeg(f, w, h) : NULL;
    if (f) (void)fclose(f);
    if (!data) (void)cli_fail("%s: not a readable JPEG picture", path);
    return data;
}
#else
static unsigned char *read_jpeg(const char *path, int *w, int *h)
{
    (void)w, (void)h;
    return (void)cli_fail("%s: this build reads no JPEG; install libjpeg-dev and build again",
                          path),
           NULL;
}
#endif

unsigned char *image_read(const char *path, int *w, int *h)
{
    unsigned char magic[4] = {0};
    FILE *f = fopen(path, "rb");
    if (!f) return (void)cli_fail("cannot open %s: %s", path, strerror(errno)), NULL;
    size_t n = fread(magic, 1, sizeof magic, f);
    (void)fclose(f);
    if (n == 4 && memcmp(magic, "\x89PNG", 4) == 0) return read_png(path, w, h);
    if (n >= 2 && magic[0] == 0xff && magic[1] == 0xd8) return read_jpeg(path, w, h);
    return (void)cli_fail("%s: neither PNG nor JPEG", path), NULL;
}

/* One axis: dst sample i is a weighted mean of src samples around its centre (triangle filter). */
static void resize_axis(const float *src, float *dst, int n_src, int n_dst, size_t stride,
                        size_t lines, size_t line_stride_src, size_t line_stride_dst)
{
    const double scale = (double)n_src / n_dst, support = scale > 1 ? scale : 1;
    for (int i = 0; i < n_dst; i++) {
        const double c = (i + 0.5) * scale - 0.5;
        int lo = (int)ceil(c - support), hi = (int)floor(c + support);
        if (lo < 0) lo = 0;
        if (hi > n_src - 1) hi = n_src - 1;
        double sum = 0;
        for (int k = lo; k <= hi; k++) sum += fmax(0, 1 - fabs(k - c) / support);
        for (size_t l = 0; l < lines; l++) {
            for (size_t ch = 0; ch < 3; ch++) {
                double acc = 0;
                for (int k = lo; k <= hi; k++)
                    acc += fmax(0, 1 - fabs(k - c) / support) *
                           (double)src[l * line_stride_src + (size_t)k * stride + ch];
                dst[l * line_stride_dst + (size_t)i * stride + ch] = (float)(acc / sum);
            }
        }
    }
}

float *image_resize(const unsigned char *src, int w, int h, int dw, int dh)
{
    const size_t n = (size_t)w * (size_t)h * 3, mid = (size_t)dw * (size_t)h * 3,
                 out = (size_t)dw * (size_t)dh * 3;
    float *a = malloc(n * sizeof *a), *b = malloc(mid * sizeof *b), *c = malloc(out * sizeof *c);
    if (a && b && c) {
        for (size_t i = 0; i < n; i++) a[i] = src[i];
        resize_axis(a, b, w, dw, 3, (size_t)h, (size_t)w * 3, (size_t)dw * 3);
        resize_axis(b, c, h, dh, (size_t)dw * 3, (size_t)dw, 3, 3);
    }
    free(a);
    free(b);
    if (!a || !b) {
        free(c);
        c = NULL;
    }
    return c;
}
