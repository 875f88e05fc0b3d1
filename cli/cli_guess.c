/*
 * What a file is that was taken for an ONNX model, by its first bytes: formats whose files people
 * have beside their models, and downloads that did not work.
 */
#include "cli.h"

#include <string.h>

static const struct {
    int at;
    const char *bytes, *what;
} signs[] = {
    {0, "version https://git-lfs", "a pointer of Git LFS; get the file itself: git lfs pull"},
    {0, "<!DOCTYPE", "a web page; the download went wrong"},
    {0, "<!doctype", "a web page; the download went wrong"},
    {0, "<html", "a web page; the download went wrong"},
    {0, "GGUF", "a GGUF model, which is not read here; take the model's ONNX export"},
    {0, "PK\3\4", "a zip archive, as torch.save writes; export with torch.onnx.export"},
    {0, "\x89HDF", "an HDF5 file, as Keras saves; export with tf2onnx"},
    {0, "\x1f\x8b", "packed by gzip; unpack it"},
    {4, "TFL3", "a TensorFlow Lite model; convert it with tf2onnx --tflite"},
    {4, "ORTM", "a model in onnxruntime's own format; take the ONNX file that it was made of"},
    {8, "{\"", "a safetensors file, weights without a graph; export the model as ONNX"},
};

const char *cli_guess(const char *path, const lamina_error *err)
{
    if (err->status != LAMINA_E_CORRUPT && err->status != LAMINA_E_PARSE) return NULL;
    char head[32] = {0};
    FILE *f = fopen(path, "rb");
    const size_t n = f ? fread(head, 1, sizeof head, f) : 0;
    if (f) (void)fclose(f);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        const size_t at = (size_t)signs[i].at, len = strlen(signs[i].bytes);
        if (at + len <= n && memcmp(head + at, signs[i].bytes, len) == 0) return signs[i].what;
    }
    return NULL;
}

int cli_fail_load(const char *path, const lamina_error *err)
{
    const char *what = cli_guess(path, err);
    return what ? cli_fail("%s is no ONNX file but %s", path, what) : cli_fail_at(path, err->msg);
}
