/*
 * start_lamina MODEL load|run NAME:TYPE:DIMS...: the 12-line program of the README with its inputs
 * on the command line (by position; floats 0.5, integers 1). Prints the seconds to load, those of
 * the first run, and the first value of the first output.
 */
#include "bench_input.h"
#include "start_args.h"

int main(int argc, char **argv)
{
    static start_input in[START_MAX];
    static lamina_tensor *x[START_MAX], *y[START_MAX];
    lamina_error err;
    lamina_engine *e;
    lamina_model *m;
    lamina_session *s;
    const double t0 = bench_now();
    const lamina_engine_opts eo = {.size = sizeof eo, .n_threads = 1};
    const lamina_run_opts ro = {.size = sizeof ro, .error = &err};
    const int n = start_parse(argc, argv, in);
    if (lamina_engine_create(&eo, &e) || lamina_model_load(e, argv[1], NULL, &m, &err) ||
        lamina_session_create(m, NULL, &s, &err))
        return puts(err.msg), 1;
    const double t1 = bench_now();
    if (argv[2][0] == 'l') return printf("%.6f 0 0\n", t1 - t0) < 0;
    for (int i = 0; i < n; i++)
        if (lamina_tensor_from(e, in[i].is_float ? LAMINA_F32 : LAMINA_I64, in[i].rank, in[i].dims,
                               in[i].data, &x[i]))
            return 1;
    if (lamina_session_run(s, (const lamina_tensor *const *)x, (size_t)n, y, 1, &ro))
        return puts(err.msg), 1;
    const double t2 = bench_now();
    return printf("%.6f %.6f %g\n", t1 - t0, t2 - t1,
                  (double)((const float *)lamina_tensor_data(y[0]))[0]) < 0;
}
