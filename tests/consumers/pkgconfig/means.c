/*
 * An external program in C99: the mean of three colour planes by the model given, everything
 * released afterwards. Built against an installed lamina by pkg-config and by CMake.
 */
#include <lamina/lamina.h>

#include <stdio.h>

static float pixels[3 * 224 * 224];

static lamina_status run(lamina_engine *e, const char *path, lamina_error *err)
{
    const int64_t dims[4] = {1, 3, 224, 224};
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    lamina_tensor *x = NULL, *y = NULL;
    lamina_status st = lamina_model_load(e, path, NULL, &m, err);
    if (st == LAMINA_OK) st = lamina_session_create(m, NULL, &s, err);
    if (st == LAMINA_OK) st = lamina_tensor_from(e, LAMINA_F32, 4, dims, pixels, &x);
    if (st == LAMINA_OK) {
        const lamina_tensor *in[1];
        lamina_run_opts o = {0};
        in[0] = x;
        o.size = sizeof o;
        o.error = err;
        st = lamina_session_run(s, in, 1, &y, 1, &o);
    }
    if (st == LAMINA_OK) {
        const float *v = lamina_tensor_data(y);
        printf("%g %g %g\n", v[0], v[1], v[2]);
    }
    lamina_tensor_unref(y);
    lamina_tensor_unref(x);
    lamina_session_destroy(s);
    lamina_model_unref(m);
    return st;
}

int main(int argc, char **argv)
{
    lamina_engine *e = NULL;
    lamina_error err = {0};
    int i;
    if (argc != 2 || lamina_engine_create(NULL, &e) != LAMINA_OK) return 2;
    for (i = 0; i < 3 * 224 * 224; i++) pixels[i] = 1.5f + (float)(i / (224 * 224));
    if (run(e, argv[1], &err) != LAMINA_OK) {
        printf("%s\n", err.msg);
        lamina_engine_destroy(e);
        return 1;
    }
    lamina_engine_destroy(e);
    return 0;
}
