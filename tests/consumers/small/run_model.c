/*
 * Runs a model of one float input and one output with a ramp as input and prints the output bit by
 * bit: for tools/check_small.py, which builds it against two libraries.
 */
#include <lamina/lamina.h>

#include <stdio.h>

enum { MOST = 1 << 16 };

int main(int argc, char **argv)
{
    static float x[MOST];
    const int64_t dims[4] = {1, 3, 32, 32};
    lamina_engine *e;
    lamina_model *m;
    lamina_session *s;
    lamina_tensor *in, *out = NULL;
    lamina_error err;
    if (argc != 2 || lamina_engine_create(NULL, &e)) return 2;
    if (lamina_model_load(e, argv[1], NULL, &m, &err) || lamina_session_create(m, NULL, &s, &err)) {
        puts(err.msg);
        lamina_engine_destroy(e);
        return 1;
    }
    for (int i = 0; i < 3 * 32 * 32; i++) x[i] = (float)(i % 251) / 125.0f - 1.0f;
    if (lamina_tensor_from(e, LAMINA_F32, 4, dims, x, &in) ||
        lamina_session_run(s, (const lamina_tensor *[]){in}, 1, &out, 1, NULL))
        return 2;
    const float *y = lamina_tensor_data(out);
    for (size_t i = 0; i < (size_t)lamina_tensor_count(out); i++) printf("%a\n", (double)y[i]);
    lamina_tensor_unref(in);
    lamina_tensor_unref(out);
    lamina_session_destroy(s);
    lamina_model_unref(m);
    lamina_engine_destroy(e);
    return 0;
}
